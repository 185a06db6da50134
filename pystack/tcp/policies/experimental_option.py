"""A TCP option of one's own: kinds 253 and 254 with an experiment identifier (RFC 6994).

A subclass says what is written on SYN, SYN,ACK, data and bare ACKs, and is told what the peer has
written; the core finds room for it. It is written on no RST, and not by the records that stand for
half-open connections (but for their SYN,ACK) and for TIME_WAIT. Writes nothing of the TCB.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.compiling import mypyc_attr
from pystack.tcp.policies.part import Part
from pystack.wire.consts import FIN, OPT_EXPERIMENT_1, OPT_EXPERIMENT_2, OPT_NOP, SYN
from pystack.wire.segment import Segment

OPTIONS_MOST: Final = 40  # octets of all options of a segment (RFC 9293 §3.1)
_TIMESTAMPS: Final = 12
_KINDS: Final = (OPT_EXPERIMENT_1, OPT_EXPERIMENT_2)


@mypyc_attr(allow_interpreted_subclasses=True)
class ExperimentalOption(Part):
    """Base of all experimental options; one object per connection, from its SYN on.

    `exid` of `exid_bits` (16 or 32) names the experiment; `kind` is 253 or 254, and both are read.
    `data_size` is the largest value, in octets, on a segment with payload or FIN, -1 for none
    there. Every segment has that much less payload. `uniform`: all segments of a run may have the
    same octets; without it, and with a `data_size`, each segment leaves by itself. `needs_peer`:
    after the SYN, written only if the peer's SYN or SYN,ACK had it (`peer_has_it`).

    A value of None leaves the option out, b"" is one of ExID alone.
    """

    exid: ClassVar[int] = 0
    exid_bits: ClassVar[int] = 16
    kind: ClassVar[int] = OPT_EXPERIMENT_1
    data_size: ClassVar[int] = -1
    uniform: ClassVar[bool] = False
    needs_peer: ClassVar[bool] = True

    __slots__ = ("peer_has_it",)

    def __init__(self) -> None:
        self.peer_has_it = False

    # -- what a subclass says ---------------------------------------------------------------------
    def syn_value(self, now_us: int) -> bytes | None:
        """The value for our SYN."""
        return None

    def syn_ack_value(self, now_us: int) -> bytes | None:
        """The value for our SYN,ACK."""
        return None

    def data_value(self, offset: int, length: int, now_us: int) -> bytes | None:
        """The value, `data_size` octets at most, for a segment with `length` octets of payload that
        follow the first `offset` of the stream, sent for the first time or again. A FIN alone has
        a length of 0."""
        return None

    def ack_value(self, now_us: int) -> bytes | None:
        """The value for a segment without payload. SACK blocks have the room that it leaves."""
        return None

    def on_received(self, value: bytes, flags: int, now_us: int) -> None:
        """The peer has written `value` on a segment that was taken, whose header has `flags`
        (SYN, ACK, … of `wire.consts`)."""

    # -- for the core -----------------------------------------------------------------------------
    def data_space(self) -> int:
        """Octets that a segment with payload must leave free for it now, padding included."""
        if self.data_size < 0 or (self.needs_peer and not self.peer_has_it):
            return 0
        return -(-(2 + self.exid_bits // 8 + self.data_size) // 4) * 4

    def must_not_coalesce(self) -> bool:
        """Whether each segment with payload has octets of its own."""
        return not self.uniform and self.data_space() > 0

    def syn_options(self, with_ack: bool, others: bytes, now_us: int) -> bytes:
        """All options of a SYN or SYN,ACK that has `others`."""
        if not with_ack:
            value = self.syn_value(now_us)
        elif self.peer_has_it or not self.needs_peer:
            value = self.syn_ack_value(now_us)
        else:
            return others
        return others + self._in_octets(value, OPTIONS_MOST - len(others))

    def segment_octets(
        self, offset: int, length: int, flags: int, timestamps: bool, now_us: int
    ) -> bytes:
        """The option's octets for any other segment, in words of four."""
        if self.needs_peer and not self.peer_has_it:
            return b""
        if not length and not flags & FIN:
            most = OPTIONS_MOST - (_TIMESTAMPS if timestamps else 0)
            return self._in_octets(self.ack_value(now_us), most)
        space = self.data_space()
        return self._in_octets(self.data_value(offset, length, now_us), space) if space else b""

    def take(self, seg: Segment, now_us: int) -> None:
        """Look for it on a segment that has experimental options; others are ignored."""
        ours = self._name()
        octets = seg.option_octets()
        at, end = 0, len(octets)
        while at < end:
            if octets[at] == OPT_NOP:
                at += 1
                continue
            after = at + octets[at + 1]
            value = at + 2 + len(ours)
            if octets[at] in _KINDS and value <= after and octets[at + 2 : value] == ours:
                if seg.flags & SYN:
                    self.peer_has_it = True
                self.on_received(octets[value:after], seg.flags, now_us)
            at = after

    def _name(self) -> bytes:
        return self.exid.to_bytes(self.exid_bits // 8, "big")

    def _in_octets(self, value: bytes | None, most: int) -> bytes:
        """The whole option behind as many NOPs as make it words of four."""
        if value is None:
            return b""
        option = self._name() + value
        length = 2 + len(option)
        padding = -length % 4
        if padding + length > most:
            raise ValueError(f"an option of {padding + length} octets where {most} are free")
        return bytes((OPT_NOP,)) * padding + bytes((self.kind, length)) + option
