"""Random Early Detection: drops or marks before the queue is full, the likelier the longer it is.

Floyd and Jacobson, "Random Early Detection Gateways for Congestion Avoidance" (1993), with the
"gentle" variant of 2000; ECN as RFC 3168 §7 has it: marks between the thresholds, drops above.
"""

from __future__ import annotations

from typing import Final

from pystack.path.link import RandomSource
from pystack.path.marking import marked
from pystack.path.queues.discipline import DropTail
from pystack.wire.batch import Packet

_ONE: Final = 1 << 32  # of the average: a fixed point of 32 bits


class Red(DropTail):
    """A first-in-first-out queue that watches its average length.

    Between `least` and `most` a packet that comes is dropped or marked with a probability that
    rises from 0 to `probability`, evenly spread; above `most` each one is, or with `gentle` the
    probability goes on to rise, to 1 at twice `most`. `least`, `most` and `limit` are packets, or
    bytes with `in_bytes`. With each packet the `average` takes in 1/2**`weight` of the present
    length. `slot_us` is how long a typical packet takes on the link: at that pace the average falls
    while the link is idle. Raises ValueError for numbers that are out of range.
    """

    counted = ("dropped", "early_dropped", "marked")

    def __init__(
        self,
        limit: int,
        least: int,
        most: int,
        source: RandomSource,
        *,
        probability: float = 0.1,
        weight: int = 9,
        gentle: bool = False,
        ecn: bool = False,
        in_bytes: bool = False,
        slot_us: int = 100,
    ) -> None:
        super().__init__(limit, in_bytes=in_bytes)
        if not 0 <= least < most or not 0 < probability <= 1 or weight < 0 or slot_us < 1:
            raise ValueError(
                f"RED cannot have thresholds {least} and {most}, probability {probability}, weight "
                f"{weight}, {slot_us} µs a packet"
            )
        self.least = least
        self.most = most
        self.probability = probability
        self.weight = weight
        self.gentle = gentle
        self.ecn = ecn
        self.slot_us = slot_us
        self.early_dropped = 0
        self.marked = 0
        self._source = source
        self._average = 0  # in units of 1/_ONE
        self._since = -1  # packets since the last that was struck; -1 below `least`
        self._idle_us = 1  # since when the line has nothing to send; 0 when it has

    @property
    def average(self) -> float:
        """The average length, in the units of `limit`."""
        return self._average / _ONE

    def enqueue(self, packet: Packet, now_us: int) -> None:
        self._take_in(now_us)
        if not self.has_room(len(packet[0])):
            self.dropped += 1
            return
        if self._strikes():
            mark = marked(packet) if self.ecn and self._average < self._hard() else None
            if mark is None:
                self.early_dropped += 1
                return
            self.marked += 1
            packet = mark
        self._idle_us = 0
        super().enqueue(packet, now_us)

    def dequeue(self, now_us: int) -> Packet | None:
        packet = super().dequeue(now_us)
        if packet is None and not self._idle_us:
            self._idle_us = now_us
        return packet

    def _take_in(self, now_us: int) -> None:
        """Let the average follow the length."""
        if self._idle_us:
            keep = _ONE - (_ONE >> self.weight)
            slots = (now_us - self._idle_us) // self.slot_us
            self._average = self._average * _power(keep, slots) >> 32
            self._idle_us = now_us
        length = self.octets if self.in_bytes else self.packets
        self._average += (length * _ONE - self._average) >> self.weight

    def _hard(self) -> int:
        """The average from which on every packet is struck."""
        return (2 * self.most if self.gentle else self.most) * _ONE

    def _strikes(self) -> bool:
        average = self._average
        if average < self.least * _ONE:
            self._since = -1
            return False
        if average >= self._hard():
            self._since = 0
            return True
        self._since += 1
        if average < self.most * _ONE:
            above = average - self.least * _ONE
            chance = self.probability * above / ((self.most - self.least) * _ONE)
        else:
            above = average - self.most * _ONE
            chance = self.probability + (1 - self.probability) * above / (self.most * _ONE)
        # every number of packets between two that are struck is equally likely
        left = 1 - self._since * chance
        if left <= 0 or self._source.random() * left < chance:
            self._since = 0
            return True
        return False


def _power(base: int, exponent: int) -> int:
    """base**exponent of fixed point numbers up to 1, rounded down."""
    result = _ONE
    while exponent and result:
        if exponent & 1:
            result = result * base >> 32
        base = base * base >> 32
        exponent >>= 1
    return result
