"""Every socket option: how it is read, which values it takes, what it does to a connection.

A table, not a ladder: (level, name) -> Option. Bounds, rounding and what is reported back are
Linux's, checked against a kernel by the tests.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from errno import EINVAL, ENOTCONN
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from pystack.parts import variants
from pystack.sockets import constants as c
from pystack.sockets import errors
from pystack.sockets.errors import os_error
from pystack.sockets.tcp_info import TcpInfo
from pystack.sockets.tcp_settings import (
    FIN_TIMEOUT_MAX,
    Settings,
    repeats_to_seconds,
    seconds_to_repeats,
)
from pystack.tcp import soft_errors
from pystack.tcp.state.states import CLOSED, LISTEN
from pystack.tcp.tcb import UNLIMITED, Tcb
from pystack.tcp.user import user_calls

if TYPE_CHECKING:
    from pystack.sockets.tcp_socket import Socket

_INT_MAX: Final = 0x7FFF_FFFF
_UNSIGNED: Final = 0xFFFF_FFFF
MIN_SNDBUF: Final = 4608  # two of the smallest packets with Linux's bookkeeping
MIN_RCVBUF: Final = 2304
_MIN_CLAMP: Final = MIN_RCVBUF // 2
_MSS_DEFAULT: Final = 536
_ECN_MASK: Final = 3
_LINGER: Final = Struct("=ii")
_CONGESTION_SIZE: Final = 16  # TCP_CA_NAME_MAX, the final NUL included

Setter = Callable[["Socket", Settings, Any], None]
Effect = Callable[[Settings, Tcb], None]


@dataclass(frozen=True, slots=True)
class Option:
    """`set` checks a value and puts it into the settings, `effect` brings a changed setting to
    a connection that exists; `raw` options take and give bytes."""

    get: Callable[[Socket], int | bytes]
    set: Setter | None = None
    effect: Effect | None = None
    raw: bool = False


# -- kinds of options -----------------------------------------------------------------------------
def _flag(field: str, effect: Effect | None = None) -> Option:
    """Any number but 0 is on."""

    def set_flag(sock: Socket, settings: Settings, value: int) -> None:
        setattr(settings, field, value != 0)

    return Option(lambda sock: int(getattr(sock.settings, field)), set_flag, effect)


def _number(
    field: str, low: int, high: int, default: Callable[[Socket], int], effect: Effect | None
) -> Option:
    """`low` to `high`, else EINVAL; `default` is reported while it was not set."""

    def set_number(sock: Socket, settings: Settings, value: int) -> None:
        setattr(settings, field, within(value, low, high))

    return Option(lambda sock: getattr(sock.settings, field) or default(sock), set_number, effect)


def _fixed(value: int) -> Option:
    return Option(lambda sock: value)


def within(value: int, low: int, high: int) -> int:
    """`value`, or EINVAL when it is outside of the bounds."""
    if not low <= value <= high:
        raise os_error(EINVAL)
    return value


# -- SOL_SOCKET -----------------------------------------------------------------------------------
def _get_error(sock: Socket) -> int:
    code = errors.take(sock)
    if not code and sock.tcb is not None:
        code = soft_errors.take_soft_error(sock.tcb)
    return code


def doubled(value: int, most: int, least: int) -> int:
    """Linux doubles for its own bookkeeping, and takes a negative number for a huge one."""
    return max(2 * min(value & _UNSIGNED, most, _INT_MAX // 2), least)


def _set_sndbuf(sock: Socket, settings: Settings, value: int) -> None:
    settings.sndbuf = doubled(value, sock.host.config.wmem_max, MIN_SNDBUF)


def _get_sndbuf(sock: Socket) -> int:
    if sock.tcb is not None:
        return sock.tcb.sndbuf.limit
    return sock.settings.sndbuf or sock.host.config.tcp_wmem[1]


def _set_rcvbuf(sock: Socket, settings: Settings, value: int) -> None:
    settings.rcvbuf = doubled(value, sock.host.config.rmem_max, MIN_RCVBUF)


def _get_rcvbuf(sock: Socket) -> int:
    if sock.tcb is not None:
        return sock.tcb.recvbuf.limit
    return sock.settings.rcvbuf or sock.host.config.tcp_rmem[1]


def _set_rcvlowat(sock: Socket, settings: Settings, value: int) -> None:
    if value < 0:
        value = _INT_MAX
    most = (settings.rcvbuf or sock.host.config.tcp_rmem[2]) >> 1
    settings.rcvlowat = max(min(value, most), 1)


def _set_linger(sock: Socket, settings: Settings, value: bytes) -> None:
    if len(value) < _LINGER.size:
        raise os_error(EINVAL)
    on, seconds = _LINGER.unpack_from(value)
    settings.linger = on != 0
    if on:
        settings.linger_time = seconds


def _get_linger(sock: Socket) -> bytes:
    return _LINGER.pack(sock.settings.linger, sock.settings.linger_time)


def _set_max_pacing_rate(sock: Socket, settings: Settings, value: bytes) -> None:
    """Linux: an unsigned int, all ones for no bound, or an unsigned long."""
    if len(value) < 4:
        raise os_error(EINVAL)
    if len(value) >= 8:
        settings.max_pacing_rate = int.from_bytes(value[:8], sys.byteorder)
    else:
        rate = int.from_bytes(value[:4], sys.byteorder)
        settings.max_pacing_rate = UNLIMITED if rate == _UNSIGNED else rate


def _get_max_pacing_rate(sock: Socket) -> bytes:
    return sock.settings.max_pacing_rate.to_bytes(8, sys.byteorder)


# -- IPPROTO_TCP ----------------------------------------------------------------------------------
def _set_max_seg(sock: Socket, settings: Settings, value: int) -> None:
    settings.max_seg = within(value, 88, 32767) if value else 0


def _get_max_seg(sock: Socket) -> int:
    tcb = sock.tcb
    if sock.state in (CLOSED, LISTEN) and sock.settings.max_seg:
        return sock.settings.max_seg
    return _MSS_DEFAULT if tcb is None else tcb.eff_mss


def _set_linger2(sock: Socket, settings: Settings, value: int) -> None:
    settings.linger2 = -1 if value < 0 else min(value, FIN_TIMEOUT_MAX)


def _set_defer_accept(sock: Socket, settings: Settings, value: int) -> None:
    settings.defer_accept = seconds_to_repeats(value, sock.host.config)


def _get_defer_accept(sock: Socket) -> int:
    return repeats_to_seconds(sock.settings.defer_accept, sock.host.config)


def _set_window_clamp(sock: Socket, settings: Settings, value: int) -> None:
    if not value and sock.state != CLOSED:
        raise os_error(EINVAL)
    settings.window_clamp = max(value, _MIN_CLAMP) if value else 0


def _get_window_clamp(sock: Socket) -> int:
    tcb = sock.tcb
    if tcb is None:
        return sock.settings.window_clamp
    return tcb.window_clamp or tcb.recvbuf.limit >> 1


def _set_quick_ack(sock: Socket, settings: Settings, value: int) -> None:
    settings.quick_ack = value != 0


def _get_quick_ack(sock: Socket) -> int:
    if sock.tcb is not None:
        return int(not sock.tcb.pingpong)
    return int(sock.settings.quick_ack or sock.state == LISTEN)


def _set_congestion(sock: Socket, settings: Settings, value: bytes) -> None:
    if not value:
        raise os_error(EINVAL)
    name = value[: _CONGESTION_SIZE - 1].split(b"\0")[0].decode("latin-1")
    variants.check(variants.CONGESTION_CONTROL, name)
    settings.congestion = name


def _get_congestion(sock: Socket) -> bytes:
    if sock.tcb is not None:
        name = sock.tcb.cc.name
    else:
        name = sock.settings.congestion or sock.host.config.tcp_congestion_control
    return name.encode("latin-1").ljust(_CONGESTION_SIZE, b"\0")


def _set_variant(sock: Socket, settings: Settings, value: bytes) -> None:
    chosen = dict(settings.variants)
    for kind, name in variants.parse(value.split(b"\0")[0].decode("latin-1")):
        variants.check_for_socket(kind)
        if kind == variants.CONGESTION_CONTROL:
            settings.congestion = name
        else:
            chosen[kind] = name
    settings.variants = tuple(chosen.items())


def _get_variant(sock: Socket) -> bytes:
    settings = sock.settings
    chosen = dict(settings.variants)
    if settings.congestion:
        chosen[variants.CONGESTION_CONTROL] = settings.congestion
    pairs = variants.in_use(sock.tcb, chosen, sock.host.config)
    return ",".join(f"{kind}={name}" for kind, name in pairs).encode("latin-1")


# -- IPPROTO_IP and IPPROTO_IPV6 ------------------------------------------------------------------
def _set_tos(sock: Socket, settings: Settings, value: int) -> None:
    settings.tos = value & 0xFF & ~_ECN_MASK  # the ECN bits are TCP's own


def _set_tclass(sock: Socket, settings: Settings, value: int) -> None:
    settings.tclass = max(within(value, -1, 255), 0) & ~_ECN_MASK


def _set_ttl(sock: Socket, settings: Settings, value: int) -> None:
    settings.ttl = -1 if value == -1 else within(value, 1, 255)


def _set_hops(sock: Socket, settings: Settings, value: int) -> None:
    settings.hops = within(value, -1, 255)


def _set_mtu_discover(sock: Socket, settings: Settings, value: int) -> None:
    settings.mtu_discover = within(value, c.IP_PMTUDISC_DONT, c.IP_PMTUDISC_OMIT)


def _get_mtu_discover(sock: Socket) -> int:
    if sock.settings.mtu_discover >= 0:
        return sock.settings.mtu_discover
    return c.IP_PMTUDISC_DONT if sock.host.config.ip_no_pmtu_disc else c.IP_PMTUDISC_WANT


def _set_mtu_discover_v6(sock: Socket, settings: Settings, value: int) -> None:
    settings.mtu_discover_v6 = within(value, c.IP_PMTUDISC_DONT, c.IP_PMTUDISC_OMIT)


def _get_mtu_discover_v6(sock: Socket) -> int:
    mode = sock.settings.mtu_discover_v6
    return mode if mode >= 0 else c.IP_PMTUDISC_WANT


def _get_mtu(sock: Socket) -> int:
    if sock.tcb is None or sock.tcb.state == CLOSED:
        raise os_error(ENOTCONN)
    return sock.host.ip.path_mtus.mtu(sock.tcb.key[16:32])


def _apply_recverr(settings: Settings, tcb: Tcb) -> None:
    settings.apply_ip(tcb)
    if not tcb.recverr:
        while soft_errors.take_report(tcb) is not None:
            pass  # switched off: the queue goes


def _set_v6only(sock: Socket, settings: Settings, value: int) -> None:
    if sock.reserved is not None or sock.tcb is not None:
        raise os_error(EINVAL)
    settings.v6only = value != 0


# -- the table ------------------------------------------------------------------------------------
def _zero(sock: Socket) -> int:
    return 0


_SOCKET: Final = {
    c.SO_REUSEADDR: _flag("reuse_address"),
    c.SO_TYPE: _fixed(c.SOCK_STREAM),
    c.SO_ERROR: Option(_get_error),
    c.SO_SNDBUF: Option(
        _get_sndbuf, _set_sndbuf, lambda s, tcb: user_calls.set_sndbuf(tcb, s.sndbuf)
    ),
    c.SO_RCVBUF: Option(
        _get_rcvbuf, _set_rcvbuf, lambda s, tcb: user_calls.set_rcvbuf(tcb, s.rcvbuf)
    ),
    c.SO_KEEPALIVE: _flag("keepalive", lambda s, tcb: user_calls.set_keepalive(tcb, s.keepalive)),
    c.SO_OOBINLINE: _flag(
        "oob_inline", lambda s, tcb: user_calls.set_oob_inline(tcb, s.oob_inline)
    ),
    c.SO_LINGER: Option(_get_linger, _set_linger, raw=True),
    c.SO_RCVLOWAT: Option(lambda sock: sock.settings.rcvlowat, _set_rcvlowat),
    c.SO_SNDLOWAT: _fixed(1),
    c.SO_ACCEPTCONN: Option(lambda sock: int(sock.state == LISTEN)),
    c.SO_PROTOCOL: _fixed(c.IPPROTO_TCP),
    c.SO_DOMAIN: Option(lambda sock: sock.family),
    c.SO_MAX_PACING_RATE: Option(
        _get_max_pacing_rate, _set_max_pacing_rate,
        lambda s, tcb: user_calls.set_max_pacing_rate(tcb, s.max_pacing_rate), raw=True,
    ),
}

_TCP: Final = {
    c.TCP_NODELAY: _flag("nodelay", lambda s, tcb: user_calls.set_nodelay(tcb, s.nodelay)),
    c.TCP_MAXSEG: Option(_get_max_seg, _set_max_seg),  # counts in the SYN only
    c.TCP_CORK: _flag("cork", lambda s, tcb: user_calls.set_cork(tcb, s.cork)),
    c.TCP_KEEPIDLE: _number(
        "keepalive_time", 1, 32767, lambda sock: sock.host.config.tcp_keepalive_time,
        Settings.apply_keepalive_times,
    ),
    c.TCP_KEEPINTVL: _number(
        "keepalive_intvl", 1, 32767, lambda sock: sock.host.config.tcp_keepalive_intvl,
        Settings.apply_keepalive_times,
    ),
    c.TCP_KEEPCNT: _number(
        "keepalive_probes", 1, 127, lambda sock: sock.host.config.tcp_keepalive_probes,
        Settings.apply_keepalive_times,
    ),
    c.TCP_SYNCNT: _number(
        "syn_retries", 1, 127, lambda sock: sock.host.config.tcp_syn_retries,
        lambda s, tcb: user_calls.set_syn_retries(tcb, s.syn_retries),
    ),
    c.TCP_LINGER2: Option(
        lambda sock: sock.settings.linger2 or sock.host.config.tcp_fin_timeout, _set_linger2,
        Settings.apply_linger2,
    ),
    c.TCP_DEFER_ACCEPT: Option(_get_defer_accept, _set_defer_accept),
    c.TCP_WINDOW_CLAMP: Option(
        _get_window_clamp, _set_window_clamp,
        lambda s, tcb: user_calls.set_window_clamp(tcb, s.window_clamp),
    ),
    c.TCP_INFO: Option(lambda sock: TcpInfo.of(sock).pack()),
    c.TCP_QUICKACK: Option(
        _get_quick_ack, _set_quick_ack, lambda s, tcb: user_calls.set_quick_ack(tcb, s.quick_ack)
    ),
    c.TCP_CONGESTION: Option(
        _get_congestion, _set_congestion, Settings.apply_congestion, raw=True
    ),
    c.TCP_VARIANT: Option(_get_variant, _set_variant, Settings.apply_variants, raw=True),
    c.TCP_USER_TIMEOUT: _number(
        "user_timeout", 0, _INT_MAX, _zero,
        lambda s, tcb: user_calls.set_user_timeout(tcb, s.user_timeout * 1000),
    ),
    c.TCP_NOTSENT_LOWAT: _number(
        "notsent_lowat", -_INT_MAX - 1, _INT_MAX, _zero, Settings.apply_notsent_lowat
    ),
}  # fmt: skip

_IP: Final = {
    c.IP_TOS: Option(lambda sock: sock.settings.tos, _set_tos, Settings.apply_ip),
    c.IP_TTL: Option(
        lambda sock: sock.settings.ttl_of(sock.host.config, True), _set_ttl, Settings.apply_ip
    ),
    c.IP_MTU_DISCOVER: Option(_get_mtu_discover, _set_mtu_discover, Settings.apply_ip),
    c.IP_RECVERR: _flag("recverr", _apply_recverr),
    c.IP_MTU: Option(_get_mtu),
}

_IPV6: Final = {
    c.IPV6_UNICAST_HOPS: Option(
        lambda sock: sock.settings.ttl_of(sock.host.config, False), _set_hops, Settings.apply_ip
    ),
    c.IPV6_MTU_DISCOVER: Option(_get_mtu_discover_v6, _set_mtu_discover_v6, Settings.apply_ip),
    c.IPV6_MTU: Option(_get_mtu),
    c.IPV6_RECVERR: _flag("recverr_v6", _apply_recverr),
    c.IPV6_V6ONLY: Option(lambda sock: int(sock.settings.v6only), _set_v6only),
    c.IPV6_TCLASS: Option(lambda sock: sock.settings.tclass, _set_tclass, Settings.apply_ip),
}

OPTIONS: Final[dict[tuple[int, int], Option]] = {
    (level, name): option
    for level, table in (
        (c.SOL_SOCKET, _SOCKET), (c.IPPROTO_TCP, _TCP), (c.IPPROTO_IP, _IP), (c.IPPROTO_IPV6, _IPV6)
    )
    for name, option in table.items()
}  # fmt: skip
