"""Every option of a UDP socket, with Linux's bounds, checked against a kernel by the tests."""

from __future__ import annotations

from errno import ENOTCONN
from typing import Final, TypeAlias

from pystack.errors import os_error
from pystack.sockets import constants as c
from pystack.sockets import options
from pystack.sockets.options import Option, OptionTable, fixed, flag
from pystack.sockets.udp.udp_calls import take_error
from pystack.sockets.udp.udp_state import UdpSocketState
from pystack.udp import udp_output
from pystack.udp.endpoints import UdpEndpoint

UdpOption: TypeAlias = "Option[UdpSocketState, UdpEndpoint]"


def _set_tos(sock: UdpSocketState, udp: UdpEndpoint, value: int) -> None:
    udp.tos = value & 0xFF  # the ECN bits too: those of UDP are the user's


def _get_mtu(sock: UdpSocketState, udp: UdpEndpoint) -> int:
    if not udp.remote:
        raise os_error(ENOTCONN)
    return udp_output.path_mtu(sock.host.udp, udp, udp.remote)


def _recverr(field: str) -> UdpOption:
    get, set_flag = flag(field)

    def set_recverr(sock: UdpSocketState, udp: UdpEndpoint, value: int) -> None:
        set_flag(sock, udp, value)
        if not value:
            udp.reports.clear()

    return Option(get, set_recverr)


_SOCKET: Final[dict[int, UdpOption]] = {
    **options.socket_options(c.SOCK_DGRAM, c.IPPROTO_UDP),
    c.SO_REUSEPORT: Option(*flag("reuse_port")),
    c.SO_BROADCAST: Option(*flag("broadcast")),
    c.SO_ERROR: Option(lambda sock, udp: take_error(sock)),
    c.SO_SNDBUF: Option(lambda sock, udp: udp.sndbuf, options.set_sndbuf),
    c.SO_RCVBUF: Option(lambda sock, udp: udp.rcvbuf, options.set_rcvbuf),
    c.SO_RCVLOWAT: fixed(1),
    c.SO_ACCEPTCONN: fixed(0),
}

_IP: Final[dict[int, UdpOption]] = {
    c.IP_TOS: Option(lambda sock, udp: udp.tos, _set_tos),
    c.IP_TTL: Option(*options.TTL),
    c.IP_MTU_DISCOVER: Option(*options.MTU_DISCOVER),
    c.IP_RECVERR: _recverr("recverr"),
    c.IP_MTU: Option(_get_mtu),
}

_IPV6: Final[dict[int, UdpOption]] = {
    c.IPV6_UNICAST_HOPS: Option(*options.HOPS),
    c.IPV6_MTU_DISCOVER: Option(*options.MTU_DISCOVER_V6),
    c.IPV6_MTU: Option(_get_mtu),
    c.IPV6_RECVERR: _recverr("recverr_v6"),
    c.IPV6_V6ONLY: Option(*options.V6ONLY),
    c.IPV6_TCLASS: Option(lambda sock, udp: udp.tclass, options.set_tclass),
}

TABLE: Final[OptionTable[UdpSocketState, UdpEndpoint]] = OptionTable(
    lambda sock: sock.udp,
    {c.SOL_SOCKET: _SOCKET, c.IPPROTO_UDP: {}, c.IPPROTO_IP: _IP, c.IPPROTO_IPV6: _IPV6},
)
