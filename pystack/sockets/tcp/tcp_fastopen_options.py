"""The options of TCP Fast Open (RFC 7413): TCP_FASTOPEN and its relatives, with Linux's bounds."""

from __future__ import annotations

from errno import EINVAL, EOPNOTSUPP
from typing import Final

from pystack.errors import os_error
from pystack.sockets import constants as c
from pystack.sockets.options import Option
from pystack.sockets.tcp.tcp_settings import Settings
from pystack.sockets.tcp.tcp_state import TcpSocketState
from pystack.tcp.fastopen.active import CLIENT
from pystack.tcp.policies.fastopen_cookies import KEY_SIZE, keys_of
from pystack.tcp.state.states import CLOSED, LISTEN


def _set_fastopen(sock: TcpSocketState, settings: Settings, value: int) -> None:
    if value < 0 or sock.state not in (CLOSED, LISTEN):
        raise os_error(EINVAL)
    settings.fastopen = min(value, sock.host.config.somaxconn)


def _set_fastopen_connect(sock: TcpSocketState, settings: Settings, value: int) -> None:
    if not 0 <= value <= 1:
        raise os_error(EINVAL)
    if not sock.host.config.tcp_fastopen & CLIENT:
        raise os_error(EOPNOTSUPP)
    if sock.state != CLOSED:
        raise os_error(EINVAL)
    settings.fastopen_connect = value != 0


def _set_fastopen_no_cookie(sock: TcpSocketState, settings: Settings, value: int) -> None:
    if not 0 <= value <= 1 or sock.state not in (CLOSED, LISTEN):
        raise os_error(EINVAL)
    settings.fastopen_no_cookie = value != 0


def _set_fastopen_key(sock: TcpSocketState, settings: Settings, value: bytes) -> None:
    if len(value) not in (KEY_SIZE, 2 * KEY_SIZE):
        raise os_error(EINVAL)
    settings.fastopen_key = value


def _get_fastopen_key(sock: TcpSocketState, settings: Settings) -> bytes:
    config = sock.host.config
    if not (settings.fastopen_key or settings.fastopen or config.tcp_fastopen_key):
        return b""  # Linux: the host has none while it has no use for it
    return settings.fastopen_key or keys_of(config, sock.host.secret)


OPTIONS: Final[dict[int, Option[TcpSocketState, Settings]]] = {
    c.TCP_FASTOPEN: Option(lambda sock, settings: settings.fastopen, _set_fastopen),
    c.TCP_FASTOPEN_CONNECT: Option(
        lambda sock, settings: int(settings.fastopen_connect), _set_fastopen_connect
    ),
    c.TCP_FASTOPEN_NO_COOKIE: Option(
        lambda sock, settings: int(settings.fastopen_no_cookie), _set_fastopen_no_cookie
    ),
    c.TCP_FASTOPEN_KEY: Option(_get_fastopen_key, _set_fastopen_key, raw=True),
}
