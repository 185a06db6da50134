"""Where a server listens, and its sockets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from pystack import arguments
from pystack.aio import numbers
from pystack.aio.endpoint.resolve import Target, families_of, resolve
from pystack.sockets import Host, Socket
from pystack.sockets.constants import (
    AF_INET,
    AF_INET6,
    AF_UNSPEC,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    IPV6_V6ONLY,
    SO_KEEPALIVE,
    SO_REUSEADDR,
    SOL_SOCKET,
    TCP_NODELAY,
)


class Bindable(Protocol):
    """A socket of a stack or of the kernel."""

    def bind(self, address: Any, /) -> None: ...


async def places_of(
    loop: asyncio.AbstractEventLoop,
    host: Host,
    given: str | Sequence[str] | None,
    port: int | str,
    family: int,
) -> list[Target]:
    """Each place that the names `given` stand for, once. None and "": every address, of each
    family that the host has. Raises TypeError for what is no text."""
    family = numbers.family(family)
    if given is None or isinstance(given, (str, bytes)):
        each: Sequence[str | bytes | None] = [given]
    else:
        each = arguments.texts("host", given, "198.18.0.2")
    found: dict[Target, None] = {}
    families = families_of(host)
    for name in each:
        if name:
            places = await resolve(loop, name, port, families, family)
        else:
            places = []
            for own, any_address in ((AF_INET, "0.0.0.0"), (AF_INET6, "::")):
                if own in families and family in (AF_UNSPEC, own):
                    places += await resolve(loop, any_address, port, families, own)
        found.update(dict.fromkeys(places))
    return list(found)


def bound_sockets(
    host: Host, places: Iterable[Target], reuse_address: bool = True, keep_alive: bool = False
) -> list[Socket]:
    """A socket bound to each place. Raises OSError (EADDRINUSE, EADDRNOTAVAIL), leaving none."""
    sockets: list[Socket] = []
    try:
        for family, address in places:
            socket = host.socket(family)
            sockets.append(socket)
            socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, reuse_address)
            socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, keep_alive)
            socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # for those that it accepts
            if family == AF_INET6:
                socket.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
            bind(socket, address)
    except BaseException:
        for socket in sockets:
            socket.close()
        raise
    return sockets


def bind(socket: Bindable, address: Any) -> None:
    """Bind, with asyncio's error that says where."""
    try:
        socket.bind(address)
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        text = f"error while attempting to bind on address {address}: {why}"
        raise OSError(error.errno, text) from None


def bind_first(socket: Bindable, addresses: Sequence[Any]) -> None:
    """Bind to the first of them that can be had. Raises OSError, the last one's, if none can."""
    failure: OSError | None = None
    for address in addresses:
        try:
            bind(socket, address)
            return
        except OSError as error:
            failure = error
    if failure is not None:
        raise failure
