"""One direction of a link, from the node that sends to the one that receives.

`StageLinkDirection` goes through any stage of `pystack.path`, packet by packet; the one of
`gso_link_direction` carries runs of segments as one object. What stands at the ends is told of a
`LinkEnd`, which `node.Node` is."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from pystack.compiling import mypyc_attr
from pystack.path.link import Stage
from pystack.printed import counted, printed
from pystack.sim.network.events import Events
from pystack.sockets import Host
from pystack.stack.run_input import RunInput
from pystack.wire.batch import Packet
from pystack.wire.offload import Cutter

Tap = Callable[["LinkDirection", Packet, int], None]


# called by nodes and the clock
_INSIDE: Final = frozenset((
    "cut", "due", "events", "hand_over", "rank", "send",
))  # fmt: skip


@mypyc_attr(allow_interpreted_subclasses=True)
class LinkEnd:
    """What stands at an end of a link: `name`, the `host` inside, and `directions`, those that
    leave here. Packets arrive by the calls below."""

    takes_runs: ClassVar[bool] = True  # whether `arrive_piece` may be called

    name: str
    host: Host
    directions: list[LinkDirection]

    def arrive(self, packets: list[Packet], now_us: int) -> None:
        """Packets have come over one of the links, all at the same moment."""
        raise NotImplementedError

    def arrive_alone(self, packet: Packet, now_us: int) -> None:
        """A single packet has come."""
        raise NotImplementedError

    def arrive_piece(self, run: RunInput, piece: int, now_us: int) -> None:
        """A piece of a run has come, which was loaded for this host."""
        raise NotImplementedError


class LinkDirection:
    """Packets from `near` to `far`, none of them larger than `mtu` bytes; `back` leads back.

    What offloading left in one piece is cut here, as an interface would do. `sent`, `arrived` and
    `too_large` count packets, `octets` the bytes of the packets sent. `taps` are called with each
    packet as it is sent, `arrival_taps` as it arrives: functions of this direction, the packet and
    the time in µs; its checksum may be partial (`path.offload.completed`). `name` is made of the
    names of both nodes. `dir` leaves out what nodes and the clock call.
    """

    __slots__ = (
        "name", "near", "far", "back", "mtu", "sent", "arrived", "too_large", "octets", "taps",
        "arrival_taps", "events", "rank", "cut",
    )  # fmt: skip

    back: LinkDirection  # the other direction

    def __init__(self, events: Events, name: str, near: LinkEnd, far: LinkEnd, mtu: int) -> None:
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
        """Without what is called by nodes and the clock."""
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


class StageLinkDirection(LinkDirection):
    """A direction through any stage of `pystack.path`, packet by packet.

    `stage` is that stage. With `uncut` runs pass in one piece, as through a TUN device with
    offload.
    """

    __slots__ = ("stage", "uncut", "_armed_us", "_now")

    def __init__(
        self, events: Events, name: str, near: LinkEnd, far: LinkEnd, mtu: int, stage: Stage, *,
        uncut: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(events, name, near, far, mtu)
        self.stage = stage
        self.uncut = uncut
        self._armed_us = 0  # when an event is due, 0 for none
        self._now: list[Packet] = []  # arrives at the present moment

    def send(self, packet: Packet, now_us: int) -> None:
        """See `LinkDirection.send`."""
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
        """See `LinkDirection.hand_over`."""
        self._now += packets
        if self._now:
            self._arm(self.events.now_us)

    def _arm(self, at_us: int) -> None:
        armed_us = self._armed_us
        if at_us and (not armed_us or at_us < armed_us):
            self._armed_us = at_us
            self.events.at(at_us, self.rank, self)

    def due(self, now_us: int) -> None:
        """See `LinkDirection.due`."""
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
