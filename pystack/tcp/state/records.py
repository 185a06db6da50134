"""What a connection keeps beside the variables of every segment: records, rarely touched.

A record that is needed for a while only is None the rest of the time. Each variable is written by
the one file named with it.
"""

from __future__ import annotations

from typing import Any, Final

from pystack.config import Config
from pystack.ip.route_metrics import RouteMetrics

FIRST_CEP: Final = 5  # what a counter of CE packets begins with (RFC 9768 §3.2.1)
NO_REPORT: Final = -1  # AccEcn.reflect: no field of a SYN,ACK waits to be told


class MtuSearch:
    """The search for the path's MTU by probes that are data (RFC 4821, RFC 8899). MTUs are octets
    of IP packets. `recovery.mtu_probing` writes it."""

    low: int  # search_low: packets of this size pass; segments are made for it
    high: int  # search_high: larger ones don't, or the peer or the device takes none
    since_us: int  # when the present search began
    probe_size: int  # the packet that is out as a probe, 0 for none
    probe_start: int  # its numbers
    probe_end: int
    repair_end: int  # SND.NXT when a probe was found lost: below it nothing else was

    __slots__ = tuple(__annotations__)

    def __init__(self, low: int, high: int, now_us: int) -> None:
        self.low = low
        self.high = high
        self.since_us = now_us
        self.probe_size = self.probe_start = self.probe_end = self.repair_end = 0


class UserSettings:
    """What the user asked for, as far as no segment needs it. `user.user_settings` writes it,
    `user.user_calls` writes `read_shut`."""

    oob_inline: bool  # SO_OOBINLINE
    keepalive: bool  # SO_KEEPALIVE
    keepalive_time_us: int  # TCP_KEEPIDLE
    keepalive_intvl_us: int  # TCP_KEEPINTVL
    keepalive_probes: int  # TCP_KEEPCNT
    syn_retries: int  # TCP_SYNCNT
    linger2_us: int  # TCP_LINGER2; negative: no FIN_WAIT_2 at all
    max_seg: int  # TCP_MAXSEG in octets, 0 for none
    recverr: bool  # IP_RECVERR: soft errors are queued
    rcvbuf_locked: bool  # SO_RCVBUF was set: no autotuning
    read_shut: bool  # shutdown(SHUT_RD)
    route: RouteMetrics | None  # what the route to the peer asks for

    __slots__ = tuple(__annotations__)

    def __init__(self, config: Config) -> None:
        self.oob_inline = False
        self.keepalive = False
        self.keepalive_time_us = config.tcp_keepalive_time * 1_000_000
        self.keepalive_intvl_us = config.tcp_keepalive_intvl * 1_000_000
        self.keepalive_probes = config.tcp_keepalive_probes
        self.syn_retries = config.tcp_syn_retries
        self.linger2_us = config.tcp_fin_timeout * 1_000_000
        self.max_seg = 0
        self.recverr = False
        self.rcvbuf_locked = False
        self.read_shut = False
        self.route = None


# Tcb.held: what bounds the sender (Linux: tcp_chrono)
NOT_HELD: Final = 0
HELD_BY_WINDOW: Final = 1  # the peer's
HELD_BY_BUFFER: Final = 2  # all is sent, and the user had no room to write more


