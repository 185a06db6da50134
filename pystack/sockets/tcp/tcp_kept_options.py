"""Options of a TCP socket that change nothing here: kept and told, or refused by their name.

What Linux refuses, for want of a kernel module or in this state of a socket, is refused with its
errno. What it takes and a stack has not, such as TCP_MD5SIG, is refused with a sentence.
"""

from __future__ import annotations

from errno import EINVAL, ENOENT, ENOPROTOOPT, EOPNOTSUPP, EPERM, EPROTO
from typing import Any, Final, TypeAlias

from pystack.errors import os_error
from pystack.sockets import constants as c
from pystack.sockets.ip_level import flag_1, take_no_packet_options
from pystack.sockets.options import (
    INT,
    INT_MAX,
    Option,
    fixed,
    kept_flag,
    kept_number,
    raising,
    within,
)
from pystack.sockets.tcp.tcp_settings import Settings
from pystack.sockets.tcp.tcp_state import TcpSocketState
from pystack.tcp.state.states import CLOSED

TcpOption: TypeAlias = "Option[TcpSocketState, Settings]"

_GONE: Final = raising(ENOPROTOOPT)
_NO_VALUE: Final = raising(EINVAL)
_MD5_SIZE: Final = 216  # bytes of struct tcp_md5sig
_MODULES: Final = b"mptcp"  # of TCP_ULP: there, and not for users
_REPAIR_ON: Final = 1
_US: Final = 1_000


def _authentication(name: str, words: str, size: int) -> TcpOption:
    """Signed segments, which a stack does not have; other values are refused as Linux does."""

    def refuse(sock: TcpSocketState, settings: Settings, value: bytes) -> None:
        if len(value) < size:
            raise os_error(EINVAL)
        raise OSError(ENOPROTOOPT, f"{name}: a stack has no {words}")

    return Option(_GONE, refuse, raw=True)


def _set_ulp(sock: TcpSocketState, settings: Settings, value: bytes) -> None:
    if not value:
        raise os_error(EINVAL)
    raise os_error(EOPNOTSUPP if value.split(b"\0")[0] == _MODULES else ENOENT)


def _set_repair(sock: TcpSocketState, settings: Settings, value: int) -> None:
    raise OSError(EPERM, "TCP_REPAIR: connections of a stack are not repaired")


def _set_queue_seq(sock: TcpSocketState, settings: Settings, value: int) -> None:
    raise os_error(EINVAL if sock.state == CLOSED else EPERM)


def _get_timestamp(sock: TcpSocketState, settings: Settings) -> int:
    offset = sock.tcb.ts_offset if sock.tcb is not None else 0
    value = (sock.host.now_us // _US + offset) & 0xFFFF_FFFF
    return value - (value >> 31 << 32)  # as the C int that getsockopt gives


def _set_thin_dupack(sock: TcpSocketState, settings: Settings, value: int) -> None:
    within(value, 0, 1)  # Linux forgets it


# of IPPROTO_TCP
TCP: Final[dict[int, TcpOption]] = {
    c.TCP_MD5SIG: _authentication("TCP_MD5SIG", "MD5 signatures (RFC 2385)", _MD5_SIZE),
    c.TCP_THIN_LINEAR_TIMEOUTS: kept_number("TCP_THIN_LINEAR_TIMEOUTS", 0, 1),
    c.TCP_THIN_DUPACK: Option(lambda sock, settings: 0, _set_thin_dupack),
    c.TCP_REPAIR: Option(lambda sock, settings: 0, _set_repair),
    c.TCP_REPAIR_QUEUE: Option(_NO_VALUE, raising(EPERM)),
    c.TCP_QUEUE_SEQ: Option(_NO_VALUE, _set_queue_seq),
    c.TCP_REPAIR_OPTIONS: Option(_GONE, _NO_VALUE),
    c.TCP_REPAIR_WINDOW: Option(_NO_VALUE, raising(EPERM)),
    c.TCP_TIMESTAMP: Option(_get_timestamp, raising(EPERM)),
    c.TCP_ULP: Option(lambda sock, settings: b"", _set_ulp, raw=True),
    c.TCP_MD5SIG_EXT: _authentication("TCP_MD5SIG_EXT", "MD5 signatures (RFC 2385)", _MD5_SIZE),
    c.TCP_ZEROCOPY_RECEIVE: Option(_NO_VALUE),
    c.TCP_INQ: kept_number("TCP_INQ", 0, 1),
    c.TCP_TX_DELAY: kept_number("TCP_TX_DELAY", 0, INT_MAX),
    c.TCP_AO_ADD_KEY: _authentication("TCP_AO_ADD_KEY", "TCP-AO (RFC 5925)", INT.size),
    c.TCP_AO_DEL_KEY: _authentication("TCP_AO_DEL_KEY", "TCP-AO (RFC 5925)", INT.size),
    c.TCP_IS_MPTCP: fixed(0),
    c.TCP_CC_INFO: Option(lambda sock, settings: b""),
}

# -- groups: a TCP socket joins none -------------------------------------------------------------
_SOURCES: Final[Option[Any, Any]] = Option(_GONE, _NO_VALUE, raw=True)
_FILTER: Final[Option[Any, Any]] = Option(_NO_VALUE, _NO_VALUE, raw=True)
_MEMBERSHIP: Final[Option[Any, Any]] = Option(_GONE, raising(EPROTO), raw=True)
_REQUEST_V6: Final = 20  # octets of struct ipv6_mreq


def _no_membership(sock: TcpSocketState, settings: Settings, value: bytes) -> None:
    raise os_error(EPROTO if len(value) >= _REQUEST_V6 else EINVAL)


IP: Final[dict[int, TcpOption]] = {
    c.IP_PKTOPTIONS: Option(lambda sock, settings: b""),
    c.IP_RECVFRAGSIZE: Option(lambda sock, settings: 0, raising(EINVAL)),
    c.IP_MULTICAST_IF: Option(lambda sock, settings: 0, _NO_VALUE, raw=True),
    c.IP_MULTICAST_TTL: Option(lambda sock, settings: 1, _NO_VALUE, raw=True),
    c.IP_MULTICAST_LOOP: flag_1("IP_MULTICAST_LOOP", 1),
    c.IP_ADD_MEMBERSHIP: _MEMBERSHIP,
    c.IP_DROP_MEMBERSHIP: _MEMBERSHIP,
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

IPV6: Final[dict[int, TcpOption]] = {
    c.IPV6_2292PKTOPTIONS: Option(lambda sock, settings: b"", take_no_packet_options, raw=True),
    c.IPV6_MULTICAST_IF: fixed(0),
    c.IPV6_MULTICAST_HOPS: fixed(1),
    c.IPV6_MULTICAST_LOOP: kept_number("IPV6_MULTICAST_LOOP", 0, 1, 1),
    c.IPV6_ADD_MEMBERSHIP: Option(_GONE, _no_membership, raw=True),
    c.IPV6_DROP_MEMBERSHIP: Option(_GONE, _no_membership, raw=True),
    c.IPV6_JOIN_ANYCAST: _SOURCES,
    c.IPV6_LEAVE_ANYCAST: _SOURCES,
    c.IPV6_MULTICAST_ALL: kept_flag("IPV6_MULTICAST_ALL", 1),
}
