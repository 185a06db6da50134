"""The options of IPPROTO_IP and IPPROTO_IPV6 that TCP's and UDP's sockets share.

`MULTICAST_…` have those of groups, which TCP's sockets refuse as Linux does. What a received
packet's ancillary data tell (IP_PKTINFO and its like) is `ancillary`'s, of UDP; on a TCP socket
these options are taken, as in Linux, and nothing follows.
"""

from __future__ import annotations

from errno import (
    EADDRNOTAVAIL,
    EINVAL,
    EMSGSIZE,
    ENOENT,
    ENOPROTOOPT,
    ENOTCONN,
    EOPNOTSUPP,
)
from struct import Struct
from typing import Any, Final

from pystack.errors import os_error
from pystack.sockets import constants as c
from pystack.sockets import options
from pystack.sockets.options import (
    INT,
    HasOptions,
    Option,
    Shared,
    keep,
    kept_flag,
    kept_number,
    raising,
)

_PORTS: Final = Struct("=HH")  # IP_LOCAL_PORT_RANGE: the lower one in the lower half
_PRIORITIES: Final = (0, 2, 6, 4)  # TC_PRIO_… of the two bits for throughput and delay
_CMSG_HEADER: Final = 16  # octets
_IPV6_MIN_MTU: Final = 1280
_PATH_MTU_INFO: Final = Struct("=HHI16sII")  # struct ip6_mtuinfo


# -- IPPROTO_IP -----------------------------------------------------------------------------------
def take_priority(record: Shared, tos: int) -> None:
    """IP_TOS says SO_PRIORITY too (Linux: rt_tos2priority)."""
    keep(record, "SO_PRIORITY", _PRIORITIES[tos >> 3 & 3])


def _set_no_options(sock: Any, record: Shared, value: bytes) -> None:
    if value:
        raise OSError(ENOPROTOOPT, "IP_OPTIONS: packets of a stack have no IPv4 options")


def _get_port_range(sock: Any, record: Shared) -> int:
    packed: int = INT.unpack(INT.pack(int(record.kept.get("IP_LOCAL_PORT_RANGE", 0))))[0]
    return packed


def _set_port_range(sock: Any, record: Shared, value: bytes) -> None:
    if len(value) != INT.size:
        raise os_error(EINVAL)
    low, high = _PORTS.unpack(value)
    if low and high and low > high:
        raise os_error(EINVAL)
    keep(record, "IP_LOCAL_PORT_RANGE", INT.unpack(value)[0])


def port_range(record: Shared, config_range: tuple[int, int]) -> tuple[int, int]:
    """The ephemeral ports of a socket: those of the host, as far as IP_LOCAL_PORT_RANGE lies within
    them; where it does not touch them they are the host's (Linux: inet_sk_get_local_port_range)."""
    packed = record.kept.get("IP_LOCAL_PORT_RANGE", 0)
    if not packed:
        return config_range
    low, high = _PORTS.unpack(INT.pack(int(packed)))
    least, most = config_range
    if low and not least <= low <= most:
        low = 0
    if high and not least <= high <= most:
        high = 0
    return low or least, high or most


def _unicast_if(name: str) -> Option[Any, Any]:
    """An interface by its number in network order; 0 for none."""

    def set(sock: HasOptions, record: Shared, value: bytes) -> None:
        if len(value) != INT.size:
            raise os_error(EINVAL)
        index = int.from_bytes(value, "big")
        if index and index != sock.host.ip.interface.index:
            raise os_error(EADDRNOTAVAIL)
        keep(record, name, INT.unpack(value)[0])

    return Option(lambda sock, record: record.kept.get(name, 0), set, raw=True)


def _policy(name: str, code: int) -> Option[Any, Any]:
    """IPsec's, which a stack has not."""

    def refuse(sock: Any, record: Any, value: bytes) -> None:
        raise os_error(code if value else EMSGSIZE)

    return Option(raising(ENOPROTOOPT), refuse, raw=True)


def flag_1(name: str, default: int = 0) -> Option[Any, Any]:
    """A flag that takes no value of no octets."""
    return kept_flag(name, default, least=1)


