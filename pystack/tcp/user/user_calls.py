"""The user's calls: OPEN, SEND, CLOSE, ABORT (RFC 9293 §3.10.1 to §3.10.5).

Writes `passive`, `failure`, `fin_wanted`, `orphan`, `user.read_shut`, `push_seq`, `more_segs_in`,
`snd_up`, `want_write`. Takes no time: what needs a clock is marked and put into effect by the next
transmit. The caller marks the connection dirty afterwards.
"""

from __future__ import annotations

from pystack.tcp.input.ack import has_room
from pystack.tcp.recovery import delivery_rate, recovery
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
from pystack.tcp.timing import timers
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
    if tcb.notsent_lowat < length:
        room = min(room, _room_below_mark(tcb))
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
    else:
        tcb.more_segs_in = tcb.segs_in
    if whole and eor:
        sndbuf.mark_record_end()
    if whole and oob:
        tcb.snd_up = sndbuf.end_seq
    return length


def _room_below_mark(tcb: Tcb) -> int:
    """How much one call takes under TCP_NOTSENT_LOWAT: what may leave now, and so much more, in
    whole segments, that the mark is reached (Linux looks at it before each buffer it fills)."""
    unsent = tcb.sndbuf.end_seq - tcb.snd_nxt
    wnd = tcb.snd_una + tcb.snd_wnd - tcb.snd_nxt
    leaving = max(min(recovery.allowance(tcb), wnd), 0)
    segs = -(-(leaving + tcb.notsent_lowat) // tcb.eff_mss)
    return max(segs * tcb.eff_mss - unsent, tcb.eff_mss)


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
    """The user has taken payload: the next transmit sees whether to offer more window."""
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
    """The user will read no more. As Linux: payload that still comes is taken until our FIN has
    left, then answered by a RST."""
    tcb.user.read_shut = True


def close(tcb: Tcb) -> None:
    """CLOSE (§3.10.4): the user will neither read nor write; queued data and FIN still go.

    With unread data the peer gets a RST instead (RFC 9293 SHLD-3, RFC 2525 §2.17), and in
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
    """A replaceable part has raised: the connection ends, the peer gets a RST at SND.NXT, and calls
    get `error` with `reason` as its message."""
    tcb.pending = 0 if tcb.state in (CLOSED, SYN_SENT, TIME_WAIT) else SEND_RST
    tcb.failure = reason
    timers.stop_all(tcb)
    end(tcb, error)


def abandon(tcb: Tcb, error: int) -> None:
    """End in silence (the device is gone); calls get `error`."""
    timers.stop_all(tcb)
    end(tcb, error)
