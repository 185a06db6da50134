"""What is known of a connection, by the names, units and order of Linux's `struct tcp_info`.

Left out is what the stack does not measure or does not have: `tcpi_fackets` and
`tcpi_last_ack_sent` (Linux does not know them either), `tcpi_rcv_rtt`. In `pack` those are 0.
`tcpi_rehash` counts IPv6's flow labels, as there is no other hash of a path.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from pystack.cc.base import CWR, FAST, INFINITE_SSTHRESH, LOSS
from pystack.compiling import mypyc_attr
from pystack.sockets.tcp.tcp_state import TcpSocketState
from pystack.tcp.header.options import TIMESTAMPS_SPACE
from pystack.tcp.policies.contracts import DUP_THRESH
from pystack.tcp.state.records import FIRST_CEP, HELD_BY_BUFFER, HELD_BY_WINDOW
from pystack.tcp.state.states import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    LISTEN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
)
from pystack.tcp.tcb import Tcb

# Linux's numbers of the states (`<netinet/tcp.h>`)
STATES: Final = {
    ESTABLISHED: 1, SYN_SENT: 2, SYN_RECEIVED: 3, FIN_WAIT_1: 4, FIN_WAIT_2: 5, TIME_WAIT: 6,
    CLOSED: 7, CLOSE_WAIT: 8, LAST_ACK: 9, LISTEN: 10, CLOSING: 11,
}  # fmt: skip

# tcpi_ca_state
CA_OPEN: Final = 0
CA_DISORDER: Final = 1
CA_CWR: Final = 2
CA_RECOVERY: Final = 3
CA_LOSS: Final = 4

# tcpi_options
OPT_TIMESTAMPS: Final = 1
OPT_SACK: Final = 2
OPT_WSCALE: Final = 4
OPT_ECN: Final = 8
OPT_ECN_SEEN: Final = 16
OPT_SYN_DATA: Final = 32  # data on our SYN or the peer's was taken
OPT_TFO_CHILD: Final = 128  # began with a SYN that had a good cookie

# tcpi_accecn_opt_seen; 0 is none
OPT_COUNTERS: Final = 2
OPT_DISTRUSTED: Final = 3

NO_PACING: Final = 0xFFFF_FFFF_FFFF_FFFF
_LAYOUT: Final = Struct("=8B24I4Q6I4Q2I2Q6I2HI7I2H")


@mypyc_attr(native_class=False)  # mypyc does not know slots=True
@dataclass(frozen=True, slots=True)
class TcpInfo:
    """Times in µs, but `tcpi_last_…` in ms before the host was last driven and
    `tcpi_total_rto_time` in ms. Windows and
    thresholds of congestion control, what is in flight and marks, in segments; the rest in
    bytes.

    On a listener `tcpi_unacked` is how many connections wait to be accepted, `tcpi_sacked` the
    backlog. `tcpi_bytes_acked` and `tcpi_bytes_received` count text, not SYN and FIN.
    """

    tcpi_state: int
    tcpi_ca_state: int = CA_OPEN
    tcpi_retransmits: int = 0
    tcpi_probes: int = 0
    tcpi_backoff: int = 0
    tcpi_options: int = 0
    tcpi_snd_wscale: int = 0
    tcpi_rcv_wscale: int = 0
    tcpi_rto: int = 0
    tcpi_ato: int = 0
    tcpi_snd_mss: int = 0
    tcpi_rcv_mss: int = 0
    tcpi_unacked: int = 0
    tcpi_sacked: int = 0
    tcpi_lost: int = 0
    tcpi_retrans: int = 0
    tcpi_last_data_sent: int = 0
    tcpi_last_data_recv: int = 0
    tcpi_last_ack_recv: int = 0
    tcpi_pmtu: int = 0
    tcpi_rcv_ssthresh: int = 0
    tcpi_rtt: int = 0
    tcpi_rttvar: int = 0
    tcpi_snd_ssthresh: int = 0
    tcpi_snd_cwnd: int = 0
    tcpi_advmss: int = 0
    tcpi_reordering: int = DUP_THRESH
    tcpi_rcv_space: int = 0
    tcpi_total_retrans: int = 0
    tcpi_pacing_rate: int = NO_PACING
    tcpi_bytes_acked: int = 0
    tcpi_bytes_received: int = 0
    tcpi_segs_out: int = 0
    tcpi_segs_in: int = 0
    tcpi_notsent_bytes: int = 0
    tcpi_min_rtt: int = 0
    tcpi_data_segs_in: int = 0
    tcpi_data_segs_out: int = 0
    tcpi_busy_time: int = 0
    tcpi_rwnd_limited: int = 0
    tcpi_sndbuf_limited: int = 0
    tcpi_bytes_sent: int = 0
    tcpi_bytes_retrans: int = 0
    tcpi_delivered: int = 0
    tcpi_delivered_ce: int = 0
    tcpi_delivery_rate: int = 0
    tcpi_delivery_rate_app_limited: int = 0
    tcpi_fastopen_client_fail: int = 0  # 1 no cookie, 2 data not taken, 3 the SYN was repeated
    tcpi_max_pacing_rate: int = NO_PACING
    tcpi_dsack_dups: int = 0
    tcpi_reord_seen: int = 0
    tcpi_rcv_ooopack: int = 0
    tcpi_snd_wnd: int = 0
    tcpi_rcv_wnd: int = 0
    tcpi_rehash: int = 0
    tcpi_total_rto: int = 0
    tcpi_total_rto_recoveries: int = 0
    tcpi_total_rto_time: int = 0
    tcpi_received_ce: int = 0
    tcpi_delivered_e1_bytes: int = 0
    tcpi_delivered_e0_bytes: int = 0
    tcpi_delivered_ce_bytes: int = 0
    tcpi_received_e1_bytes: int = 0
    tcpi_received_e0_bytes: int = 0
    tcpi_received_ce_bytes: int = 0
    tcpi_accecn_opt_seen: int = 0

    @classmethod
    def of(cls, sock: TcpSocketState) -> TcpInfo:
        """The present state of a socket's connection."""
        listener = sock.listener
        if listener is not None:
            return cls(
                STATES[LISTEN], tcpi_unacked=len(listener.queue), tcpi_sacked=listener.backlog
            )
        if sock.tcb is None:
            return cls(STATES[CLOSED])
        return _of_connection(sock.tcb, STATES[sock.state], sock.host.now_us)

    def pack(self) -> bytes:
        """The C structure, as of Linux 6.18, in the machine's byte order."""
        return _LAYOUT.pack(
            self.tcpi_state, self.tcpi_ca_state, self.tcpi_retransmits & 0xFF,
            self.tcpi_probes & 0xFF, self.tcpi_backoff & 0xFF, self.tcpi_options,
            self.tcpi_snd_wscale | self.tcpi_rcv_wscale << 4,
            self.tcpi_delivery_rate_app_limited | self.tcpi_fastopen_client_fail << 1,
            self.tcpi_rto, self.tcpi_ato, self.tcpi_snd_mss, self.tcpi_rcv_mss,
            self.tcpi_unacked, self.tcpi_sacked, self.tcpi_lost, self.tcpi_retrans, 0,
            self.tcpi_last_data_sent & 0xFFFF_FFFF, 0, self.tcpi_last_data_recv & 0xFFFF_FFFF,
            self.tcpi_last_ack_recv & 0xFFFF_FFFF, self.tcpi_pmtu, self.tcpi_rcv_ssthresh,
            self.tcpi_rtt, self.tcpi_rttvar, self.tcpi_snd_ssthresh, self.tcpi_snd_cwnd,
            self.tcpi_advmss,
            self.tcpi_reordering, 0, self.tcpi_rcv_space, self.tcpi_total_retrans,
            self.tcpi_pacing_rate, self.tcpi_max_pacing_rate, self.tcpi_bytes_acked,
            self.tcpi_bytes_received,
            self.tcpi_segs_out & 0xFFFF_FFFF, self.tcpi_segs_in & 0xFFFF_FFFF,
            self.tcpi_notsent_bytes, self.tcpi_min_rtt, self.tcpi_data_segs_in & 0xFFFF_FFFF,
            self.tcpi_data_segs_out & 0xFFFF_FFFF,
            self.tcpi_delivery_rate, self.tcpi_busy_time, self.tcpi_rwnd_limited,
            self.tcpi_sndbuf_limited, self.tcpi_delivered & 0xFFFF_FFFF,
            self.tcpi_delivered_ce & 0xFFFF_FFFF, self.tcpi_bytes_sent, self.tcpi_bytes_retrans,
            self.tcpi_dsack_dups & 0xFFFF_FFFF, self.tcpi_reord_seen,
            self.tcpi_rcv_ooopack & 0xFFFF_FFFF, self.tcpi_snd_wnd, self.tcpi_rcv_wnd,
            self.tcpi_rehash & 0xFFFF_FFFF,
            self.tcpi_total_rto & 0xFFFF, self.tcpi_total_rto_recoveries & 0xFFFF,
            self.tcpi_total_rto_time & 0xFFFF_FFFF, self.tcpi_received_ce & 0xFFFF_FFFF,
            self.tcpi_delivered_e1_bytes & 0xFFFF_FFFF, self.tcpi_delivered_e0_bytes & 0xFFFF_FFFF,
            self.tcpi_delivered_ce_bytes & 0xFFFF_FFFF, self.tcpi_received_e1_bytes & 0xFFFF_FFFF,
            self.tcpi_received_e0_bytes & 0xFFFF_FFFF, self.tcpi_received_ce_bytes & 0xFFFF_FFFF,
            0, self.tcpi_accecn_opt_seen,
        )  # fmt: skip


