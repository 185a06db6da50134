"""SYN_RECEIVED of a passive open: a compact record until the handshake completes.

RFC 9293 §3.10.7.4 for that state. The final ACK makes a TCB in SYN_RECEIVED, and the TCB takes that
segment like any other. `passive_open` does what is decided here.
"""

from __future__ import annotations

from typing import Final

from pystack.config import Config
from pystack.ip.route_metrics import RouteMetrics
from pystack.printed import printed
from pystack.stack.listener import Listener
from pystack.tcp.ecn import ecn
from pystack.tcp.fastopen import passive
from pystack.tcp.header import options, timestamps, window
from pystack.tcp.input import ack
from pystack.tcp.output import emit, sent
from pystack.tcp.policies.experimental_option import OPTIONS_MOST, ExperimentalOption
from pystack.tcp.tcb import Tcb
from pystack.tcp.user import user_calls, user_settings
from pystack.wire.batch import TxBatch
from pystack.wire.consts import (
    ACK,
    DEFAULT_MSS_IPV4,
    DEFAULT_MSS_IPV6,
    ECN_FIELD,
    HAS_SACK_PERMITTED,
    HAS_TIMESTAMPS,
    MAX_WSCALE,
    RST,
    SYN,
)
from pystack.wire.flow_key import ends
from pystack.wire.segment import Segment
from pystack.wire.seq import HALF, MASK, ts_older

# what to do with a segment
DROP: Final = 0
COMPLETE: Final = 1  # the handshake is complete: make a TCB
ANSWER_WITH_RST: Final = 2
ACKNOWLEDGE: Final = 3
SYN_AGAIN: Final = 4  # the SYN,ACK is to be sent again
FORGET: Final = 5  # reset: back to LISTEN

_WSCALE_NONE: Final = -1


