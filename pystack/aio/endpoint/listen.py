"""Where a server listens, and its sockets."""

from __future__ import annotations

import os
import socket as socket_module
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from pystack.aio.endpoint.network import E, Network
from pystack.aio.endpoint.resolve import Info
from pystack.aio.handles import numbers
from pystack.sockets import Host, Socket
from pystack.sockets.constants import (
    AF_INET6,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    IPV6_V6ONLY,
    SO_KEEPALIVE,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SOL_SOCKET,
    TCP_FASTOPEN,
    TCP_NODELAY,
)
from pystack.wire.address import pack

Places = dict[E, dict[tuple[int, Any], None]]  # by host: families (the system's) and addresses

_WILDCARDS: Final = ((socket_module.AF_INET, "0.0.0.0"), (socket_module.AF_INET6, "::"))


class Bindable(Protocol):
    """A socket of a stack or of the kernel."""

    def bind(self, address: Any, /) -> None: ...


async def places(
    network: Network[E], host: Any, port: Any, family: int = 0, flags: int = 0
) -> tuple[Places[E], list[str]]:
    """Each place that the names `host` (one or several) stand for, once, by the host that has it;
    and the addresses that are the kernel's. None and "": every address, of each family that a
    host has."""
    if host is None or isinstance(host, (str, bytes)) or not isinstance(host, Iterable):
        names: Sequence[Any] = [host]
    else:
        names = list(host)
    found: Places[E] = {}
    others: list[str] = []
    for name in names:
        for info in await infos_at(network, name or None, port, family, flags):
            endpoint = network.router.stack_at(pack(info[4][0]))
            if endpoint is None:
                others.append(info[4][0])
            else:
                found.setdefault(endpoint, {})[info[0], info[4]] = None
    return found, list(dict.fromkeys(others))


async def infos_at(
    network: Network[E], name: Any, port: Any, family: int, flags: int = 0,
    kind: socket_module.SocketKind = socket_module.SOCK_STREAM,
) -> list[Info]:  # fmt: skip
    """What a name to bind to stands for; None: any address, of each family that a host has."""
    look_up = network.resolver.look_up
    infos: list[Info] = []
    if name is None:
        for own, text in _WILDCARDS:
            if family in (0, own) and network.router.stack_at(pack(text)) is not None:
                infos += await look_up(text, port or 0, own, flags=flags, kind=kind)
    return infos or await look_up(name, port, family, flags=flags, kind=kind)


def bound(
    found: Places[E], reuse_address: bool = True, keep_alive: bool = False,
    reuse_port: bool = False, fastopen: int = 0,
) -> list[tuple[E, list[Socket]]]:
    """Sockets at all places, with TCP_FASTOPEN at `fastopen`. Raises OSError (EADDRINUSE,
    EADDRNOTAVAIL), leaving none."""
    made: list[tuple[E, list[Socket]]] = []
    try:
        for endpoint, own in found.items():
            sockets: list[Socket] = []
            made.append((endpoint, sockets))
            for family, address in own:
                made_here = _socket(endpoint.host, family, reuse_address, keep_alive, reuse_port)
                sockets.append(made_here)
                if fastopen:
                    made_here.setsockopt(IPPROTO_TCP, TCP_FASTOPEN, fastopen)
                bind(sockets[-1], address)
    except BaseException:
        close_all(made)
        raise
    return made


def close_all(made: Sequence[tuple[Any, Sequence[Socket]]]) -> None:
    """Close sockets that `bound` has made."""
    for _, sockets in made:
        for socket in sockets:
            socket.close()


def _socket(
    host: Host, family: int, reuse_address: bool, keep_alive: bool, reuse_port: bool
) -> Socket:
    number = numbers.family(family)
    socket = host.socket(number)
    socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, reuse_address)
    socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, keep_alive)
    socket.setsockopt(SOL_SOCKET, SO_REUSEPORT, reuse_port)
    socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # for those that it accepts
    if number == AF_INET6:
        socket.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
    return socket


def bind(socket: Bindable, address: Any) -> None:
    """Bind, with asyncio's error that says where."""
    try:
        socket.bind(address)
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        text = f"error while attempting to bind on address {address}: {why}"
        raise OSError(error.errno, text) from None


def bind_first(socket: Bindable, addresses: Sequence[Any]) -> None:
    """Bind to the first address that is available. Raises OSError, the last one's, if none is."""
    failure: OSError | None = None
    for address in addresses:
        try:
            bind(socket, address)
            return
        except OSError as error:
            failure = error
    if failure is not None:
        raise failure
