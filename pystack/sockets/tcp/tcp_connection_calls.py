"""From bind to close: which state of which socket takes which call, as Linux has it."""

from __future__ import annotations

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
    EOPNOTSUPP,
)
from typing import Any, TypeVar

from pystack.errors import os_error
from pystack.ip.ports import overlap
from pystack.sockets import binding, ip_level, sockaddr
from pystack.sockets.base import RCV_SHUTDOWN, SEND_SHUTDOWN, shutdown_bits
from pystack.sockets.sockaddr import Address
from pystack.sockets.tcp import tcp_errors, tcp_options
from pystack.sockets.tcp.tcp_settings import Settings
from pystack.sockets.tcp.tcp_state import (
    CONNECTED,
    CONNECTING,
    DISCONNECTING,
    UNCONNECTED,
    TcpSocketState,
)
from pystack.stack.host import HostCore
from pystack.tcp.fastopen import active
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
from pystack.tcp.tcb import Tcb
from pystack.tcp.user import user_calls, user_settings
from pystack.tcp.user.user_calls import Buffer
from pystack.wire.address import is_multicast, is_v4
from pystack.wire.flow_key import local_end, remote_end

Sock = TypeVar("Sock", bound=TcpSocketState)


# -- bind and listen ----------------------------------------------------------------------------
def bind(sock: TcpSocketState, where: Any) -> None:
    """See `Socket.bind`."""
    local, port = sockaddr.parse(sock.family, where, sock.host.ip.interface)
    if not is_v4(local) and is_multicast(local):
        raise os_error(EINVAL)
    binding.check_bindable(sock.host, sock.family, local, sock.settings)
    if sock.state != CLOSED or sock.reserved is not None:
        raise os_error(EINVAL)
    if not port and sock.settings.kept.get("IP_BIND_ADDRESS_NO_PORT"):
        sock.local = local  # connect() chooses a port that is free for that peer
    else:
        _reserve(sock, local, port)
    sock.lock_names(local not in binding.WILDCARDS, port != 0)


def _reserve(sock: TcpSocketState, local: bytes, port: int) -> None:
    settings = sock.settings
    v6only = settings.v6only
    if port and _is_listened_at(sock.host, local, port, settings):
        raise os_error(EADDRINUSE)  # even with SO_REUSEADDR on both
    flags = (settings.reuse_address, v6only, settings.reuse_port)
    within = _port_range(sock) if sock.settings.kept else None
    port = sock.host.ports.bind(local, port, *flags, within)
    sock.reserved = (local, port, *flags)
    sock.local = local
    sock.port = port


def _port_range(sock: TcpSocketState) -> tuple[int, int] | None:
    """IP_LOCAL_PORT_RANGE; None for the host's."""
    return ip_level.port_range(sock.settings, sock.host.config.ip_local_port_range)


def _is_listened_at(host: HostCore, local: bytes, port: int, settings: Settings) -> bool:
    """Whether somebody listens there who does not share the port (SO_REUSEPORT)."""
    return any(
        listener.port == port
        and overlap(listener.local, listener.v6only, local, settings.v6only)
        and not (settings.reuse_port and listener.group)
        for listener in host.listeners.values()
    )


def release_port(sock: TcpSocketState) -> None:
    """Others may take the port; `getsockname` still shows it, as in Linux."""
    if sock.reserved is not None:
        sock.host.ports.release(*sock.reserved)
        sock.reserved = None


def listen(sock: TcpSocketState, backlog: int) -> None:
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
    tcp_options.on_listen(sock, backlog)
    settings = sock.settings
    if sock.reserved is None:
        _reserve(sock, sock.local, 0)
    elif _is_listened_at(host, sock.local, sock.port, settings):
        raise os_error(EADDRINUSE)
    listener = host.listen(sock.local, sock.port, backlog, sock, settings.reuse_port)
    try:
        settings.apply_to_listener(listener, host.config)
    except OSError:  # a part can't be made
        host.unlisten(listener)
        raise
    listener.settings = sock.apply_settings
    sock.listener = listener


def accept(sock: Sock) -> tuple[Sock, Address]:
    """See `Socket.accept`."""
    listener = sock.listener
    if listener is None:
        raise os_error(EINVAL)
    tcb = listener.accept()
    if tcb is None:
        raise os_error(EAGAIN)
    child = type(sock)(sock.host, sock.family, sock.settings.inherited())
    _take_connection(child, tcb, CONNECTED)
    if tcb.events:
        sock.host.mark(tcb)  # it has had no owner: the child is notified of what happened
    where = remote_end(tcb.key)
    return child, sockaddr.unparse(sock.family, *where, sock.host.ip.interface.index)