class Statistics:
    """Counts and times since the connection began that not every segment moves."""

    ooo_segs: int  # segments that came ahead of a hole. input.receive
    bytes_retrans: int  # payload that was retransmitted. output.sent
    total_retrans: int  # segments that were, SYNs included. output.sent
    undos: int  # reductions of the window that were taken back. recovery.undo
    bytes_spurious: int  # reported as having come twice. recovery.undo
    dsack_dups: int  # D-SACKs that came. recovery.undo

    busy_us: int  # something was in flight; without the present time of it. output.sent
    rwnd_limited_us: int  # of that the peer's window was the bound. recovery.cwnd_validation
    sndbuf_limited_us: int  # the send buffer was. recovery.cwnd_validation
    timeouts: int  # RTOs, of SYNs too. recovery.recovery
    timeout_recoveries: int  # times in which no ACK of new data came between them. the same
    timeout_us: int  # all of these times together. the same
    rehashes: int  # other flow labels that were taken. output.emit

    __slots__ = tuple(__annotations__)

    def __init__(self) -> None:
        self.busy_us = self.rwnd_limited_us = self.sndbuf_limited_us = 0
        self.timeouts = self.timeout_recoveries = self.timeout_us = self.rehashes = 0
        self.ooo_segs = 0
        self.bytes_retrans = self.total_retrans = 0
        self.undos = self.bytes_spurious = self.dsack_dups = 0


class Undo:
    """The last cut of the congestion window, for when there was no loss at all, and F-RTO.
    `recovery.undo` writes it."""

    seq: int  # SND.UNA at the cut, -1 when nothing can be undone
    cwnd: int  # bytes, before the cut
    ssthresh: int  # bytes, before the cut
    retransmitted: int  # bytes since, less what came twice; -1: nothing was yet
    ts: int  # our timestamp of the first retransmission since, -1 before it
    rto_us: int  # before it was backed off
    frto: bool  # whether the timeout was spurious is being found out (RFC 5682)
    new_data_first: bool  # until the next ACK new data goes before retransmissions

    __slots__ = tuple(__annotations__)

    def __init__(self) -> None:
        self.seq = -1
        self.cwnd = self.ssthresh = 0
        self.retransmitted = -1
        self.ts = -1
        self.rto_us = 0
        self.frto = self.new_data_first = False


class Prr:
    """One proportional rate reduction (RFC 9937), from the cut to the end of recovery; in bytes.
    `recovery.prr` writes it."""

    delivered: int  # prr_delivered
    out: int  # prr_out
    allow: int  # may leave now
    flight: int  # RecoverFS

    __slots__ = tuple(__annotations__)

    def __init__(self, flight: int) -> None:
        self.delivered = self.out = self.allow = 0
        self.flight = flight


class TailProbe:
    """A tail loss probe that is out (RFC 8985 §7). `recovery.tlp` writes it."""

    end_seq: int  # TLP.end_seq
    is_retransmission: bool  # TLP.is_retrans

    __slots__ = tuple(__annotations__)

    def __init__(self, end_seq: int, is_retransmission: bool) -> None:
        self.end_seq = end_seq
        self.is_retransmission = is_retransmission


class ReceiveSpace:
    """How much the user reads per round trip, by which the receive buffer grows (Linux:
    rcvq_space). `header.window` writes it."""

    at_us: int  # when the present measurement began
    seq: int  # the number that was next to read then
    most: int  # bytes read in one round trip, so far

    __slots__ = tuple(__annotations__)

    def __init__(self, at_us: int, seq: int) -> None:
        self.at_us = at_us
        self.seq = seq
        self.most = 0


class Ecn:
    """Explicit congestion notification that was asked for or agreed on. `ecn.ecn` writes it."""

    mode: int  # how marks are fed back: CLASSIC or ACCURATE; in SYN_SENT what was asked for
    ect_ok: bool  # our data may be marked ECT
    echo: bool  # our ACKs have ECE (RFC 3168)
    cwr_due: bool  # the next new data has CWR
    cwr_seq: int  # SND.NXT when a `scalable` algorithm last had it so
    ect_seen: bool  # data that was ECT has come
    delivered_ce: int  # segments of ours that arrived with a mark, since the connection began

    __slots__ = tuple(__annotations__)

    def __init__(self, mode: int, ect_ok: bool) -> None:
        self.mode = mode
        self.ect_ok = ect_ok
        self.echo = self.cwr_due = self.ect_seen = False
        self.delivered_ce = self.cwr_seq = 0


