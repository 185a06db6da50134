"""The congestion-control contract: what an algorithm is told and what it owns.

An algorithm owns `cwnd` and `ssthresh` (bytes) and `pacing_rate` (bytes/s, 0 for none) and
sees no TCB. Loss recovery decides what is lost and what goes next, and tells the algorithm
through the hooks. In fast recovery it counts what duplicate ACKs show to have left the network
on top of `cwnd`, so an algorithm does not inflate it.
"""

from __future__ import annotations

from typing import Final

INFINITE_SSTHRESH: Final = 0x7FFF_FFFF


class AckSample:
    """What one ACK told, reused for each: read it in the hook, don't keep it.

    `acked` are the bytes newly acknowledged (cumulatively); `flight` those outstanding before this
    ACK, `pipe` those believed in the network after it; `rtt_us` this ACK's round-trip sample or -1,
    `min_rtt_us` the least one seen; `cwnd_limited` whether the window and not the application
    bounded the last flight.
    """

    __slots__ = ("now_us", "acked", "flight", "pipe", "rtt_us", "min_rtt_us",
                 "cwnd_limited")  # fmt: skip

    def __init__(self) -> None:
        self.now_us = 0
        self.acked = 0
        self.flight = 0
        self.pipe = 0
        self.rtt_us = -1
        self.min_rtt_us = 0
        self.cwnd_limited = False


class CongestionControl:
    """Base of all algorithms. Subclasses override what they need; open to users' classes."""

    name = "base"

    __slots__ = ("mss", "cwnd", "ssthresh", "pacing_rate")

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        """`mss`: payload bytes of a full segment; `initial_cwnd`: bytes."""
        self.mss = mss
        self.cwnd = initial_cwnd
        self.ssthresh = INFINITE_SSTHRESH
        self.pacing_rate = 0

    def on_established(self, initial_cwnd: int, now_us: int) -> None:
        """The handshake is complete; the window data starts with, in bytes."""
        self.cwnd = initial_cwnd

    def on_ack(self, sample: AckSample) -> None:
        """Once per ACK of new data outside of recovery."""

    def on_enter_recovery(self, flight: int, now_us: int) -> None:
        """A loss was found by duplicate ACKs; `flight` bytes were outstanding. Cut both windows."""

    def on_exit_recovery(self, flight: int, now_us: int) -> None:
        """All that was outstanding when recovery began is acknowledged."""

    def on_rto(self, flight: int, first: bool, now_us: int) -> None:
        """The retransmission timer expired; `first` for the first time for this segment."""

    def on_undo(self, cwnd: int, ssthresh: int) -> None:
        """The last reduction was spurious; these were the values before it."""
        self.cwnd = max(self.cwnd, cwnd)
        self.ssthresh = max(self.ssthresh, ssthresh)

    def on_ecn(self, flight: int, now_us: int) -> None:
        """The peer echoed a congestion mark, told at most once per round trip."""
        self.on_enter_recovery(flight, now_us)

    def on_restart(self, idle_us: int, rto_us: int, initial_cwnd: int) -> None:
        """Sending starts again after more than one RTO without (RFC 5681 §4.1)."""

    def on_mss(self, mss: int) -> None:
        """The effective send MSS changed (path MTU). One segment always fits (RFC 5681 §3.1)."""
        self.mss = mss
        self.cwnd = max(self.cwnd, mss)
