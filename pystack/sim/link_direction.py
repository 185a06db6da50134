"""A line: one direction of a link, from the node that sends to the one that receives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pystack.path.link import Stage
from pystack.path.offload import Cutter
from pystack.printed import counted, printed
from pystack.sim.events import Events
from pystack.wire.batch import Packet

if TYPE_CHECKING:
    from pystack.sim.node import Node

Tap = Callable[["Line", Packet, int], None]


# what nodes and the clock call
_INSIDE: Final = frozenset((
    "cut", "due", "events", "hand_over", "rank", "send",
))  # fmt: skip


class Line:
    """Packets from `near` to `far`, none of them larger than `mtu` bytes; `back` leads back.

    What offloading left in one piece is cut here, as an interface would. `sent`, `arrived` and
    `too_large` count packets, `octets` those of the packets sent. `taps` see each packet as
    it is sent, `arrival_taps` as it arrives: functions of the line, the packet and the time in µs;
    its checksum may be partial (`path.offload.completed`). `name` is that of both nodes. `dir`
    leaves out what nodes and the clock call.
    """

    __slots__ = (
        "name", "near", "far", "back", "mtu", "sent", "arrived", "too_large", "octets", "taps",
        "arrival_taps", "events", "rank", "cut",
    )  # fmt: skip

    back: Line  # the other direction

    def __init__(self, events: Events, name: str, near: Node, far: Node, mtu: int) -> None:
        self.name = name
        self.near = near
        self.far = far
        self.mtu = mtu
        self.sent = 0
        self.arrived = 0
        self.too_large = 0
        self.octets = 0
        self.taps: list[Tap] = []
        self.arrival_taps: list[Tap] = []
        self.events = events
        self.rank = events.new_rank()
        self.cut = Cutter().packets

    def __dir__(self) -> list[str]:
        """Without what nodes and the clock call."""
        return [name for name in object.__dir__(self) if name not in _INSIDE]

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        counts = {"sent": self.sent, "arrived": self.arrived, **self.counts()}
        return f"{self.name}: {counted(counts) or 'nothing yet'}"

    def send(self, packet: Packet, now_us: int) -> None:
        """The near node sends a packet; its buffer may change afterwards."""
        raise NotImplementedError

    def hand_over(self, packets: list[Packet]) -> None:
        """Packets that arrive at the far node at this very moment, before all others."""
        raise NotImplementedError

    def due(self, now_us: int) -> None:
        """Something may arrive."""
        raise NotImplementedError

    def counts(self) -> dict[str, int]:
        """What became of packets that did not arrive, and of others, by name."""
        raise NotImplementedError


class StageLine(Line):
    """A line through any stage of `pystack.path`, packet by packet.

    `stage` is that one. With `uncut` runs pass in one piece, as through a TUN device with offload.
    """

    __slots__ = ("stage", "uncut", "_armed_us", "_now")

    def __init__(
        self, events: Events, name: str, near: Node, far: Node, mtu: int, stage: Stage, *,
        uncut: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(events, name, near, far, mtu)
        self.stage = stage
        self.uncut = uncut
        self._armed_us = 0  # when an event is due, 0 for none
        self._now: list[Packet] = []  # arrives at the present moment

    def send(self, packet: Packet, now_us: int) -> None:
        """See `Line.send`."""
        if packet[1] and not self.uncut:
            for piece in self.cut(packet):
                self._send(piece, now_us)
        else:
            self._send((bytes(packet[0]), packet[1], packet[2]), now_us)

    def _send(self, packet: Packet, now_us: int) -> None:
        length = len(packet[0])
        if length > self.mtu and not packet[1]:
            self.too_large += 1
            return
        self.sent += 1
        self.octets += length
        for tap in self.taps:
            tap(self, packet, now_us)
        stage = self.stage
        out = stage.feed(packet, now_us)
        if out:
            self.hand_over(out)
        if stage.answers:
            self.back.hand_over(stage.take_answers())
        self._arm(stage.next_deadline())

    def hand_over(self, packets: list[Packet]) -> None:
        """See `Line.hand_over`."""
        self._now += packets
        if self._now:
            self._arm(self.events.now_us)

    def _arm(self, at_us: int) -> None:
        armed_us = self._armed_us
        if at_us and (not armed_us or at_us < armed_us):
            self._armed_us = at_us
            self.events.at(at_us, self.rank, self)

    def due(self, now_us: int) -> None:
        """See `Line.due`."""
        if now_us == self._armed_us:
            self._armed_us = 0
        stage = self.stage
        packets = stage.take(now_us)
        if self._now:
            packets = self._now + packets
            self._now = []
        if stage.answers:
            self.back.hand_over(stage.take_answers())
        self._arm(stage.next_deadline())
        if packets:
            self.arrived += len(packets)
            for tap in self.arrival_taps:
                for packet in packets:
                    tap(self, packet, now_us)
            self.far.arrive(packets, now_us)

    def counts(self) -> dict[str, int]:
        """Those of its stage."""
        return self.stage.counts()
