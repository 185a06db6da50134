"""Two hosts back to back in virtual time, with faults on the way, both watched all the time.

    pair = Pair(near, far, there=Link(Loss(0.01, random), Delay(5_000)), back=Delay(5_000))
    pair.run(until=lambda: ..., within_s=60)

Whatever either sends is taken apart (`decode`: lengths, checksums, options) and must be what it
may send (`stream`). A world (`pystack.sim`) makes the hosts as well; these come from the test.
"""

from __future__ import annotations

from collections.abc import Callable

from pystack.path.link import Stage
from pystack.sim.network.events import Events
from pystack.sim.network.link_direction import LinkDirection, StageLinkDirection
from pystack.sim.network.node import Node
from pystack.sockets import Host
from pystack.wire.batch import Packet as Octets
from tests.kit.packets.decode import Packet, decode
from tests.kit.packets.encode import TCP
from tests.kit.stream import Streams


class Pair:
    """`near` and `far`; `there` is the way from near to far, `back` the other."""

    def __init__(self, near: Host, far: Host, there: Stage, back: Stage) -> None:
        self.near = near
        self.far = far
        self.packets = 0
        self.history: list[tuple[int, str, Packet]] = []  # the last ones, for a look at a failure
        self._events = Events()
        self._streams = Streams()
        one, other = Node(self._events, "near", near), Node(self._events, "far", far)
        self._line(one, other, there).back = back_line = self._line(other, one, back)
        back_line.back = one.directions[0]

    def _line(self, sender: Node, receiver: Node, way: Stage) -> LinkDirection:
        line = StageLinkDirection(
            self._events, sender.name, sender, receiver, 1 << 16, way, uncut=True
        )
        line.taps.append(self._watch)
        sender.directions.append(line)
        return line

    @property
    def now_us(self) -> int:
        """The present."""
        return self._events.now_us

    def run(
        self,
        until: Callable[[], bool],
        *,
        within_s: float,
        wake_at_us: Callable[[], int] = lambda: 0,
    ) -> bool:
        """Let time pass until `until()`, asked after each event; False when it is over before.

        `wake_at_us` says when the applications want something to happen, 0 for never.
        """
        events = self._events
        end_us = events.now_us + round(within_s * 1e6)
        while not until():
            at_us = min(filter(None, (events.next_at(), wake_at_us())), default=0)
            if not at_us or at_us > end_us:
                events.now_us = end_us
                return False
            if at_us == events.next_at():
                events.step()
            else:
                events.now_us = at_us
        return True

    def _watch(self, line: LinkDirection, octets: Octets, now_us: int) -> None:
        buffer, gso_size, checksum_state = octets
        for packet in decode(bytes(buffer), gso_size, checksum_state):
            self.packets += 1
            self.history.append((now_us, line.name, packet))
            if packet.protocol == TCP:
                self._streams.note(packet)
        del self.history[:-2000]
