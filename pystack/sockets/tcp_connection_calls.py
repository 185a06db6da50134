"""From bind to close: which state of which socket takes which call, as Linux has it.

Two states are kept apart, as in Linux: TCP's own, and how far `connect` has been told
(`Socket.phase`): a connection that was refused has ended long before `connect` is called again
and hears of it.
"""

from __future__ import annotations

import dataclasses
from errno import (
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAGAIN,
    EALREADY,
    ECONNABORTED,
    ECONNRESET,
    EINPROGRESS,
    EINVAL,
    EISCONN,
    ENETUNREACH,
    ENOTCONN,
)
from typing import TYPE_CHECKING, Any

from pystack.ip.ports import overlap
from pystack.sockets import errors, sockaddr
from pystack.sockets.constants import AF_INET6, SHUT_RD, SHUT_RDWR
from pystack.sockets.errors import os_error
from pystack.sockets.phase import (
    CONNECTED,
    CONNECTING,
    DISCONNECTING,
    RCV_SHUTDOWN,
    SEND_SHUTDOWN,
    UNCONNECTED,
)
from pystack.sockets.sockaddr import Address
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
)
from pystack.tcp.user import user_calls
from pystack.wire.address import ANY_V4, ANY_V6, is_loopback, is_multicast, is_v4

if TYPE_CHECKING:
    from pystack.sockets.host import Host
    from pystack.sockets.tcp_socket import Socket
    from pystack.tcp.tcb import Tcb

WILDCARDS = frozenset((ANY_V4, ANY_V6))


# -- bind and listen ----------------------------------------------------------------------------
def bind(sock: Socket, where: Any) -> None:
    """See `Socket.bind`."""
    local, port = sockaddr.parse(sock.family, where)
    if not is_v4(local) and is_multicast(local):
        raise os_error(EINVAL)
    check_bindable(sock.host, sock.family, local, sock.settings.v6only)
    if sock.state != CLOSED or sock.reserved is not None:
        raise os_error(EINVAL)
    _reserve(sock, local, port)
    sock.address_locked = local not in WILDCARDS
    sock.port_locked = port != 0


def check_bindable(host: Host, family: int, local: bytes, v6only: bool) -> None:
    """Raise what `bind` raises for an address: EINVAL, EADDRNOTAVAIL."""
    if family == AF_INET6 and v6only and is_v4(local):
        raise os_error(EINVAL)
    if local not in host.addresses.local and local not in WILDCARDS and not is_shared(host, local):
        raise os_error(EADDRNOTAVAIL)


def is_shared(host: Host, local: bytes) -> bool:
    """Whether it is one of many hosts. Linux lets one bind to it, of which TCP can make nothing."""
    return is_multicast(local) or local in host.addresses.broadcast


def _reserve(sock: Socket, local: bytes, port: int) -> None:
    settings = sock.settings
    v6only = settings.v6only
    if port and _somebody_listens(sock.host, local, port, v6only):
        raise os_error(EADDRINUSE)  # even with SO_REUSEADDR on both
    port = sock.host.ports.bind(local, port, settings.reuse_address, v6only)
    sock.reserved = (local, port, settings.reuse_address, v6only)
    sock.local = local
    sock.port = port


def _somebody_listens(host: Host, local: bytes, port: int, v6only: bool) -> bool:
    return any(
        listener.port == port and overlap(listener.local, listener.v6only, local, v6only)
        for listener in host.listeners.values()
    )


def release_port(sock: Socket) -> None:
    """The port may be taken by others; `getsockname` still shows it, as in Linux."""
    if sock.reserved is not None:
        local, port, reuse, v6only = sock.reserved
        sock.host.ports.release(local, port, reuse, v6only)
        sock.reserved = None


def listen(sock: Socket, backlog: int) -> None:
    """See `Socket.listen`."""
    host = sock.host
    if sock.phase != UNCONNECTED or sock.state not in (CLOSED, LISTEN):
        raise os_error(EINVAL)
    most = host.config.somaxconn
    if not 0 <= backlog <= most:
        backlog = most
    if sock.listener is not None:
        sock.listener.set_backlog(backlog)
        return
    settings = sock.settings
    if sock.reserved is None:
        _reserve(sock, sock.local, 0)
    elif _somebody_listens(host, sock.local, sock.port, settings.v6only):
        raise os_error(EADDRINUSE)
    listener = host.listen(sock.local, sock.port, backlog, sock.ear)
    try:
        settings.apply_to_listener(listener, host.config)
    except OSError:  # a part can't be made
        host.unlisten(listener)
        raise
    listener.settings = sock.apply_settings
    sock.listener = listener


def accept(sock: Socket) -> tuple[Socket, Address]:
    """See `Socket.accept`."""
    listener = sock.listener
    if listener is None:
        raise os_error(EINVAL)
    tcb = listener.accept()
    if tcb is None:
        raise os_error(EAGAIN)
    settings = sock.settings
    if not settings.is_inheritable:
        settings = dataclasses.replace(settings, defer_accept=0)
    child = type(sock)(sock.host, sock.family, settings)
    child.tcb = tcb
    child.phase = CONNECTED
    key = tcb.key
    child.local = key[:16]
    child.port = key[32] << 8 | key[33]
    tcb.owner = child.ear
    if tcb.events:
        sock.host.mark(tcb)  # what happened while nobody owned it is told after all
    return child, sockaddr.unparse(sock.family, key[16:32], key[34] << 8 | key[35])


