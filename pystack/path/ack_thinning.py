"""Fewer acknowledgements: some of those that a later one supersedes are dropped.

As on asymmetric links (RFC 3449 §5.2.1): the sender sees many segments acknowledged at once, and
its ACK clock becomes bursty.
"""

from __future__ import annotations

from typing import Final

from pystack.path.header_fields import acknowledged, ecn_flags, flow_of, pure_ack
from pystack.path.link import Stage, kept
from pystack.wire.batch import Packet
from pystack.wire.ip_fields import Buffer

HOLD_US: Final = 5_000
_HALF: Final = 1 << 31


def supersedes(later: Buffer, at: int, earlier: Buffer, earlier_at: int) -> bool:
    """Whether the pure ACK `later` makes `earlier`, of the same flow, superfluous.

    It acknowledges more, and has the same flags: a duplicate ACK counts, and so do changes of ECE.
    """
    more = acknowledged(later, at) - acknowledged(earlier, earlier_at) & 0xFFFF_FFFF
    return 0 < more < _HALF and ecn_flags(later, at) == ecn_flags(earlier, earlier_at)


class AckThinning(Stage):
    """Of the pure ACKs of a flow every `every`-th passes; later ones replace the others.

    An ACK is held until the next one of its flow replaces it, for `hold_us` at most; it goes ahead
    of anything else of its flow, such as an ACK that does not supersede it. Raises ValueError for
    `every` below 2 and for a `hold_us` of 0.
    """

    counted = ("thinned",)

    def __init__(self, every: int, hold_us: int = HOLD_US) -> None:
        if every < 2 or hold_us < 1:
            raise ValueError(f"no ACKs are thinned by 1 in {every}, held for {hold_us} µs")
        self.every = every
        self.hold_us = hold_us
        self.thinned = 0
        # by flow, in the order of their times: when let go, how many it stands for, ACK, header
        self._held: dict[bytes, tuple[int, int, Packet, int]] = {}

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        due = self.take(now_us) if self._held else []
        flow = flow_of(packet[0])
        at = pure_ack(packet[0])
        held = self._held.pop(flow, None)
        stands_for = 1
        if held is not None:
            _, so_many, earlier, earlier_at = held
            if at and supersedes(packet[0], at, earlier[0], earlier_at):
                self.thinned += 1
                stands_for += so_many
            else:
                due.append(earlier)
        if not at or stands_for >= self.every:
            due.append(packet)
        else:
            # the superseded one has waited already: its successor inherits its time
            until = held[0] if held is not None and stands_for > 1 else now_us + self.hold_us
            self._held[flow] = (until, stands_for, kept(packet), at)
        return due

    def take(self, now_us: int) -> list[Packet]:
        over = [flow for flow, held in self._held.items() if held[0] <= now_us]
        over.sort(key=lambda flow: self._held[flow][0])
        return [self._held.pop(flow)[2] for flow in over]

    def next_deadline(self) -> int:
        return min((held[0] for held in self._held.values()), default=0)
