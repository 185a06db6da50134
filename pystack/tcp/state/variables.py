"""The variables of a connection that its segments touch, but for the parts that can be replaced.

Each is declared once: what it is, in which unit, from which source, and (at the head of its group)
by which file it is written after set-up. Names are RFC 9293's in lower case. Sequence numbers
(`_seq`, `snd_…`, `rcv_…`) are unwrapped ints, windows and counts are bytes unless the name says
`_segs`, times are µs, and a deadline (`_at_us`) of 0 is off. What is touched rarely is kept in
`records`.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from pystack.cc.base import CongestionControl
from pystack.config import Config
from pystack.ip.reports import Report
from pystack.tcp.scoreboard.scoreboard import Scoreboard
from pystack.tcp.state import states
from pystack.tcp.state.records import (
    AccEcn,
    Ecn,
    FastAccept,
    FastOpen,
    MtuSearch,
    Prr,
    ReceiveSpace,
    Statistics,
    TailProbe,
    Undo,
    UserSettings,
)
from pystack.tcp.state.recvbuf import RecvBuffer
from pystack.tcp.state.sendbuf import SendBuffer
from pystack.tcp.state.stack_shared import Shared
from pystack.wire.address import is_v4
from pystack.wire.consts import DEFAULT_MSS_IPV4, DEFAULT_MSS_IPV6

UNLIMITED: Final = 0xFFFF_FFFF_FFFF_FFFF  # SO_MAX_PACING_RATE's default, bytes/s


class TcbVariables:
    """All of a connection that a replaceable part may read. Made as a `Tcb`."""

    # -- who it is: the stack writes these
    key: bytes  # local address, remote address, ports (36 bytes, `wire.flow_key`)
    v4: bool  # IPv4
    shared: Shared  # of all connections of the stack
    config: Config
    owner: Any  # told of events by the stack; TCP never looks at it
    dirty: bool  # waits for transmit()
    wake_at_us: int  # the deadline that lies in the stack's heap

    # -- marks: bit sets that any file adds to
    pending: int  # what `output` is to do: ACK_NOW … of `tcb`
    events: int  # what the owner is to be told: EVENT_… of `pystack.events`

    # -- transitions
    state: int  # CLOSED … of `states`
    error: int  # the errno that calls get, 0 for none

    # -- user.user_calls
    failure: str  # which replaceable part has ended the connection, and how; "" for none
    passive: bool  # how SYN_RECEIVED was entered (RFC 9293 MUST-11)
    fin_wanted: bool  # CLOSE or shutdown: a FIN follows what is queued
    orphan: bool  # the user has closed and will read no more
    push_seq: int  # end of what was written without MSG_MORE
    more_segs_in: int  # `segs_in` when that was: it waits no longer than for the next segment
    snd_up: int  # SND.UP: behind the last urgent octet (RFC 9293 §3.8.5)
    want_write: bool  # a send was short: tell when there is room

    # -- user.user_settings
    user: UserSettings
    cc: CongestionControl  # the congestion control
    nodelay: bool  # TCP_NODELAY
    flush_seq: int  # what was written before it was set: leaves whatever holds it back
    cork: bool  # TCP_CORK
    notsent_lowat: int  # TCP_NOTSENT_LOWAT
    user_timeout_us: int  # TCP_USER_TIMEOUT, 0 for tcp_retries2
    max_pacing_rate: int  # SO_MAX_PACING_RATE, bytes/s
    rto_min_us: int  # the floor of the RTO's variance: a route's, or tcp_rto_min_us
    window_clamp: int  # TCP_WINDOW_CLAMP, 0 for none
    sndbuf_locked: bool  # SO_SNDBUF was set: no autotuning
    tos: int  # IP_TOS, IPV6_TCLASS
    ttl: int  # IP_TTL, IPV6_UNICAST_HOPS
    df: int  # 1: IPv4's don't-fragment bit is set

    # -- header.options: what the two SYNs agreed on (RFC 9293 §3.2, RFC 7323, RFC 2018)
    snd_mss: int  # SendMSS: what the peer takes
    adv_mss: int  # what we announced
    eff_mss: int  # Eff.snd.MSS: payload of a full segment (RFC 9293 §3.7.1)
    path_mtu: int  # 0 while none is known
    mtu_locked: bool  # the path is narrower still: routers may fragment
    snd_wscale: int  # Snd.Wind.Shift
    rcv_wscale: int  # Rcv.Wind.Shift
    ts_ok: bool  # Snd.TS.OK
    sack_ok: bool
    ts_offset: int  # of our timestamp clock

    # -- the send side (RFC 9293 §3.3.1). output.sent: what has left
    sndbuf: SendBuffer
    iss: int  # ISS; set-up alone
    snd_nxt: int  # SND.NXT
    snd_sml: int  # end of the last partial segment (Minshall)
    last_sent_us: int
    opened_us: int  # when the first SYN left
    segs_out: int
    data_segs_out: int
    bytes_sent: int
    busy_since_us: int  # since when, without a break, something waits for its ACK
    # input.ack: what is acknowledged
    all_acked_us: int  # when nothing was in flight any more
    room_us: int  # when there was room for a write that had been short
    snd_una: int  # SND.UNA
    snd_wnd: int  # SND.WND
    snd_wl1: int  # SND.WL1
    snd_wl2: int  # SND.WL2
    max_snd_wnd: int  # Max(SND.WND)
    bytes_acked: int
    last_ack_us: int  # when the peer last showed that it knows where we are
    # output.emit
    ident: int  # IPv4 ID of the next packet, or the IPv6 flow label
    # output.acks_and_probes
    last_challenge_us: int  # when a challenge ACK left last (RFC 5961 §7)
    # recovery.cwnd_validation
    cwnd_limited: bool  # the window bounded the last flight
    cwnd_most: int  # outstanding, before SND.UNA comes to `cwnd_seq`
    cwnd_seq: int
    held: int  # what bounds the sender: NOT_HELD … of `records`
    held_since_us: int
    cwnd_restarted_us: int  # when the window was last reduced for an idle time

    # -- the receive side. input.segment_arrives
    segs_in: int
    last_seg_us: int
    rcv_tos: int  # TOS of the last segment
    # header.timestamps
    ts_recent: int  # TS.Recent (RFC 7323 §4.3)
    ts_recent_us: int  # when it was taken
    # input.receive
    recvbuf: RecvBuffer
    irs: int  # IRS; set-up alone
    rcv_nxt: int  # RCV.NXT
    fin_received: bool
    fin_at_seq: int  # the number of a FIN that came ahead of a hole, else 0
    data_segs_in: int
    bytes_received: int
    last_data_us: int
    # input.urgent
    rcv_up: int  # RCV.UP, here the number of the urgent octet
    urgent_byte: int  # the out-of-band octet, or NONE, NOT_YET, WAS_READ of `urgent`
    # header.sack_blocks
    dsack: tuple[int, int] | None  # came again: to be reported once (RFC 2883)
    # header.window: what was promised
    rcv_wnd: int  # RCV.WND
    rcv_adv: int  # RCV.NXT + RCV.WND, the edge that never moves left
    rcv_ssthresh: int  # the most that is offered for now (Linux)
    last_ack_sent: int  # Last.ACK.sent
    rcv_space: ReceiveSpace | None  # None before the user has read

    # -- ecn.ecn, and accecn for its own record
    ecn: Ecn | None  # None: no ECN
    accecn: AccEcn | None  # None: no accurate feedback
    ce_bytes: int  # payload that the present ACK tells to have been marked

    # -- TCP Fast Open. fastopen.active, fastopen.passive
    fast_open: FastOpen | None  # None: not asked for, or we did not connect
    fast_accept: FastAccept | None  # None unless the peer's SYN began it at once

    # -- timing.delayed_ack
    rcv_mss: int  # the peer's segment size, as seen
    ato_us: int  # how long an ACK is delayed
    quick_acks: int  # ACKs that are still to leave at once
    pingpong: bool  # the user answers what comes: ACKs go with the answers
    ack_scheduled: bool

    # -- policies.rtt_estimators
    srtt_us: int  # SRTT (RFC 6298), 0 before the first sample
    rttvar_us: int  # RTTVAR
    rto_us: int  # RTO
    # timing.rtt
    rtt_samples: int
    backoff: int  # how often the RTO was doubled
    min_rtt_us: int  # the least of the last tcp_min_rtt_wlen s
    min_rtt_at_us: int
    next_min_rtt_us: int  # the least of the younger samples, for when that one is too old
    next_min_rtt_at_us: int

    # -- loss recovery. recovery.recovery
    scoreboard: Scoreboard
    recovery: int  # OPEN, FAST, LOSS or CWR of `cc.base`
    recover: int  # RecoveryPoint: SND.NXT when recovery began
    by_sack: bool  # losses are found by SACK blocks
    reduced_us: int  # when the window was last cut
    retransmits: int  # timeouts since the last ACK of new data
    retrans_since_us: int  # when the first of them was
    # recovery.cc_facts
    delivery_rate: int  # bytes/s, the last sample that tells of the network
    delivery_app_limited: bool  # the application bounded that one
    # recovery.newreno_recovery
    dup_acks: int  # duplicate ACKs in a row
    dup_bytes: int  # bytes that left the network, as they tell
    limited_from: int  # SND.NXT at the first of them
    # recovery.prr, recovery.undo, recovery.tlp
    prr: Prr | None  # None: cwnd alone counts
    undo: Undo
    tail_probe: TailProbe | None  # None: none is out
    tlp_rtt_samples: int  # `rtt_samples` at the last tail loss probe, -1 before it
    # recovery.mtu_probing
    mtu_search: MtuSearch | None  # None: no search for the path's MTU
    # timing.pacing
    pacing_rate: int  # bytes/s
    release_us: int  # when the next run may leave

    # -- what is told. soft_errors
    soft_error: int  # errno, 0 for none
    reports: deque[Report] | None  # for the error queue
    stats: Statistics

    # -- timeouts.probes
    probes_out: int  # probes without an answer, of zero windows and keep-alives
    probe_backoff: int
    probes_since_us: int  # when the first probe of a zero window was due, whatever was answered

    # -- timing.timers: every deadline
    rto_at_us: int
    persist_at_us: int
    delack_at_us: int
    keepalive_at_us: int
    fin_wait_2_at_us: int
    rack_at_us: int
    tlp_at_us: int
    pace_at_us: int

    __slots__ = tuple(__annotations__)

    def __init__(self, key: bytes, shared: Shared, cc: CongestionControl, ident: int) -> None:
        v4 = is_v4(key)
        config = shared.config
        self.key = key
        self.v4 = v4
        self.shared = shared
        self.config = config
        self.owner = None
        self.wake_at_us = self.pending = self.events = self.error = 0
        self.state = states.CLOSED
        self.failure = ""
        self.dirty = self.passive = self.fin_wanted = self.orphan = self.want_write = False
        self.cc = cc
        self.user = UserSettings(config)
        self.nodelay = self.cork = self.sndbuf_locked = False
        self.flush_seq = self.more_segs_in = 0
        self.notsent_lowat = config.tcp_notsent_lowat
        self.user_timeout_us = self.window_clamp = self.tos = 0
        self.max_pacing_rate, self.rto_min_us = UNLIMITED, config.tcp_rto_min_us
        self.ttl = config.ip_default_ttl
        self.df = 0 if config.ip_no_pmtu_disc else 1
        self.snd_mss = self.adv_mss = self.eff_mss = DEFAULT_MSS_IPV4 if v4 else DEFAULT_MSS_IPV6
        self.path_mtu = self.snd_wscale = self.rcv_wscale = self.ts_offset = 0
        self.mtu_locked = self.ts_ok = self.sack_ok = False
        # until the numbers of the two SYNs are known, both are 0
        self.iss = self.snd_una = self.snd_nxt = self.snd_sml = self.snd_up = self.recover = 0
        self.irs = self.rcv_up = 0
        self.push_seq = self.rcv_nxt = self.rcv_adv = self.last_ack_sent = 1
        self.sndbuf = SendBuffer(1, config.tcp_wmem[1], shared.memory)
        self.last_sent_us = self.opened_us = 0
        self.segs_out = self.data_segs_out = self.bytes_sent = 0
        self.busy_since_us = self.all_acked_us = self.room_us = self.held = self.held_since_us = 0
        self.snd_wl1 = self.snd_wl2 = self.snd_wnd = self.max_snd_wnd = 0
        self.bytes_acked = self.last_ack_us = 0
        self.ident = ident
        self.last_challenge_us = self.cwnd_most = self.cwnd_seq = self.cwnd_restarted_us = 0
        self.segs_in = self.last_seg_us = self.rcv_tos = 0
        self.ts_recent = self.ts_recent_us = 0
        self.recvbuf = RecvBuffer(1, config.tcp_rmem[1], config.tcp_max_ooo_holes, shared.memory)
        self.cwnd_limited = self.fin_received = False
        self.fin_at_seq = self.data_segs_in = self.bytes_received = self.last_data_us = 0
        self.urgent_byte = -1
        self.dsack = None
        self.rcv_wnd = self.rcv_ssthresh = 0
        self.rcv_space = None
        self.ecn = self.accecn = self.fast_open = self.fast_accept = None
        self.rcv_mss = 536
        self.ce_bytes = self.ato_us = self.quick_acks = 0
        self.pingpong = self.ack_scheduled = False
        self.srtt_us = self.rttvar_us = self.rtt_samples = self.backoff = 0
        self.rto_us = config.tcp_rto_initial_ms * 1000
        self.min_rtt_us = self.min_rtt_at_us = 0
        self.next_min_rtt_us = self.next_min_rtt_at_us = 0
        self.scoreboard = Scoreboard(shared.ack_result, shared.config.tcp_reordering)
        self.recovery = self.reduced_us = self.retransmits = self.retrans_since_us = 0
        self.by_sack = self.delivery_app_limited = False
        self.delivery_rate = self.dup_acks = self.dup_bytes = self.limited_from = 0
        self.prr = self.tail_probe = self.mtu_search = None
        self.undo = Undo()
        self.tlp_rtt_samples = -1
        self.pacing_rate = self.release_us = self.soft_error = 0
        self.reports = None
        self.stats = Statistics()
        self.probes_out = self.probe_backoff = self.probes_since_us = 0
        self.rto_at_us = self.persist_at_us = self.delack_at_us = self.keepalive_at_us = 0
        self.fin_wait_2_at_us = self.rack_at_us = self.tlp_at_us = self.pace_at_us = 0

    def set_send_sequence(self, iss: int) -> None:
        """Set-up: our initial sequence number; nothing is sent yet."""
        shift = iss + 1 - self.sndbuf.start_seq
        self.iss = iss
        self.snd_una = iss
        self.snd_nxt = iss
        self.snd_wl1 = 0
        self.snd_wl2 = iss
        self.snd_wnd = 0
        self.snd_sml = iss
        self.snd_up = self.snd_up + shift if self.snd_up else iss
        self.push_seq += shift
        self.flush_seq += shift
        self.recover = iss
        self.sndbuf.rebase(iss + 1)

    def set_receive_sequence(self, irs: int) -> None:
        """Set-up: the peer's initial sequence number, its SYN being taken."""
        self.irs = irs
        self.rcv_nxt = irs + 1
        self.rcv_adv = irs + 1
        self.last_ack_sent = irs + 1
        self.rcv_up = irs
        self.recvbuf.rebase(irs + 1)

    @property
    def flight(self) -> int:
        """Numbers sent and not acknowledged."""
        return self.snd_nxt - self.snd_una

    @property
    def unsent(self) -> int:
        """Octets of payload that have not been sent yet."""
        return max(self.sndbuf.end_seq - max(self.snd_nxt, self.iss + 1), 0)

    @property
    def pipe(self) -> int:
        """Numbers believed to be in the network: neither delivered nor lost (RFC 6675 §4, RFC 9937
        §6.2); without SACK duplicate ACKs tell what was delivered."""
        board = self.scoreboard
        return (
            self.snd_nxt - self.snd_una - board.lost_bytes - board.sacked_bytes - self.dup_bytes
            + board.duplicate_bytes
        )  # fmt: skip