# -- connect --------------------------------------------------------------------------------------
def connect(sock: Socket, where: Any) -> None:
    """See `Socket.connect`."""
    if where is None:
        disconnect(sock)
        sock.phase = UNCONNECTED
        return
    phase = sock.phase
    if phase == CONNECTED:
        raise os_error(EISCONN)
    if phase == DISCONNECTING:
        raise os_error(EINVAL)
    code = EALREADY
    if phase == UNCONNECTED:
        if sock.state != CLOSED:
            raise os_error(EISCONN)
        _begin(sock, where)
        sock.phase = CONNECTING
        code = EINPROGRESS
    state = sock.state
    if state in (SYN_SENT, SYN_RECEIVED):
        raise os_error(code)
    if state == CLOSED:
        why = errors.taken(sock, ECONNABORTED)
        disconnect(sock)
        sock.phase = UNCONNECTED
        raise why
    sock.phase = CONNECTED


def _begin(sock: Socket, where: Any) -> None:
    """Make the connection; its SYN leaves with the next transmit."""
    host = sock.host
    remote, port = sockaddr.parse(sock.family, where)
    if remote in WILDCARDS:
        remote = own_address(host, sock.local, remote)
    if (
        is_multicast(remote)
        or remote in host.addresses.broadcast
        or (is_loopback(remote) and remote not in host.addresses.local)
        or (sock.family == AF_INET6 and sock.settings.v6only and is_v4(remote))
    ):
        raise os_error(ENETUNREACH)
    local = sock.local
    if local in WILDCARDS or is_shared(sock.host, local):
        local = host.source_for(remote)
    elif is_v4(local) != is_v4(remote):
        raise os_error(ENETUNREACH)
    key = host.connection_key(remote, port, local, sock.port if sock.reserved else 0)
    try:
        tcb = host.new_tcb(key, sock.apply_settings)
    except OSError as error:
        if error.errno != EADDRINUSE:
            raise  # a part of the connection can't be made
        raise os_error(EADDRNOTAVAIL) from None  # Linux: the connection exists
    if not sock.settings.quick_ack:
        user_calls.set_quick_ack(tcb, False)
    if sock.shut & RCV_SHUTDOWN:  # by a shutdown() that found no connection
        user_calls.shutdown_read(tcb)
    tcb.owner = sock.ear
    sock.tcb = tcb
    sock.local = key[:16]
    sock.port = key[32] << 8 | key[33]
    sock.error = 0
    sock.error_taken = False
    host.open(tcb)


def own_address(host: Host, local: bytes, wildcard: bytes) -> bytes:
    """Connecting to any address is connecting to oneself, at `local` if that is one."""
    if local not in WILDCARDS:
        return local
    for own in host.addresses.all():
        if is_v4(own) == is_v4(wildcard):
            return own
    raise os_error(ENETUNREACH)


# -- the ways out ---------------------------------------------------------------------------------
def disconnect(sock: Socket) -> None:
    """Back to a socket as new, but for its options and what `bind` chose (Linux:
    tcp_disconnect). A peer gets a RST, and the socket ECONNRESET."""
    host = sock.host
    tcb = sock.tcb
    goes_on = sock.listener is not None or (tcb is not None and tcb.state != CLOSED)
    if goes_on and not sock.port_locked:
        release_port(sock)
    if sock.listener is not None:
        host.unlisten(sock.listener)
        sock.listener = None
    if tcb is not None:
        sock.error = errors.pending(sock)  # nobody has been told yet: it stays
        sock.tcb = None
        sock.error_taken = False
        if _reset(host, tcb):
            sock.error = ECONNRESET
    sock.shut = 0
    if not sock.address_locked:
        sock.local = sockaddr.any_address(sock.family)


def _reset(host: Host, tcb: Tcb) -> bool:
    """End a connection at once, with a RST where Linux sends one; whether it was still on."""
    state = tcb.state
    tcb.owner = None
    alive = state in (SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, CLOSE_WAIT)
    if state in (CLOSING, LAST_ACK):
        alive = tcb.sndbuf.end_seq + 1 > tcb.snd_nxt  # our FIN, or text before it, is unsent
        if not alive:
            user_calls.abandon(tcb, 0)
    if alive and state != SYN_SENT:
        user_calls.abort(tcb)
    user_calls.close(tcb)
    if state != CLOSED:
        host.mark(tcb)
    return alive


def shutdown(sock: Socket, how: int) -> None:
    """See `Socket.shutdown`."""
    if not SHUT_RD <= how <= SHUT_RDWR:
        raise os_error(EINVAL)
    bits = how + 1
    state = sock.state
    if sock.phase == CONNECTING:
        over = state in (SYN_SENT, SYN_RECEIVED, CLOSED)
        sock.phase = DISCONNECTING if over else CONNECTED
    if state == SYN_SENT or (state == LISTEN and bits & RCV_SHUTDOWN):
        disconnect(sock)
        sock.phase = UNCONNECTED
        return
    if state == LISTEN:
        return
    sock.shut |= bits
    tcb = sock.tcb
    if tcb is None or state == CLOSED:
        raise os_error(ENOTCONN)
    if bits & SEND_SHUTDOWN:
        user_calls.shutdown_write(tcb)
    if bits & RCV_SHUTDOWN:
        user_calls.shutdown_read(tcb)
    sock.host.mark(tcb)


def close(sock: Socket) -> None:
    """See `Socket.close`."""
    sock.closed = True
    sock.on_events = None
    host = sock.host
    if sock.listener is not None:
        host.unlisten(sock.listener)
        sock.listener = None
    tcb = sock.tcb
    if tcb is not None:
        settings = sock.settings
        if settings.linger and not settings.linger_time and not tcb.recvbuf.held:
            _reset(host, tcb)
        else:
            state = tcb.state
            tcb.owner = None
            user_calls.close(tcb)
            if state != CLOSED:
                host.mark(tcb)
    release_port(sock)
