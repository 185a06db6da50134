"""The user's side: OPEN, SEND, CLOSE, ABORT and the settings (RFC 9293 §3.10.1 to §3.10.6).

Writes the options the user sets, `cc`, `failure`, `fin_wanted`, `orphan`, `read_shut`, `push_seq`,
`snd_up`, `want_write`. Takes no time: what needs a clock is marked and put into effect by the next
transmit. The caller marks the connection dirty afterwards.
"""

from __future__ import annotations

from pystack.cc.base import CongestionControl
from pystack.tcp.header import options
from pystack.tcp.input.ack import has_room
from pystack.tcp.recovery import delivery_rate
from pystack.tcp.state.states import (
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    FIN_WAIT_1,
    LAST_ACK,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
)
from pystack.tcp.tcb import ARM, SEND_RST, SEND_SYN, WINDOW_UPDATE, Tcb
from pystack.tcp.timing import delayed_ack, timers
from pystack.tcp.transitions import end, set_state

Buffer = bytes | bytearray | memoryview


def open_active(tcb: Tcb) -> None:
    """OPEN (§3.10.1): the SYN leaves with the next transmit, which also chooses the ISS."""
    tcb.passive = False
    set_state(tcb, SYN_SENT)
    tcb.pending |= SEND_SYN
    tcb.shared.counters.active_opens += 1


def open_passive(tcb: Tcb) -> None:
    """A half-open connection becomes a TCB in SYN_RECEIVED."""
    tcb.passive = True
    set_state(tcb, SYN_RECEIVED)
    tcb.shared.counters.passive_opens += 1


def send(
    tcb: Tcb, data: Buffer, *, more: bool = False, eor: bool = False, oob: bool = False
) -> int:
    """SEND (§3.10.2): queue as much of `data` as there is room for; that many octets are
    returned, 0 when the buffer is full (an EVENT_WRITABLE then follows).

    `more`: hold a last partial segment for what follows (MSG_MORE). `eor`: no segment runs
    across its end (MSG_EOR). `oob`: the last octet is urgent (MSG_OOB).
    """
    sndbuf = tcb.sndbuf
    length = len(data)
    room = sndbuf.limit - (sndbuf.end_seq - sndbuf.start_seq)
    if room <= 0 or sndbuf.end_seq - tcb.snd_nxt >= tcb.notsent_lowat:
        tcb.want_write = True
        return 0
    if length > room:
        length = room
        tcb.want_write = True
    if not length:
        return 0
    if sndbuf.end_seq - tcb.snd_nxt < tcb.eff_mss:
        delivery_rate.check_app_limited(tcb)
    sndbuf.append(data, length)
    whole = length == len(data)
    if not more or not whole:  # a short write is pushed, as the rest may never come (Linux)
        tcb.push_seq = sndbuf.end_seq
    if whole and eor:
        sndbuf.mark_record_end()
    if whole and oob:
        tcb.snd_up = sndbuf.end_seq
    return length


def writable(tcb: Tcb) -> bool:
    """Whether a send would take something worth it (poll's POLLOUT). Asking when it would not
    requests an EVENT_WRITABLE."""
    if has_room(tcb):
        return True
    tcb.want_write = True
    return False


def stop_waiting_to_write(tcb: Tcb) -> None:
    """EVENT_WRITABLE has been delivered."""
    tcb.want_write = False


def after_read(tcb: Tcb) -> None:
    """The user has taken text: the next transmit sees whether to offer more window."""
    tcb.pending |= WINDOW_UPDATE


def shutdown_write(tcb: Tcb) -> None:
    """No more SENDs: FIN follows what is queued (half-close)."""
    if tcb.fin_wanted or tcb.state == CLOSED:
        return
    if tcb.state == SYN_SENT:
        end(tcb, 0)
        return
    tcb.fin_wanted = True
    tcb.push_seq = tcb.sndbuf.end_seq
    if tcb.state == ESTABLISHED:
        set_state(tcb, FIN_WAIT_1)
    elif tcb.state == CLOSE_WAIT:
        set_state(tcb, LAST_ACK)


def shutdown_read(tcb: Tcb) -> None:
    """Nothing more will be read. As Linux: text that still comes is taken until our FIN has left,
    then answered by a RST."""
    tcb.user.read_shut = True


def close(tcb: Tcb) -> None:
    """CLOSE (§3.10.4): nobody will read or write any more; queued text and FIN still go.

    With unread text the peer gets a RST instead (RFC 9293 SHLD-3, RFC 2525 §2.17), and in
    SYN_SENT the connection is just removed.
    """
    if tcb.recvbuf.held and tcb.state not in (CLOSED, SYN_SENT, TIME_WAIT):
        abort(tcb)
    elif tcb.state in (SYN_SENT, CLOSED):
        end(tcb, 0)
    else:
        shutdown_write(tcb)
    tcb.orphan = True
    tcb.recvbuf.clear()
    tcb.pending |= ARM


