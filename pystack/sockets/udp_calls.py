"""What the calls on a UDP socket do, in the order in which Linux looks at things."""

from __future__ import annotations

from errno import (
    EACCES,
    EAGAIN,
    EDESTADDRREQ,
    EINVAL,
    EMSGSIZE,
    ENETUNREACH,
    ENOTCONN,
    ENOTTY,
    EOPNOTSUPP,
    EPIPE,
)
from typing import TYPE_CHECKING, Any

from pystack.ip.reports import ORIGIN_LOCAL
from pystack.sockets import constants as c
from pystack.sockets import sockaddr
from pystack.sockets.errors import os_error
from pystack.sockets.phase import RCV_SHUTDOWN, SEND_SHUTDOWN
from pystack.sockets.sockaddr import Address
from pystack.sockets.tcp_connection_calls import WILDCARDS, check_bindable, is_shared, own_address
from pystack.sockets.tcp_send_recv import Ancillary, ancillary
from pystack.udp import udp_output
from pystack.udp.endpoints import OVERHEAD
from pystack.wire.address import ANY_V4, is_loopback, is_v4
from pystack.wire.udp import Datagram

if TYPE_CHECKING:
    from pystack.sockets.udp_socket import DatagramSocket

_CMSG_HEADER = 16
_LARGEST = 0xFFFF  # octets of a payload that are looked at at all


# -- names ----------------------------------------------------------------------------------------
def bind(sock: DatagramSocket, where: Any) -> None:
    """See `DatagramSocket.bind`."""
    local, port = sockaddr.parse(sock.family, where)
    check_bindable(sock.host, sock.family, local, sock.udp.v6only)
    if sock.udp.port:
        raise os_error(EINVAL)
    sock.host.udp.bind(sock.udp, local, port)
    sock.address_locked = local not in WILDCARDS
    sock.port_locked = port != 0


def _take_port(sock: DatagramSocket) -> None:
    """A call needs a port, and `bind` has chosen none."""
    if not sock.udp.port:
        sock.host.udp.bind(sock.udp, sock.udp.local, 0)


def connect(sock: DatagramSocket, where: Any) -> None:
    """See `DatagramSocket.connect`."""
    udp = sock.udp
    if where is None:
        udp.remote, udp.remote_port = b"", 0
        if not sock.address_locked:
            udp.local = sockaddr.any_address(sock.family)
        if not sock.port_locked:
            sock.host.udp.release(udp)
        return
    remote, port = sockaddr.parse(sock.family, where)
    _take_port(sock)
    source, remote = _ends(sock, remote)
    if udp.local in WILDCARDS:
        udp.local = source
    udp.remote, udp.remote_port = remote, port


def _ends(sock: DatagramSocket, remote: bytes) -> tuple[bytes, bytes]:
    """From where to where a datagram to `remote` goes."""
    host, local = sock.host, sock.udp.local
    if remote in WILDCARDS:
        remote = own_address(host, local, remote)
    v4 = is_v4(remote)
    if (is_loopback(remote) and remote not in host.addresses.local) or (v4 and sock.udp.v6only):
        raise os_error(ENETUNREACH)
    if remote in host.addresses.broadcast and not sock.udp.broadcast:
        raise os_error(EACCES)
    if local in WILDCARDS or is_shared(host, local):
        if local == ANY_V4 and not v4:
            raise os_error(ENETUNREACH)
        return host.source_for(remote), remote
    if is_v4(local) != v4:
        raise os_error(ENETUNREACH)
    return local, remote


# -- sending --------------------------------------------------------------------------------------
def send(sock: DatagramSocket, data: Any, flags: int, where: Any) -> int:
    """See `DatagramSocket.sendto`; without `where` to the peer."""
    payload = data if type(data) is bytes else bytes(memoryview(data))
    udp = sock.udp
    _take_port(sock)
    if len(payload) > _LARGEST:
        raise os_error(EMSGSIZE)
    if flags & c.MSG_MORE or (flags & c.MSG_OOB and sock.family == c.AF_INET):
        raise os_error(EOPNOTSUPP)  # of IPv6's sockets Linux does not ask about MSG_OOB
    if where is not None:
        remote, port = sockaddr.parse(sock.family, where)
        if not port:
            raise os_error(EINVAL)
    elif udp.remote:
        remote, port = udp.remote, udp.remote_port
    else:
        raise os_error(EDESTADDRREQ)
    source, remote = _ends(sock, remote)
    _raise_pending(sock)
    if sock.shut & SEND_SHUTDOWN:
        raise os_error(EPIPE)
    if sock.host.udp.failed:
        raise os_error(sock.host.udp.failed)
    code = udp_output.send(sock.host.udp, udp, Datagram(source, udp.port, remote, port, payload))
    if code:
        raise os_error(code)
    return len(payload)


