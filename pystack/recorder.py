"""`Recorder`: how a connection's sender fared, event by event, as columns of 64-bit integers.

    with pystack.Recorder().attach(writer) as recorder:  # or a Socket, a transport, a Server
        ...
    recorder.to_csv("run.csv")
    numpy.asarray(recorder["cwnd"])  # shares the memory

A row is what was true when its event was over. A column is an `array.array('q')`; a view of one
(NumPy's, and polars' on top of it) is what was recorded when it was taken: the recorder goes on in
memory of its own.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, Self

from pystack.cc.base import OPEN
from pystack.printed import printed, several
from pystack.sockets.constants import AF_INET, AF_INET6
from pystack.sockets.sockaddr import Address, unparse
from pystack.tcp import recording
from pystack.tcp.tcb import Tcb
from pystack.wire.flow_key import local_end, remote_end

# bits of the column `event`: what the connection tells, and what shows by comparing
SENT: Final = recording.SENT
RETRANSMITTED: Final = recording.RETRANSMITTED
ACKED: Final = recording.ACKED
RTO: Final = recording.RTO
LOST: Final = 32  # something was judged lost
SPURIOUS: Final = 64  # something was reported to have come twice (RFC 2883)
RECOVERY_ENTERED: Final = 128  # fast recovery, the one after a timeout, or a cut for a mark
RECOVERY_LEFT: Final = 256
UNDO: Final = 512  # a reduction of the window was spurious, and is taken back

EVENT_NAMES: Final = {
    SENT: "sent", RETRANSMITTED: "retransmitted", ACKED: "acked", RTO: "rto", LOST: "lost",
    SPURIOUS: "spurious", RECOVERY_ENTERED: "recovery_entered", RECOVERY_LEFT: "recovery_left",
    UNDO: "undo",
}  # fmt: skip

COLUMNS: Final = (
    "time_us", "connection", "event", "cwnd", "ssthresh", "pipe", "srtt_us", "rto_us",
    "pacing_rate", "delivery_rate", "sent", "acked", "lost", "retransmitted", "spurious",
)  # fmt: skip

_TOLD: Final = SENT | RETRANSMITTED | ACKED | RTO
_PLAIN: Final = SENT | ACKED  # what `every` thins out


def event_names(event: int) -> str:
    """The names of an event's bits, joined by "+"."""
    return "+".join(name for bit, name in EVENT_NAMES.items() if event & bit)