def ip_options() -> dict[int, Option[Any, Any]]:
    """Of IPPROTO_IP, but for those that TCP and UDP have differently."""
    unknown: Option[Any, Any] = Option(lambda sock, record: 0)
    return {
        c.IP_HDRINCL: unknown,
        c.IP_OPTIONS: Option(lambda sock, record: b"", _set_no_options, raw=True),
        c.IP_ROUTER_ALERT: Option(lambda sock, record: 0, raising(EINVAL)),
        c.IP_RECVOPTS: kept_flag("IP_RECVOPTS"),
        c.IP_RETOPTS: kept_flag("IP_RETOPTS"),
        c.IP_PKTINFO: kept_flag("IP_PKTINFO"),
        c.IP_MTU_DISCOVER: Option(*options.MTU_DISCOVER),
        c.IP_RECVTTL: kept_flag("IP_RECVTTL"),
        c.IP_RECVTOS: kept_flag("IP_RECVTOS"),
        c.IP_FREEBIND: flag_1("IP_FREEBIND"),
        c.IP_IPSEC_POLICY: _policy("IP_IPSEC_POLICY", EOPNOTSUPP),
        c.IP_XFRM_POLICY: _policy("IP_XFRM_POLICY", EINVAL),
        c.IP_PASSSEC: kept_flag("IP_PASSSEC"),
        c.IP_TRANSPARENT: flag_1("IP_TRANSPARENT"),
        c.IP_RECVORIGDSTADDR: kept_flag("IP_RECVORIGDSTADDR"),
        c.IP_MINTTL: kept_number("IP_MINTTL", 0, 255, least=1),
        c.IP_NODEFRAG: unknown,
        c.IP_CHECKSUM: kept_flag("IP_CHECKSUM"),
        c.IP_BIND_ADDRESS_NO_PORT: kept_flag("IP_BIND_ADDRESS_NO_PORT"),
        c.IP_RECVERR_RFC4884: kept_number("IP_RECVERR_RFC4884", 0, 1),
        c.IP_UNICAST_IF: _unicast_if("IP_UNICAST_IF"),
        c.IP_LOCAL_PORT_RANGE: Option(_get_port_range, _set_port_range, raw=True),
        c.IP_PROTOCOL: Option(lambda sock, record: sock.own_name()[1]),
    }


# -- IPPROTO_IPV6 ---------------------------------------------------------------------------------
def set_mtu(sock: Any, record: Shared, value: int) -> None:
    """IPV6_MTU: the largest packet before it is cut; 0 for the path's."""
    if value and value < _IPV6_MIN_MTU:
        raise os_error(EINVAL)
    keep(record, "IPV6_MTU", value)


def _get_address_form(sock: Any, record: Shared) -> int:
    if sock.peer_name() is None:
        raise os_error(ENOTCONN)
    family: int = sock.family
    return family


def _set_address_form(sock: Any, record: Shared, value: int) -> None:
    if value != c.AF_INET:
        raise os_error(EINVAL)
    if sock.peer_name() is None:
        raise os_error(ENOTCONN)
    raise OSError(EADDRNOTAVAIL, "IPV6_ADDRFORM: a socket of a stack stays what it was made as")


def _get_preferences(sock: Any, record: Shared) -> int:
    value = int(record.kept.get("IPV6_ADDR_PREFERENCES", 0))
    return value & 0x0003 | (0x0400 if not value & 0x0004 else 0) | (
        0x0100 if not value & 0x0003 else 0
    )


def _set_preferences(sock: Any, record: Shared, value: int) -> None:
    chosen = value & 0x0103
    if bin(chosen).count("1") > 1 or bin(value & 0x0404).count("1") > 1:
        raise os_error(EINVAL)
    if bin(value & 0x0808).count("1") > 1:
        raise os_error(EINVAL)
    keep(record, "IPV6_ADDR_PREFERENCES", value & 0x0007)


def _header(name: str, *, may_be_set: bool) -> Option[Any, Any]:
    """Extension headers, which packets of a stack don't have: none is all that can be set."""

    def set(sock: Any, record: Shared, value: bytes) -> None:
        if not value:
            return
        if not may_be_set or len(value) < 8 or len(value) & 7:
            raise os_error(EINVAL)
        raise OSError(ENOPROTOOPT, f"{name}: packets of a stack have no extension headers")

    return Option(lambda sock, record: b"", set, raw=True)