class HalfOpen:
    """A SYN was taken and answered. Numbers are 32-bit, as on the wire."""

    __slots__ = ("key", "listener", "iss", "irs", "snd_mss", "adv_mss", "snd_wscale",
                 "rcv_wscale", "ts_ok", "sack_ok", "ts_recent", "ts_offset", "peer_wnd", "wnd",
                 "first_sent_us", "repeats", "due_us", "wake_at_us", "ack_seen", "tos", "ttl",
                 "df", "ident", "challenge_us", "ecn", "ect_ok", "ect",
                 "syn_field", "syn_acks", "option", "cookie", "syn")  # fmt: skip

    def __init__(
        self, listener: Listener, seg: Segment, config: Config, iss: int, ts_offset: int,
        mtu: int, option: ExperimentalOption | None = None, route: RouteMetrics | None = None,
    ) -> None:  # fmt: skip
        """`option`: the connection's experimental option, which has seen the SYN, or None; `route`:
        what the route to the peer asks for."""
        v4 = seg.version == 4
        self.key = seg.key
        self.listener = listener
        self.iss = iss
        self.irs = seg.seq
        default = DEFAULT_MSS_IPV4 if v4 else DEFAULT_MSS_IPV6
        self.snd_mss = max(seg.mss or default, config.tcp_min_snd_mss)
        self.adv_mss = options.announced_mss(
            mtu, v4, listener.max_seg, config.tcp_min_snd_mss, route
        )
        scaling = seg.wscale >= 0 and bool(config.tcp_window_scaling)
        self.snd_wscale = min(seg.wscale, MAX_WSCALE) if scaling else _WSCALE_NONE
        self.rcv_wscale = (
            options.receive_wscale(config, listener.largest_window) if scaling else _WSCALE_NONE
        )
        self.ts_ok = bool(seg.options & HAS_TIMESTAMPS) and config.tcp_timestamps != 0
        self.sack_ok = bool(seg.options & HAS_SACK_PERMITTED) and config.tcp_sack != 0
        self.ts_recent = seg.tsval if self.ts_ok else 0
        self.ts_offset = 0 if config.tcp_timestamps == 2 else ts_offset
        self.peer_wnd = seg.wnd
        self.wnd = window.initial_window(
            listener.rcvbuf, listener.window_clamp or (0 if route is None else route.window),
            self.adv_mss - (options.TIMESTAMPS_SPACE if self.ts_ok else 0),
            max(self.rcv_wscale, 0), route,
        )  # fmt: skip
        self.first_sent_us = 0
        self.repeats = 0
        self.due_us = 0
        self.wake_at_us = 0
        self.ack_seen = False  # acknowledged, but waiting for data (TCP_DEFER_ACCEPT)
        self.tos = listener.tos
        self.ttl = listener.ttl
        self.df = listener.df
        if route is not None and route.hoplimit and self.ttl == config.ip_default_ttl:
            self.ttl = route.hoplimit
        self.ident = 0
        self.challenge_us = 0
        self.ecn = ecn.answer(config, listener.ecn, seg, route is not None and route.ecn)
        self.ect_ok = self.ecn != ecn.OFF
        self.syn_field = seg.tos & ECN_FIELD
        self.syn_acks = 0  # sent so far
        self.ect = listener.ect if self.ect_ok else 0  # of the SYN,ACK itself
        self.option = option
        self.cookie = b""  # TCP Fast Open's option of the first SYN,ACK
        self.syn: Segment | None = None  # while it begins the connection at once

    def __repr__(self) -> str:
        return printed(self, lambda: f"{ends(self.key, '<-')} SYN,ACK repeated {self.repeats}")

    # -- TCP Fast Open (RFC 7413) -----------------------------------------------------------------
    def tell_cookie(self, option: bytes) -> None:
        """The first SYN,ACK tells the client a cookie; those after it may be dropped for it."""
        self.cookie = option

    def open_at_once(self, seg: Segment, option: bytes) -> None:
        """The SYN `seg` begins the connection (see `make_tcb`): its SYN,ACK is the TCB's, with
        `option` if it has one."""
        self.cookie = option
        self.syn = seg

    # -- SEGMENT ARRIVES in SYN_RECEIVED, before there is a TCB ------------------------------------
    def segment_arrives(self, seg: Segment, now_us: int) -> int:
        """What to do with a segment: DROP, COMPLETE, …"""
        flags = seg.flags
        rcv_nxt = (self.irs + 1) & MASK
        if flags & SYN and not flags & (ACK | RST) and seg.seq == self.irs:
            if not ecn.agrees(self.ecn, flags):
                self.ect_ok = False  # then our data is not ECT (RFC 3168 §6.1.1)
            return SYN_AGAIN  # our SYN,ACK was lost
        # first: timestamps and the sequence number; without timestamps it is taken (Linux)
        if self.ts_ok and seg.options & HAS_TIMESTAMPS and not flags & RST:
            if ts_older(seg.tsval, self.ts_recent):
                return ACKNOWLEDGE
        offset = (seg.seq - rcv_nxt + HALF & MASK) - HALF
        if not (0 <= offset < max(self.wnd, 1) or -seg.seg_len < offset < 0):
            return DROP if flags & RST else ACKNOWLEDGE
        # second: RST; a passive open goes back to LISTEN (RFC 9293 MUST-11)
        if flags & RST:
            return FORGET if offset == 0 else ACKNOWLEDGE
        # fourth: SYN
        if flags & SYN:
            return ACKNOWLEDGE
        # fifth: ACK
        if not flags & ACK:
            return DROP
        if seg.ack != (self.iss + 1) & MASK:
            return ANSWER_WITH_RST
        if self.repeats < self.listener.defer_accept and not seg.seg_len:
            self.ack_seen = True
            return DROP
        return COMPLETE

    def gives_up(self, config: Config) -> bool:
        """Whether the last SYN,ACK has gone unanswered. A connection that waits for data is kept as
        long as TCP_DEFER_ACCEPT says (Linux: syn_ack_recalc)."""
        if self.repeats < config.tcp_synack_retries:
            return False
        return not self.ack_seen or self.repeats >= self.listener.defer_accept

    def retransmits(self) -> bool:
        """Whether the SYN,ACK is sent again: not while it is acknowledged and data is waited for,
        but once more at the end of that time."""
        return not self.ack_seen or self.repeats >= self.listener.defer_accept - 1

    def may_acknowledge(self, config: Config, now_us: int) -> bool:
        """Whether `tcp_invalid_ratelimit` allows an ACK in answer now; if so it counts as sent."""
        if self.challenge_us and now_us - self.challenge_us < config.tcp_invalid_ratelimit * 1000:
            return False
        self.challenge_us = now_us
        return True

    # -- what it sends ----------------------------------------------------------------------------
    def send_syn_ack(self, tx: TxBatch, config: Config, now_us: int) -> bool:
        """The SYN,ACK, with the options that both sides offer. False if the batch is full."""
        flags = ecn.syn_ack_flags(self.ecn, self.syn_field)
        accecn = b""
        if self.ecn == ecn.ACCURATE:
            # A middlebox may drop it for the option, or for the flags (RFC 9768 §3.2.3.2.2)
            if not self.syn_acks:
                accecn = ecn.syn_ack_option(self.ecn, config)
            elif not self.ect_ok or self.repeats > 1:
                flags = 0
                self.ect_ok = False
                self.ect = 0
        opts = options.syn_options(
            self.adv_mss, self.sack_ok, self.ts_ok, options.timestamp(self.ts_offset, now_us),
            self.ts_recent, self.rcv_wscale, accecn,
        )  # fmt: skip
        if not self.syn_acks and len(opts) + len(self.cookie) <= OPTIONS_MOST:
            opts += self.cookie
        if self.option is not None:
            opts = self.option.syn_options(True, opts, now_us)
        sent = emit.bare(
            tx, self.key, self.iss, (self.irs + 1) & MASK, SYN | ACK | flags, self.wnd, opts,
            self.tos, self.ttl, self.ident, self.df, self.ect,
        )  # fmt: skip
        self.syn_acks += sent
        return sent

    def send_ack(self, tx: TxBatch, now_us: int) -> bool:
        """<SEQ=SND.NXT><ACK=RCV.NXT>, in answer to a segment that is not acceptable."""
        opts = b""
        if self.ts_ok:
            tsval = options.timestamp(self.ts_offset, now_us)
            opts = options.timestamps_option(tsval, self.ts_recent)
        # Rounded up: a window that was offered is not taken back
        wnd = -(-self.wnd >> max(self.rcv_wscale, 0))
        return emit.bare(
            tx, self.key, (self.iss + 1) & MASK, (self.irs + 1) & MASK,
            ACK | ecn.first_flags(self.ecn), wnd, opts,
            self.tos, self.ttl, self.ident, self.df,
        )  # fmt: skip

    def send_reset(self, tx: TxBatch) -> bool:
        """<SEQ=SND.NXT><ACK=RCV.NXT><CTL=RST,ACK>: a part failed. False if the batch is full."""
        return emit.bare(
            tx, self.key, (self.iss + 1) & MASK, (self.irs + 1) & MASK, RST | ACK, 0, b"",
            self.tos, self.ttl, self.ident, self.df,
        )  # fmt: skip

    def next_repeat(self, config: Config, now_us: int) -> None:
        """When to send the SYN,ACK again: 1, 2, 4 … s apart."""
        wait_us = config.tcp_rto_initial_ms * 1000 << min(self.repeats, 20)
        self.due_us = now_us + min(wait_us, config.tcp_rto_max_ms * 1000)

    def make_tcb(self, tcb: Tcb) -> Tcb:
        """Fill a new TCB with what the handshake agreed on, and bring it to SYN_RECEIVED."""
        if self.listener.settings is not None:
            self.listener.settings(tcb)
        if tcb.option is not self.option:  # `settings` may have chosen another
            user_settings.set_experimental_option(tcb, self.option)
        tcb.set_send_sequence(self.iss)
        tcb.set_receive_sequence(self.irs)
        options.take_agreed(
            tcb, snd_mss=self.snd_mss, adv_mss=self.adv_mss, snd_wscale=max(self.snd_wscale, 0),
            rcv_wscale=max(self.rcv_wscale, 0), ts_ok=self.ts_ok, sack_ok=self.sack_ok,
            ts_offset=self.ts_offset,
        )  # fmt: skip
        ecn.take_agreed(tcb, self.ecn, self.ect_ok, self.ect, self.syn_field)
        window.offer_on_syn(tcb, self.wnd)
        if self.ts_ok:
            timestamps.first(tcb, self.ts_recent, self.first_sent_us)
        user_calls.open_passive(tcb)
        if self.syn is None:
            sent.begin_passive(tcb, self.first_sent_us, self.repeats)
        else:
            passive.begin(tcb, self.syn, self.listener, self.rcv_wscale, self.cookie)
            sent.begin_fast_accept(tcb)
            ack.syn_begins(tcb, self.syn)
        return tcb
