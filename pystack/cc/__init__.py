"""Congestion control: how much may be in flight, and how fast it is sent.

Each algorithm is told facts, and owns cwnd, ssthresh and pacing rate. To add one of your own:
`register("mine", Mine)`, where Mine is a `CongestionControl`; then
`setsockopt(IPPROTO_TCP, TCP_CONGESTION, b"mine")` or the sysctl `tcp_congestion_control`.

`base` is the contract, `registry` has the names. The algorithms are one to a file: `reno`, `cubic`,
`dctcp`, `vegas`, `westwood`, `ledbat`, `bbr` and `bbr3`. `hystart` ends cubic's slow start; both
versions of BBR share `bbr_model`, to which `bbr3_model` adds what the third knows of losses, and
`policer` finds the rate behind a token bucket for the first.
"""

from pystack.cc.base import AckSample, CongestionControl
from pystack.cc.registry import names, register

__all__ = ["AckSample", "CongestionControl", "names", "register"]
