"""A queue in which later acknowledgements replace earlier ones, as with CAKE's ack-filter."""

from __future__ import annotations

from collections import deque

from pystack.path.ack_thinning import supersedes
from pystack.path.header_fields import flow_of, pure_ack
from pystack.path.link import kept
from pystack.path.queues.discipline import Discipline
from pystack.wire.batch import Packet


class _Waiting:
    """A packet in the queue; None once it is superseded. `at` is where a pure ACK's header is."""

    __slots__ = ("at", "flow", "packet")

    def __init__(self, packet: Packet, flow: bytes, at: int) -> None:
        self.packet: Packet | None = packet
        self.flow = flow
        self.at = at


class AckFilter(Discipline):
    """First in, first out; a pure ACK drops the waiting one of its flow that it supersedes.

    More than `limit` packets (or bytes with `in_bytes`) are dropped.
    """

    counted = ("dropped", "thinned")

    def __init__(self, limit: int, *, in_bytes: bool = False) -> None:
        super().__init__(limit, in_bytes=in_bytes)
        self.thinned = 0
        self._line: deque[_Waiting] = deque()
        self._last: dict[bytes, _Waiting] = {}  # of each flow, when it is a pure ACK

    def enqueue(self, packet: Packet, now_us: int) -> None:
        at = pure_ack(packet[0])
        flow = flow_of(packet[0])
        earlier = self._last.pop(flow, None)
        if earlier is not None and earlier.packet is not None and at:
            if supersedes(packet[0], at, earlier.packet[0], earlier.at):
                self._forget(earlier)
                self.thinned += 1
        length = len(packet[0])
        if not self.has_room(length):
            self.dropped += 1
            return
        waiting = _Waiting(kept(packet), flow, at)
        self._line.append(waiting)
        self.packets += 1
        self.octets += length
        if at:
            self._last[flow] = waiting

    def dequeue(self, now_us: int) -> Packet | None:
        while self._line:
            waiting = self._line.popleft()
            packet = waiting.packet
            if packet is not None:
                self._forget(waiting)
                if self._last.get(waiting.flow) is waiting:
                    del self._last[waiting.flow]
                return packet
        return None

    def _forget(self, waiting: _Waiting) -> None:
        assert waiting.packet is not None
        self.packets -= 1
        self.octets -= len(waiting.packet[0])
        waiting.packet = None
