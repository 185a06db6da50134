"""How do packets get into a device that may be full? What it has no room for is kept, and offered
again: when the device says so, and in a few ms anyway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from pystack.aio.drive.device import DOWN, FULL, GONE, PacketDevice
from pystack.printed import printed, several
from pystack.wire.batch import TxBatch
from pystack.wire.consts import CHECKSUM_PARTIAL

_LEAST_WAIT_S: Final = 0.001
_LONGEST_WAIT_S: Final = 0.05
_STUCK_S: Final = 5.0
_RAISED: Final = -(1 << 16)  # no errno: the device raised an exception


class DeviceWriter:
    """Writes batches to a device. `is_waiting` is true while packets are kept that the device had
    no room for: what else there is waits in the host then. So is `is_moving`, unless the device has
    taken nothing for 5 s: what else there is is lost then, or no timeout would come.

    `lost_link_down` counts packets that met a link that was down, or a device that was gone or
    took nothing, `lost_refused` those that the device did not like. `on_room` is called when all
    that was kept has gone, and while the device takes nothing; `on_gone`, perhaps within a write,
    when the device is gone.
    """

    __slots__ = (
        "device", "is_waiting", "is_moving", "lost_link_down", "lost_refused", "_on_room",
        "_on_gone", "_loop", "_kept", "_first", "_alone", "_timer", "_waited_s", "_reported",
    )  # fmt: skip

    def __init__(
        self, device: PacketDevice, on_room: Callable[[], None], on_gone: Callable[[], None]
    ) -> None:
        """`start` before the first write."""
        self.device = device
        self.is_waiting = False
        self.is_moving = False
        self.lost_link_down = 0
        self.lost_refused = 0
        self._on_room = on_room
        self._on_gone = on_gone
        self._loop: asyncio.AbstractEventLoop | None = None
        self._kept: TxBatch | None = None  # from `_first` on; made when first used
        self._first = 0
        self._alone: TxBatch | None = None  # for one packet, of a device that raises
        self._timer: asyncio.TimerHandle | None = None
        self._waited_s = 0.0  # since the device took something
        self._reported = False

    def __repr__(self) -> str:
        return printed(self, lambda: f"{several(self._left(), 'packet')} for {self.device!r}")

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use this loop from now on."""
        self._cancel()
        self._loop = loop
        if self.is_waiting:
            self._ask_again_later()

    def stop(self) -> None:
        """Ask no more. What is kept is offered a last time, and is lost otherwise."""
        self._cancel()
        if self.is_waiting and not self.go_on():
            self._cancel()
            self.lost_link_down += self._left()
            self._end_waiting()

    def write(self, tx: TxBatch) -> None:
        """Write all packets of a batch. Not to be called while it is waiting."""
        if tx.count:
            self.write_rest(tx, self.offer(tx, 0))

    def lose(self, tx: TxBatch) -> None:
        """All packets of a batch are lost, as the device takes nothing."""
        self.lost_link_down += tx.count

    def offer(self, tx: TxBatch, first: int) -> int:
        """`device.write`, with what it raises as a number: for `write_rest`."""
        try:
            return self.device.write(tx, first)
        except Exception as error:
            return self.outcome_of(error)

    def outcome_of(self, error: Exception) -> int:
        """What `device.write` should have returned instead of raising this."""
        if isinstance(error, OSError) and error.errno:
            return -error.errno
        if not self._reported and self._loop is not None:  # once, until it takes packets again
            self._reported = True
            message = f"{self.device.name} raised an exception where it was to take packets"
            self._loop.call_exception_handler({"message": message, "exception": error})
        return _RAISED

    def write_rest(self, tx: TxBatch, outcome: int) -> None:
        """Go on after `device.write(tx, 0)` had this outcome."""
        first = self._go_on(tx, 0, outcome)
        if first < tx.count:
            self._keep(tx, first)

    def go_on(self) -> bool:
        """Offer what is kept. Whether nothing is left of it; `on_room` is not called."""
        kept = self._kept
        if kept is None or not self.is_waiting:
            return True
        first = self._go_on(kept, self._first, self.offer(kept, self._first))
        if first > self._first:
            self._waited_s = 0.0
            self.is_moving = True
        self._first = first
        if first < kept.count:
            self._ask_again_later()
            return False
        self._cancel()
        self._end_waiting()
        return True

    def _go_on(self, tx: TxBatch, first: int, outcome: int) -> int:
        """The first packet that the device has no room for; the number of packets if none."""
        count = tx.count
        raised_at = -1  # from here on they are offered one by one: which one was it?
        while True:
            if outcome > 0:
                first = min(first + outcome, count)
                self._reported = False
            elif outcome == _RAISED and raised_at != first:
                raised_at = first  # once more: those behind it may be to blame
            elif -outcome in FULL:
                return first
            elif -outcome == DOWN or -outcome in GONE:
                self.lost_link_down += count - first
                if -outcome in GONE:
                    self._on_gone()
                return count
            else:
                self.lost_refused += 1  # no memory, or a packet that it does not like
                first += 1
            if first >= count:
                return count
            outcome = self.offer(tx, first) if raised_at < 0 else self._offer_alone(tx, first)

    def _offer_alone(self, tx: TxBatch, index: int) -> int:
        alone = self._alone
        if alone is None:
            alone = self._alone = _like(tx)
        alone.clear()
        _copy(tx, index, alone)
        return self.offer(alone, 0)

    # -- waiting ---------------------------------------------------------------------------------
    def _keep(self, tx: TxBatch, first: int) -> None:
        kept = self._kept
        if kept is None:
            kept = self._kept = _like(tx)
        kept.clear()
        for index in range(first, tx.count):
            _copy(tx, index, kept)
        self._first = 0
        self._waited_s = 0.0
        self.is_waiting = self.is_moving = True
        self._ask_again_later()

    def _left(self) -> int:
        return self._kept.count - self._first if self._kept is not None and self.is_waiting else 0

    def _end_waiting(self) -> None:
        self.is_waiting = self.is_moving = False

    def _ask_again_later(self) -> None:
        if self._timer is None and self._loop is not None:
            wait_s = min(max(self._waited_s, _LEAST_WAIT_S), _LONGEST_WAIT_S)
            self._waited_s += wait_s
            if self._waited_s > _STUCK_S:
                self.is_moving = False
            self._timer = self._loop.call_later(wait_s, self._ask_again)

    def _ask_again(self) -> None:
        self._timer = None
        if self.go_on() or not self.is_moving:
            self._on_room()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _like(tx: TxBatch) -> TxBatch:
    """One with room for all packets of `tx`, and for the gaps between them."""
    return TxBatch(
        256 * tx.capacity + 16 * tx.capacity, gso=tx.gso,
        checksum_offload=tx.checksum_state == CHECKSUM_PARTIAL,
    )  # fmt: skip


def _copy(tx: TxBatch, index: int, target: TxBatch) -> None:
    buffer, gso_size, checksum_state = tx.packet(index)
    length = len(buffer)
    at = target.reserve(length)
    target.view[at : at + length] = buffer
    target.commit(at, length, gso_size, checksum_state)
