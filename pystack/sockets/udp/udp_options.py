"""Every option of a UDP socket, with Linux's bounds, checked against a kernel by the tests."""

from __future__ import annotations

from errno import ENOPROTOOPT, ENOTCONN
from typing import Final, TypeAlias

from pystack.errors import os_error
from pystack.sockets import constants as c
from pystack.sockets import ip_level, options, socket_level
from pystack.sockets.options import (
    INT_MAX,
    Option,
    OptionTable,
    fixed,
    flag,
    keep,
    kept_flag,
    kept_number,
)
from pystack.sockets.udp import udp_multicast_options
from pystack.sockets.udp.udp_calls import flush, take_error
from pystack.sockets.udp.udp_state import UdpSocketState
from pystack.udp import udp_output
from pystack.udp.endpoints import UdpEndpoint

UdpOption: TypeAlias = "Option[UdpSocketState, UdpEndpoint]"


def _set_tos(sock: UdpSocketState, udp: UdpEndpoint, value: int) -> None:
    udp.tos = value & 0xFF  # the ECN bits too: those of UDP are the user's
    ip_level.take_priority(udp, udp.tos)


def _get_mtu(sock: UdpSocketState, udp: UdpEndpoint) -> int:
    if not udp.remote:
        raise os_error(ENOTCONN)
    return udp_output.path_mtu(sock.host.udp, udp, udp.remote)


def _get_path_mtu_info(sock: UdpSocketState, udp: UdpEndpoint) -> bytes:
    return ip_level.path_mtu_info(_get_mtu(sock, udp), udp.remote)


def _set_rcvlowat(sock: UdpSocketState, udp: UdpEndpoint, value: int) -> None:
    keep(udp, "SO_RCVLOWAT", INT_MAX if value < 0 else max(value, 1))  # which UDP does not look at


def _get_meminfo(sock: UdpSocketState, udp: UdpEndpoint) -> bytes:
    return socket_level.meminfo(udp.held, udp.rcvbuf, udp.unsent, udp.sndbuf, drops=udp.drops)


def _recverr(field: str) -> UdpOption:
    get, set_flag = flag(field)

    def set_recverr(sock: UdpSocketState, udp: UdpEndpoint, value: int) -> None:
        set_flag(sock, udp, value)
        if not value:
            udp.reports.clear()

    return Option(get, set_recverr)


_SOCKET: Final[dict[int, UdpOption]] = {
    **socket_level.socket_options(c.SOCK_DGRAM, c.IPPROTO_UDP),
    c.SO_BROADCAST: Option(*flag("broadcast")),
    c.SO_ERROR: Option(lambda sock, udp: take_error(sock)),
    c.SO_SNDBUF: Option(lambda sock, udp: udp.sndbuf, socket_level.set_sndbuf),
    c.SO_RCVBUF: Option(lambda sock, udp: udp.rcvbuf, socket_level.set_rcvbuf),
    c.SO_RCVLOWAT: Option(lambda sock, udp: udp.kept.get("SO_RCVLOWAT", 1), _set_rcvlowat),
    c.SO_MAX_PACING_RATE: socket_level.KEPT_PACING_RATE,
    c.SO_MEMINFO: Option(_get_meminfo),
    c.SO_TXREHASH: socket_level.NO_TXREHASH,
    c.SO_ACCEPTCONN: fixed(0),
    c.SO_NO_CHECK: Option(*flag("unsummed")),
}

def _set_cork(sock: UdpSocketState, udp: UdpEndpoint, value: int) -> None:
    keep(udp, "UDP_CORK", int(value != 0))
    if not value:
        flush(sock)


def _set_encapsulation(sock: UdpSocketState, udp: UdpEndpoint, value: int) -> None:
    if value:
        raise OSError(ENOPROTOOPT, "UDP_ENCAP: datagrams of a stack carry no other protocol")


def _set_timestamping(sock: UdpSocketState, udp: UdpEndpoint, value: int) -> None:
    before = int(udp.kept.get("SO_TIMESTAMPING", 0))
    keep(udp, "SO_TIMESTAMPING", socket_level.check_timestamping(value))
    if value & ~before & socket_level.TIMESTAMPING_OPT_ID:
        sock.restart_stamps()


_TIMESTAMPING: Final = Option(socket_level.get_timestamping, _set_timestamping)
_SOCKET[c.SO_TIMESTAMPING] = _TIMESTAMPING
_SOCKET[c.SO_TIMESTAMPING_NEW] = _TIMESTAMPING

_UDP: Final[dict[int, UdpOption]] = {
    c.UDP_CORK: Option(lambda sock, udp: udp.kept.get("UDP_CORK", 0), _set_cork),
    c.UDP_ENCAP: Option(lambda sock, udp: 0, _set_encapsulation),
    c.UDP_NO_CHECK6_TX: Option(*flag("unsummed_v6")),
    c.UDP_NO_CHECK6_RX: Option(*flag("unchecked_v6")),
    c.UDP_SEGMENT: kept_number("UDP_SEGMENT", 0, 0xFFFF),
    c.UDP_GRO: Option(*flag("gro")),
}

_IP: Final[dict[int, UdpOption]] = {
    **ip_level.ip_options(),
    **udp_multicast_options.IP,
    c.IP_RECVFRAGSIZE: kept_flag("IP_RECVFRAGSIZE"),
    c.IP_TOS: Option(lambda sock, udp: udp.tos, _set_tos),
    c.IP_TTL: Option(*options.TTL),
    c.IP_RECVERR: _recverr("recverr"),
    c.IP_MTU: Option(_get_mtu),
}

_IPV6: Final[dict[int, UdpOption]] = {
    **ip_level.ipv6_options(),
    **udp_multicast_options.IPV6,
    c.IPV6_PATHMTU: Option(_get_path_mtu_info),
    c.IPV6_MTU: Option(_get_mtu, ip_level.set_mtu),
    c.IPV6_RECVERR: _recverr("recverr_v6"),
    c.IPV6_TCLASS: Option(lambda sock, udp: udp.tclass, options.set_tclass),
}

TABLE: Final[OptionTable[UdpSocketState, UdpEndpoint]] = OptionTable(
    lambda sock: sock.udp,
    {c.SOL_SOCKET: _SOCKET, c.IPPROTO_UDP: _UDP, c.IPPROTO_IP: _IP, c.IPPROTO_IPV6: _IPV6},
)
