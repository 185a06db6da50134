"""What the calls on a UDP socket do, in the order in which Linux looks at things."""

from __future__ import annotations

from collections.abc import Iterable
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
from typing import Any, Final

from pystack.errors import os_error
from pystack.ip.reports import STAMP_ONLY, TX_SCHED, TX_SOFTWARE
from pystack.sockets import binding, error_queue, ip_level, sockaddr
from pystack.sockets import constants as c
from pystack.sockets.ancillary import Ancillary, fitting
from pystack.sockets.base import READABLE, SEND_SHUTDOWN, WRITABLE, poll_bits, shutdown_bits
from pystack.sockets.error_queue import Message
from pystack.sockets.sockaddr import Address
from pystack.sockets.socket_level import TIMESTAMPING_OPT_ID, TIMESTAMPING_SOFTWARE
from pystack.sockets.udp import udp_ancillary
from pystack.sockets.udp.udp_state import Corked, UdpSocketState
from pystack.udp import udp_output
from pystack.udp.udp_output import Sending
from pystack.wire.address import is_v4
from pystack.wire.udp import Datagram

_LARGEST: Final = 0xFFFF  # bytes of a payload that are looked at at all


# -- names ----------------------------------------------------------------------------------------
def bind(sock: UdpSocketState, where: Any) -> None:
    """See `DatagramSocket.bind`."""
    local, port = sockaddr.parse(sock.family, where, sock.host.ip.interface)
    binding.check_bindable(sock.host, sock.family, local, sock.udp)
    if sock.udp.port:
        raise os_error(EINVAL)
    if not port and sock.udp.kept.get("IP_BIND_ADDRESS_NO_PORT"):
        sock.udp.set_ends(local, sock.udp.remote, sock.udp.remote_port)
    else:
        sock.host.udp.bind(sock.udp, local, port, _port_range(sock))
    sock.lock_names(local not in binding.WILDCARDS, port != 0)


def _take_port(sock: UdpSocketState) -> None:
    """Take a port if `bind` has not chosen one."""
    if not sock.udp.port:
        sock.host.udp.bind(sock.udp, sock.udp.local, 0, _port_range(sock))


def _port_range(sock: UdpSocketState) -> tuple[int, int] | None:
    """IP_LOCAL_PORT_RANGE; None for the host's."""
    udp = sock.udp
    return ip_level.port_range(udp, sock.host.config.ip_local_port_range) if udp.kept else None


def connect(sock: UdpSocketState, where: Any) -> None:
    """See `DatagramSocket.connect`."""
    udp = sock.udp
    if where is None:
        local = udp.local if sock.address_locked else sockaddr.any_address(sock.family)
        udp.set_ends(local, b"", 0)
        if not sock.port_locked:
            sock.host.udp.release(udp)
        return
    remote, port = sockaddr.parse(sock.family, where, sock.host.ip.interface)
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
def send(
    sock: UdpSocketState, data: Any, flags: int, where: Any,
    items: Iterable[tuple[int, int, Any]] = (),
) -> int:  # fmt: skip
    """See `DatagramSocket.sendmsg`; without `where` to the peer."""
    payload = data if type(data) is bytes else bytes(memoryview(data))
    udp = sock.udp
    _take_port(sock)
    if len(payload) > _LARGEST:
        raise os_error(EMSGSIZE)
    if flags & c.MSG_OOB and sock.family == c.AF_INET:
        raise os_error(EOPNOTSUPP)  # of IPv6's sockets Linux does not ask about it
    corked = sock.corked
    if corked is None:
        if where is None:
            remote, port = _peer(sock)
        else:
            remote, port = sockaddr.parse(sock.family, where, sock.host.ip.interface)
            if not port:
                raise os_error(EINVAL)
        if not (items or udp.kept or flags & c.MSG_MORE):
            own, remote = _ends(sock, remote)
            _check_may_send(sock)
            code = udp_output.send(
                sock.host.udp, udp, Datagram(own, udp.port, remote, port, payload)
            )
            if code:
                raise os_error(code)
            return len(payload)
        corked = _begin_datagram(sock, remote, port, items)
    elif len(corked.payload) + len(payload) > _LARGEST:
        raise os_error(EMSGSIZE)
    _check_may_send(sock)
    if flags & c.MSG_MORE or udp.kept.get("UDP_CORK"):
        corked.payload += payload
        sock.cork(corked)
    elif sock.corked is not None:
        corked.payload += payload
        flush(sock)
    else:
        _send_datagram(sock, corked, payload)
    return len(payload)


