"""The transmission control block: every variable of a connection, and nothing else.

Data with slots; the verbs are functions in the other files of this room. Names are RFC 9293's
in lower case. Sequence numbers (`_seq`, `snd_…`, `rcv_…`) are unwrapped ints, windows and
counts are bytes unless the name says `_segs`, times are µs, and a deadline (`_at_us`) of 0 is
off. After set-up each variable is written by the one file named beside its group; `pending`
and `events` are bit sets that any file may add to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pystack.cc.base import CongestionControl
from pystack.config import Config
from pystack.ip.reports import Report
from pystack.printed import printed
from pystack.tcp.scoreboard.scoreboard import Scoreboard
from pystack.tcp.state import states
from pystack.tcp.state.recvbuf import RecvBuffer
from pystack.tcp.state.sendbuf import SendBuffer
from pystack.tcp.state.stack_shared import Shared
from pystack.wire.address import ends, is_v4
from pystack.wire.consts import DEFAULT_MSS_IPV4, DEFAULT_MSS_IPV6

if TYPE_CHECKING:
    from pystack.tcp.ecn.accecn import AccEcn
    from pystack.tcp.policies.experimental_option import ExperimentalOption
    from pystack.tcp.policies.initial_window import InitialWindow
    from pystack.tcp.policies.loss_detection import LossDetection
    from pystack.tcp.policies.nagle import NaglePolicy
    from pystack.tcp.timing.delayed_ack import AckPolicy
    from pystack.tcp.timing.pacing import Pacing
    from pystack.tcp.timing.rtt import RttEstimator

# bits of Tcb.pending: what the one exit (`output`) is to do
ACK_NOW: Final = 1  # acknowledge, on a data segment if one goes, else bare
CHALLENGE_ACK: Final = 2  # an ACK whose rate is limited (RFC 5961 §7)
SEND_SYN: Final = 4  # (re)send the SYN, or the SYN,ACK of a simultaneous open
SEND_RST: Final = 8  # RST,ACK at snd_nxt, then gone
WINDOW_PROBE: Final = 16
KEEPALIVE_PROBE: Final = 32
WINDOW_UPDATE: Final = 64  # the application has read: offer more if it is worth a segment
ARM: Final = 128  # a socket call changed something that only a clock can put into effect
ACK_SOON: Final = 512  # acknowledge after the batch: what follows in it may be covered too
PROBE_TAIL: Final = 1024  # a tail loss probe (RFC 8985 §7)
RETRANSMIT_NOW: Final = 256  # the first lost run goes whatever the window says (fast retransmit)

UNLIMITED: Final = 0xFFFF_FFFF_FFFF_FFFF  # SO_MAX_PACING_RATE's default

ANY_ACK: Final = ACK_NOW | ACK_SOON | CHALLENGE_ACK


class Tcb:
    """One connection. Created by the stack; handed to every verb of this room."""

    __slots__ = (
        # who: set by the stack
        "key", "v4", "shared", "config", "owner", "watch", "passive", "ident", "dirty",
        "wake_at_us",
        # parts that can be replaced: set by the stack (`stack.variants`)
        "ack_policy", "rtt_estimator", "nagle_policy", "initial_window", "loss", "pacing",
        "option",
        # emit: ident. states: state, error. calls: failure. Bit sets: pending, events
        "state", "error", "failure", "pending", "events",
        # calls: what the user asked for
        "fin_wanted", "orphan", "read_shut", "nodelay", "cork", "oob_inline", "push_seq",
        "snd_up", "user_timeout_us", "keepalive", "keepalive_time_us", "keepalive_intvl_us",
        "keepalive_probes", "syn_retries", "linger2_us", "tos", "ttl", "df", "max_seg",
        "window_clamp", "notsent_lowat", "max_pacing_rate", "want_write", "recverr",
        "sndbuf_locked", "rcvbuf_locked",
        # options: what the two SYNs agreed on
        "snd_mss", "adv_mss", "eff_mss", "path_mtu", "mtu_locked", "snd_wscale", "rcv_wscale",
        "ts_ok", "sack_ok", "ts_offset",
        # the send side. ack: snd_una snd_wnd snd_wl1 snd_wl2 max_snd_wnd bytes_acked last_ack_us
        "iss", "snd_una", "snd_wnd", "snd_wl1", "snd_wl2", "max_snd_wnd", "bytes_acked",
        "last_ack_us",
        # output: snd_nxt and what has left
        "snd_nxt", "snd_sml", "last_sent_us", "opened_us",
        "segs_out", "data_segs_out", "bytes_sent",
        "bytes_retrans", "total_retrans", "last_challenge_us", "sndbuf",
        # validation
        "cwnd_limited", "cwnd_most", "cwnd_seq",
        # the receive side. timestamps: ts_recent ts_recent_us. segment_arrives: the next three
        "irs", "ts_recent", "ts_recent_us", "segs_in", "last_seg_us", "rcv_tos",
        # receive: rcv_nxt and text
        "rcv_nxt", "fin_received", "fin_at_seq", "dsack", "data_segs_in", "bytes_received",
        "ooo_segs", "last_data_us", "recvbuf",
        # window: what was promised
        "rcv_wnd", "rcv_adv", "rcv_ssthresh", "last_ack_sent", "space_seq", "space_at_us",
        "space_bytes",
        # ecn
        "ecn", "ect_ok", "ecn_echo", "cwr_due", "ecn_seen", "ecn_hold", "ce_bytes",
        "delivered_ce",
        # accecn: its record, when feedback is accurate
        "accecn",
        # delayed_ack
        "rcv_mss", "ato_us", "quick_acks", "pingpong", "ack_scheduled",
        # urgent
        "rcv_up", "urgent_byte",
        # rtt
        "srtt_us", "rttvar_us", "rto_us", "min_rtt_us", "min_rtt_at_us",
        "next_min_rtt_us", "next_min_rtt_at_us", "backoff", "rtt_samples",
        # recovery
        "dup_acks", "dup_bytes", "limited_from", "recover", "recovery", "by_sack", "reduced_us",
        "retransmits", "retrans_since_us", "delivery_rate", "delivery_app_limited",
        # prr, spurious, tlp, pacing
        "prr_on", "prr_delivered", "prr_out", "prr_allow", "prr_flight",
        "undo_seq", "undo_cwnd", "undo_ssthresh", "undo_bytes", "undo_ts", "undo_rto_us",
        "dsack_dups", "frto", "frto_hold", "undos", "bytes_spurious",
        "tlp_end", "tlp_repeat", "tlp_rtt_samples",
        "pacing_rate", "release_us",
        "scoreboard", "cc",
        # reports: soft errors
        "soft_error", "reports",
        # recording
        "recorder",
        # expiry: probes unanswered, of zero windows and keep-alives
        "probes_out", "probe_backoff",
        # timers: every deadline
        "rto_at_us", "persist_at_us", "delack_at_us", "keepalive_at_us", "fin_wait_2_at_us",
        "rack_at_us", "tlp_at_us", "pace_at_us",
    )  # fmt: skip

    def __init__(self, key: bytes, shared: Shared, cc: CongestionControl) -> None:
        """`key`: local address, remote address, ports (36 bytes, `wire.segment.flow_key`)."""
        v4 = is_v4(key)
        config = shared.config
        self.key = key
        self.v4 = v4
        self.shared = shared
        self.config: Config = config
        self.owner: Any = None  # told of events by the stack; this room never looks at it
        self.watch: Callable[[Tcb, int, int], None] | None = None  # told of each state change
        self.passive = False  # RFC 9293 MUST-11: how SYN_RECEIVED was entered
        self.ident = 0  # IPv4 ID of the next packet, or the IPv6 flow label
        self.dirty = False  # waits for transmit()
        self.wake_at_us = 0  # the deadline that lies in the stack's heap
        self.ack_policy: AckPolicy
        self.rtt_estimator: RttEstimator
        self.nagle_policy: NaglePolicy
        self.initial_window: InitialWindow
        self.loss: LossDetection
        self.pacing: Pacing
        self.option: ExperimentalOption | None
        self.state = states.CLOSED
        self.error = 0
        self.failure = ""  # which replaceable part has ended the connection, and how
        self.pending = 0
        self.events = 0

        self.fin_wanted = False
        self.orphan = False  # the user has closed: nobody will read
        self.read_shut = False
        self.nodelay = False
        self.cork = False
        self.oob_inline = False
        self.push_seq = 0  # end of what was written without MSG_MORE
        self.snd_up = 0
        self.user_timeout_us = 0
        self.keepalive = False
        self.keepalive_time_us = config.tcp_keepalive_time * 1_000_000
        self.keepalive_intvl_us = config.tcp_keepalive_intvl * 1_000_000
        self.keepalive_probes = config.tcp_keepalive_probes
        self.syn_retries = config.tcp_syn_retries
        self.linger2_us = config.tcp_fin_timeout * 1_000_000  # -1: no FIN_WAIT_2 at all
        self.tos = 0
        self.ttl = config.ip_default_ttl
        self.df = 0 if config.ip_no_pmtu_disc else 1
        self.max_seg = 0  # TCP_MAXSEG, 0 for none
        self.window_clamp = 0  # TCP_WINDOW_CLAMP, 0 for none
        self.notsent_lowat = config.tcp_notsent_lowat
        self.max_pacing_rate = UNLIMITED  # bytes/s, SO_MAX_PACING_RATE
        self.want_write = False  # a send was short: tell of room
        self.recverr = False
        self.sndbuf_locked = False  # SO_SNDBUF was set: no autotuning
        self.rcvbuf_locked = False

        self.snd_mss = DEFAULT_MSS_IPV4 if v4 else DEFAULT_MSS_IPV6  # what the peer takes
        self.adv_mss = self.snd_mss  # what we announced
        self.eff_mss = self.snd_mss  # payload of a full segment
        self.path_mtu = 0
        self.mtu_locked = False
        self.snd_wscale = 0
        self.rcv_wscale = 0
        self.ts_ok = False
        self.sack_ok = False
        self.ts_offset = 0

        self.last_ack_us = 0
        self.max_snd_wnd = 0
        self.bytes_acked = 0
        self.last_sent_us = 0
        self.opened_us = 0  # when the first SYN left
        self.segs_out = 0
        self.data_segs_out = 0
        self.bytes_sent = 0
        self.bytes_retrans = 0
        self.total_retrans = 0
        self.cwnd_limited = False
        self.cwnd_most = 0  # outstanding, before SND.UNA comes to `cwnd_seq`
        self.cwnd_seq = 0
        self.last_challenge_us = 0
        self.sndbuf = SendBuffer(config.tcp_wmem[1], shared.memory)

        self.ts_recent = 0
        self.ts_recent_us = 0
        self.segs_in = 0
        self.last_seg_us = 0
        self.rcv_tos = 0
        self.fin_received = False
        self.fin_at_seq = 0  # the number of a FIN that came ahead of a hole
        self.dsack: tuple[int, int] | None = None
        self.data_segs_in = 0
        self.bytes_received = 0
        self.ooo_segs = 0
        self.last_data_us = 0
        self.recvbuf = RecvBuffer(
            config.tcp_rmem[1], config.tcp_max_ooo_holes, shared.memory
        )
        self.rcv_wnd = 0
        self.rcv_ssthresh = 0
        self.space_at_us = 0
        self.space_bytes = 0
        self.ecn = 0  # how marks are fed back, ecn.OFF …
        self.ect_ok = False  # our data may be marked ECT
        self.ecn_echo = False  # ACKs have ECE
        self.cwr_due = False  # the next new text has CWR
        self.ecn_seen = False  # text that was ECT has come
        self.ecn_hold = False  # nothing leaves before the retransmission timer expires
        self.ce_bytes = 0  # octets that the present ACK tells to have been marked
        self.accecn: AccEcn | None = None
        self.delivered_ce = 0  # segments, since the connection began
        self.rcv_mss = 536
        self.ato_us = 0
        self.quick_acks = 0
        self.pingpong = False
        self.ack_scheduled = False
        self.urgent_byte = -1  # the out-of-band octet, -1 none, -2 not yet here

        self.srtt_us = 0
        self.rttvar_us = 0
        self.rto_us = config.tcp_rto_initial_ms * 1000
        self.min_rtt_us = 0
        self.min_rtt_at_us = 0
        self.next_min_rtt_us = 0  # the least of the younger samples, for when that one is too old
        self.next_min_rtt_at_us = 0
        self.backoff = 0
        self.rtt_samples = 0
        self.dup_acks = 0
        self.dup_bytes = 0
        self.limited_from = 0  # SND.NXT at the first duplicate ACK
        self.recovery = 0  # OPEN, FAST, LOSS or CWR of cc.base
        self.by_sack = False  # losses are found by SACK blocks
        self.reduced_us = 0  # when the window was last cut
        self.prr_on = False
        self.prr_delivered = 0
        self.prr_out = 0
        self.prr_allow = 0  # bytes that may leave now
        self.prr_flight = 0  # RecoverFS
        self.undo_seq = -1  # SND.UNA at the last cut that may still be undone, -1 for none
        self.undo_cwnd = 0
        self.undo_ssthresh = 0
        self.undo_bytes = -1  # repeated since and not reported as duplicates; -1: nothing yet
        self.undo_rto_us = 0
        self.dsack_dups = 0
        self.undo_ts = -1  # our timestamp of the first repeat
        self.frto = False
        self.frto_hold = False  # new data goes before repeats
        self.undos = 0  # reductions taken back
        self.bytes_spurious = 0  # reported as having come twice
        self.tlp_end = 0  # TLP.end_seq, 0 while no probe is out
        self.tlp_repeat = False
        self.tlp_rtt_samples = -1  # as many had been had at the last probe
        self.pacing_rate = 0  # bytes/s
        self.release_us = 0
        self.retransmits = 0
        self.retrans_since_us = 0
        self.delivery_rate = 0  # bytes/s, the last one that tells of the network
        self.delivery_app_limited = False
        self.soft_error = 0
        self.reports: deque[Report] | None = None
        self.recorder: Any = None  # a recording.Observer
        self.scoreboard = Scoreboard()
        self.cc = cc
        self.probes_out = 0
        self.probe_backoff = 0

        self.rto_at_us = 0
        self.persist_at_us = 0
        self.delack_at_us = 0
        self.keepalive_at_us = 0
        self.fin_wait_2_at_us = 0
        self.rack_at_us = 0
        self.tlp_at_us = 0
        self.pace_at_us = 0

        self.set_send_sequence(0)
        self.set_receive_sequence(0)

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        return (
            f"{states.NAMES[self.state]} {ends(self.key, '<-' if self.passive else '->')}"
            f" flight {self.flight}, unsent {self.unsent}, unread {self.recvbuf.held},"
            f" cwnd {self.cc.cwnd}, srtt_us {self.srtt_us}, rto_us {self.rto_us}"
        )

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
        self.recover = iss
        self.sndbuf.rebase(iss + 1)

    def set_receive_sequence(self, irs: int) -> None:
        """Set-up: the peer's initial sequence number, its SYN being taken."""
        self.irs = irs
        self.rcv_nxt = irs + 1
        self.rcv_adv = irs + 1
        self.last_ack_sent = irs + 1
        self.rcv_up = irs
        self.space_seq = irs + 1
        self.recvbuf.read_seq = irs + 1

    @property
    def flight(self) -> int:
        """Numbers sent and not acknowledged."""
        return self.snd_nxt - self.snd_una

    @property
    def unsent(self) -> int:
        """Octets of text that have not been sent yet."""
        return max(self.sndbuf.end_seq - max(self.snd_nxt, self.iss + 1), 0)

    @property
    def pipe(self) -> int:
        """Numbers believed to be in the network: neither delivered nor lost (RFC 6675 §4, RFC 9937
        §6.2); without SACK duplicate ACKs tell what was delivered."""
        board = self.scoreboard
        return (
            self.snd_nxt - self.snd_una - board.lost_bytes - board.sacked_bytes - self.dup_bytes
            + board.doubled_bytes
        )  # fmt: skip
