"""Any legal sequence of hooks, made from numbers: a connection's facts without a connection.

A step is a verb and three numbers; what they mean is bent to what is legal then (nothing is
acknowledged that was not sent, recovery ends only when it has begun), so every list of steps is
a legal sequence. After each hook the contract is checked.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from pystack.cc.base import CWR, FAST, INFINITE_SSTHRESH, LOSS, OPEN, AckSample, CongestionControl

VERBS: Final = (
    "send",
    "ack",
    "ack",
    "ack",
    "lose",
    "mark",
    "timeout",
    "undo",
    "idle",
    "mss",
    "probed",
)
Step = tuple[int, int, int, int]  # a verb's number and three numbers from 0 to 255
Look = tuple[int, int, int]  # cwnd, ssthresh, pacing rate

LARGEST_WINDOW: Final = 1 << 30  # of a peer (RFC 7323 §2.3)
_MSS: Final = (536, 1220, 1448, 8948)
_IW_SEGS: Final = 10


class Anything:
    """Drives `cc`, which must be new, and checks it; `looks` has a triple for each hook called."""

    def __init__(self, cc: CongestionControl) -> None:
        self.cc = cc
        self.looks: list[Look] = []
        self.now_us = 1_000_000
        self.sample = AckSample()
        self.flying: deque[list[int]] = deque()  # length, sent_us, delivered, lost, in flight, app
        self.flight = 0
        self.delivered = self.lost = 0
        self.state = OPEN
        self.recovery_end = 0  # `sent` when recovery began
        self.sent = self.acked_to = 0
        self.limited = False
        self.expired = False
        self.last_sent_us = 0
        self.min_rtt_us = 0
        self.before = (cc.cwnd, cc.ssthresh)
        self.most = cc.cwnd  # no window was ever above this
        self.mss_of_ssthresh = 0
        self.samples = 0
        cc.on_established(cc.cwnd, self.now_us)
        self._look()

    def play(self, steps: list[Step]) -> list[Look]:
        for verb, a, b, c in steps:
            getattr(self, "_" + VERBS[verb % len(VERBS)])(a, b, c)
        return self.looks

    # -- what is always so ------------------------------------------------------------------------
    def _look(self) -> None:
        cc = self.cc
        look = (cc.cwnd, cc.ssthresh, cc.pacing_rate)
        assert [type(value) for value in look] == [int, int, int]
        assert cc.cwnd >= cc.mss, "a segment always fits (RFC 5681 §3.1)"
        assert cc.cwnd <= 4 * LARGEST_WINDOW, "what is never used does not grow without end"
        assert 0 <= cc.pacing_rate < 1 << 63
        assert cc.ssthresh > 0
        if self.looks and cc.ssthresh < self.looks[-1][1]:
            assert cc.ssthresh >= 2 * cc.mss, "ssthresh is at least two segments (RFC 5681 (4))"
        if self.samples and not cc.uses_prr:
            assert cc.pacing_rate > 0
        self.most = max(self.most, cc.cwnd)
        self.looks.append(look)

    # -- verbs ------------------------------------------------------------------------------------
    def _send(self, a: int, b: int, c: int) -> None:
        """Fill `a`/256 of the window, all of it from 128 on."""
        cc, now = self.cc, self.now_us
        window = min(cc.cwnd if a >= 128 else cc.cwnd * a >> 8, LARGEST_WINDOW)
        room = max(window - self.flight, 0 if self.flight else cc.mss)
        length = room - room % cc.mss
        self.limited = a >= 128 and cc.cwnd <= LARGEST_WINDOW
        if not length:
            return
        if not self.flight and self.last_sent_us:
            idle_us = now - self.last_sent_us
            if idle_us > 250_000:
                cwnd = cc.cwnd
                cc.on_restart(idle_us, 250_000, _IW_SEGS * cc.mss)
                assert cc.cwnd <= cwnd, "idling is no evidence for a larger window"
                self._look()
            cc.on_tx_start(idle_us, now)
            self._look()
        self.flight += length
        self.sent += length
        self.last_sent_us = now
        self.flying.append(
            [length, now, self.delivered, self.lost, self.flight, int(not self.limited)]
        )

    def _ack(self, a: int, b: int, c: int, lost_part: int = 0, marked: bool = False) -> None:
        """`a`/256 of what flies is acknowledged (in LOSS and OPEN at least a byte)."""
        if not self.flying:
            self._send(255, 0, 0)
        s = self.sample
        self.now_us += 1 + b * 300
        s.now_us = self.now_us
        s.flight = s.prior_pipe = self.flight
        lost = min(self.flight * lost_part >> 8, self.flight - 1)
        newly = max((self.flight - lost) * (a + 1) >> 8, 1)
        gone = self._take(lost)
        newest = self._take(newly)
        self.lost += lost
        self.delivered += newly
        s.acked = s.newly_delivered = newly
        s.newly_lost = lost
        s.ce_bytes = newly if marked else 0
        s.pipe = self.flight
        s.delivered, s.lost = self.delivered, self.lost
        s.rtt_us = -1 if c == 7 else max(self.now_us - newest[1], 1)
        if s.rtt_us > 0:
            self.min_rtt_us = min(self.min_rtt_us or s.rtt_us, s.rtt_us)
        s.min_rtt_us = self.min_rtt_us
        s.srtt_us = max(s.rtt_us, self.min_rtt_us)
        s.interval_us = max(self.now_us - newest[1], 1)
        s.prior_delivered, s.prior_lost, s.tx_in_flight = newest[2], newest[3], newest[4]
        s.delivery_rate = (
            0 if c % 16 == 3 else (self.delivered - newest[2]) * 1_000_000 // s.interval_us
        )
        s.app_limited = newest[5] == 1
        s.cwnd_limited = self.limited
        self._tell(lost, gone, marked)

    def _take(self, count: int) -> list[int]:
        """Remove `count` bytes from what flies; the newest part touched."""
        self.flight -= count
        self.acked_to += count
        newest = self.flying[0] if self.flying else [0, self.now_us, 0, 0, 0, 0]
        while count:
            newest = self.flying[0]
            part = min(count, newest[0])
            newest[0] -= part
            count -= part
            if not newest[0]:
                self.flying.popleft()
        return newest

    def _tell_lost(self, length: int, gone: list[int]) -> None:
        if not length or not self.cc.wants_losses:
            return
        s = AckSample()
        s.now_us, s.pipe = self.now_us, self.flight
        s.delivered, s.lost = self.delivered, self.lost
        s.prior_delivered, s.prior_lost, s.tx_in_flight = gone[2], gone[3], gone[4]
        s.app_limited = gone[5] == 1
        self.cc.on_lost(length, s)
        self._look()

    def _tell(self, lost: int, gone: list[int], marked: bool) -> None:
        s, cc = self.sample, self.cc
        self.samples += 1
        self.expired = False
        ended = False
        if self.state != OPEN and self.acked_to >= self.recovery_end:
            ended = self.state != LOSS
            self.state = OPEN
        if lost and self.state in (OPEN, CWR) and not ended:
            self._reduce(FAST, s.flight)
        elif marked and self.state == OPEN and not ended and not cc.scalable:
            self._reduce(CWR, s.flight)
        s.recovery = self.state
        self._tell_lost(lost, gone)
        cwnd = cc.cwnd
        cc.on_sample(s)
        self._look()
        if ended:
            cc.on_exit_recovery(max(min(cc.ssthresh, 1 << 40), cc.mss), self.now_us)
            self._look()
        elif self.state in (OPEN, LOSS):
            cc.on_ack(s)
            if not s.cwnd_limited and cc.uses_prr:
                assert cc.cwnd <= cwnd, "an unused window does not grow (RFC 7661)"
            self._look()
        # a segment more than the ACK covers is what ACKs before it have earned
        assert cc.cwnd <= max(cwnd + s.acked + cc.mss, self._most_of_old(cwnd))

    def _most_of_old(self, cwnd: int) -> int:
        """A model-based algorithm may go back to a window it had; the others grow by ACKs."""
        return cwnd if self.cc.uses_prr else self.most

    def _reduce(self, state: int, flight: int) -> None:
        cc = self.cc
        self.before = (cc.cwnd, cc.ssthresh)
        if state == FAST:
            cc.on_enter_recovery(flight, self.now_us)
        else:
            cc.on_ecn(flight, self.now_us)
        assert cc.cwnd <= max(self.before[0], 2 * cc.mss), "no congestion opens the window"
        self.state = state
        self.recovery_end = self.sent
        self._look()

    def _lose(self, a: int, b: int, c: int) -> None:
        self._ack(a, b, c, lost_part=c)

    def _mark(self, a: int, b: int, c: int) -> None:
        self._ack(a, b, c, marked=True)

    def _timeout(self, a: int, b: int, c: int) -> None:
        cc = self.cc
        if not self.flight:
            return
        self.now_us += 200_000 + a * 1000
        if not self.expired:
            self.before = (cc.cwnd, cc.ssthresh)
        ssthresh = cc.ssthresh
        cc.on_rto(self.flight, not self.expired, self.now_us)
        assert cc.cwnd == cc.mss, "one segment after a timeout (RFC 5681 §3.1)"
        if self.expired:
            assert cc.ssthresh == ssthresh, "the second expiry leaves ssthresh (RFC 5681 §3.1)"
        elif cc.uses_prr:
            assert cc.ssthresh < INFINITE_SSTHRESH
        self.expired = True
        self.state = LOSS
        self.recovery_end = self.sent
        flight = self.flight
        self.lost += flight
        self._tell_lost(flight, self._take(flight))
        self._look()

    def _undo(self, a: int, b: int, c: int) -> None:
        if self.state not in (FAST, LOSS):
            return
        cwnd, ssthresh = self.before
        self.cc.on_undo(cwnd, ssthresh)
        assert self.cc.ssthresh >= ssthresh
        if self.cc.uses_prr:
            assert self.cc.cwnd >= cwnd, "a spurious reduction is taken back"
        self.state = OPEN
        self.most = max(self.most, cwnd)
        self._look()

    def _idle(self, a: int, b: int, c: int) -> None:
        self.now_us += a * a * 100 + b * 10_000 * (c % 8)

    def _mss(self, a: int, b: int, c: int) -> None:
        if self.flight:
            return
        self.cc.on_mss(_MSS[a % len(_MSS)])
        assert self.cc.mss == _MSS[a % len(_MSS)]
        self._look()

    def _probed(self, a: int, b: int, c: int) -> None:
        """A probe of the path's MTU has come through."""
        cc = self.cc
        old = cc.mss
        if self.state != OPEN or cc.cwnd < 11 * old or old >= _MSS[-1]:
            return
        cwnd, ssthresh = cc.cwnd, cc.ssthresh
        new = old + 1 + a
        cc.on_mss(new)
        segs = max((cwnd // old - 1) * old // new, 1)
        cc.on_mtu_probed(segs * new, ssthresh)
        assert cc.mss == new
        if cc.uses_prr:
            assert cwnd - 2 * new - old < cc.cwnd <= max(cwnd, new)
        self._look()
