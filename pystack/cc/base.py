"""The congestion-control contract: what an algorithm is told and what it owns.

An algorithm owns `cwnd` and `ssthresh` (bytes) and `pacing_rate` (bytes/s, 0 for none) and
sees no TCB. Loss recovery decides what is lost and what goes next, and tells the algorithm
through the hooks. During recovery from a loss (or a mark), proportional rate reduction brings the
flight down to `ssthresh`, and `cwnd` stays as `on_enter_recovery` has set it; an algorithm that
controls its window by itself then sets `uses_prr = False`.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.compiling import mypyc_attr
from pystack.printed import printed

INFINITE_SSTHRESH: Final = 0x7FFF_FFFF

# AckSample.recovery
OPEN: Final = 0
FAST: Final = 1  # a loss was found and is being repaired (RFC 6675, RFC 8985)
LOSS: Final = 2  # after a retransmission timeout
CWR: Final = 3  # the window was cut for a congestion mark; nothing is repaired

ECT_1: Final = 1  # IP's ECN field (RFC 3168 §5, RFC 9331)
ECT_0: Final = 2


class AckSample:
    """What one ACK told, reused for each: read it in the hook, don't keep it.

    Bytes: `acked` newly acknowledged cumulatively; `newly_delivered` cumulatively or by SACK, each
    once; `newly_lost` found lost by this ACK; `ce_bytes` of those delivered that the peer reports
    as marked. `flight` is what was outstanding before this ACK, `prior_pipe` and `pipe` what was
    believed in the network before and after it; `delivered` and `lost` are totals since the
    connection began.

    Times in µs: `now_us` is when it came; `rtt_us` is this ACK's sample or -1; `min_rtt_us` the
    least of the last `tcp_min_rtt_wlen` (0 while there is none); `srtt_us` RFC 6298's.

    The delivery-rate sample (as the draft on delivery rate estimation has it): `delivery_rate` in
    bytes/s over `interval_us`, 0 when this ACK gives none; `prior_delivered`, `prior_lost` and
    `tx_in_flight` are `delivered`, `lost` and the pipe as they were when the newest data of this
    ACK was sent, that data being in the pipe (so a round trip ends when `prior_delivered` reaches
    the `delivered` noted at its start); `app_limited`: the application and not the network bounded
    that rate.

    `cwnd_limited`: the window and not the application bounded the last flight. `recovery`: OPEN,
    FAST, LOSS or CWR, as it is after this ACK.
    """

    __slots__ = (
        "now_us", "acked", "newly_delivered", "newly_lost", "ce_bytes", "flight", "prior_pipe",
        "pipe", "delivered", "lost", "rtt_us", "min_rtt_us", "srtt_us", "delivery_rate",
        "interval_us", "prior_delivered", "prior_lost", "tx_in_flight", "app_limited",
        "cwnd_limited", "recovery",
    )  # fmt: skip

    def __init__(self) -> None:
        self.now_us = 0
        self.acked = 0
        self.newly_delivered = 0
        self.newly_lost = 0
        self.ce_bytes = 0
        self.flight = 0
        self.prior_pipe = 0
        self.pipe = 0
        self.delivered = 0
        self.lost = 0
        self.rtt_us = -1
        self.min_rtt_us = 0
        self.srtt_us = 0
        self.delivery_rate = 0
        self.interval_us = 0
        self.prior_delivered = 0
        self.prior_lost = 0
        self.tx_in_flight = 0
        self.app_limited = False
        self.cwnd_limited = False
        self.recovery = OPEN

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        return (
            f"at {self.now_us} µs: acked {self.acked}, newly_delivered {self.newly_delivered},"
            f" newly_lost {self.newly_lost}, rtt_us {self.rtt_us},"
            f" delivery_rate {self.delivery_rate}, pipe {self.pipe}"
        )


@mypyc_attr(allow_interpreted_subclasses=True)
class CongestionControl:
    """Base of all algorithms. Subclasses override what they need; open to users' classes.

    In bytes: `mss` (payload of a full segment), `cwnd` and `ssthresh`, which an algorithm sets;
    `pacing_rate` in bytes/s, 0 for none of its own. `name` is what TCP_CONGESTION shows.

    Class attributes say what an algorithm wants: `uses_prr` (see above); `wants_ecn`: ECN is
    asked for whatever `tcp_ecn` says; `ect` is the codepoint of its data when ECN is agreed on;
    `scalable`: it reads `ce_bytes` itself, `on_ecn` is not called, and the receiver half echoes
    each change of the mark at once (RFC 8257 §3.2); `wants_losses`: `on_lost` is called;
    `parameters`: settings of the host, whose values become its attributes of these names.
    """

    name: ClassVar[str] = "base"
    uses_prr: ClassVar[bool] = True
    wants_ecn: ClassVar[bool] = False
    scalable: ClassVar[bool] = False
    wants_losses: ClassVar[bool] = False
    parameters: ClassVar[tuple[str, ...]] = ()
    ect: ClassVar[int] = ECT_0

    __slots__ = ("mss", "cwnd", "ssthresh", "pacing_rate", "seed", "paced")

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        """`mss`: payload bytes of a full segment; `initial_cwnd`: bytes."""
        self.mss = mss
        self.cwnd = initial_cwnd
        self.ssthresh = INFINITE_SSTHRESH
        self.pacing_rate = 0
        self.seed = 0  # 64 bits that differ between connections, for algorithms that draw
        self.paced = False  # the connection is paced though pacing_rate may be 0

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        ssthresh = "none" if self.ssthresh == INFINITE_SSTHRESH else str(self.ssthresh)
        words = f"{self.name!r} cwnd {self.cwnd}, ssthresh {ssthresh}, mss {self.mss}"
        return f"{words}, pacing_rate {self.pacing_rate}" if self.pacing_rate else words

    def set_seed(self, seed: int) -> None:
        """64 bits that differ between connections, given before anything else."""
        self.seed = seed

    def take_over_from(self, before: CongestionControl) -> None:
        """The connection goes on with this one, made with the window of the one `before`."""
        self.ssthresh = before.ssthresh
        self.seed = before.seed

    def on_established(self, initial_cwnd: int, now_us: int) -> None:
        """The handshake is complete; the window data starts with, in bytes."""
        self.cwnd = initial_cwnd

    def on_sample(self, sample: AckSample) -> None:
        """Once per ACK that brings anything new, in every state, before `on_ack`."""

    def on_ack(self, sample: AckSample) -> None:
        """Once per ACK of new data while the window may grow: in OPEN and in LOSS. What it may grow
        by is `newly_delivered`: what blocks had reported before has counted then (Linux). With much
        reordering it is called for blocks alone too, with `acked` 0."""

    def on_lost(self, length: int, sample: AckSample) -> None:
        """`length` bytes that left in one go were found lost, by an ACK (before `on_sample`) or by
        a timer. Called where `wants_losses`. Of `sample` these are set: `now_us`, `delivered`,
        `lost` and `pipe` as they are now; `prior_delivered`, `prior_lost`, `tx_in_flight` and
        `app_limited` as they were when these bytes were sent."""

    def on_enter_recovery(self, flight: int, now_us: int) -> None:
        """A loss was found; `flight` bytes were outstanding. Cut both windows. What is cut is
        `cwnd` in all algorithms of Linux, and here; RFC 5681 (4) would have `flight`, RFC 9438
        §4.6 allows both."""

    def on_exit_recovery(self, most: int, now_us: int) -> None:
        """All that was outstanding when recovery (or CWR) began is acknowledged. A window of more
        than `most` bytes might let a burst out (RFC 6582 §3.2 step 3; with PRR it is ssthresh)."""

    def on_rto(self, flight: int, first: bool, now_us: int) -> None:
        """The retransmission timer expired; `first` unless the windows were cut for what is out
        already: by a timeout before it, or as recovery or CWR began."""

    def on_undo(self, cwnd: int, ssthresh: int) -> None:
        """The last reduction was spurious; the arguments are the values before it."""
        self.cwnd = max(self.cwnd, cwnd)
        self.ssthresh = max(self.ssthresh, ssthresh)

    def on_ecn(self, flight: int, now_us: int) -> None:
        """The peer echoed a congestion mark; called at most once per round trip."""
        self.on_enter_recovery(flight, now_us)

    def on_tx_start(self, idle_us: int, now_us: int) -> None:
        """Data is about to be sent with nothing in flight, `idle_us` after the last data was
        sent. Called again if it could not leave then."""

    def on_restart(self, idle_us: int, rto_us: int, initial_cwnd: int) -> None:
        """Sending starts again after more than one RTO without (RFC 5681 §4.1)."""

    def on_mss(self, mss: int) -> None:
        """The effective send MSS changed (path MTU). One segment always fits (RFC 5681 §3.1)."""
        self.mss = mss
        self.cwnd = max(self.cwnd, mss)

    def on_mtu_probed(self, cwnd: int, ssthresh: int) -> None:
        """A probe has come through, so segments are larger from now on (RFC 4821 §7.6.1), which
        `on_mss` has told. The arguments are what both windows were, in whole new segments."""
        self.cwnd = cwnd
        self.ssthresh = ssthresh
