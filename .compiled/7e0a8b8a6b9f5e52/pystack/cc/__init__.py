"""Congestion control: each algorithm is told facts and owns cwnd, ssthresh and pacing rate.

To bring one of your own: `register("mine", Mine)`, Mine being a `CongestionControl`; then
`setsockopt(IPPROTO_TCP, TCP_CONGESTION, b"mine")` or the sysctl `tcp_congestion_control`.
"""

from pystack.cc.base import AckSample, CongestionControl
from pystack.cc.registry import names, register

__all__ = ["AckSample", "CongestionControl", "names", "register"]
