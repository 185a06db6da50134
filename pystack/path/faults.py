"""What may go wrong on a path: loss, duplication, reordering, corruption, each a stage of its own.

Faults are drawn for each packet from a random source that the caller made: the same seed and the
same packets give the same faults. A rate is a probability from 0 to 1, `correlation` how much it
depends on the packet before (`Correlated`). A run that offloading left in one piece counts as one
packet, so that all its segments are lost together: `Cut` in front makes packets of it.
"""

from __future__ import annotations

from collections import deque

from pystack.path.chance import Chance
from pystack.path.link import RandomSource, Stage, kept
from pystack.path.marking import marked
from pystack.wire import consts
from pystack.wire.batch import Packet
from pystack.wire.offload import wire_packets


class Cut(Stage):
    """Runs become packets, and checksums complete, as an interface would send them."""

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        return wire_packets(packet)


class Loss(Stage):
    """Packets are lost with probability `rate` (0 to 1), drawn from `source`; `correlation` is that
    with the packet before. With `ecn`, packets of senders that take part in ECN are marked instead
    (RFC 3168). Raises ValueError for a probability that is none."""

    counted = ("lost", "marked")

    def __init__(
        self, rate: float, source: RandomSource, correlation: float = 0.0, *, ecn: bool = False
    ) -> None:
        self.rate = rate
        self.ecn = ecn
        self.lost = 0
        self.marked = 0
        self._chance = Chance(rate, source, correlation)

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        if not self._chance.strikes():
            return [packet]
        mark = marked(packet) if self.ecn else None
        if mark is None:
            self.lost += 1
            return []
        self.marked += 1
        return [mark]


class Duplication(Stage):
    """Packets come twice with probability `rate` (0 to 1), drawn from `source`; `correlation` is
    that with the packet before. Raises ValueError for a probability that is none."""

    counted = ("duplicated",)

    def __init__(self, rate: float, source: RandomSource, correlation: float = 0.0) -> None:
        self.rate = rate
        self.duplicated = 0
        self._chance = Chance(rate, source, correlation)

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        if not self._chance.strikes():
            return [packet]
        self.duplicated += 1
        return [packet, packet]


class Corruption(Stage):
    """With probability `rate` (0 to 1), `bits` bits of a packet are flipped, anywhere from its IP
    header to its end.

    Before that it becomes what an interface would have sent, with its checksum complete: one that
    is filled in later would hide the damage. The receiver has to verify it (CHECKSUM_COMPLETE).
    """

    counted = ("corrupted",)

    def __init__(
        self, rate: float, source: RandomSource, correlation: float = 0.0, *, bits: int = 1
    ) -> None:
        self.rate = rate
        self.bits = bits
        self.corrupted = 0
        self._chance = Chance(rate, source, correlation)
        self._source = source

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        if not self._chance.strikes() or not packet[0]:
            return [packet]
        self.corrupted += 1
        packets = wire_packets(packet)
        victim = self._source.randrange(len(packets))
        damaged = bytearray(packets[victim][0])
        for _ in range(self.bits):
            bit = self._source.randrange(8 * len(damaged))
            damaged[bit >> 3] ^= 1 << (bit & 7)
        packets[victim] = (bytes(damaged), 0, consts.CHECKSUM_COMPLETE)
        return packets


class Reordering(Stage):
    """With probability `rate` (0 to 1) a packet is held back until `behind` others have overtaken
    it, or for `hold_us` at most. Raises ValueError for numbers that are out of range."""

    counted = ("reordered",)

    def __init__(
        self, rate: float, source: RandomSource, *, behind: int = 3, hold_us: int = 10_000
    ) -> None:
        if behind < 1 or hold_us < 1:
            raise ValueError(f"nothing is reordered behind {behind} packets in {hold_us} µs")
        self.rate = rate
        self.behind = behind
        self.hold_us = hold_us
        self.reordered = 0
        self._chance = Chance(rate, source)
        self._passed = 0  # packets that have passed
        # (deadline, value of _passed that sets it free, packet), both ascending
        self._held: deque[tuple[int, int, Packet]] = deque()

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        if self._chance.strikes():
            self.reordered += 1
            held = (now_us + self.hold_us, self._passed + self.behind, kept(packet))
            self._held.append(held)
            return []
        self._passed += 1
        out = [packet]
        while self._held and self._held[0][1] <= self._passed:
            out.append(self._held.popleft()[2])
        return out

    def take(self, now_us: int) -> list[Packet]:
        due: list[Packet] = []
        while self._held and self._held[0][0] <= now_us:
            due.append(self._held.popleft()[2])
        return due

    def next_deadline(self) -> int:
        return self._held[0][0] if self._held else 0