# -- receiving ------------------------------------------------------------------------------------
def recvmsg(
    sock: DatagramSocket, size: int, ancillary_size: int, flags: int
) -> tuple[bytes, list[Ancillary], int, Address]:
    """See `DatagramSocket.recvmsg`."""
    if size < 0:
        raise ValueError("negative size in recv")
    if flags & c.MSG_ERRQUEUE:
        return _next_report(sock, size, ancillary_size)
    udp = sock.udp
    _raise_pending(sock)
    if not udp.queue:
        raise os_error(EAGAIN)
    payload, source, port = udp.queue[0]
    if not flags & c.MSG_PEEK:
        udp.queue.popleft()
        udp.held -= len(payload) + OVERHEAD
    truncated = c.MSG_TRUNC if len(payload) > size else 0
    where = sockaddr.unparse(sock.family, source, port)
    if truncated and flags & c.MSG_TRUNC:  # the length is told, the octets are not
        return payload[:size].ljust(len(payload), b"\0"), [], truncated, where
    return payload[:size], [], truncated, where


def _next_report(
    sock: DatagramSocket, size: int, ancillary_size: int
) -> tuple[bytes, list[Ancillary], int, Address]:
    udp = sock.udp
    if not udp.reports:
        raise os_error(EAGAIN)
    report, remote, port, payload = udp.reports.popleft()
    if udp.reports and udp.reports[0][0][1] != ORIGIN_LOCAL:
        udp.error = udp.reports[0][0][0]
    elif report[1] != ORIGIN_LOCAL:
        udp.error = 0
    item = ancillary(sock.family, report)
    flags = c.MSG_ERRQUEUE | (c.MSG_TRUNC if len(payload) > size else 0)
    where = sockaddr.unparse(sock.family, remote, port)
    if ancillary_size < _CMSG_HEADER + len(item[2]):
        return payload[:size], [], flags | c.MSG_CTRUNC, where
    return payload[:size], [item], flags, where


def _raise_pending(sock: DatagramSocket) -> None:
    code = take_error(sock)
    if code:
        raise os_error(code)


def take_error(sock: DatagramSocket) -> int:
    """The pending errno, which is thereby forgotten; 0 for none."""
    code, sock.udp.error = sock.udp.error, 0
    return code


# -- readiness and the end ------------------------------------------------------------------------
def poll(sock: DatagramSocket) -> int:
    """See `DatagramSocket.poll`."""
    if sock.closed:
        return c.POLLNVAL
    udp = sock.udp
    bits = 0
    if udp.error or udp.reports:
        bits |= c.POLLERR
    if sock.shut & RCV_SHUTDOWN:
        bits |= c.POLLIN | c.POLLRDNORM | c.POLLRDHUP
    if sock.shut == RCV_SHUTDOWN | SEND_SHUTDOWN:
        bits |= c.POLLHUP
    if udp.queue:
        bits |= c.POLLIN | c.POLLRDNORM
    if 2 * udp.unsent < udp.sndbuf:
        bits |= c.POLLOUT | c.POLLWRNORM
    return bits


def ioctl(sock: DatagramSocket, request: int) -> int:
    """See `DatagramSocket.ioctl`."""
    if request == c.SIOCOUTQ:
        return sock.udp.unsent
    if request == c.SIOCINQ:
        return len(sock.udp.queue[0][0]) if sock.udp.queue else 0
    raise os_error(ENOTTY)


def shutdown(sock: DatagramSocket, how: int) -> None:
    """See `DatagramSocket.shutdown`."""
    if not c.SHUT_RD <= how <= c.SHUT_RDWR:
        raise os_error(EINVAL)
    sock.shut |= how + 1
    if not sock.udp.remote:
        raise os_error(ENOTCONN)


def close(sock: DatagramSocket) -> None:
    """See `DatagramSocket.close`."""
    sock.closed = True
    sock.on_events = None
    udp = sock.udp
    udp.owner = None
    sock.host.udp.release(udp)
    udp.queue.clear()
    udp.reports.clear()
    udp.held = 0