def _of_connection(tcb: Tcb, state: int, now_us: int) -> TcpInfo:
    cc = tcb.cc
    mss = tcb.eff_mss

    def segments(octets: int) -> int:
        return -(-octets // mss)

    def ms_since(at_us: int) -> int:
        return max(now_us - at_us, 0) // 1000 if at_us else 0

    board = tcb.scoreboard
    search = tcb.mtu_search  # whose probe takes one segment of the window away (Linux)
    synchronised = tcb.state >= ESTABLISHED
    return TcpInfo(
        tcpi_state=state,
        tcpi_ca_state=_ca_state(tcb),
        tcpi_retransmits=tcb.retransmits,
        tcpi_probes=tcb.probes_out,
        tcpi_backoff=tcb.backoff,
        tcpi_options=_options(tcb),
        tcpi_snd_wscale=tcb.snd_wscale,
        tcpi_rcv_wscale=tcb.rcv_wscale,
        tcpi_rto=tcb.rto_us,
        tcpi_ato=tcb.ato_us,
        tcpi_snd_mss=mss,
        tcpi_rcv_mss=tcb.rcv_mss,
        tcpi_unacked=segments(tcb.flight),
        tcpi_sacked=segments(board.sacked_bytes + tcb.dup_bytes),  # without SACK: duplicate ACKs
        # as Linux, what was repeated since counts still (and once more in tcpi_retrans)
        tcpi_lost=segments(board.lost_bytes + board.retransmitted_bytes - board.duplicate_bytes),
        tcpi_retrans=segments(board.retransmitted_bytes),
        tcpi_last_data_sent=ms_since(tcb.last_sent_us),
        tcpi_last_data_recv=ms_since(tcb.last_data_us),
        tcpi_last_ack_recv=ms_since(tcb.last_ack_us),
        tcpi_pmtu=tcb.path_mtu,
        tcpi_rcv_ssthresh=tcb.rcv_ssthresh,
        tcpi_rtt=tcb.srtt_us,
        tcpi_rttvar=tcb.rttvar_us,
        tcpi_snd_ssthresh=(
            INFINITE_SSTHRESH if cc.ssthresh >= INFINITE_SSTHRESH else cc.ssthresh // mss
        ),
        tcpi_snd_cwnd=cc.cwnd // mss - (search is not None and search.probe_size > 0),
        tcpi_advmss=tcb.adv_mss - (TIMESTAMPS_SPACE if tcb.ts_ok and synchronised else 0),
        tcpi_rcv_space=tcb.rcv_space.most if tcb.rcv_space is not None else 0,
        tcpi_pacing_rate=tcb.pacing_rate or NO_PACING,
        tcpi_max_pacing_rate=tcb.max_pacing_rate,
        tcpi_notsent_bytes=max(tcb.sndbuf.end_seq - tcb.snd_nxt, 0),
        tcpi_min_rtt=tcb.min_rtt_us,
        tcpi_delivered=segments(board.delivered),
        tcpi_delivered_ce=tcb.ecn.delivered_ce if tcb.ecn is not None else 0,
        tcpi_delivery_rate=tcb.delivery_rate,
        tcpi_delivery_rate_app_limited=int(tcb.delivery_app_limited),
        tcpi_fastopen_client_fail=tcb.fast_open.failed if tcb.fast_open is not None else 0,
        tcpi_reordering=board.reordering,
        tcpi_reord_seen=board.reord_seen,
        tcpi_snd_wnd=tcb.snd_wnd,
        tcpi_rcv_wnd=max(tcb.rcv_adv - tcb.rcv_nxt, 0),
        **_times(tcb, now_us),
        **_counts(tcb),
        **_accurate_ecn(tcb),
    )


def _options(tcb: Tcb) -> int:
    """OPT_… bits: what both sides agreed on."""
    return (
        (OPT_TIMESTAMPS if tcb.ts_ok else 0)
        | (OPT_SACK if tcb.sack_ok else 0)
        | (OPT_WSCALE if tcb.snd_wscale or tcb.rcv_wscale else 0)
        | (OPT_ECN if tcb.ecn is not None and tcb.state >= ESTABLISHED else 0)
        | (OPT_ECN_SEEN if tcb.ecn is not None and tcb.ecn.ect_seen else 0)
        | _fast_open_options(tcb)
    )


def _fast_open_options(tcb: Tcb) -> int:
    accept = tcb.fast_accept
    if accept is not None:
        return OPT_TFO_CHILD | (OPT_SYN_DATA if accept.with_data else 0)
    taken = tcb.fast_open is not None and tcb.fast_open.data_acked
    return OPT_SYN_DATA if taken else 0


def _times(tcb: Tcb, now_us: int) -> dict[str, int]:
    """What a sender has done with its time, with the present one."""
    stats = tcb.stats
    busy, rwnd, sndbuf = stats.busy_us, stats.rwnd_limited_us, stats.sndbuf_limited_us
    if tcb.busy_since_us:
        waits = tcb.snd_nxt > tcb.snd_una or tcb.unsent
        busy += max((now_us if waits else tcb.all_acked_us) - tcb.busy_since_us, 0)
    if tcb.held == HELD_BY_WINDOW:
        rwnd += now_us - tcb.held_since_us
    elif tcb.held == HELD_BY_BUFFER:
        has_room = tcb.room_us >= tcb.held_since_us
        sndbuf += (tcb.room_us if has_room else now_us) - tcb.held_since_us
    timeout_us = stats.timeout_us
    if tcb.retrans_since_us:
        timeout_us += now_us - tcb.retrans_since_us
    return {
        "tcpi_busy_time": busy,
        "tcpi_rwnd_limited": rwnd,
        "tcpi_sndbuf_limited": sndbuf,
        "tcpi_rehash": stats.rehashes,
        "tcpi_total_rto": stats.timeouts,
        "tcpi_total_rto_recoveries": stats.timeout_recoveries,
        "tcpi_total_rto_time": timeout_us // 1000,
    }


def _counts(tcb: Tcb) -> dict[str, int]:
    """What only counts up."""
    return {
        "tcpi_total_retrans": tcb.stats.total_retrans,
        "tcpi_bytes_acked": tcb.bytes_acked,
        "tcpi_bytes_received": tcb.bytes_received,
        "tcpi_segs_out": tcb.segs_out,
        "tcpi_segs_in": tcb.segs_in,
        "tcpi_data_segs_in": tcb.data_segs_in,
        "tcpi_data_segs_out": tcb.data_segs_out,
        "tcpi_bytes_sent": tcb.bytes_sent,
        "tcpi_bytes_retrans": tcb.stats.bytes_retrans,
        "tcpi_dsack_dups": tcb.stats.dsack_dups,
        "tcpi_rcv_ooopack": tcb.stats.ooo_segs,
    }


def _accurate_ecn(tcb: Tcb) -> dict[str, int]:
    """The counters of RFC 9768, without their first values."""
    acc = tcb.accecn
    if acc is None:
        return {}
    return {
        "tcpi_received_ce": acc.rcv_cep - FIRST_CEP,
        "tcpi_delivered_e1_bytes": acc.snd_e1b - 1,
        "tcpi_delivered_e0_bytes": acc.snd_e0b - 1,
        "tcpi_delivered_ce_bytes": acc.snd_ceb,
        "tcpi_received_e1_bytes": acc.rcv_e1b - 1,
        "tcpi_received_e0_bytes": acc.rcv_e0b - 1,
        "tcpi_received_ce_bytes": acc.rcv_ceb,
        "tcpi_accecn_opt_seen": OPT_DISTRUSTED if acc.distrust else OPT_COUNTERS * acc.seen,
    }


def _ca_state(tcb: Tcb) -> int:
    if tcb.recovery == LOSS:
        return CA_LOSS
    if tcb.recovery == FAST:
        return CA_RECOVERY
    if tcb.recovery == CWR:
        return CA_CWR
    return CA_DISORDER if tcb.dup_acks or tcb.scoreboard.sacked_bytes else CA_OPEN
