"""Ancillary data of datagrams: what a socket is told of one that came, and what it asks for one
that it sends.

As Linux has them: ip_cmsg_recv, ip6_datagram_recv_ctl; ip_cmsg_send, ip6_datagram_send_ctl.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from errno import EINVAL, ENODEV
from struct import Struct
from typing import Any, Final

from pystack.errors import os_error
from pystack.ip.ip_state import IpState
from pystack.sockets import constants as c
from pystack.sockets.ancillary import Ancillary, stamps, stamps_asked
from pystack.sockets.options import INT, UNSIGNED
from pystack.udp.endpoints import Received
from pystack.wire.address import ANY_V4, ANY_V6, is_multicast, is_v4

_PKTINFO: Final = Struct("=i4s4s")  # struct in_pktinfo: interface, source to use, destination
_PKTINFO_V6: Final = Struct("=16si")  # struct in6_pktinfo
_SOCKADDR_IN: Final = Struct("=H2s4s8x")
_SOCKADDR_IN6: Final = Struct("=H2sI16sI")
_SHORT: Final = Struct("=H")


def of_datagram(
    kept: Mapping[str, Any], family: int, received: Received, ip: IpState, realtime_offset_us: int
) -> list[Ancillary]:
    """All that a socket wants to be told of a datagram."""
    found = stamps(kept, received.at_us + realtime_offset_us)
    if kept.get("SO_RXQ_OVFL") and received.drops:
        data = (received.drops & UNSIGNED).to_bytes(4, "little")
        found.append((c.SOL_SOCKET, c.SO_RXQ_OVFL, data))
    for name, number in (("SO_RCVMARK", c.SO_MARK), ("SO_RCVPRIORITY", c.SO_PRIORITY)):
        if kept.get(name):
            found.append((c.SOL_SOCKET, number, bytes(4)))  # no packet from a device has any
    if received.segment_size:
        found.append((c.IPPROTO_UDP, c.UDP_GRO, INT.pack(received.segment_size)))
    if family == c.AF_INET6:
        found += _of_ipv6(kept, received, ip)
    if is_v4(received.datagram.destination):
        found += _of_ipv4(kept, received, ip)
    return found


def _of_ipv4(kept: Mapping[str, Any], received: Received, ip: IpState) -> list[Ancillary]:
    datagram = received.datagram
    destination = datagram.destination
    found: list[Ancillary] = []
    if kept.get("IP_PKTINFO"):
        own = destination
        if destination not in ip.addresses.local:  # for all: from where an answer would come
            own = ip.addresses.source_for(datagram.source)
        data = _PKTINFO.pack(ip.interface.index, own[12:], destination[12:])
        found.append((c.IPPROTO_IP, c.IP_PKTINFO, data))
    if kept.get("IP_RECVTTL"):
        found.append((c.IPPROTO_IP, c.IP_TTL, INT.pack(datagram.ttl)))
    if kept.get("IP_RECVTOS"):
        found.append((c.IPPROTO_IP, c.IP_TOS, bytes((datagram.tos,))))
    if kept.get("IP_RECVORIGDSTADDR"):
        port = datagram.destination_port.to_bytes(2, "big")
        data = _SOCKADDR_IN.pack(c.AF_INET, port, destination[12:])
        found.append((c.IPPROTO_IP, c.IP_RECVORIGDSTADDR, data))
    return found


def _of_ipv6(kept: Mapping[str, Any], received: Received, ip: IpState) -> list[Ancillary]:
    datagram = received.datagram
    index = ip.interface.index
    found: list[Ancillary] = []
    for name, number in (
        ("IPV6_RECVPKTINFO", c.IPV6_PKTINFO), ("IPV6_2292PKTINFO", c.IPV6_2292PKTINFO),
    ):  # fmt: skip
        if kept.get(name):
            data = _PKTINFO_V6.pack(datagram.destination, index)
            found.append((c.IPPROTO_IPV6, number, data))
    if is_v4(datagram.destination):
        return found
    for name, number, value in (
        ("IPV6_RECVHOPLIMIT", c.IPV6_HOPLIMIT, datagram.ttl),
        ("IPV6_2292HOPLIMIT", c.IPV6_2292HOPLIMIT, datagram.ttl),
        ("IPV6_RECVTCLASS", c.IPV6_TCLASS, datagram.tos),
    ):
        if kept.get(name):
            found.append((c.IPPROTO_IPV6, number, INT.pack(value)))
    if kept.get("IPV6_ORIGDSTADDR"):
        port = datagram.destination_port.to_bytes(2, "big")
        data = _SOCKADDR_IN6.pack(c.AF_INET6, port, 0, datagram.destination, 0)
        found.append((c.IPPROTO_IPV6, c.IPV6_ORIGDSTADDR, data))
    return found


# -- what is asked for ---------------------------------------------------------------------------
class Asked:
    """What the ancillary data of one call ask for. `source` is b"" where they name none; of the
    rest see `udp_output.Sending`."""

    __slots__ = ("source", "tos", "ttl", "segment_size", "stamps")

    def __init__(self) -> None:
        self.source = b""
        self.tos = -1
        self.ttl = -1
        self.segment_size = 0
        self.stamps = 0


def asked_of_datagram(
    kept: Mapping[str, Any], items: Iterable[tuple[int, int, Any]], v4: bool, ip: IpState
) -> Asked:
    """What `sendmsg` is told for a datagram of IPv4 or of IPv6.

    Raises EINVAL for what Linux does not take, ENODEV for another interface.
    """
    asked = Asked()
    for level, kind, given in items:
        data = bytes(given)
        if level == c.SOL_SOCKET:
            asked.stamps |= stamps_asked(kind, data, kept)
        elif level == c.IPPROTO_UDP:
            if kind != c.UDP_SEGMENT or len(data) != _SHORT.size:
                raise os_error(EINVAL)
            asked.segment_size = _SHORT.unpack(data)[0]
        elif level == c.IPPROTO_IP and v4:
            _ask_of_ipv4(asked, kind, data, ip)
        elif level == c.IPPROTO_IPV6:
            if v4 and kind != c.IPV6_PKTINFO:
                raise os_error(EINVAL)
            _ask_of_ipv6(asked, kind, data, ip)
    return asked


def _ask_of_ipv4(asked: Asked, kind: int, data: bytes, ip: IpState) -> None:
    if kind == c.IP_PKTINFO:
        if len(data) != _PKTINFO.size:
            raise os_error(EINVAL)
        index, own, _ = _PKTINFO.unpack(data)
        _check_interface(index, ip)
        if any(own):
            asked.source = ANY_V4[:12] + own
    elif kind == c.IP_TTL:
        asked.ttl = _number(data, 1, 255)
    elif kind == c.IP_TOS:
        asked.tos = data[0] if len(data) == 1 else _number(data, 0, 255)
    elif kind != c.IP_RETOPTS or data:
        raise os_error(EINVAL)


def _ask_of_ipv6(asked: Asked, kind: int, data: bytes, ip: IpState) -> None:
    if kind in (c.IPV6_PKTINFO, c.IPV6_2292PKTINFO):
        if len(data) < _PKTINFO_V6.size:
            raise os_error(EINVAL)
        own, index = _PKTINFO_V6.unpack_from(data)
        _check_interface(index, ip)
        if own != ANY_V6:
            asked.source = own
    elif kind in (c.IPV6_HOPLIMIT, c.IPV6_2292HOPLIMIT):
        asked.ttl = _number(data, -1, 255)
    elif kind == c.IPV6_TCLASS:
        asked.tos = _number(data, -1, 255)
    elif kind == c.IPV6_DONTFRAG:
        _number(data, 0, 1)
    else:
        raise os_error(EINVAL)


def _check_interface(index: int, ip: IpState) -> None:
    if index not in (0, ip.interface.index):
        raise os_error(ENODEV)


def _number(data: bytes, low: int, high: int) -> int:
    if len(data) != INT.size:
        raise os_error(EINVAL)
    value: int = INT.unpack(data)[0]
    if not low <= value <= high:
        raise os_error(EINVAL)
    return value


def is_own_source(source: bytes, ip: IpState, is_free: bool) -> bool:
    """Whether a datagram may have that source: one of the host's addresses, with IP_FREEBIND or
    IP_TRANSPARENT any of one host."""
    return source in ip.addresses.local or (is_free and not is_multicast(source))
