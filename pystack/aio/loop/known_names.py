"""A stack's own names in the calls of Python's `socket` that look names up."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pystack.aio.endpoint.stack import Stack


@contextmanager
def names_known(stack: Stack) -> Iterator[None]:
    """Meanwhile `getaddrinfo`, `gethostbyname` and `gethostbyname_ex` know `names` of the stack."""
    getaddrinfo, gethostbyname = socket.getaddrinfo, socket.gethostbyname
    gethostbyname_ex = socket.gethostbyname_ex

    def infos(host: Any, port: Any, family: int = 0, *args: Any, **options: Any) -> Any:
        known = _known(stack, host)
        fitting = [one for one in known if family in (0, _family(one))]
        return [
            info
            for name in fitting or known[:1] or [host]
            for info in getaddrinfo(name, port, family, *args, **options)
        ]

    def address_of(hostname: Any) -> str:
        return next(iter(_known_v4(stack, hostname)), "") or gethostbyname(hostname)

    def addresses_of(hostname: Any) -> tuple[str, list[str], list[str]]:
        known = _known_v4(stack, hostname)
        return (_text(hostname), [], known) if known else gethostbyname_ex(hostname)

    socket.getaddrinfo = infos
    socket.gethostbyname = address_of
    socket.gethostbyname_ex = addresses_of
    try:
        yield
    finally:
        socket.getaddrinfo = getaddrinfo
        socket.gethostbyname = gethostbyname
        socket.gethostbyname_ex = gethostbyname_ex


def _known(stack: Stack, host: Any) -> Sequence[str]:
    return stack.look_up(_text(host)) if isinstance(host, (str, bytes, bytearray)) else ()


def _known_v4(stack: Stack, host: Any) -> list[str]:
    return [one for one in _known(stack, host) if _family(one) == socket.AF_INET]


def _text(host: str | bytes | bytearray) -> str:
    return host if isinstance(host, str) else host.decode("ascii", "replace")


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
