"""The contracts of what can be replaced in a connection, congestion control apart (`cc.base`).

A part may read all of `TcbVariables` and keeps its own variables in itself. What it wants done it
returns, or marks where its class says so. Two contracts stand in files of their own, which know no
connection: `experimental_option` and `isn`. Which parts there are, and by which names, is in
`parts.variants`.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.cc.base import CongestionControl
from pystack.compiling import mypyc_attr
from pystack.config import Config
from pystack.tcp.policies.part import Part
from pystack.tcp.scoreboard.ack_result import AckResult
from pystack.tcp.scoreboard.scoreboard import Scoreboard
from pystack.tcp.scoreboard.sent_range import SentRange
from pystack.tcp.state.variables import TcbVariables

# what `AckPolicy.wait_us` may answer besides a time
NOW: Final = 0  # before the connection's next segment is handled
AFTER_BATCH: Final = -1  # with what else has just come (MUST-58), as GRO merges for Linux

DUP_THRESH: Final = 3  # of RFC 5681 §3.2 and RFC 6675 §2

CREDIT_US: Final = 1000
_MAX_RUN: Final = 65535
_RUN_SHIFT: Final = 10  # Linux's sk_pacing_shift: about a millisecond's worth


@mypyc_attr(allow_interpreted_subclasses=True)
class AckPolicy(Part):
    """When payload that came in order is acknowledged: a subclass says how long the ACK may wait.

    Of the TCB it reads what it needs: `rcv_nxt - last_ack_sent` octets are not acknowledged yet,
    `rcv_mss` is the peer's segment size, `quick_acks` is how many ACKs Linux would now send
    without delay (at the start, after idle, after a loss), `srtt_us`, `rcv_wnd`.
    """

    __slots__ = ()

    def wait_us(self, tcb: TcbVariables, now_us: int) -> int:
        """Payload was taken and counted in `rcv_nxt`. How long may its ACK wait for more of it, or
        for data of ours to go with: in µs, or NOW or AFTER_BATCH. An ACK that waits already is
        moved forward, never back; 499 ms are the most."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class RttEstimator(Part):
    """From samples to an RTO. It alone writes `srtt_us`, `rttvar_us` and `rto_us` while samples
    come, whole µs each; a subclass says how, in `on_sample`."""

    __slots__ = ()

    def on_sample(self, tcb: TcbVariables, rtt_us: int) -> None:
        """A segment that was sent once took `rtt_us` (1 at least). It is the connection's first
        sample while `tcb.rtt_samples` is 0."""
        raise NotImplementedError

    def backed_off_us(self, tcb: TcbVariables) -> int:
        """The RTO after the timer has expired: twice as long (RFC 6298 §5.5). At most
        `tcp_rto_max_ms` is taken."""
        return 2 * tcb.rto_us


@mypyc_attr(allow_interpreted_subclasses=True)
class NaglePolicy(Part):
    """A subclass says in `holds` whether the partial segment at the end of the payload waits."""

    __slots__ = ()

    def holds(self, tcb: TcbVariables, ahead: int) -> bool:
        """Whether fewer octets than a full segment, the last ones written, are to wait. `ahead`
        octets of full segments leave right before them. It is asked again at each ACK; with
        nothing in flight they wait one RTO at the most."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class InitialWindow(Part):
    """A subclass gives the window in `in_bytes`."""

    __slots__ = ()

    def in_bytes(self, mss: int, config: Config) -> int:
        """The window in bytes for segments of `mss` octets of payload."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class LossDetection(Part):
    """Base of all detectors; one object per connection, open to users' classes.

    `uses_sack`: it judges by SACK blocks. Without (or when the peer knows no SACK) losses are
    found by counting `dup_thresh` duplicate ACKs, and repaired as in RFC 6582. `uses_tlp`: a
    silent tail of the data is probed (RFC 8985 §7) before the retransmission timer.
    `look_at_us`: when `detect` is to be called without an ACK, 0 for never.
    """

    uses_sack: ClassVar[bool] = True
    uses_tlp: ClassVar[bool] = False
    dup_thresh: ClassVar[int] = DUP_THRESH

    __slots__ = ("look_at_us",)

    def __init__(self) -> None:
        # when `detect` is to be called without an ACK; 0 for never, 1 ms from now if it has passed
        self.look_at_us = 0

    def on_ack(self, board: Scoreboard, ack: AckResult, now_us: int) -> None:
        """The scoreboard has taken an ACK; what that has told is read off `ack`, not kept."""

    def detect(self, board: Scoreboard, now_us: int) -> None:
        """Mark what is lost (`board.mark_lost` and its relatives), after each ACK that leaves
        something in flight and at `look_at_us`."""

    def extra(self, board: Scoreboard) -> SentRange | None:
        """In recovery, with window to spare, nothing lost and nothing new to send: a run to send
        again all the same, None for none."""
        return None

    def on_duplicate(self, board: Scoreboard, una: int, snd_nxt: int) -> None:
        """The peer reports that a retransmission was needless (RFC 2883)."""

    def on_recovered(self, board: Scoreboard) -> None:
        """Recovery is over: all that was outstanding at its start is acknowledged."""

    def on_undone(self, board: Scoreboard) -> None:
        """Recovery is over, and was for nothing: what was judged lost is on its way again."""

    def on_timeout(self, board: Scoreboard, now_us: int) -> None:
        """The retransmission timer expired; marks what is lost. Everything, unless overridden."""
        self.look_at_us = 0
        board.mark_all_lost()


@mypyc_attr(allow_interpreted_subclasses=True)
class Pacing(Part):
    """Linux's: bytes leave at the rate, with up to a millisecond of credit. Stateless, one for
    all connections of a stack; open to users' classes."""

    shared: ClassVar[bool] = True

    __slots__ = ()

    def rate(self, cc: CongestionControl, srtt_us: int, config: Config) -> int:
        """Bytes/s for a congestion control that sets none itself: twice cwnd per round trip in
        slow start, a fifth above it else. 0 while there is no SRTT."""
        if not srtt_us:
            return 0
        slow_start = 2 * cc.cwnd < cc.ssthresh
        percent = config.tcp_pacing_ss_ratio if slow_start else config.tcp_pacing_ca_ratio
        return cc.cwnd * percent * 10_000 // srtt_us

    def release_us(self, release_us: int, length: int, rate: int, now_us: int) -> int:
        """When the next run may leave, after `length` bytes that left now; `release_us` was when
        these might have."""
        return max(release_us, now_us - CREDIT_US) + length * 1_000_000 // rate

    def run_bytes(self, rate: int, mss: int, min_rtt_us: int, config: Config) -> int:
        """How long a run may be: about a millisecond's worth at the rate, more on short paths
        (Linux: tcp_tso_autosize)."""
        length = rate >> _RUN_SHIFT
        shift = min_rtt_us >> config.tcp_tso_rtt_log if config.tcp_tso_rtt_log else 32
        if shift < 17:
            length += _MAX_RUN >> shift
        return max(min(length, _MAX_RUN), config.tcp_min_tso_segs * mss)
