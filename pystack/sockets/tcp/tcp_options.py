"""Every option of a TCP socket: how it is read, which values it takes, how a connection takes it.

Bounds, rounding and what is reported back are Linux's, checked against a kernel by the tests.
Setting copies the socket's `Settings`, which accepted connections may share.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from errno import ECONNABORTED, EINVAL, ENOPROTOOPT, ENOTCONN, EPERM
from functools import partial
from typing import Any, Final, TypeAlias

from pystack.errors import os_error
from pystack.parts import variants
from pystack.sockets import constants as c
from pystack.sockets import ip_level, options, socket_level
from pystack.sockets.options import (
    INT_MAX,
    LINGER,
    Option,
    OptionTable,
    flag,
    within,
)
from pystack.sockets.socket_level import MIN_RCVBUF
from pystack.sockets.tcp import tcp_errors, tcp_fastopen_options, tcp_kept_options, tcp_messages
from pystack.sockets.tcp.tcp_info import TcpInfo
from pystack.sockets.tcp.tcp_settings import (
    FIN_TIMEOUT_MAX,
    Settings,
    repeats_to_seconds,
    seconds_to_repeats,
    values_of,
)
from pystack.sockets.tcp.tcp_state import TcpSocketState
from pystack.stack import fast_accepts
from pystack.tcp import soft_errors
from pystack.tcp.recording import Observer
from pystack.tcp.state.states import CLOSED, LISTEN
from pystack.tcp.tcb import Tcb
from pystack.tcp.user import user_settings
from pystack.wire.flow_key import remote_address

_MIN_CLAMP: Final = MIN_RCVBUF // 2
_MSS_DEFAULT: Final = 536
_ECN_MASK: Final = 3
_ON_ALL: Final = fast_accepts.ALL_LISTENERS | fast_accepts.SERVER
_CONGESTION_SIZE: Final = 16  # TCP_CA_NAME_MAX, the final NUL included

TcpOption: TypeAlias = "Option[TcpSocketState, Settings]"
Effect = Callable[[Settings, Tcb], None]


class TcpOptions(OptionTable[TcpSocketState, Settings]):
    """The table of TCP: what is set is brought to the connection or the listener, if there is
    one."""

    __slots__ = ()

    def set(self, sock: TcpSocketState, level: int, name: int, value: Any) -> None:
        """See `BaseSocket.setsockopt`."""
        settings = Settings(*values_of(sock.settings))
        option = self.put(sock, settings, level, name, value)
        sock.settings = settings
        tcb = sock.tcb
        if tcb is not None and option.effect is not None:
            try:
                option.effect(settings, tcb)
            except Exception as error:
                if not sock.host.contain_fault(tcb, error):
                    raise
                raise tcp_errors.take_os_error(sock, ECONNABORTED) from error
            if tcb.state != CLOSED:
                sock.host.mark(tcb)
        if sock.listener is not None:
            settings.apply_to_listener(sock.listener, sock.host.config)


def set_recorder(sock: TcpSocketState, recorder: Callable[[int, Tcb], Observer] | None) -> None:
    """See `Socket.attach_recorder`."""
    sock.settings = Settings(*values_of(sock.settings))
    index = sock.host.ip.interface.index
    sock.settings.recorder = None if recorder is None else partial(recorder, index)
    if sock.tcb is not None:
        sock.settings.apply_recorder(sock.tcb)
    if sock.listener is not None:
        for tcb in sock.listener.queue:  # have their settings already
            sock.settings.apply_recorder(tcb)


def on_listen(sock: TcpSocketState, backlog: int) -> None:
    """The socket is about to listen: TCP_FASTOPEN where `tcp_fastopen` sets it for all."""
    if not sock.settings.fastopen and sock.host.config.tcp_fastopen & _ON_ALL == _ON_ALL:
        settings = Settings(*values_of(sock.settings))
        settings.fastopen = backlog
        sock.settings = settings


# -- kinds of options -----------------------------------------------------------------------------
def _flag(field: str, effect: Effect) -> TcpOption:
    return Option(*flag(field), effect)


def _number(
    field: str, low: int, high: int, default: Callable[[TcpSocketState], int], effect: Effect
) -> TcpOption:
    """`low` to `high`, else EINVAL; `default` is reported while it was not set."""
    get, set_number = options.number(field, low, high)
    return Option(lambda sock, settings: get(sock, settings) or default(sock), set_number, effect)


# -- SOL_SOCKET -----------------------------------------------------------------------------------
def _get_error(sock: TcpSocketState, settings: Settings) -> int:
    code = tcp_errors.take(sock)
    if not code and sock.tcb is not None:
        code = soft_errors.take_soft_error(sock.tcb)
    return code


def _get_sndbuf(sock: TcpSocketState, settings: Settings) -> int:
    if sock.tcb is not None:
        return sock.tcb.sndbuf.limit
    return settings.sndbuf or sock.host.config.tcp_wmem[1]


def _get_rcvbuf(sock: TcpSocketState, settings: Settings) -> int:
    if sock.tcb is not None:
        return sock.tcb.recvbuf.limit
    return settings.rcvbuf or sock.host.config.tcp_rmem[1]


def _set_rcvlowat(sock: TcpSocketState, settings: Settings, value: int) -> None:
    if value < 0:
        value = INT_MAX
    most = (settings.rcvbuf or sock.host.config.tcp_rmem[2]) >> 1
    settings.rcvlowat = max(min(value, most), 1)


def _get_meminfo(sock: TcpSocketState, settings: Settings) -> bytes:
    tcb = sock.tcb
    unread = unsent = 0
    if tcb is not None:
        unread, unsent = tcb.recvbuf.held, max(tcb.sndbuf.end_seq - tcb.snd_una, 0)
    return socket_level.meminfo(
        unread, _get_rcvbuf(sock, settings), 0, _get_sndbuf(sock, settings), queued=unsent
    )


def _set_linger(sock: TcpSocketState, settings: Settings, value: bytes) -> None:
    if len(value) < LINGER.size:
        raise os_error(EINVAL)
    on, seconds = LINGER.unpack_from(value)
    settings.linger = on != 0
    if on:
        settings.linger_time = seconds


def _get_linger(sock: TcpSocketState, settings: Settings) -> bytes:
    return LINGER.pack(settings.linger, settings.linger_time)


def _set_max_pacing_rate(sock: TcpSocketState, settings: Settings, value: bytes) -> None:
    settings.max_pacing_rate = socket_level.pacing_rate(value)


def _get_max_pacing_rate(sock: TcpSocketState, settings: Settings) -> bytes:
    return settings.max_pacing_rate.to_bytes(8, sys.byteorder)


# -- IPPROTO_TCP ----------------------------------------------------------------------------------
def _set_max_seg(sock: TcpSocketState, settings: Settings, value: int) -> None:
    settings.max_seg = within(value, 88, 32767) if value else 0


def _get_max_seg(sock: TcpSocketState, settings: Settings) -> int:
    tcb = sock.tcb
    if sock.state in (CLOSED, LISTEN) and settings.max_seg:
        return settings.max_seg
    return _MSS_DEFAULT if tcb is None else tcb.eff_mss


def _set_linger2(sock: TcpSocketState, settings: Settings, value: int) -> None:
    settings.linger2 = -1 if value < 0 else min(value, FIN_TIMEOUT_MAX)


def _set_defer_accept(sock: TcpSocketState, settings: Settings, value: int) -> None:
    settings.defer_accept = seconds_to_repeats(value, sock.host.config)


def _get_defer_accept(sock: TcpSocketState, settings: Settings) -> int:
    return repeats_to_seconds(settings.defer_accept, sock.host.config)


def _set_window_clamp(sock: TcpSocketState, settings: Settings, value: int) -> None:
    if not value and sock.state != CLOSED:
        raise os_error(EINVAL)
    settings.window_clamp = max(value, _MIN_CLAMP) if value else 0


def _get_window_clamp(sock: TcpSocketState, settings: Settings) -> int:
    tcb = sock.tcb
    if tcb is None:
        return settings.window_clamp
    return tcb.window_clamp or tcb.recvbuf.limit >> 1


def _set_quick_ack(sock: TcpSocketState, settings: Settings, value: int) -> None:
    settings.quick_ack = value != 0


def _get_quick_ack(sock: TcpSocketState, settings: Settings) -> int:
    if sock.tcb is not None:
        return int(not sock.tcb.pingpong)
    return int(settings.quick_ack or sock.state == LISTEN)


def _set_congestion(sock: TcpSocketState, settings: Settings, value: bytes) -> None:
    if not value:
        raise os_error(EINVAL)
    name = value[: _CONGESTION_SIZE - 1].split(b"\0")[0].decode("latin-1")
    variants.check(variants.CONGESTION_CONTROL, name)
    route = None if sock.tcb is None else sock.tcb.user.route
    if route is not None and route.congctl_locked:
        raise os_error(EPERM)
    settings.congestion = name


def _get_congestion(sock: TcpSocketState, settings: Settings) -> bytes:
    if sock.tcb is not None:
        name = sock.tcb.cc.name
    else:
        name = settings.congestion or sock.host.config.tcp_congestion_control
    return name.encode("latin-1").ljust(_CONGESTION_SIZE, b"\0")


def _set_variant(sock: TcpSocketState, settings: Settings, value: bytes) -> None:
    chosen = dict(settings.variants)
    for kind, name in variants.parse(value.split(b"\0")[0].decode("latin-1")):
        variants.check_for_socket(kind)
        if kind == variants.CONGESTION_CONTROL:
            settings.congestion = name
        else:
            chosen[kind] = name
    settings.variants = tuple(chosen.items())


def _get_variant(sock: TcpSocketState, settings: Settings) -> bytes:
    settings = settings
    chosen = dict(settings.variants)
    if settings.congestion:
        chosen[variants.CONGESTION_CONTROL] = settings.congestion
    pairs = variants.in_use(sock.tcb, chosen, sock.host.config)
    return ",".join(f"{kind}={name}" for kind, name in pairs).encode("latin-1")


# -- IPPROTO_IP and IPPROTO_IPV6 ------------------------------------------------------------------
def _set_tos(sock: TcpSocketState, settings: Settings, value: int) -> None:
    settings.tos = value & 0xFF & ~_ECN_MASK  # the ECN bits are TCP's own
    ip_level.take_priority(settings, settings.tos)


def _set_tclass(sock: TcpSocketState, settings: Settings, value: int) -> None:
    options.set_tclass(sock, settings, value)
    settings.tclass &= ~_ECN_MASK


def _get_mtu_discover(sock: TcpSocketState, settings: Settings) -> int:
    if settings.mtu_discover >= 0:
        return settings.mtu_discover
    return c.IP_PMTUDISC_DONT if sock.host.config.ip_no_pmtu_disc else c.IP_PMTUDISC_WANT


def _get_mtu_discover_v6(sock: TcpSocketState, settings: Settings) -> int:
    mode = settings.mtu_discover_v6
    return mode if mode >= 0 else c.IP_PMTUDISC_WANT


def _get_mtu(sock: TcpSocketState, settings: Settings) -> int:
    if sock.tcb is None or sock.tcb.state == CLOSED:
        raise os_error(ENOTCONN)
    return sock.host.ip.path_mtus.mtu(remote_address(sock.tcb.key))


def _get_path_mtu_info(sock: TcpSocketState, settings: Settings) -> bytes:
    mtu = _get_mtu(sock, settings)
    return ip_level.path_mtu_info(mtu, sock.tcb.key[16:32] if sock.tcb is not None else b"")


def _apply_recverr(settings: Settings, tcb: Tcb) -> None:
    settings.apply_ip(tcb)
    if not tcb.user.recverr:
        while soft_errors.take_report(tcb) is not None:
            pass  # switched off: the queue goes


# -- the table ------------------------------------------------------------------------------------
_GONE: Final = options.raising(ENOPROTOOPT)


def _zero(sock: TcpSocketState) -> int:
    return 0


def _apply_sndbuf(settings: Settings, tcb: Tcb) -> None:
    user_settings.set_sndbuf(tcb, settings.sndbuf)


def _apply_rcvbuf(settings: Settings, tcb: Tcb) -> None:
    user_settings.set_rcvbuf(tcb, settings.rcvbuf)


_SOCKET: Final[dict[int, TcpOption]] = {
    **socket_level.socket_options(c.SOCK_STREAM, c.IPPROTO_TCP),
    c.SO_ERROR: Option(_get_error),
    c.SO_SNDBUF: Option(_get_sndbuf, socket_level.set_sndbuf, _apply_sndbuf),
    c.SO_RCVBUF: Option(_get_rcvbuf, socket_level.set_rcvbuf, _apply_rcvbuf),
    c.SO_SNDBUFFORCE: Option(_GONE, socket_level.set_sndbuf_force, _apply_sndbuf),
    c.SO_RCVBUFFORCE: Option(_GONE, socket_level.set_rcvbuf_force, _apply_rcvbuf),
    c.SO_MEMINFO: Option(_get_meminfo),
    c.SO_TXREHASH: socket_level.TXREHASH,
    c.SO_TIMESTAMPING: tcp_messages.TIMESTAMPING,
    c.SO_TIMESTAMPING_NEW: tcp_messages.TIMESTAMPING,
    c.SO_KEEPALIVE: _flag(
        "keepalive", lambda s, tcb: user_settings.set_keepalive(tcb, s.keepalive)
    ),
    c.SO_OOBINLINE: _flag(
        "oob_inline", lambda s, tcb: user_settings.set_oob_inline(tcb, s.oob_inline)
    ),
    c.SO_LINGER: Option(_get_linger, _set_linger, raw=True),
    c.SO_RCVLOWAT: Option(lambda sock, settings: settings.rcvlowat, _set_rcvlowat),
    c.SO_ACCEPTCONN: Option(lambda sock, settings: int(sock.state == LISTEN)),
    c.SO_MAX_PACING_RATE: Option(
        _get_max_pacing_rate,
        _set_max_pacing_rate,
        lambda s, tcb: user_settings.set_max_pacing_rate(tcb, s.max_pacing_rate),
        raw=True,
    ),
}

_TCP: Final[dict[int, TcpOption]] = {
    **tcp_kept_options.TCP,
    c.TCP_NODELAY: _flag("nodelay", lambda s, tcb: user_settings.set_nodelay(tcb, s.nodelay)),
    c.TCP_MAXSEG: Option(_get_max_seg, _set_max_seg),  # counts in the SYN only
    c.TCP_CORK: _flag("cork", lambda s, tcb: user_settings.set_cork(tcb, s.cork)),
    c.TCP_KEEPIDLE: _number(
        "keepalive_time", 1, 32767, lambda sock: sock.host.config.tcp_keepalive_time,
        Settings.apply_keepalive_times,
    ),
    c.TCP_KEEPINTVL: _number(
        "keepalive_intvl", 1, 32767, lambda sock: sock.host.config.tcp_keepalive_intvl,
        Settings.apply_keepalive_probes,
    ),
    c.TCP_KEEPCNT: _number(
        "keepalive_probes", 1, 127, lambda sock: sock.host.config.tcp_keepalive_probes,
        Settings.apply_keepalive_probes,
    ),
    c.TCP_SYNCNT: _number(
        "syn_retries", 1, 127, lambda sock: sock.host.config.tcp_syn_retries,
        lambda s, tcb: user_settings.set_syn_retries(tcb, s.syn_retries),
    ),
    c.TCP_LINGER2: Option(
        lambda sock, settings: settings.linger2 or sock.host.config.tcp_fin_timeout, _set_linger2,
        Settings.apply_linger2,
    ),
    c.TCP_DEFER_ACCEPT: Option(_get_defer_accept, _set_defer_accept),
    c.TCP_WINDOW_CLAMP: Option(
        _get_window_clamp, _set_window_clamp,
        lambda s, tcb: user_settings.set_window_clamp(tcb, s.window_clamp),
    ),
    c.TCP_INFO: Option(lambda sock, settings: TcpInfo.of(sock).pack()),
    c.TCP_QUICKACK: Option(
        _get_quick_ack, _set_quick_ack, lambda s, tcb: user_settings.set_quick_ack(tcb, s.quick_ack)
    ),
    c.TCP_CONGESTION: Option(
        _get_congestion, _set_congestion, Settings.apply_congestion, raw=True
    ),
    c.TCP_VARIANT: Option(_get_variant, _set_variant, Settings.apply_variants, raw=True),
    c.TCP_USER_TIMEOUT: _number(
        "user_timeout", 0, INT_MAX, _zero,
        lambda s, tcb: user_settings.set_user_timeout(tcb, s.user_timeout * 1000),
    ),
    **tcp_fastopen_options.OPTIONS,
    c.TCP_NOTSENT_LOWAT: _number(
        "notsent_lowat", -INT_MAX - 1, INT_MAX, _zero, Settings.apply_notsent_lowat
    ),
}  # fmt: skip

_IP: Final[dict[int, TcpOption]] = {
    **ip_level.ip_options(),
    **tcp_kept_options.IP,
    c.IP_TOS: Option(lambda sock, settings: settings.tos, _set_tos, Settings.apply_ip),
    c.IP_TTL: Option(*options.TTL, Settings.apply_ip),
    c.IP_MTU_DISCOVER: Option(_get_mtu_discover, options.MTU_DISCOVER[1], Settings.apply_ip),
    c.IP_RECVERR: _flag("recverr", _apply_recverr),
    c.IP_MTU: Option(_get_mtu),
}

_IPV6: Final[dict[int, TcpOption]] = {
    **ip_level.ipv6_options(),
    **tcp_kept_options.IPV6,
    c.IPV6_UNICAST_HOPS: Option(*options.HOPS, Settings.apply_ip),
    c.IPV6_MTU_DISCOVER: Option(
        _get_mtu_discover_v6, options.MTU_DISCOVER_V6[1], Settings.apply_ip
    ),
    c.IPV6_MTU: Option(_get_mtu, ip_level.set_mtu),
    c.IPV6_PATHMTU: Option(_get_path_mtu_info),
    c.IPV6_RECVERR: _flag("recverr_v6", _apply_recverr),
    c.IPV6_TCLASS: Option(lambda sock, settings: settings.tclass, _set_tclass, Settings.apply_ip),
}

TABLE: Final[TcpOptions] = TcpOptions(
    lambda sock: sock.settings,
    {c.SOL_SOCKET: _SOCKET, c.IPPROTO_TCP: _TCP, c.IPPROTO_IP: _IP, c.IPPROTO_IPV6: _IPV6},
)
