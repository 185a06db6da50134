"""One flow through one bottleneck, packet by packet, in whole microseconds: what drives an
algorithm through its contract as a connection would, so that its curve can be looked at.

Every packet is acknowledged alone and in order. A packet is lost when one three numbers higher is
delivered; proportional rate reduction leads through recovery (RFC 9937), a timeout ends silence.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

from pystack.cc.base import CWR, FAST, LOSS, OPEN, AckSample, CongestionControl

_MIN_RTO_US = 200_000
_START_US = 1_000_000
_FOREVER = 1 << 62


@dataclass
class Path:
    """Rate in bytes/s, times in µs, queue and marking threshold in bytes (0: no mark); every n-th
    packet is lost, or one by chance in millionths; a policer lets `police_burst` bytes through and
    then `police_rate` bytes/s."""

    rate: int
    rtt_us: int
    queue: int
    mark_above: int = 0
    lose_every: int = 0
    loss_ppm: int = 0
    police_rate: int = 0
    police_burst: int = 0


@dataclass
class Packet:
    number: int
    sent_us: int
    delivered: int
    delivered_us: int
    first_sent_us: int
    lost: int
    in_flight: int
    app_limited: bool
    marked: bool = False
    over: bool = False


@dataclass
class Row:
    """What was so at `at_ms` of the run; windows in segments, rates in bytes/s, times in ms."""

    at_ms: int
    cwnd: int
    pipe: int
    pacing_rate: int
    delivered: int
    queue_ms: int


@dataclass
class Flow:
    """A sender with `cc` on `path`, with data always unless `bursts` says when and how much."""

    cc: CongestionControl
    path: Path
    bursts: list[tuple[int, int]] | None = None  # (µs from the start, bytes)
    now_us: int = _START_US
    rows: list[Row] = field(default_factory=list)
    sent: int = 0
    lost_packets: int = 0
    timeouts: int = 0
    reductions: int = 0

    def __post_init__(self) -> None:
        self._mss = self.cc.mss
        self._sample = AckSample()
        self._acks: list[tuple[int, int]] = []
        self._flying: deque[Packet] = deque()
        self._by_number: dict[int, Packet] = {}
        self._next_number = 0
        self.pipe = 0
        self.delivered = 0
        self._delivered_us = self._first_sent_us = self.now_us
        self.lost = 0
        self._app_limited = 0
        self._free_us = self.now_us  # when the bottleneck has sent what waits
        self._pace_us = self.now_us
        self._rto_us = _FOREVER
        self._srtt_us = 0
        self._min_rtt_us = 0
        self.recovery = OPEN
        self._recovery_end = 0
        self._lost_number = -1
        self._losses: list[Packet] = []  # found by the present ACK
        self._prr_delivered = self._prr_out = self._prr_flight = self._budget = 0
        self._backlog = _FOREVER if self.bursts is None else 0
        self._bursts = deque((_START_US + at, size) for at, size in self.bursts or [])
        self._cwnd_limited = True
        self._idle_since = 0
        self._chance = 0x2545F491
        self._tokens, self._tokens_us = self.path.police_burst, self.now_us
        self.cc.on_established(self.cc.cwnd, self.now_us)

    # -- time -------------------------------------------------------------------------------------
    def run(self, seconds: int, step_ms: int = 0) -> list[Row]:
        """Go on for `seconds`; with a row every `step_ms`, those of this call."""
        self.rows = []
        return self.run_us(seconds * 1_000_000, step_ms)

    def run_us(self, duration_us: int, step_ms: int = 0) -> list[Row]:
        """As `run`, in µs."""
        end = self.now_us + duration_us
        look = self.now_us + step_ms * 1000 if step_ms else _FOREVER
        self._send()
        while True:
            pace = self._pace_us if self._pace_us > self.now_us and self._may_send() else _FOREVER
            ack = self._acks[0][0] if self._acks else _FOREVER
            burst = self._bursts[0][0] if self._bursts else _FOREVER
            now = min(ack, pace, self._rto_us, burst, look, end)
            self.now_us = now
            if now == end:
                return self.rows
            if now == look:
                self._note()
                look += step_ms * 1000
                continue
            if now == burst:
                self._backlog += self._bursts.popleft()[1]
            elif now == ack:
                self._on_ack(self._by_number.pop(heapq.heappop(self._acks)[1]))
            elif now == self._rto_us:
                self._on_rto()
            self._send()

    def _note(self) -> None:
        self.rows.append(
            Row(
                (self.now_us - _START_US) // 1000, self.cc.cwnd // self._mss,
                self.pipe // self._mss, self.cc.pacing_rate, self.delivered,
                max(self._free_us - self.now_us, 0) // 1000,
            )
        )  # fmt: skip

    # -- sending ----------------------------------------------------------------------------------
    def _may_send(self) -> bool:
        window = self.cc.cwnd
        if self.recovery in (FAST, CWR) and self.cc.uses_prr:
            window = self._budget
        return self._backlog >= self._mss and self.pipe + self._mss <= window

    def _send(self) -> None:
        now = self.now_us
        while self._may_send() and self._pace_us <= now:
            if not self.pipe:
                if self._idle_since:
                    self.cc.on_tx_start(now - self._idle_since, now)
                self._first_sent_us = self._delivered_us = now
            self._transmit()
            if self.cc.pacing_rate:
                gap = self._mss * 1_000_000 // self.cc.pacing_rate
                self._pace_us = max(self._pace_us, now) + gap
        self._cwnd_limited = self.pipe + self._mss > self.cc.cwnd
        if self._backlog < self._mss and not self._cwnd_limited:
            self._app_limited = self.delivered + self.pipe or 1

    def _transmit(self) -> None:
        now = self.now_us
        packet = Packet(
            self._next_number, now, self.delivered, self._delivered_us, self._first_sent_us,
            self.lost, self.pipe + self._mss, self._app_limited > 0,
        )  # fmt: skip
        self._next_number += 1
        self.pipe += self._mss
        self._prr_out += self._mss
        self._backlog -= self._mss
        self.sent += self._mss
        self._flying.append(packet)
        if self._rto_us == _FOREVER:
            self._arm_rto()
        path = self.path
        waiting = max(self._free_us - now, 0) * path.rate // 1_000_000
        if waiting + self._mss > path.queue + self._mss or self._unlucky(packet):
            return
        packet.marked = 0 < path.mark_above < waiting
        self._free_us = max(self._free_us, now) + self._mss * 1_000_000 // path.rate
        self._by_number[packet.number] = packet
        heapq.heappush(self._acks, (self._free_us + path.rtt_us, packet.number))

    def _unlucky(self, packet: Packet) -> bool:
        if self.path.police_rate and not self._has_token():
            return True
        if self.path.lose_every and packet.number % self.path.lose_every == 0 < packet.number:
            return True
        if not self.path.loss_ppm:
            return False
        self._chance = (self._chance * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (self._chance >> 33) * 1_000_000 >> 31 < self.path.loss_ppm

    def _has_token(self) -> bool:
        path = self.path
        earned = (self.now_us - self._tokens_us) * path.police_rate // 1_000_000
        self._tokens = min(self._tokens + earned, path.police_burst)
        self._tokens_us = self.now_us
        if self._tokens < self._mss:
            return False
        self._tokens -= self._mss
        return True

    # -- what comes back --------------------------------------------------------------------------
    def _on_ack(self, packet: Packet) -> None:
        s = self._sample
        now, mss, cc = self.now_us, self._mss, self.cc
        if packet.over:
            return  # thought lost by a timeout; no matter here
        s.now_us = now
        s.flight = s.prior_pipe = self.pipe
        s.newly_delivered = s.acked = mss
        s.ce_bytes = mss if packet.marked else 0
        self.delivered += mss
        self._delivered_us = now
        self._first_sent_us = packet.sent_us
        self._leave(packet)
        if self._app_limited and self.delivered > self._app_limited:
            self._app_limited = 0
        s.newly_lost = self._find_lost(packet.number - 2)
        s.rtt_us = now - packet.sent_us
        self._min_rtt_us = min(self._min_rtt_us or s.rtt_us, s.rtt_us)
        self._srtt_us += (s.rtt_us - self._srtt_us) // 8 if self._srtt_us else s.rtt_us
        s.min_rtt_us, s.srtt_us = self._min_rtt_us, self._srtt_us
        s.interval_us = max(packet.sent_us - packet.first_sent_us, now - packet.delivered_us)
        s.delivery_rate = 0
        if s.interval_us >= self._min_rtt_us:
            s.delivery_rate = (self.delivered - packet.delivered) * 1_000_000 // s.interval_us
        s.prior_delivered, s.prior_lost = packet.delivered, packet.lost
        s.tx_in_flight, s.app_limited = packet.in_flight, packet.app_limited
        s.delivered, s.lost = self.delivered, self.lost
        s.cwnd_limited = self._cwnd_limited or (cc.cwnd < cc.ssthresh and 2 * s.flight > cc.cwnd)
        ended = self._change_state(packet, s)
        s.pipe, s.recovery = self.pipe, self.recovery
        self._tell_losses()
        cc.on_sample(s)
        if ended:
            cc.on_exit_recovery(max(cc.ssthresh, mss), now)
        elif self.recovery in (OPEN, LOSS):
            cc.on_ack(s)
        elif cc.uses_prr:
            self._reduce_in_proportion(s)
        if self._flying:
            self._arm_rto()
        else:
            self._rto_us = _FOREVER
            self._idle_since = now

    def _change_state(self, packet: Packet, s: AckSample) -> bool:
        """Into recovery or out of it; whether FAST or CWR has ended."""
        if self.recovery != OPEN and packet.number >= self._recovery_end:
            was, self.recovery = self.recovery, OPEN
            if self._lost_number < self._recovery_end:
                return was != LOSS
        if (
            self.recovery in (OPEN, CWR)
            and s.newly_lost
            and self._lost_number >= self._recovery_end
        ):
            self.recovery = FAST
            self.cc.on_enter_recovery(s.flight, s.now_us)
        elif self.recovery == OPEN and s.ce_bytes and not self.cc.scalable:
            self.recovery = CWR
            self.cc.on_ecn(s.flight, s.now_us)
        else:
            return False
        self.reductions += 1
        self._recovery_end = self._next_number
        self._prr_delivered = self._prr_out = 0
        self._prr_flight = s.flight
        return False

    def _reduce_in_proportion(self, s: AckSample) -> None:
        """RFC 9937 §6.2."""
        self._prr_delivered += s.newly_delivered
        ssthresh = self.cc.ssthresh
        if self.pipe > ssthresh:
            count = -(-self._prr_delivered * ssthresh // self._prr_flight) - self._prr_out
        else:
            limit = max(self._prr_delivered - self._prr_out, s.newly_delivered)
            count = min(ssthresh - self.pipe, limit + (0 if s.newly_lost else self._mss))
        if not self._prr_out:
            count = max(count, self._mss)
        self._budget = self.pipe + max(count, 0)

    def _find_lost(self, below: int) -> int:
        lost = 0
        while self._flying and self._flying[0].number < below:
            packet = self._flying.popleft()
            if not packet.over:
                packet.over = True
                lost += self._mss
                self._lost_number = packet.number
                self._losses.append(packet)
        self._count_lost(lost)
        return lost

    def _tell_losses(self) -> None:
        s = AckSample()
        s.now_us, s.delivered, s.pipe = self.now_us, self.delivered, self.pipe
        s.lost = self.lost - len(self._losses) * self._mss
        for packet in self._losses if self.cc.wants_losses else ():
            s.lost += self._mss
            s.prior_delivered, s.prior_lost = packet.delivered, packet.lost
            s.tx_in_flight, s.app_limited = packet.in_flight, packet.app_limited
            self.cc.on_lost(self._mss, s)
        self._losses.clear()

    def _count_lost(self, lost: int) -> None:
        self.pipe -= lost
        self.lost += lost
        self._backlog += lost
        self.lost_packets += lost // self._mss

    def _leave(self, packet: Packet) -> None:
        packet.over = True
        self.pipe -= self._mss
        while self._flying and self._flying[0].over:
            self._flying.popleft()

    def _arm_rto(self) -> None:
        self._rto_us = self.now_us + (self._srtt_us + _MIN_RTO_US if self._srtt_us else 1_000_000)

    def _on_rto(self) -> None:
        flight = self.pipe
        self.timeouts += 1
        self.recovery = LOSS
        self._recovery_end = self._next_number
        self.cc.on_rto(flight, True, self.now_us)
        self._find_lost(self._next_number)
        self._tell_losses()
        self._rto_us = _FOREVER