class AccEcn:
    """What a connection with accurate feedback keeps (RFC 9768). `rcv_…` is what we have seen and
    tell, `snd_…` what the peer has told; `cep` counts packets, `ceb`, `e0b` and `e1b` octets of
    payload. `ecn.accecn` writes it."""

    rcv_cep: int
    rcv_ceb: int
    rcv_e0b: int
    rcv_e1b: int
    rcv_field: int  # ECN field of the last payload that was ECT
    unsent: int  # marks since our last segment
    reflect: int  # the ECN field of the SYN,ACK, for the pure ACK that answers it; else NO_REPORT
    snd_cep: int
    snd_ceb: int
    snd_e0b: int
    snd_e1b: int
    ce_bytes: int  # told by the present ACK
    guessed: int  # octets of all such, by the packets alone, since the last option
    marked: int  # packets, told by the present ACK
    decoded: bool  # whether the present ACK was looked at
    ewma: int  # packets per ACK on average, a fraction
    first: bool  # no segment after the peer's SYN has come
    passive: bool  # the peer's first pure ACK tells how our SYN,ACK arrived
    syn_field: int  # the ECN field that our SYN or SYN,ACK had
    their_syn: int  # that of the peer's SYN, when both opened at the same time
    seen: bool  # the peer's option has come
    sends: bool  # we put ours on our segments
    distrust: bool  # the peer's option was tampered with
    demand: int  # ACKs that must still have the option, with tcp_ecn_option 1
    news: bool  # a counter has moved since the option left last
    said: bool  # our last segment had it
    said_us: int  # when it left last
    duplicate_seq: int  # where the last payload that came once more began
    full: bytes  # the option as it stands, while no counter moves

    __slots__ = tuple(__annotations__)

    def __init__(self, passive: bool, syn_field: int) -> None:
        self.rcv_cep = self.snd_cep = FIRST_CEP
        self.rcv_ceb = self.snd_ceb = 0
        self.rcv_e0b = self.rcv_e1b = self.snd_e0b = self.snd_e1b = 1
        self.rcv_field = self.unsent = 0
        self.reflect = NO_REPORT
        self.ce_bytes = self.guessed = self.marked = 0
        self.decoded = False
        self.ewma = 0
        self.first = True
        self.passive = passive
        self.syn_field = syn_field
        self.their_syn = 0
        self.seen = self.sends = self.distrust = self.news = self.said = False
        self.demand = self.said_us = 0
        self.duplicate_seq = -1
        self.full = b""


class FastOpen:
    """TCP Fast Open, tried by this connection (RFC 7413 §4.2.1). `fastopen.active` writes it."""

    option: bytes  # the whole option of the first SYN, b"" for none
    experimental: bool  # the option is of kind 254
    length: int  # octets of data on the first SYN
    deferred: bool  # the SYN waits for the first data (TCP_FASTOPEN_CONNECT)
    after_pause: bool  # what has been paused for silence is tried again
    failed: int  # why there was no data on the SYN, or it did not count: tcpi_fastopen_client_fail
    data_acked: bool  # data on the SYN was taken by the peer

    __slots__ = tuple(__annotations__)

    def __init__(self) -> None:
        self.option = b""
        self.experimental = self.deferred = self.after_pause = False
        self.length = self.failed = 0
        self.data_acked = False


class FastAccept:
    """A connection that began with a SYN whose cookie was good (RFC 7413 §4.2.2): it carries data
    while it is in SYN_RECEIVED. `fastopen.passive` writes it."""

    listener: Any  # the stack's, which bounds how many there are
    wscale: int  # of the SYN,ACK, -1 for none
    cookie: bytes  # the option of the first SYN,ACK: a cookie by a newer key, or b""
    with_data: bool  # the SYN had some
    answered_us: int  # when a SYN that came again was answered

    __slots__ = tuple(__annotations__)

    def __init__(self, listener: Any, wscale: int, cookie: bytes, with_data: bool) -> None:
        self.listener = listener
        self.wscale = wscale
        self.cookie = cookie
        self.with_data = with_data
        self.answered_us = 0
