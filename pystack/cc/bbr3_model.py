"""What BBR version 3 knows of the path beside version 1 (draft-ietf-ccwg-bbr §5.5): the largest
rate of two cycles, the short-term bounds that losses between probes lower, and the long-term bound
of what is in flight.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.cc.base import AckSample
from pystack.cc.bbr_model import MIN_WINDOW_SEGS, PROBE_RTT, STARTUP, Model
from pystack.compiling import mypyc_attr

# modes of PROBE_BW
DOWN: Final = 3
CRUISE: Final = 4
REFILL: Final = 5
UP: Final = 6
NO_MODE: Final = -1

LOSS_THRESH: Final = 50  # one packet of these
BETA: Final = 7, 10
HEADROOM: Final = 15, 100
INFINITE: Final = 1 << 62


@mypyc_attr(allow_interpreted_subclasses=True)
class Bbr3Model(Model):
    """The model; `Bbr3` moves between the modes."""

    wants_losses: ClassVar[bool] = True

    __slots__ = (
        "max_bws",
        "bw_latest", "inflight_latest", "loss_round_end", "loss_round_start", "loss_in_round",
        "bw_shortterm", "inflight_shortterm", "inflight_longterm", "before_loss", "undo_mode",
    )  # fmt: skip

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        super().__init__(mss, initial_cwnd)
        self.max_bws = [0, 0]  # of the last cycle and of this one
        self.bw_latest = self.inflight_latest = 0  # the most delivered in a round trip of losses
        self.loss_round_end = 0
        self.loss_round_start = self.loss_in_round = False
        self.bw_shortterm = self.inflight_shortterm = self.inflight_longterm = INFINITE
        self.before_loss = (INFINITE, INFINITE, INFINITE)
        self.undo_mode = NO_MODE  # which the present losses have ended

    def is_probing(self) -> bool:
        """Whether more is sent on purpose than the path has taken so far."""
        return self.mode in (STARTUP, REFILL, UP)

    # -- what is delivered ------------------------------------------------------------------------
    def note_delivery(self, sample: AckSample, delivered: int) -> None:
        """UpdateLatestDeliverySignals, UpdateMaxBw."""
        self.loss_round_start = False
        if not delivered:
            return
        rate = sample.delivery_rate
        self.bw_latest = max(self.bw_latest, rate)
        self.inflight_latest = max(self.inflight_latest, delivered)
        if sample.prior_delivered >= self.loss_round_end:
            self.loss_round_end = sample.delivered
            self.loss_round_start = True
        if rate > self.max_bws[1] and (rate >= self.max_bws[0] or not self.is_app_limited(sample)):
            self.max_bws[1] = rate

    def advance_delivery(self, sample: AckSample, delivered: int) -> None:
        """The next round trip of losses begins with this sample."""
        if self.loss_round_start:
            self.bw_latest, self.inflight_latest = sample.delivery_rate, delivered

    def advance_max_bw(self) -> None:
        """A cycle is over: the rates of the one before it are forgotten."""
        if self.max_bws[1]:
            self.max_bws = [self.max_bws[1], 0]

    # -- what is lost -----------------------------------------------------------------------------
    def note_loss(self, delivered: int) -> None:
        """NoteLoss: the first loss begins a round trip, at the end of which the bounds are adapted,
        so that what was delivered in a whole one is known by then."""
        if not self.loss_in_round:
            self.loss_round_end = delivered
            self.save_state()
        self.loss_in_round = True

    def adapt_short_term(self) -> None:
        """Once per round trip: lower the bounds if it had a loss that no probe has caused."""
        if not self.loss_round_start:
            return
        if self.loss_in_round and not self.is_probing():
            if self.bw_shortterm == INFINITE:
                self.bw_shortterm = max(self.max_bws)
            if self.inflight_shortterm == INFINITE:
                self.inflight_shortterm = self.cwnd
            part, whole = BETA
            self.bw_shortterm = max(self.bw_latest, self.bw_shortterm * part // whole, 1)
            least = self.inflight_shortterm * part // whole
            self.inflight_shortterm = max(self.inflight_latest, least)
        self.loss_in_round = False

    def reset_short_term(self) -> None:
        """What losses have shown since the last probe is forgotten."""
        self.bw_shortterm = self.inflight_shortterm = INFINITE

    def reset_congestion_signals(self) -> None:
        """Losses and deliveries of a probe say nothing of what follows."""
        self.loss_in_round = False
        self.bw_latest = self.inflight_latest = 0

    @staticmethod
    def is_too_high(lost: int, in_flight: int) -> bool:
        """Whether more than 2 % of what was in flight was lost."""
        return lost * LOSS_THRESH > in_flight

    @staticmethod
    def inflight_at_loss(lost: int, in_flight: int, length: int) -> int:
        """Where in the last `length` bytes of these the losses passed 2 % (as Linux, not before
        their beginning)."""
        before = in_flight - length
        prefix = (before - LOSS_THRESH * (lost - length)) // (LOSS_THRESH - 1)
        return before + max(prefix, 0)

    def with_headroom(self) -> int:
        """`inflight_longterm` less what others may take."""
        if self.inflight_longterm == INFINITE:
            return INFINITE
        part, whole = HEADROOM
        headroom = max(self.inflight_longterm * part // whole, self.mss)
        return max(self.inflight_longterm - headroom, MIN_WINDOW_SEGS * self.mss)

    def bound(self) -> int:
        """The window that the bounds allow in this mode."""
        if self.mode in (PROBE_RTT, CRUISE):
            most = self.with_headroom()
        else:
            most = self.inflight_longterm if self.mode >= DOWN else INFINITE
        return max(min(most, self.inflight_shortterm), MIN_WINDOW_SEGS * self.mss)

    # -- losses that were none --------------------------------------------------------------------
    def save_state(self) -> None:
        """SaveStateUponLoss."""
        self.save_cwnd()
        self.undo_mode = NO_MODE
        self.before_loss = (self.bw_shortterm, self.inflight_shortterm, self.inflight_longterm)

    def restore_bounds(self) -> None:
        """They are at least what they were before the loss."""
        self.loss_in_round = False
        bw_shortterm, inflight_shortterm, inflight_longterm = self.before_loss
        self.bw_shortterm = max(self.bw_shortterm, bw_shortterm)
        self.inflight_shortterm = max(self.inflight_shortterm, inflight_shortterm)
        self.inflight_longterm = max(self.inflight_longterm, inflight_longterm)

    def on_enter_recovery(self, flight: int, now_us: int) -> None:
        self.save_state()

    def on_rto(self, flight: int, first: bool, now_us: int) -> None:
        if first:
            self.save_state()
        if not self.is_probing() and self.inflight_shortterm == INFINITE:
            # Linux: the bound is to come from the window before the timeout
            self.inflight_shortterm = max(self.cwnd, self.prior_cwnd)
        super().on_rto(flight, first, now_us)
