"""What the calls on a UDP socket do, in the order in which Linux looks at things."""

from __future__ import annotations

from errno import (
    EACCES,
    EAGAIN,
    EDESTADDRREQ,
    EINVAL,
    EMSGSIZE,
    ENOTCONN,
    ENOTTY,
    EOPNOTSUPP,
    EPIPE,
)
from typing import Any, Final

from pystack.errors import os_error
from pystack.sockets import binding, error_queue, sockaddr
from pystack.sockets import constants as c
from pystack.sockets.base import READABLE, SEND_SHUTDOWN, WRITABLE, poll_bits, shutdown_bits
from pystack.sockets.error_queue import Ancillary, Message
from pystack.sockets.sockaddr import Address
from pystack.sockets.udp.udp_state import UdpSocketState
from pystack.udp import udp_output
from pystack.wire.udp import Datagram

_LARGEST: Final = 0xFFFF  # bytes of a payload that are looked at at all


# -- names ----------------------------------------------------------------------------------------
def bind(sock: UdpSocketState, where: Any) -> None:
    """See `DatagramSocket.bind`."""
    local, port = sockaddr.parse(sock.family, where)
    binding.check_bindable(sock.host, sock.family, local, sock.udp.v6only)
    if sock.udp.port:
        raise os_error(EINVAL)
    sock.host.udp.bind(sock.udp, local, port)
    sock.lock_names(local not in binding.WILDCARDS, port != 0)


def _take_port(sock: UdpSocketState) -> None:
    """Take a port if `bind` has not chosen one."""
    if not sock.udp.port:
        sock.host.udp.bind(sock.udp, sock.udp.local, 0)


def connect(sock: UdpSocketState, where: Any) -> None:
    """See `DatagramSocket.connect`."""
    udp = sock.udp
    if where is None:
        local = udp.local if sock.address_locked else sockaddr.any_address(sock.family)
        udp.set_ends(local, b"", 0)
        if not sock.port_locked:
            sock.host.udp.release(udp)
        return
    remote, port = sockaddr.parse(sock.family, where)
    _take_port(sock)
    source, remote = _ends(sock, remote)
    local = source if udp.local in binding.WILDCARDS else udp.local
    udp.set_ends(local, remote, port)


def _ends(sock: UdpSocketState, remote: bytes) -> tuple[bytes, bytes]:
    """Source and destination of a datagram to `remote`."""
    host, udp = sock.host, sock.udp
    found = binding.ends(host, udp.local, remote, udp.v6only)
    if not udp.broadcast and found[1] in host.addresses.broadcast:
        raise os_error(EACCES)
    return found


# -- sending --------------------------------------------------------------------------------------
def send(sock: UdpSocketState, data: Any, flags: int, where: Any) -> int:
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
    sock: UdpSocketState, size: int, ancillary_size: int, flags: int
) -> tuple[bytes, list[Ancillary], int, Address]:
    """See `DatagramSocket.recvmsg`."""
    if size < 0:
        raise ValueError("negative size in recv")
    if flags & c.MSG_ERRQUEUE:
        return _take_report(sock, size, ancillary_size)
    udp = sock.udp
    _raise_pending(sock)
    if not udp.queue:
        raise os_error(EAGAIN)
    payload, source, port = udp.queue[0]
    if not flags & c.MSG_PEEK:
        udp.get()
    truncated = c.MSG_TRUNC if len(payload) > size else 0
    where = sockaddr.unparse(sock.family, source, port)
    if truncated and flags & c.MSG_TRUNC:  # the length is returned, the octets are not
        return payload[:size].ljust(len(payload), b"\0"), [], truncated, where
    return payload[:size], [], truncated, where


def _take_report(sock: UdpSocketState, size: int, ancillary_size: int) -> Message:
    udp = sock.udp
    if not udp.reports:
        raise os_error(EAGAIN)
    report, remote, port, payload = udp.reports.popleft()
    left = udp.reports[0][0] if udp.reports else None
    udp.set_error(error_queue.error_after(report, left, udp.error))
    return error_queue.message(sock.family, report, (remote, port), payload, size, ancillary_size)


def _raise_pending(sock: UdpSocketState) -> None:
    code = take_error(sock)
    if code:
        raise os_error(code)


def take_error(sock: UdpSocketState) -> int:
    """The pending errno, which is thereby forgotten; 0 for none."""
    code = sock.udp.error
    if code:
        sock.udp.set_error(0)
    return code


# -- readiness and the end ------------------------------------------------------------------------
def poll(sock: UdpSocketState) -> int:
    """See `DatagramSocket.poll`."""
    if sock.closed:
        return c.POLLNVAL
    udp = sock.udp
    bits = poll_bits(sock.shut)
    if udp.error or udp.reports:
        bits |= c.POLLERR
    if udp.queue:
        bits |= READABLE
    if 2 * udp.unsent < udp.sndbuf:
        bits |= WRITABLE
    return bits


def ioctl(sock: UdpSocketState, request: int) -> int:
    """See `DatagramSocket.ioctl`."""
    if request == c.SIOCOUTQ:
        return sock.udp.unsent
    if request == c.SIOCINQ:
        return len(sock.udp.queue[0][0]) if sock.udp.queue else 0
    raise os_error(ENOTTY)


def shutdown(sock: UdpSocketState, how: int) -> None:
    """See `DatagramSocket.shutdown`."""
    sock.add_shutdown(shutdown_bits(how))
    if not sock.udp.remote:
        raise os_error(ENOTCONN)


def close(sock: UdpSocketState) -> None:
    """See `DatagramSocket.close`."""
    udp = sock.udp
    udp.owner = None
    sock.host.udp.release(udp)
    udp.clear()
