"""What a socket is ready for: `poll` and the requests of `ioctl`, as Linux's tcp_poll."""

from __future__ import annotations

from errno import EINVAL, ENOTTY

from pystack.errors import os_error
from pystack.sockets.base import READABLE, SEND_SHUTDOWN, WRITABLE, poll_bits
from pystack.sockets.constants import (
    POLLERR,
    POLLHUP,
    POLLNVAL,
    POLLPRI,
    SIOCATMARK,
    SIOCINQ,
    SIOCOUTQ,
    SIOCOUTQNSD,
)
from pystack.sockets.tcp import tcp_errors
from pystack.sockets.tcp.tcp_state import TcpSocketState
from pystack.tcp.fastopen import active, passive
from pystack.tcp.input import urgent
from pystack.tcp.state.states import CLOSED, LISTEN, SYN_RECEIVED, SYN_SENT
from pystack.tcp.tcb import Tcb
from pystack.tcp.user import user_calls


def poll(sock: TcpSocketState) -> int:
    """See `Socket.poll`."""
    if sock.closed:
        return POLLNVAL
    listener = sock.listener
    if listener is not None:
        return READABLE if listener.queue else 0
    state = sock.state
    shutdowns = sock.shutdowns
    tcb = sock.tcb
    bits = poll_bits(shutdowns)
    if state == CLOSED:
        bits |= POLLHUP
    if state not in (SYN_SENT, SYN_RECEIVED) or (tcb is not None and passive.is_open(tcb)):
        if tcb is not None and _is_readable(sock, tcb):
            bits |= READABLE
        if tcb is None or shutdowns & SEND_SHUTDOWN or user_calls.writable(tcb):
            bits |= WRITABLE
        if tcb is not None and tcb.urgent_byte >= 0:
            bits |= POLLPRI
    elif tcb is not None and tcb.fast_open is not None and active.waits_for_data(tcb):
        bits |= WRITABLE
    if tcp_errors.pending(sock) or (tcb is not None and tcb.reports):
        bits |= POLLERR
    return bits


def _is_readable(sock: TcpSocketState, tcb: Tcb) -> bool:
    held = tcb.recvbuf.held
    wanted = sock.settings.rcvlowat
    if urgent.at_mark(tcb) and not tcb.user.oob_inline:
        wanted += 1  # the urgent octet is no part of the stream
    if held >= wanted:
        return True
    return held > 0 and tcb.rcv_adv - tcb.rcv_nxt <= tcb.rcv_mss  # no more would fit


def ioctl(sock: TcpSocketState, request: int) -> int:
    """See `Socket.ioctl`."""
    if request not in (SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK):
        raise os_error(ENOTTY)
    tcb = sock.tcb
    if request == SIOCATMARK:
        return int(tcb is not None and urgent.at_mark(tcb))
    state = sock.state
    if state == LISTEN:
        raise os_error(EINVAL)
    if tcb is None or (state in (SYN_SENT, SYN_RECEIVED) and not passive.is_open(tcb)):
        return 0
    if request == SIOCINQ:
        return _unread(tcb)
    end = tcb.sndbuf.end_seq
    if request == SIOCOUTQ:
        return max(end + tcb.fin_wanted - tcb.snd_una, 0)
    return max(end + tcb.fin_wanted - tcb.snd_nxt, 0)


def _unread(tcb: Tcb) -> int:
    """Octets up to the urgent mark, or all."""
    held = tcb.recvbuf.held
    if tcb.user.oob_inline or tcb.urgent_byte == urgent.NONE:
        return held
    before = tcb.rcv_up - tcb.recvbuf.read_seq
    return before if 0 <= before < held else held