class Recorder:
    """Rows of `COLUMNS`, in the order in which they happened; a context manager that detaches.

    `time_us` is the clock of the connection's host. `connection` numbers the connections in the
    order in which they came, and `connections` has the addresses of each, ours first. `event` are
    bits of `EVENT_NAMES`. In bytes: cwnd, ssthresh (2^31 - 1 while there is none), pipe, and the
    totals `sent` (payload, retransmissions included), `acked`, `lost`, `retransmitted` and
    `spurious`. In bytes/s: `pacing_rate`, 0 for none, and `delivery_rate`, that of the last sample.

    Each ACK that comes while something is in flight, and each run sent (up to 64 KB), is a row.
    `every=n` keeps one in n of those with which nothing else happened; `limit=n` keeps at most n
    rows, the newest, dropping n/2 at a time.
    """

    def __init__(self, *, every: int = 1, limit: int = 0) -> None:
        """A `limit` of 0 is none. Raises ValueError for an `every` below 1, a `limit` below 0
        or of 1."""
        if every < 1 or limit < 0 or limit == 1:
            raise ValueError(f"no recording with every={every} and limit={limit}")
        self.every = every
        self.limit = limit
        self.connections: list[tuple[Address, Address]] = []
        self._sockets: list[Any] = []
        self._watches: list[_Watch] = []
        self._columns: dict[str, array[int]] = {}
        self._appends: tuple[Callable[[int], None], ...] = ()
        self._own({name: array("q") for name in COLUMNS})

    def __repr__(self) -> str:
        return printed(
            self, lambda: f"{several(len(self), 'row')},"
            f" {several(len(self.connections), 'connection')}"
        )  # fmt: skip

    # -- whom -----------------------------------------------------------------------------------
    def attach(self, target: Any) -> Self:
        """Record from now on: a connection (its `Socket`, transport or StreamWriter, under TLS
        too), the one that an unconnected Socket will make, or all that a listening Socket or a
        Server takes. May be called for several.

        A connection has one recorder, the last that was attached. Raises TypeError for what is
        none of these, OSError EBADF for a closed socket.
        """
        for socket in _sockets_of(target):
            socket.attach_recorder(self._watch)
            self._sockets.append(socket)
        return self

    def detach(self) -> None:
        """Record no more; what was recorded stays."""
        for watch in self._watches:
            watch.recorder = None
        for socket in self._sockets:
            with suppress(OSError):  # closed meanwhile
                socket.attach_recorder(None)
        self._watches.clear()
        self._sockets.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def _watch(self, scope: int, tcb: Tcb) -> _Watch:
        key = tcb.key
        family = AF_INET if tcb.v4 else AF_INET6
        ours = unparse(family, *local_end(key), scope)
        theirs = unparse(family, *remote_end(key), scope)
        watch = _Watch(self, len(self.connections), tcb)
        self.connections.append((ours, theirs))
        self._watches.append(watch)
        return watch

    # -- what -----------------------------------------------------------------------------------
    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._columns[COLUMNS[-1]])

    def __getitem__(self, name: str) -> array[int]:
        """The column of that name. Raises KeyError, telling all, when there is none."""
        if name not in self._columns:
            raise KeyError(f"there is no column {name!r}: there are {', '.join(COLUMNS)}")
        return self._columns[name]

    @property
    def columns(self) -> dict[str, array[int]]:
        """All columns by name, as they are now."""
        return dict(self._columns)

    def to_csv(self, file: str | Path | IO[str]) -> None:
        """Write all rows below a line of names; of the event the names, joined by "+"."""
        if isinstance(file, (str, Path)):
            with open(file, "w", encoding="utf-8", newline="") as opened:
                self.to_csv(opened)
            return
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        at = COLUMNS.index("event")
        for row in zip(*self._columns.values(), strict=True):
            writer.writerow((*row[:at], event_names(row[at]), *row[at + 1 :]))

    def to_parquet(self, file: str | Path | IO[bytes]) -> None:
        """Write all rows, all columns as 64-bit integers. Raises ImportError without polars."""
        try:
            from polars import DataFrame
        except ImportError as error:
            raise ImportError("to_parquet needs polars: pip install polars") from error
        DataFrame(self._columns).write_parquet(file)

    # -- rows -----------------------------------------------------------------------------------
    def _own(self, columns: dict[str, array[int]]) -> None:
        self._columns = columns
        self._appends = tuple(column.append for column in columns.values())

    def add(self, row: tuple[int, ...]) -> None:
        """Append one row of `COLUMNS`."""
        rows = len(self)
        if rows == self.limit and rows:
            self._own({name: column[rows // 2 :] for name, column in self._columns.items()})
            rows -= rows // 2
        try:
            for append, value in zip(self._appends, row, strict=True):
                append(value)
        except BufferError:  # somebody has a view: that memory is theirs from now on
            self._own({name: column[:rows] for name, column in self._columns.items()})
            for append, value in zip(self._appends, row, strict=True):
                append(value)


class _Watch:
    """What watches one connection, and knows what was true at the row before."""

    __slots__ = (
        "recorder", "number", "recovery", "lost", "spurious", "undos", "delivery_rate", "skipped",
    )  # fmt: skip

    name = "pystack.Recorder"

    def __init__(self, recorder: Recorder, number: int, tcb: Tcb) -> None:
        self.recorder: Recorder | None = recorder
        self.number = number
        self.recovery = tcb.recovery
        self.lost = tcb.scoreboard.lost
        self.spurious = tcb.stats.bytes_spurious
        self.undos = tcb.stats.undos
        self.delivery_rate = 0
        self.skipped = recorder.every - 1  # the first row is kept

    def note(self, tcb: Tcb, event: int, now_us: int) -> None:
        recorder = self.recorder
        if recorder is None:
            recording.attach(tcb, None)
            return
        if event == ACKED and tcb.shared.sample.delivery_rate:
            self.delivery_rate = tcb.shared.sample.delivery_rate
        event = (event & _TOLD) | self._seen(tcb)
        if not event & ~_PLAIN:
            self.skipped += 1
            if not event or self.skipped < recorder.every:
                return
            self.skipped = 0
        cc = tcb.cc
        recorder.add(
            (
                now_us, self.number, event, cc.cwnd, cc.ssthresh, tcb.pipe, tcb.srtt_us,
                tcb.rto_us, tcb.pacing_rate, self.delivery_rate, tcb.bytes_sent,
                tcb.bytes_acked, self.lost, tcb.stats.bytes_retrans, self.spurious,
            )
        )  # fmt: skip

    def _seen(self, tcb: Tcb) -> int:
        """What has changed since the last event."""
        event = 0
        lost = tcb.scoreboard.lost
        if lost != self.lost:
            self.lost = lost
            event = LOST
        if tcb.stats.bytes_spurious != self.spurious:
            self.spurious = tcb.stats.bytes_spurious
            event |= SPURIOUS
        if tcb.stats.undos != self.undos:
            self.undos = tcb.stats.undos
            event |= UNDO
        recovery = tcb.recovery
        if recovery != self.recovery:
            event |= RECOVERY_LEFT if recovery == OPEN else RECOVERY_ENTERED
            self.recovery = recovery
        return event


def _sockets_of(target: Any) -> Iterable[Any]:
    """Those sockets, or what stands for them, that can be told to have connections recorded."""
    if hasattr(target, "attach_recorder"):
        return (target,)
    if hasattr(target, "get_extra_info"):
        socket = target.get_extra_info("socket")
        if hasattr(socket, "attach_recorder"):
            return (socket,)
    sockets = getattr(target, "sockets", None) or ()
    if not all(hasattr(socket, "attach_recorder") for socket in sockets) or not sockets:
        raise TypeError(f"{target!r} is no connection of pystack, nor takes any")
    return tuple(sockets)
