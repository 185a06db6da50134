"""From round-trip times to the retransmission timeout: RFC 6298 and Linux's variant.

Writes `srtt_us`, `rttvar_us` and `rto_us`, as does a part of the user's.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.compiling import mypyc_attr
from pystack.tcp.policies.contracts import RttEstimator
from pystack.tcp.state.variables import TcbVariables

FALLBACK_RTO_US: Final = 3_000_000  # RFC 6298 §5.7
MIN_RTO_US: Final = 1_000_000  # RFC 6298 §2.4


def smooth(tcb: TcbVariables, rtt_us: int) -> None:
    """RFC 6298 §2.2 and §2.3: a sample into `srtt_us` and `rttvar_us`."""
    if not tcb.rtt_samples:
        tcb.srtt_us = rtt_us
        tcb.rttvar_us = rtt_us >> 1
        return
    srtt_us = tcb.srtt_us
    error_us = rtt_us - srtt_us
    tcb.rttvar_us += (abs(error_us) - tcb.rttvar_us) // 4
    tcb.srtt_us = srtt_us + error_us // 8


@mypyc_attr(allow_interpreted_subclasses=True)
class Linux(RttEstimator):
    """RFC 6298 with Linux's minimum of 200 ms (§2.4 says 1 s; FreeBSD and Windows are below it as
    well): it is the floor of the variance term, so the RTO is never under SRTT + 200 ms."""

    shared: ClassVar[bool] = True
    __slots__ = ()

    def on_sample(self, tcb: TcbVariables, rtt_us: int) -> None:
        smooth(tcb, rtt_us)
        rto_us = tcb.srtt_us + max(4 * tcb.rttvar_us, tcb.rto_min_us)
        tcb.rto_us = min(rto_us, tcb.config.tcp_rto_max_ms * 1000)


@mypyc_attr(allow_interpreted_subclasses=True)
class Rfc6298(RttEstimator):
    """RFC 6298 to the letter: RTO = SRTT + 4 RTTVAR, but 1 s at the least (§2.4)."""

    shared: ClassVar[bool] = True
    __slots__ = ()

    def on_sample(self, tcb: TcbVariables, rtt_us: int) -> None:
        smooth(tcb, rtt_us)
        rto_us = max(tcb.srtt_us + max(4 * tcb.rttvar_us, 1), MIN_RTO_US)
        tcb.rto_us = min(rto_us, tcb.config.tcp_rto_max_ms * 1000)


def set_rto(tcb: TcbVariables, rto_us: int) -> None:
    """Another timeout than samples have given: backed off, or as it was before that."""
    tcb.rto_us = rto_us


def fall_back(tcb: TcbVariables) -> None:
    """No sample could be had while the SYN was retransmitted: 3 s (RFC 6298 §5.7)."""
    tcb.rttvar_us = FALLBACK_RTO_US
    tcb.rto_us = FALLBACK_RTO_US
