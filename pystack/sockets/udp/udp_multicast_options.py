"""Options of groups on a UDP socket: what a datagram to a group gets is there, to join one is not.

A TUN device has no neighbours on its link, and a stack sends no IGMP or MLD: a membership is
refused by its name. What Linux refuses for its value is refused with Linux's errno.
"""

from __future__ import annotations

from errno import EADDRNOTAVAIL, EINVAL, ENODEV, ENOPROTOOPT
from typing import Any, Final, TypeAlias

from pystack.errors import os_error
from pystack.sockets import constants as c
from pystack.sockets.ip_level import flag_1, take_no_packet_options
from pystack.sockets.options import INT, Option, keep, kept_flag, kept_number, raising, within
from pystack.sockets.udp.udp_state import UdpSocketState
from pystack.udp.endpoints import UdpEndpoint
from pystack.wire.address import ANY_V4, is_multicast

UdpOption: TypeAlias = "Option[UdpSocketState, UdpEndpoint]"

_GONE: Final = raising(ENOPROTOOPT)
_NO_VALUE: Final = raising(EINVAL)
_REQUESTS: Final = (8, 12)  # octets of struct ip_mreq and ip_mreqn
_REQUEST_V6: Final = 20  # of struct ipv6_mreq
_NO_GROUPS: Final = "a stack joins no groups: it sends no IGMP and no MLD"


def _set_ttl(sock: UdpSocketState, udp: UdpEndpoint, value: int) -> None:
    udp.multicast_ttl = 1 if value == -1 else within(value, 0, 255)


def _set_hops(sock: UdpSocketState, udp: UdpEndpoint, value: int) -> None:
    udp.multicast_hops = 1 if value == -1 else within(value, 0, 255)


def _set_interface(sock: UdpSocketState, udp: UdpEndpoint, value: bytes) -> None:
    """An address of the host, or a struct ip_mreqn with it or the number of its interface."""
    if len(value) < INT.size:
        raise os_error(EINVAL)
    own = value[:4]
    index = 0
    if len(value) >= _REQUESTS[1]:
        own, index = value[4:8], INT.unpack_from(value, 8)[0]
    elif len(value) >= _REQUESTS[0]:
        own = value[4:8]
    if index:
        if index != sock.host.ip.interface.index:
            raise os_error(EADDRNOTAVAIL)
    elif any(own) and ANY_V4[:12] + own not in sock.host.addresses.local:
        raise os_error(EADDRNOTAVAIL)
    keep(udp, "IP_MULTICAST_IF", INT.unpack(own)[0])


def _set_interface_v6(sock: UdpSocketState, udp: UdpEndpoint, value: int) -> None:
    if value not in (0, sock.host.ip.interface.index):
        raise os_error(ENODEV)
    keep(udp, "IPV6_MULTICAST_IF", value)


def _join(sock: UdpSocketState, udp: UdpEndpoint, value: bytes) -> None:
    if len(value) < _REQUESTS[0] or not is_multicast(ANY_V4[:12] + value[:4]):
        raise os_error(EINVAL)
    raise OSError(ENODEV, f"IP_ADD_MEMBERSHIP: {_NO_GROUPS}")


def _leave(sock: UdpSocketState, udp: UdpEndpoint, value: bytes) -> None:
    if len(value) < _REQUESTS[0]:
        raise os_error(EINVAL)
    own = value[4:8]  # of a group that it has not joined
    is_known = not any(own) or ANY_V4[:12] + own in sock.host.addresses.local
    raise os_error(ENODEV if any(value[:4]) and is_known else EADDRNOTAVAIL)


def _join_v6(sock: UdpSocketState, udp: UdpEndpoint, value: bytes) -> None:
    if len(value) < _REQUEST_V6 or value[0] != 0xFF:
        raise os_error(EINVAL)
    raise OSError(ENODEV, f"IPV6_JOIN_GROUP: {_NO_GROUPS}")


def _leave_v6(sock: UdpSocketState, udp: UdpEndpoint, value: bytes) -> None:
    if len(value) < _REQUEST_V6 or value[0] != 0xFF:
        raise os_error(EINVAL)
    raise os_error(EADDRNOTAVAIL)


_SOURCES: Final[Option[Any, Any]] = Option(_GONE, _NO_VALUE, raw=True)
_FILTER: Final[Option[Any, Any]] = Option(_NO_VALUE, _NO_VALUE, raw=True)

IP: Final[dict[int, UdpOption]] = {
    c.IP_MULTICAST_IF: Option(
        lambda sock, udp: udp.kept.get("IP_MULTICAST_IF", 0), _set_interface, raw=True
    ),
    c.IP_MULTICAST_TTL: Option(lambda sock, udp: udp.multicast_ttl, _set_ttl, least=1),
    c.IP_MULTICAST_LOOP: flag_1("IP_MULTICAST_LOOP", 1),
    c.IP_ADD_MEMBERSHIP: Option(_GONE, _join, raw=True),
    c.IP_DROP_MEMBERSHIP: Option(_GONE, _leave, raw=True),
    **dict.fromkeys(
        (
            c.IP_UNBLOCK_SOURCE, c.IP_BLOCK_SOURCE, c.IP_ADD_SOURCE_MEMBERSHIP,
            c.IP_DROP_SOURCE_MEMBERSHIP, c.MCAST_JOIN_GROUP, c.MCAST_BLOCK_SOURCE,
            c.MCAST_UNBLOCK_SOURCE, c.MCAST_LEAVE_GROUP, c.MCAST_JOIN_SOURCE_GROUP,
            c.MCAST_LEAVE_SOURCE_GROUP,
        ),
        _SOURCES,
    ),
    c.IP_MSFILTER: _FILTER,
    c.MCAST_MSFILTER: _FILTER,
    c.IP_MULTICAST_ALL: kept_number("IP_MULTICAST_ALL", 0, 1, 1, least=1),
}  # fmt: skip

IPV6: Final[dict[int, UdpOption]] = {
    c.IPV6_2292PKTOPTIONS: Option(_GONE, take_no_packet_options, raw=True),
    c.IPV6_MULTICAST_IF: Option(
        lambda sock, udp: udp.kept.get("IPV6_MULTICAST_IF", 0), _set_interface_v6
    ),
    c.IPV6_MULTICAST_HOPS: Option(lambda sock, udp: udp.multicast_hops, _set_hops),
    c.IPV6_MULTICAST_LOOP: kept_number("IPV6_MULTICAST_LOOP", 0, 1, 1),
    c.IPV6_ADD_MEMBERSHIP: Option(_GONE, _join_v6, raw=True),
    c.IPV6_DROP_MEMBERSHIP: Option(_GONE, _leave_v6, raw=True),
    c.IPV6_JOIN_ANYCAST: _SOURCES,
    c.IPV6_LEAVE_ANYCAST: _SOURCES,
    c.IPV6_MULTICAST_ALL: kept_flag("IPV6_MULTICAST_ALL", 1),
}