def take_no_packet_options(sock: Any, record: Shared, value: bytes) -> None:
    """IPV6_2292PKTOPTIONS: ancillary data for all packets, of which none are taken."""
    if len(value) >= _CMSG_HEADER:
        raise os_error(EINVAL)


def _set_packet_info(sock: Any, record: Shared, value: bytes) -> None:
    if len(value) < 20:  # struct in6_pktinfo
        raise os_error(EINVAL)
    if any(value[:16]):
        raise OSError(EINVAL, "IPV6_PKTINFO: choose the source by bind, or with each datagram")
    index = int(INT.unpack_from(value, 16)[0])
    if index not in (0, sock.host.ip.interface.index):
        raise os_error(EINVAL)


def ipv6_options() -> dict[int, Option[Any, Any]]:
    """Of IPPROTO_IPV6, but for those that TCP and UDP have differently."""
    flags = (
        "IPV6_2292PKTINFO", "IPV6_2292HOPOPTS", "IPV6_2292DSTOPTS", "IPV6_2292RTHDR",
        "IPV6_2292HOPLIMIT", "IPV6_FLOWINFO", "IPV6_FLOWINFO_SEND", "IPV6_RECVPKTINFO",
        "IPV6_RECVHOPLIMIT", "IPV6_RECVHOPOPTS", "IPV6_RECVRTHDR", "IPV6_RECVDSTOPTS",
        "IPV6_RECVPATHMTU", "IPV6_RECVTCLASS", "IPV6_ORIGDSTADDR", "IPV6_TRANSPARENT",
        "IPV6_FREEBIND", "IPV6_ROUTER_ALERT_ISOLATE",
    )  # fmt: skip
    numbers = vars(c)
    return {
        **{numbers[name]: kept_flag(name) for name in flags},
        c.IPV6_ADDRFORM: Option(_get_address_form, _set_address_form),
        c.IPV6_UNICAST_HOPS: Option(*options.HOPS),
        c.IPV6_ROUTER_ALERT: Option(lambda sock, record: 0, raising(ENOPROTOOPT)),
        c.IPV6_MTU_DISCOVER: Option(*options.MTU_DISCOVER_V6),
        c.IPV6_V6ONLY: Option(*options.V6ONLY),
        c.IPV6_RECVERR_RFC4884: kept_number("IPV6_RECVERR_RFC4884", 0, 1),
        c.IPV6_FLOWLABEL_MGR: Option(raising(ENOENT), raising(EINVAL), raw=True),
        c.IPV6_IPSEC_POLICY: _policy("IPV6_IPSEC_POLICY", EOPNOTSUPP),
        c.IPV6_XFRM_POLICY: _policy("IPV6_XFRM_POLICY", EINVAL),
        c.IPV6_PKTINFO: Option(raising(ENOPROTOOPT), _set_packet_info, raw=True),
        c.IPV6_HOPOPTS: _header("IPV6_HOPOPTS", may_be_set=True),
        c.IPV6_RTHDRDSTOPTS: _header("IPV6_RTHDRDSTOPTS", may_be_set=True),
        c.IPV6_RTHDR: _header("IPV6_RTHDR", may_be_set=False),
        c.IPV6_DSTOPTS: _header("IPV6_DSTOPTS", may_be_set=True),
        c.IPV6_DONTFRAG: kept_flag("IPV6_DONTFRAG", least=0),
        c.IPV6_AUTOFLOWLABEL: kept_flag("IPV6_AUTOFLOWLABEL", 1, least=0),
        c.IPV6_ADDR_PREFERENCES: Option(_get_preferences, _set_preferences),
        c.IPV6_MINHOPCOUNT: kept_number("IPV6_MINHOPCOUNT", 0, 255),
        c.IPV6_UNICAST_IF: _unicast_if("IPV6_UNICAST_IF"),
        c.IPV6_RECVFRAGSIZE: kept_flag("IPV6_RECVFRAGSIZE", least=0),
    }


def path_mtu_info(mtu: int, remote: bytes) -> bytes:
    """IPV6_PATHMTU of a path to `remote`."""
    return _PATH_MTU_INFO.pack(c.AF_INET6, 0, 0, remote, 0, mtu)