def _check_may_send(sock: UdpSocketState) -> None:
    if sock.udp.error:
        raise os_error(take_error(sock))
    if sock.shut & SEND_SHUTDOWN:
        raise os_error(EPIPE)
    if sock.host.udp.failed:
        raise os_error(sock.host.udp.failed)


def _peer(sock: UdpSocketState) -> tuple[bytes, int]:
    udp = sock.udp
    if not udp.remote:
        raise os_error(EDESTADDRREQ)
    return udp.remote, udp.remote_port


def _begin_datagram(
    sock: UdpSocketState, remote: bytes, port: int, items: Iterable[tuple[int, int, Any]]
) -> Corked:
    """From where the next datagram goes there, and how."""
    host, udp = sock.host, sock.udp
    asked = udp_ancillary.asked_of_datagram(udp.kept, items, is_v4(remote), host.ip)
    own, remote = _ends(sock, remote)
    if asked.source:
        if not udp_ancillary.is_own_source(asked.source, host.ip, binding.is_free(udp.kept)):
            raise os_error(ENETUNREACH if is_v4(remote) else EINVAL)
        own = asked.source
    size = asked.segment_size or int(udp.kept.get("UDP_SEGMENT", 0))
    wanted, name = _stamps(sock, asked.stamps)
    sending = Sending(asked.tos, asked.ttl, size, wanted, name)
    return Corked(own, remote, port, sending)


def _stamps(sock: UdpSocketState, asked: int) -> tuple[int, int]:
    """Which timestamps of the next datagram are wanted, and its name in them."""
    flags = int(sock.udp.kept.get("SO_TIMESTAMPING", 0))
    wanted = (asked | flags) & (TX_SOFTWARE | TX_SCHED)
    if not wanted or not flags & TIMESTAMPING_SOFTWARE:  # nobody would be told
        return 0, 0
    name = sock.take_stamp_id() if flags & TIMESTAMPING_OPT_ID else 0
    return wanted | (flags & STAMP_ONLY), name


def _send_datagram(sock: UdpSocketState, how: Corked, payload: bytes) -> None:
    udp = sock.udp
    datagram = Datagram(how.own, udp.port, how.remote, how.port, payload)
    code = udp_output.send(sock.host.udp, udp, datagram, how.sending)
    if code:
        raise os_error(code)


def flush(sock: UdpSocketState) -> None:
    """What UDP_CORK or MSG_MORE has gathered leaves as one datagram."""
    corked = sock.corked
    if corked is not None:
        sock.cork(None)
        _send_datagram(sock, corked, corked.payload)


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
    received = udp.queue[0]
    payload = received.datagram.payload if not received.segment_size else received.payload
    if not flags & c.MSG_PEEK:
        udp.get()
    told = c.MSG_TRUNC if len(payload) > size else 0
    items: list[Ancillary] = []
    if udp.tells or received.segment_size:
        wanted = udp_ancillary.of_datagram(
            udp.kept, sock.family, received, sock.host.ip, sock.host.realtime_offset_us
        )
        if wanted:
            items, is_cut = fitting(wanted, ancillary_size)
            told |= c.MSG_CTRUNC if is_cut else 0
    datagram = received.datagram
    where = sockaddr.unparse(
        sock.family, datagram.source, datagram.source_port, sock.host.ip.interface.index
    )
    if told & flags & c.MSG_TRUNC:  # the length is returned, the octets are not
        return payload[:size].ljust(len(payload), b"\0"), items, told, where
    return payload[:size], items, told, where


def _take_report(sock: UdpSocketState, size: int, ancillary_size: int) -> Message:
    udp = sock.udp
    if not udp.reports:
        raise os_error(EAGAIN)
    report, remote, port, payload = udp.reports.popleft()
    left = udp.reports[0][0] if udp.reports else None
    udp.set_error(error_queue.error_after(report, left, udp.error))
    return error_queue.message(sock, report, (remote, port), payload, size, ancillary_size)


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
        return sock.udp.queue[0].size if sock.udp.queue else 0
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
