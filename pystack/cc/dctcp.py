"""DCTCP (RFC 8257): cuts the window in proportion to how much of it was marked.

`alpha`, the smoothed part of the bytes that was marked, is kept in 1/1024 with g = 1/16, by the
shifts of Linux's tcp_dctcp.c. After a loss it does what Reno does (§3.5); with a peer without ECN
it is Reno.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.cc.base import ECT_1, FAST, LOSS, AckSample
from pystack.cc.reno import Reno
from pystack.compiling import mypyc_attr

ALPHA_BITS: Final = 10
ALPHA_ONE: Final = 1 << ALPHA_BITS
G_SHIFT: Final = 4  # g = 1/16 (RFC 8257 §4.2)


@mypyc_attr(allow_interpreted_subclasses=True)
class Dctcp(Reno):
    """cwnd × (1 − alpha / 2) at most once per window of data (RFC 8257 §3.3)."""

    name: ClassVar[str] = "dctcp"
    wants_ecn: ClassVar[bool] = True
    scalable: ClassVar[bool] = True
    ect: ClassVar[int] = ECT_1

    __slots__ = ("alpha", "window_end", "cut_end", "window_bytes", "window_ce_bytes")

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        super().__init__(mss, initial_cwnd)
        self.alpha = ALPHA_ONE  # the first mark halves the window, as nothing is known yet (§3.3)
        self.window_end = 0  # `delivered` at which the observation window began
        self.cut_end = 0
        self.window_bytes = 0
        self.window_ce_bytes = 0

    def on_sample(self, sample: AckSample) -> None:
        self.window_bytes += sample.newly_delivered
        self.window_ce_bytes += sample.ce_bytes
        if sample.prior_delivered >= self.window_end and self.window_bytes:
            self._update_alpha()
            self.window_end = sample.delivered
        if not sample.ce_bytes or sample.recovery in (FAST, LOSS):
            return
        # marks on data sent before the last cut were answered by that cut
        if sample.prior_delivered >= self.cut_end:
            self.cut_end = sample.delivered
            reduced = self.cwnd - (self.cwnd * self.alpha >> ALPHA_BITS + 1)
            self.ssthresh = max(reduced, 2 * self.mss)
            self.cwnd = min(self.cwnd, self.ssthresh)
            self.bytes_acked = 0

    def _update_alpha(self) -> None:
        """alpha = (1 − g) alpha + g M, where M is the part of the window's bytes that was
        marked."""
        alpha = self.alpha
        marked = (self.window_ce_bytes << ALPHA_BITS - G_SHIFT) // self.window_bytes
        # the last 15/1024 would never go away by shifting
        self.alpha = min(alpha - (alpha >> G_SHIFT or alpha) + marked, ALPHA_ONE)
        self.window_bytes = self.window_ce_bytes = 0
