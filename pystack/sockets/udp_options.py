"""The options of a UDP socket, with Linux's bounds: a table (level, name) -> Option."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from errno import EINVAL, ENOPROTOOPT, ENOTCONN, EOPNOTSUPP
from typing import TYPE_CHECKING, Any, Final

from pystack.sockets import constants as c
from pystack.sockets.errors import os_error
from pystack.sockets.tcp_option_calls import MOST, as_int, in_its_form
from pystack.sockets.tcp_options import MIN_RCVBUF, MIN_SNDBUF, doubled, within
from pystack.sockets.udp_calls import take_error
from pystack.udp import udp_output

if TYPE_CHECKING:
    from pystack.sockets.udp_socket import DatagramSocket

Getter = Callable[["DatagramSocket"], int]
Setter = Callable[["DatagramSocket", int], None]

_LEVELS: Final = frozenset((c.SOL_SOCKET, c.IPPROTO_IP, c.IPPROTO_UDP))


@dataclass(frozen=True, slots=True)
class Option:
    """How it is read, and how it is set if it may be."""

    get: Getter
    set: Setter | None = None


def set_option(sock: DatagramSocket, level: int, name: int, value: Any) -> None:
    """See `DatagramSocket.setsockopt`."""
    option = OPTIONS.get((level, name)) if _has_level(sock, level) else None
    if option is None or option.set is None:
        raise os_error(ENOPROTOOPT)
    option.set(sock, as_int(level, value))


def get_option(sock: DatagramSocket, level: int, name: int, size: int) -> int | bytes:
    """See `DatagramSocket.getsockopt`."""
    if not 0 <= size <= MOST:
        raise os_error(EINVAL)
    if not _has_level(sock, level):
        raise os_error(ENOPROTOOPT if sock.family == c.AF_INET6 else EOPNOTSUPP)
    option = OPTIONS.get((level, name))
    if option is None:
        raise os_error(ENOPROTOOPT)
    return in_its_form(level, option.get(sock), size)


def _has_level(sock: DatagramSocket, level: int) -> bool:
    return level in _LEVELS or (level == c.IPPROTO_IPV6 and sock.family == c.AF_INET6)


# -- kinds of options -----------------------------------------------------------------------------
def _flag(field: str) -> Option:
    """Any number but 0 is on."""

    def set_flag(sock: DatagramSocket, value: int) -> None:
        setattr(sock.udp, field, value != 0)

    return Option(lambda sock: int(getattr(sock.udp, field)), set_flag)


def _number(field: str, low: int, high: int) -> Option:
    def set_number(sock: DatagramSocket, value: int) -> None:
        setattr(sock.udp, field, within(value, low, high))

    return Option(lambda sock: getattr(sock.udp, field), set_number)


def _fixed(value: int) -> Option:
    return Option(lambda sock: value)


# -- single ones ----------------------------------------------------------------------------------
def _set_sndbuf(sock: DatagramSocket, value: int) -> None:
    sock.udp.sndbuf = doubled(value, sock.host.config.wmem_max, MIN_SNDBUF)


def _set_rcvbuf(sock: DatagramSocket, value: int) -> None:
    sock.udp.rcvbuf = doubled(value, sock.host.config.rmem_max, MIN_RCVBUF)


def _set_tos(sock: DatagramSocket, value: int) -> None:
    sock.udp.tos = value & 0xFF  # the ECN bits too: those of UDP are the user's


def _set_tclass(sock: DatagramSocket, value: int) -> None:
    sock.udp.tclass = max(within(value, -1, 255), 0)


def _set_ttl(sock: DatagramSocket, value: int) -> None:
    sock.udp.ttl = -1 if value == -1 else within(value, 1, 255)


def _or_default(field: str) -> Getter:
    """A TTL or hop limit, the host's where none was set."""

    def get(sock: DatagramSocket) -> int:
        value: int = getattr(sock.udp, field)
        return sock.host.config.ip_default_ttl if value < 0 else value

    return get


def _get_mtu(sock: DatagramSocket) -> int:
    if not sock.udp.remote:
        raise os_error(ENOTCONN)
    return udp_output.path_mtu(sock.host.udp, sock.udp, sock.udp.remote)


def _set_v6only(sock: DatagramSocket, value: int) -> None:
    if sock.udp.port:
        raise os_error(EINVAL)
    sock.udp.v6only = value != 0


def _recverr(field: str) -> Option:
    def set_recverr(sock: DatagramSocket, value: int) -> None:
        setattr(sock.udp, field, value != 0)
        if not value:
            sock.udp.reports.clear()

    return Option(lambda sock: int(getattr(sock.udp, field)), set_recverr)


# -- the table ------------------------------------------------------------------------------------
_SOCKET: Final = {
    c.SO_REUSEADDR: _flag("reuse_address"),
    c.SO_REUSEPORT: _flag("reuse_port"),
    c.SO_BROADCAST: _flag("broadcast"),
    c.SO_TYPE: _fixed(c.SOCK_DGRAM),
    c.SO_ERROR: Option(take_error),
    c.SO_SNDBUF: Option(lambda sock: sock.udp.sndbuf, _set_sndbuf),
    c.SO_RCVBUF: Option(lambda sock: sock.udp.rcvbuf, _set_rcvbuf),
    c.SO_RCVLOWAT: _fixed(1),
    c.SO_SNDLOWAT: _fixed(1),
    c.SO_ACCEPTCONN: _fixed(0),
    c.SO_PROTOCOL: _fixed(c.IPPROTO_UDP),
    c.SO_DOMAIN: Option(lambda sock: sock.family),
}

_IP: Final = {
    c.IP_TOS: Option(lambda sock: sock.udp.tos, _set_tos),
    c.IP_TTL: Option(_or_default("ttl"), _set_ttl),
    c.IP_MTU_DISCOVER: _number("mtu_discover", c.IP_PMTUDISC_DONT, c.IP_PMTUDISC_OMIT),
    c.IP_RECVERR: _recverr("recverr"),
    c.IP_MTU: Option(_get_mtu),
}

_IPV6: Final = {
    c.IPV6_UNICAST_HOPS: Option(
        _or_default("hops"), lambda sock, value: setattr(sock.udp, "hops", within(value, -1, 255))
    ),
    c.IPV6_MTU_DISCOVER: _number("mtu_discover_v6", c.IP_PMTUDISC_DONT, c.IP_PMTUDISC_OMIT),
    c.IPV6_MTU: Option(_get_mtu),
    c.IPV6_RECVERR: _recverr("recverr_v6"),
    c.IPV6_V6ONLY: Option(lambda sock: int(sock.udp.v6only), _set_v6only),
    c.IPV6_TCLASS: Option(lambda sock: sock.udp.tclass, _set_tclass),
}

OPTIONS: Final[dict[tuple[int, int], Option]] = {
    (level, name): option
    for level, table in ((c.SOL_SOCKET, _SOCKET), (c.IPPROTO_IP, _IP), (c.IPPROTO_IPV6, _IPV6))
    for name, option in table.items()
}
