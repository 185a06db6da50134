"""TLS for a connection of ours: asyncio's own, from the standard library, on our transport."""

from __future__ import annotations

import asyncio
import ssl
from asyncio import sslproto
from dataclasses import dataclass
from typing import Any

from pystack import arguments


@dataclass(frozen=True, slots=True)
class Tls:
    """How to secure a connection. Times are in seconds, None for asyncio's own."""

    context: ssl.SSLContext | None
    server_side: bool
    hostname: str | None = None
    handshake_timeout: float | None = None
    shutdown_timeout: float | None = None

    def protocol(
        self,
        loop: asyncio.AbstractEventLoop,
        inner: asyncio.BaseProtocol,
        waiter: asyncio.Future[None],
    ) -> sslproto.SSLProtocol:
        """What stands between a transport and `inner`; `waiter` is told when `inner` may write."""
        make: Any = sslproto.SSLProtocol  # typeshed wants whole seconds, and a context
        secured: sslproto.SSLProtocol = make(
            loop, inner, self.context, waiter, self.server_side, self.hostname,
            ssl_handshake_timeout=self.handshake_timeout,
            ssl_shutdown_timeout=self.shutdown_timeout,
        )  # fmt: skip
        return secured


def of_client(
    given: ssl.SSLContext | bool | None,
    host: str | None,
    hostname: str | None,
    handshake_timeout: float | None,
    shutdown_timeout: float | None,
) -> Tls | None:
    """What `create_connection` was asked for, None for no TLS. Raises ValueError as asyncio, and
    TypeError for what is no context."""
    _without_ssl(given, handshake_timeout, shutdown_timeout)
    if not given:
        if hostname is not None:
            raise ValueError("server_hostname is only meaningful with ssl")
        return None
    if hostname is None:
        if not host:
            raise ValueError("You must set server_hostname when using ssl without a host")
        hostname = host
    context = None if isinstance(given, bool) else _context(given)
    return Tls(context, False, hostname, handshake_timeout, shutdown_timeout)


def of_server(
    given: ssl.SSLContext | None,
    handshake_timeout: float | None,
    shutdown_timeout: float | None,
) -> Tls | None:
    """What `create_server` was asked for, None for no TLS. Raises TypeError, ValueError."""
    if isinstance(given, bool):
        raise TypeError("ssl argument must be an SSLContext or None")
    _without_ssl(given, handshake_timeout, shutdown_timeout)
    if not given:
        return None
    return Tls(_context(given), True, "", handshake_timeout, shutdown_timeout)


def _context(given: ssl.SSLContext) -> ssl.SSLContext:
    if not hasattr(given, "wrap_bio"):
        raise TypeError(arguments.unfit("ssl", given, "an ssl.SSLContext was expected"))
    return given


def _without_ssl(
    given: object, handshake_timeout: float | None, shutdown_timeout: float | None
) -> None:
    for name, value in (
        ("ssl_handshake_timeout", handshake_timeout),
        ("ssl_shutdown_timeout", shutdown_timeout),
    ):
        if value is not None and not given:
            raise ValueError(f"{name} is only meaningful with ssl")


def is_asking() -> bool:
    """Whether the function that calls this was called by the module `ssl`."""
    import inspect  # which takes its time, and nothing else here needs

    frame = inspect.currentframe()
    for _ in range(2):
        frame = None if frame is None else frame.f_back
    return frame is not None and frame.f_globals.get("__name__") == "ssl"


def refuse_ssl_socket(sock: object) -> None:
    """Raise TypeError for a socket that does TLS itself, and blocks."""
    if isinstance(sock, ssl.SSLSocket):
        raise TypeError("Socket cannot be of type SSLSocket")
