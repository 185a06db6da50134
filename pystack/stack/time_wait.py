"""TIME_WAIT: a compact record of a connection that both sides have closed (RFC 9293 §3.6.1).

A repeated FIN is answered and restarts the 2 MSL; a new SYN may open the connection anew (RFC
6191); a RST ends it unless `tcp_rfc1337` is set. All wait equally long, so a queue is enough for
their order. `demux` does what is decided here.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from pystack.config import Config
from pystack.printed import printed
from pystack.tcp.header.options import timestamp, timestamps_option
from pystack.tcp.output import emit
from pystack.tcp.tcb import Tcb
from pystack.wire.batch import TxBatch
from pystack.wire.consts import ACK, HAS_TIMESTAMPS, RST, SYN
from pystack.wire.flow_key import ends
from pystack.wire.segment import Segment
from pystack.wire.seq import HALF, MASK, ts_older

# what to do with a segment
STAY: Final = 0
ANSWER: Final = 1  # acknowledge
OPEN_ANEW: Final = 2  # remove the record and handle the SYN as in LISTEN
GONE: Final = 3  # a RST ends it: remove the record


class TimeWait:
    """What is left of one connection; numbers are 32-bit, as on the wire."""

    __slots__ = ("key", "snd_nxt", "rcv_nxt", "wnd", "ts_ok", "ts_recent", "ts_offset", "at_us",
                 "tos", "ttl", "challenge_us")  # fmt: skip

    def __init__(self, tcb: Tcb, at_us: int) -> None:
        self.key = tcb.key
        self.snd_nxt = tcb.snd_nxt & MASK
        self.rcv_nxt = tcb.rcv_nxt & MASK
        self.wnd = max(tcb.rcv_adv - tcb.rcv_nxt, 0) >> tcb.rcv_wscale
        self.ts_ok = tcb.ts_ok
        self.ts_recent = tcb.ts_recent
        self.ts_offset = tcb.ts_offset
        self.at_us = at_us
        self.tos = tcb.tos
        self.ttl = tcb.ttl
        self.challenge_us = 0

    def __repr__(self) -> str:
        return printed(self, lambda: f"{ends(self.key, '-')} until {self.at_us} µs")


class TimeWaits:
    """All records of a host, in the order in which they expire."""

    __slots__ = ("queue", "_live", "config")

    def __init__(self, config: Config) -> None:
        self.queue: deque[tuple[int, TimeWait]] = deque()
        self._live = 0  # records; all other places in the queue are stale
        self.config = config

    @property
    def duration_us(self) -> int:
        """2 MSL."""
        return 2 * self.config.tcp_msl_ms * 1000

    def add(self, tcb: Tcb, now_us: int) -> TimeWait:
        """The record that takes over from `tcb`."""
        record = TimeWait(tcb, now_us + self.duration_us)
        self.queue.append((record.at_us, record))
        self._live += 1
        return record

    def restart(self, record: TimeWait, now_us: int) -> None:
        """2 MSL from now; the old place in the queue becomes stale."""
        if record.at_us == now_us + self.duration_us:
            return
        record.at_us = now_us + self.duration_us
        self.queue.append((record.at_us, record))
        if len(self.queue) > 64 + 2 * self._live:
            self.queue = deque(entry for entry in self.queue if entry[0] == entry[1].at_us)

    def forget(self, record: TimeWait) -> None:
        """A record is gone, for whatever reason."""
        record.at_us = 0
        self._live -= 1

    def next_at(self) -> int:
        """When the next one expires, 0 with none."""
        queue = self.queue
        while queue and queue[0][0] != queue[0][1].at_us:
            queue.popleft()
        return queue[0][0] if queue else 0

    def take_due(self, now_us: int) -> TimeWait | None:
        """Remove and return one whose time has come."""
        at_us = self.next_at()
        if not at_us or at_us > now_us:
            return None
        return self.take_oldest()

    def take_oldest(self) -> TimeWait | None:
        """Remove and return the one that would expire first."""
        if not self.next_at():
            return None
        return self.queue.popleft()[1]

    def segment_arrives(self, record: TimeWait, seg: Segment, now_us: int) -> int:
        """STAY, ANSWER, OPEN_ANEW or GONE (RFC 9293 §3.10.7.4, RFC 6191, as Linux)."""
        flags = seg.flags
        has_ts = bool(seg.options & HAS_TIMESTAMPS)
        old = record.ts_ok and has_ts and ts_older(seg.tsval, record.ts_recent)
        ahead = (seg.seq - record.rcv_nxt) & MASK  # of the next expected octet; 0 is in order
        if flags & RST:
            if ahead or self.config.tcp_rfc1337:  # RFC 1337 §3
                return STAY
            return GONE
        if flags & SYN and not flags & ACK:
            newer = has_ts and (
                not record.ts_ok or 0 < (seg.tsval - record.ts_recent) & MASK < HALF
            )
            if newer or (0 < ahead < HALF and not old):
                return OPEN_ANEW
            return self._answer_limited(record, now_us)  # Linux; RFC 6191 §2 would be silent
        if not flags & ACK:
            return STAY
        if ahead == 0 and not seg.seg_len and not old:
            self.restart(record, now_us)  # a bare ACK in order
            if has_ts:
                record.ts_recent = seg.tsval
            return STAY
        self.restart(record, now_us)
        return ANSWER if seg.seg_len else self._answer_limited(record, now_us)

    def _answer_limited(self, record: TimeWait, now_us: int) -> int:
        """Empty segments and SYNs could make an endless exchange of ACKs."""
        limit_us = self.config.tcp_invalid_ratelimit * 1000
        if record.challenge_us and now_us - record.challenge_us < limit_us:
            return STAY
        record.challenge_us = now_us
        return ANSWER

    def acknowledge(self, record: TimeWait, tx: TxBatch, now_us: int) -> bool:
        """The ACK that answers a repeated FIN. False if the batch is full."""
        opts = b""
        if record.ts_ok:
            tsval = timestamp(record.ts_offset, now_us)
            opts = timestamps_option(tsval, record.ts_recent)
        return emit.bare(
            tx, record.key, record.snd_nxt, record.rcv_nxt, ACK, record.wnd, opts,
            record.tos, record.ttl, 0,
        )  # fmt: skip
