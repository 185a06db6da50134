"""When payload that came in order is acknowledged: Linux's delayed ACKs and other ways.

RFC 9293 §3.8.6.3, RFC 5681 §4.2. Writes nothing.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.compiling import mypyc_attr
from pystack.tcp.policies.contracts import AFTER_BATCH, NOW, AckPolicy
from pystack.tcp.state.variables import TcbVariables

ATO_MIN_US: Final = 40_000  # the shortest delay of Linux
DELACK_MAX_US: Final = 200_000  # and the longest
_SHORTEST_US: Final = 1000  # no timer of an event loop is finer


@mypyc_attr(allow_interpreted_subclasses=True)
class Delayed(AckPolicy):
    """As Linux: after the batch in the first segments and after idle (quick ACKs, up to 16), then
    at once for more than one full segment (after the batch for a run, as runs that come together
    are one to Linux), or after 40 ms, which grows with the observed spacing up to 200 ms. A
    connection that answers requests (`pingpong`) lets its ACKs ride on the answers."""

    shared: ClassVar[bool] = True
    __slots__ = ()

    def wait_us(self, tcb: TcbVariables, now_us: int) -> int:
        unacked = tcb.rcv_nxt - tcb.last_ack_sent
        if unacked > tcb.rcv_mss:
            return NOW if unacked <= 2 * tcb.rcv_mss else AFTER_BATCH  # a run: so do others with it
        if tcb.quick_acks and not tcb.pingpong:
            return AFTER_BATCH
        ato_us = tcb.ato_us
        if ato_us > ATO_MIN_US:
            most_us = DELACK_MAX_US if tcb.pingpong else 500_000
            if tcb.srtt_us:
                most_us = min(most_us, max(tcb.srtt_us, ATO_MIN_US))
            ato_us = min(ato_us, most_us, DELACK_MAX_US)
        if tcb.delack_at_us and tcb.delack_at_us <= now_us + (ato_us >> 2):
            return AFTER_BATCH  # it is about to be due
        return ato_us


@mypyc_attr(allow_interpreted_subclasses=True)
class Quick(AckPolicy):
    """Each segment has an ACK of its own, at once."""

    shared: ClassVar[bool] = True
    __slots__ = ()

    def wait_us(self, tcb: TcbVariables, now_us: int) -> int:
        return NOW


@mypyc_attr(allow_interpreted_subclasses=True)
class EveryN(AckPolicy):
    """One ACK for `n` full segments, or after 40 ms for what is left: also at the start, and for a
    peer whose window holds fewer than `n` segments (RFC 5681 §4.2 wants one for every second)."""

    shared: ClassVar[bool] = True
    __slots__ = ("segs",)

    def __init__(self, n: int) -> None:
        """`n`: segments, from 1 on. Raises ValueError below."""
        if n < 1:
            raise ValueError("an ACK is for one segment at least")
        self.segs = n

    def wait_us(self, tcb: TcbVariables, now_us: int) -> int:
        if tcb.rcv_nxt - tcb.last_ack_sent > (self.segs - 1) * tcb.rcv_mss:
            return NOW
        return ATO_MIN_US


@mypyc_attr(allow_interpreted_subclasses=True)
class AckRate(AckPolicy):
    """At most `n` ACKs per round trip, as in QUIC's ACK frequency, TACK and
    draft-ietf-tcpm-ack-rate-request: the first payload that is not acknowledged waits 1/n of SRTT,
    1 ms at the least and 40 ms at the most.

    `n` per window are sent besides, as the sender may have no room left. ACKs that Linux would send
    without delay are not delayed. While there is no RTT, every second full segment is acknowledged.
    """

    shared: ClassVar[bool] = True
    __slots__ = ("per_rtt",)

    def __init__(self, n: int = 4) -> None:
        """`n`: ACKs per round trip, from 1 on. Raises ValueError below."""
        if n < 1:
            raise ValueError("there is one ACK per round trip at least")
        self.per_rtt = n

    def wait_us(self, tcb: TcbVariables, now_us: int) -> int:
        if tcb.quick_acks:
            return AFTER_BATCH
        unacknowledged = tcb.rcv_nxt - tcb.last_ack_sent
        if not tcb.srtt_us:
            return NOW if unacknowledged > tcb.rcv_mss else ATO_MIN_US
        if unacknowledged * self.per_rtt >= tcb.rcv_wnd:
            return NOW
        return min(max(tcb.srtt_us // self.per_rtt, _SHORTEST_US), ATO_MIN_US)
