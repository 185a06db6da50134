"""Which packets wait before a bottleneck, in which order they go, and which ones do not.

A discipline is what a `Queue` asks: `enqueue` when a packet comes, `dequeue` when the line is free
for the next. One file each; here are what they have in common and the plain queue.
"""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from pystack.path.link import kept
from pystack.printed import attributes, printed
from pystack.wire.batch import Packet


class Discipline:
    """`packets` wait now, `octets` of them (IP packets, with their headers).

    `limit` bounds the packets that wait, or their bytes with `in_bytes`. `ecn` lets a discipline
    mark packets of senders that take part in ECN (RFC 3168) where it would drop them early; a full
    queue drops them all the same. `counted` names the attributes that count what it did. Raises
    ValueError for a limit below 1.
    """

    counted: ClassVar[tuple[str, ...]] = ("dropped",)

    def __init__(self, limit: int, *, in_bytes: bool = False) -> None:
        if limit < 1:
            raise ValueError(f"a queue has room for 1 at least, not for {limit}")
        self.limit = limit
        self.in_bytes = in_bytes
        self.packets = 0
        self.octets = 0
        self.dropped = 0

    def __repr__(self) -> str:
        return printed(self, lambda: attributes(self))

    def enqueue(self, packet: Packet, now_us: int) -> None:
        """A packet comes to wait, or is dropped."""
        raise NotImplementedError

    def dequeue(self, now_us: int) -> Packet | None:
        """The next packet to go, if there is one; others may be dropped on this occasion."""
        raise NotImplementedError

    def has_room(self, length: int) -> bool:
        """Whether a packet of that many octets fits in."""
        if self.in_bytes:
            return self.octets + length <= self.limit
        return self.packets < self.limit

    def counts(self) -> dict[str, int]:
        """What it has done to packets so far, by name."""
        return {name: getattr(self, name) for name in self.counted}


class DropTail(Discipline):
    """First in, first out; what does not fit is dropped: Linux's pfifo and bfifo."""

    def __init__(self, limit: int, *, in_bytes: bool = False) -> None:
        super().__init__(limit, in_bytes=in_bytes)
        self._line: deque[Packet] = deque()

    def enqueue(self, packet: Packet, now_us: int) -> None:
        length = len(packet[0])
        if not self.has_room(length):
            self.dropped += 1
            return
        self._line.append(kept(packet))
        self.packets += 1
        self.octets += length

    def dequeue(self, now_us: int) -> Packet | None:
        if not self._line:
            return None
        packet = self._line.popleft()
        self.packets -= 1
        self.octets -= len(packet[0])
        return packet
