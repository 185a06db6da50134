"""An algorithm told facts by hand: ACK by ACK and round by round, in exact numbers."""

from __future__ import annotations

from pystack.cc.base import OPEN, AckSample, CongestionControl

MSS = 1000  # so that windows read as segments


class Told:
    """Tells `cc` of ACKs. `now_us` moves with rounds; all data is of the window's limit."""

    def __init__(self, cc: CongestionControl, now_us: int = 1_000_000) -> None:
        self.cc = cc
        self.now_us = now_us
        self.sample = AckSample()
        self.sample.recovery = OPEN

    @property
    def cwnd(self) -> float:
        """In segments."""
        return self.cc.cwnd / self.cc.mss

    @property
    def ssthresh(self) -> float:
        """In segments."""
        return self.cc.ssthresh / self.cc.mss

    def ack(
        self, acked: int, rtt_us: int = 100_000, *, limited: bool = True, marked: int = 0,
        sent_at_delivered: int | None = None,
    ) -> None:  # fmt: skip
        """One ACK now, of `acked` bytes that were sent when `sent_at_delivered` were delivered
        (by default a window before)."""
        s, cc = self.sample, self.cc
        s.now_us = self.now_us
        s.acked = s.newly_delivered = acked
        s.ce_bytes = marked
        s.delivered += acked
        s.prior_delivered = max(s.delivered - cc.cwnd, 0)
        if sent_at_delivered is not None:
            s.prior_delivered = sent_at_delivered
        s.rtt_us = rtt_us
        s.srtt_us = rtt_us
        if rtt_us > 0:
            s.min_rtt_us = min(s.min_rtt_us or rtt_us, rtt_us)
            s.interval_us = rtt_us
            s.delivery_rate = cc.cwnd * 1_000_000 // rtt_us
        s.flight = s.prior_pipe = s.tx_in_flight = cc.cwnd
        s.pipe = cc.cwnd - acked
        s.cwnd_limited = limited
        cc.on_sample(s)
        cc.on_ack(s)

    def round(
        self, rtt_us: int = 100_000, *, limited: bool = True, marked_of: int = 0, acks: int = 0
    ) -> None:
        """A window's segments, each with an ACK of its own (or in `acks` ACKs), evenly over one
        round trip; `marked_of` n: the peer reports the mark on every n-th."""
        cc = self.cc
        count = acks or max(cc.cwnd // cc.mss, 1)
        size = max(cc.cwnd // count, 1)
        start, begun_with = self.now_us, self.sample.delivered
        for i in range(count):
            self.now_us = start + rtt_us * (i + 1) // count
            marked = size if marked_of and (i + 1) % marked_of == 0 else 0
            self.ack(size, rtt_us, limited=limited, marked=marked, sent_at_delivered=begun_with)

    def rounds(self, count: int, rtt_us: int = 100_000, *, limited: bool = True) -> None:
        for _ in range(count):
            self.round(rtt_us, limited=limited)
