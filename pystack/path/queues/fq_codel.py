"""FQ-CoDel (RFC 8290): a queue for each flow, served in turns by octets, each under CoDel.

A flow that has just begun to send, and sends little, is served first: its packets hardly wait.
"""

from __future__ import annotations

from collections import deque
from typing import Final
from zlib import crc32

from pystack.path.header_fields import flow_of
from pystack.path.queues.codel import CodelLaw, CodelQueue
from pystack.path.queues.discipline import Discipline
from pystack.wire.batch import Packet

FLOWS: Final = 1024  # RFC 8290 §5.2.3
QUANTUM: Final = 1514  # octets, §5.2.4
BATCH: Final = 64  # packets dropped at once from the longest queue, §4.1

_MASK: Final = 0xFFFF_FFFF


class _Flow(CodelQueue):
    """A queue and its credits: the octets that it may send in this turn."""

    __slots__ = ("active", "credits")

    def __init__(self, law: CodelLaw) -> None:
        super().__init__(law)
        self.credits = 0
        self.active = False  # it stands in one of the lists


class FqCodel(Discipline):
    """`flows` queues, each under `law`; addresses, ports and protocol decide about a packet's
    queue.

    Queues take turns; in each turn a queue may send `quantum` bytes. `perturbation` is a number
    drawn anew for each run, so that which flows share a queue cannot be foreseen. When `limit`
    packets wait, the longest queue loses half of its packets, the oldest first. Raises ValueError
    for numbers below 1.
    """

    counted = ("dropped", "early_dropped", "marked")

    def __init__(
        self,
        limit: int,
        law: CodelLaw,
        *,
        flows: int = FLOWS,
        quantum: int = QUANTUM,
        perturbation: int = 0,
        in_bytes: bool = False,
    ) -> None:
        super().__init__(limit, in_bytes=in_bytes)
        if flows < 1 or quantum < 1:
            raise ValueError(f"FQ-CoDel cannot have {flows} flows with {quantum} octets a turn")
        self.law = law
        self.quantum = quantum
        self.perturbation = perturbation & _MASK
        self._flows: list[_Flow | None] = [None] * flows
        self._new: deque[_Flow] = deque()
        self._old: deque[_Flow] = deque()

    @property
    def early_dropped(self) -> int:
        """Packets dropped by the law."""
        return self.law.early_dropped

    @property
    def marked(self) -> int:
        """Packets marked instead."""
        return self.law.marked

    def queue_of(self, packet: Packet) -> int:
        """The number of its queue."""
        # crc32 alone is linear: the same flows would share a queue whatever the perturbation
        number = crc32(flow_of(packet[0])) ^ self.perturbation
        number = (number ^ number >> 16) * 0x85EBCA6B & _MASK
        number = (number ^ number >> 13) * 0xC2B2AE35 & _MASK
        return (number ^ number >> 16) * len(self._flows) >> 32

    def enqueue(self, packet: Packet, now_us: int) -> None:
        index = self.queue_of(packet)
        flow = self._flows[index]
        if flow is None:
            flow = self._flows[index] = _Flow(self.law)
        length = len(packet[0])
        flow.push(packet, now_us)
        self.packets += 1
        self.octets += length
        if not flow.active:
            flow.active = True
            flow.credits = self.quantum
            self._new.append(flow)
        while (self.octets if self.in_bytes else self.packets) > self.limit:
            self._shorten()

    def dequeue(self, now_us: int) -> Packet | None:
        """RFC 8290 §4.2: new queues before old ones, each for as long as it has credits."""
        while True:
            line = self._new or self._old
            if not line:
                return None
            flow = line[0]
            if flow.credits <= 0:
                flow.credits += self.quantum
                line.popleft()
                self._old.append(flow)
                continue
            packets, octets = flow.packets, flow.octets
            packet = flow.pull(now_us)
            self.packets -= packets - flow.packets
            self.octets -= octets - flow.octets
            if packet is not None:
                flow.credits -= len(packet[0])
                return packet
            line.popleft()
            if line is self._new:  # or else it would always be new, before the old ones
                self._old.append(flow)
            else:
                flow.active = False

    def _shorten(self) -> None:
        """§4.1: the queue with the most octets pays for all."""
        longest = max((flow for flow in self._flows if flow is not None), key=lambda f: f.octets)
        for _ in range(min(-(-longest.packets // 2), BATCH)):
            self.octets -= longest.drop_head()
            self.packets -= 1
            self.dropped += 1
