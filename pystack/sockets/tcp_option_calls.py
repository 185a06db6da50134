"""setsockopt and getsockopt: how values come and go. What the options are is `option_table`.

A value is an int or the bytes of its C form, in the machine's byte order, as with Python's
`socket`. Setting copies the socket's `Settings`, which accepted connections may share.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from errno import ECONNABORTED, EINVAL, ENOPROTOOPT, EOPNOTSUPP
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from pystack.sockets import errors
from pystack.sockets.constants import AF_INET6, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOL_SOCKET
from pystack.sockets.errors import os_error
from pystack.sockets.tcp_options import OPTIONS
from pystack.tcp.state.states import CLOSED

if TYPE_CHECKING:
    from pystack.sockets.tcp_socket import Socket
    from pystack.tcp.recording import Observer
    from pystack.tcp.tcb import Tcb

_INT: Final = Struct("=i")
_LINGER: Final = Struct("=ii")
_LEVELS: Final = frozenset((SOL_SOCKET, IPPROTO_IP, IPPROTO_TCP))
MOST: Final = 1024  # octets that getsockopt may be asked for, as in Python's socket


def set_option(sock: Socket, level: int, name: int, value: Any) -> None:
    """See `Socket.setsockopt`. SO_LINGER also takes a pair (on, seconds), TCP_CONGESTION a str."""
    option = OPTIONS.get((level, name)) if _has_level(sock, level) else None
    if option is None or option.set is None:
        raise os_error(ENOPROTOOPT)
    settings = dataclasses.replace(sock.settings)
    option.set(sock, settings, _as_bytes(value) if option.raw else as_int(level, value))
    sock.settings = settings
    tcb = sock.tcb
    if tcb is not None and option.effect is not None:
        try:
            option.effect(settings, tcb)
        except Exception as error:
            if not sock.host.contain_fault(tcb, error):
                raise
            raise errors.taken(sock, ECONNABORTED) from error
        if tcb.state != CLOSED:
            sock.host.mark(tcb)
    if sock.listener is not None:
        settings.apply_to_listener(sock.listener, sock.host.config)


def set_recorder(sock: Socket, recorder: Callable[[Tcb], Observer] | None) -> None:
    """See `Socket.attach_recorder`."""
    sock.settings = dataclasses.replace(sock.settings, recorder=recorder)
    if sock.tcb is not None:
        sock.settings.apply_recorder(sock.tcb)
    if sock.listener is not None:
        for tcb in sock.listener.queue:  # have their settings already
            sock.settings.apply_recorder(tcb)


def get_option(sock: Socket, level: int, name: int, size: int) -> int | bytes:
    """See `Socket.getsockopt`."""
    if not 0 <= size <= MOST:
        raise os_error(EINVAL)
    if not _has_level(sock, level):
        raise os_error(ENOPROTOOPT if sock.family == AF_INET6 else EOPNOTSUPP)
    option = OPTIONS.get((level, name))
    if option is None:
        raise os_error(ENOPROTOOPT)
    value = option.get(sock)
    if isinstance(value, bytes):
        whole: int = _INT.unpack_from(value)[0]
        return value[:size] if size else whole
    return in_its_form(level, value, size)


def in_its_form(level: int, value: int, size: int) -> int | bytes:
    """A number as `getsockopt` gives it: an int, or with `size` so many bytes of its C form."""
    if not size:
        return value
    if level == IPPROTO_IP and size < _INT.size and 0 <= value <= 0xFF:
        return bytes((value,))  # Linux: these fit an unsigned char
    return _INT.pack(value)[:size]


def _has_level(sock: Socket, level: int) -> bool:
    return level in _LEVELS or (level == IPPROTO_IPV6 and sock.family == AF_INET6)


def as_int(level: int, value: Any) -> int:
    """The C int that a value stands for; IPPROTO_IP takes an unsigned char as well."""
    if isinstance(value, int):
        if not -(1 << 31) <= value < 1 << 31:
            raise OverflowError("an option is a C int")
        return value
    data = _as_bytes(value)
    if len(data) >= _INT.size:
        number: int = _INT.unpack_from(data)[0]
        return number
    if level == IPPROTO_IP:
        return data[0] if data else 0
    raise os_error(EINVAL)


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, int):
        return _INT.pack(value)
    if isinstance(value, str):
        return value.encode("ascii", "replace")
    if isinstance(value, tuple):
        return _LINGER.pack(*value)
    return bytes(value)