# -- connect --------------------------------------------------------------------------------------
def connect(sock: TcpSocketState, where: Any) -> None:
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
        tcb = _begin(sock, where)
        if sock.settings.fastopen_connect and _plan(sock, tcb) != active.NO_DATA:
            active.defer(tcb)
            return
        code = EINPROGRESS
    elif sock.tcb is not None and sock.tcb.fast_open is not None:
        if active.waits_for_data(sock.tcb):
            raise os_error(EISCONN)
    state = sock.state
    if state in (SYN_SENT, SYN_RECEIVED):
        raise os_error(code)
    if state == CLOSED:
        why = tcp_errors.take_os_error(sock, ECONNABORTED)
        disconnect(sock)
        sock.phase = UNCONNECTED
        raise why
    sock.phase = CONNECTED


def connect_with(sock: TcpSocketState, data: Buffer, where: Any) -> int:
    """`sendto` with MSG_FASTOPEN (see `Socket.sendto`), or the first write after a deferred connect
    (Linux: tcp_sendmsg_fastopen). 0: it is connected by now, the data is still to be sent."""
    if not sock.host.config.tcp_fastopen & active.CLIENT:
        raise os_error(EOPNOTSUPP)
    tcb = sock.tcb
    if tcb is None or not active.waits_for_data(tcb):
        if sock.phase != UNCONNECTED or sock.state != CLOSED:
            connect(sock, where or ())
            return 0
        if where is None:
            raise os_error(EINVAL)
        tcb = _begin(sock, where)
    room = _plan(sock, tcb)
    taken = user_calls.send(tcb, data[:room]) if room > 0 else 0
    active.put_on_syn(tcb, taken)
    sock.host.mark(tcb)
    if not taken:
        raise os_error(EINPROGRESS)
    return taken


def _plan(sock: TcpSocketState, tcb: Tcb) -> int:
    return active.plan(tcb, sock.settings.fastopen_no_cookie)


def _begin(sock: TcpSocketState, where: Any) -> Tcb:
    """Make the connection; its SYN leaves with the next transmit."""
    host = sock.host
    remote, port = sockaddr.parse(sock.family, where, sock.host.ip.interface)
    local, remote = binding.ends(host, sock.local, remote, sock.settings.v6only)
    if binding.is_shared(host, remote):
        raise os_error(ENETUNREACH)  # MUST-46
    own_port = sock.port if sock.reserved else 0
    within = _port_range(sock) if sock.settings.kept else None
    key = host.connection_key(remote, port, local, own_port, within)
    try:
        tcb = host.new_tcb(key, sock.settings.apply)
    except OSError as error:
        if error.errno != EADDRINUSE:
            raise  # a part of the connection can't be made
        raise os_error(EADDRNOTAVAIL) from None  # Linux: the connection exists
    if not sock.settings.quick_ack:
        user_settings.set_quick_ack(tcb, False)
    if sock.shut & RCV_SHUTDOWN:  # by a shutdown() that found no connection
        user_calls.shutdown_read(tcb)
    _take_connection(sock, tcb, CONNECTING)
    tcp_errors.expect_connection(sock)
    host.open(tcb)
    return tcb


def _take_connection(sock: TcpSocketState, tcb: Tcb, phase: int) -> None:
    """`tcb` is the socket's connection from now on, and gives it its name."""
    sock.phase = phase
    tcb.owner = sock
    sock.tcb = tcb
    sock.local, sock.port = local_end(tcb.key)


# -- disconnect, shutdown, close -----------------------------------------------------------------
def disconnect(sock: TcpSocketState) -> None:
    """Make the socket as new, except for its options and what `bind` chose (Linux:
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
        tcp_errors.keep_from_connection(sock)
        sock.tcb = None
        if _reset(host, tcb):
            tcp_errors.set_pending(sock, ECONNRESET)
    sock.undo_shutdown()
    if not sock.address_locked:
        sock.local = sockaddr.any_address(sock.family)


def _reset(host: HostCore, tcb: Tcb) -> bool:
    """End a connection at once, with a RST where Linux sends one; whether it was still open."""
    state = tcb.state
    tcb.owner = None
    alive = state in (SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, CLOSE_WAIT)
    if state in (CLOSING, LAST_ACK):
        alive = tcb.sndbuf.end_seq + 1 > tcb.snd_nxt  # our FIN, or data before it, is unsent
        if not alive:
            user_calls.abandon(tcb, 0)
    if alive and state != SYN_SENT:
        user_calls.abort(tcb)
    user_calls.close(tcb)
    if state != CLOSED:
        host.mark(tcb)
    return alive


def shutdown(sock: TcpSocketState, how: int) -> None:
    """See `Socket.shutdown`."""
    bits = shutdown_bits(how)
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
    sock.add_shutdown(bits)
    tcb = sock.tcb
    if tcb is None or state == CLOSED:
        raise os_error(ENOTCONN)
    if bits & SEND_SHUTDOWN:
        user_calls.shutdown_write(tcb)
    if bits & RCV_SHUTDOWN:
        user_calls.shutdown_read(tcb)
    sock.host.mark(tcb)


def close(sock: TcpSocketState) -> None:
    """See `Socket.close`."""
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