def abort(tcb: Tcb) -> None:
    """ABORT (§3.10.5): what is queued is dropped and the peer gets a RST at SND.NXT."""
    state = tcb.state
    if state not in (CLOSED, SYN_SENT, TIME_WAIT):
        tcb.pending |= SEND_RST
    tcb.orphan = True
    timers.stop_all(tcb)
    end(tcb, 0)


def fail(tcb: Tcb, error: int, reason: str) -> None:
    """A replaceable part has raised: nothing of what was going on is gone on with, the peer gets a
    RST at SND.NXT, and calls get `error` with `reason` as its text."""
    tcb.pending = 0 if tcb.state in (CLOSED, SYN_SENT, TIME_WAIT) else SEND_RST
    tcb.failure = reason
    timers.stop_all(tcb)
    end(tcb, error)


def abandon(tcb: Tcb, error: int) -> None:
    """End without a word to the peer (the device is gone); calls get `error`."""
    timers.stop_all(tcb)
    end(tcb, error)


# -- settings ---------------------------------------------------------------------------------
def set_nodelay(tcb: Tcb, on: bool) -> None:
    """TCP_NODELAY (RFC 9293 MUST-17)."""
    tcb.nodelay = on


def set_cork(tcb: Tcb, on: bool) -> None:
    """TCP_CORK: partial segments wait, 200 ms at the most."""
    tcb.cork = on


def set_max_seg(tcb: Tcb, mss: int) -> None:
    """TCP_MAXSEG: caps what is announced and what is sent."""
    tcb.user.max_seg = mss
    options.set_eff_mss(tcb)


def set_keepalive(tcb: Tcb, on: bool) -> None:
    """SO_KEEPALIVE."""
    tcb.user.keepalive = on
    tcb.pending |= ARM


def set_keepalive_times(
    tcb: Tcb, time_us: int | None = None, intvl_us: int | None = None, probes: int | None = None
) -> None:
    """TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT."""
    if time_us is not None:
        tcb.user.keepalive_time_us = time_us
    if intvl_us is not None:
        tcb.user.keepalive_intvl_us = intvl_us
    if probes is not None:
        tcb.user.keepalive_probes = probes
    tcb.pending |= ARM


def set_user_timeout(tcb: Tcb, timeout_us: int) -> None:
    """TCP_USER_TIMEOUT; 0 for tcp_retries2 (RFC 9293 MUST-21)."""
    tcb.user_timeout_us = timeout_us


def set_syn_retries(tcb: Tcb, count: int) -> None:
    """TCP_SYNCNT."""
    tcb.user.syn_retries = count


def set_linger2(tcb: Tcb, timeout_us: int) -> None:
    """TCP_LINGER2; negative: no FIN_WAIT_2 for an orphan at all."""
    tcb.user.linger2_us = timeout_us


def set_quick_ack(tcb: Tcb, on: bool) -> None:
    """TCP_QUICKACK."""
    delayed_ack.set_quick(tcb, on)


def set_window_clamp(tcb: Tcb, clamp: int) -> None:
    """TCP_WINDOW_CLAMP, bytes; 0 for none."""
    tcb.window_clamp = clamp


def set_max_pacing_rate(tcb: Tcb, rate: int) -> None:
    """SO_MAX_PACING_RATE, bytes/s."""
    tcb.max_pacing_rate = rate


def set_notsent_lowat(tcb: Tcb, lowat: int) -> None:
    """TCP_NOTSENT_LOWAT, bytes."""
    tcb.notsent_lowat = lowat


def set_oob_inline(tcb: Tcb, on: bool) -> None:
    """SO_OOBINLINE."""
    tcb.user.oob_inline = on


def set_recverr(tcb: Tcb, on: bool) -> None:
    """IP_RECVERR: queue soft errors for MSG_ERRQUEUE (RFC 9293 SHLD-20: or not)."""
    tcb.user.recverr = on


def set_ip(
    tcb: Tcb, *, tos: int | None = None, ttl: int | None = None, df: int | None = None
) -> None:
    """IP_TOS / IPV6_TCLASS, IP_TTL / IPV6_UNICAST_HOPS, IP_MTU_DISCOVER."""
    if tos is not None:
        tcb.tos = tos
    if ttl is not None:
        tcb.ttl = ttl
    if df is not None:
        tcb.df = df


def set_sndbuf(tcb: Tcb, limit: int) -> None:
    """SO_SNDBUF, already doubled; ends autotuning."""
    tcb.sndbuf.set_limit(limit)
    tcb.sndbuf_locked = True


def set_rcvbuf(tcb: Tcb, limit: int) -> None:
    """SO_RCVBUF, already doubled; ends autotuning."""
    tcb.recvbuf.set_limit(limit)
    tcb.user.rcvbuf_locked = True
    tcb.pending |= WINDOW_UPDATE


def set_congestion(tcb: Tcb, cc: CongestionControl) -> None:
    """TCP_CONGESTION: `cc`, made with the present cwnd, goes on in place of the one before."""
    cc.take_over_from(tcb.cc)
    tcb.cc = cc
