"""Where datagrams go to and come from, and their sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, TypeVar

from pystack.aio.endpoint.listen import infos_at
from pystack.aio.endpoint.network import E, Network
from pystack.aio.endpoint.resolve import Info
from pystack.aio.handles import numbers
from pystack.aio.handles.datagram import DatagramTransport
from pystack.sockets import DatagramSocket, Host
from pystack.sockets.constants import SO_BROADCAST, SO_REUSEPORT, SOCK_DGRAM, SOL_SOCKET
from pystack.wire.address import ANY_V4, ANY_V6, pack

P = TypeVar("P", bound=asyncio.BaseProtocol)
Ends = tuple[int, Any, Any]  # family (the system's), from where, to where; None: anywhere


async def ends(
    network: Network[E], local: Any, remote: Any, family: int, proto: int = 0, flags: int = 0
) -> list[tuple[E, Ends]]:
    """The ends of each family that both addresses have, as far as a host of the network has them.

    Of several addresses of a family the last is taken, as asyncio does. Raises ValueError where
    the two have no family in common, as asyncio.
    """
    kind = socket.SOCK_DGRAM
    from_: dict[int, Any] = {}
    to: dict[int, Any] = {}
    if local:
        from_ = _by_family(await infos_at(network, local[0] or None, local[1], family, flags, kind))
    if remote:
        look_up = network.resolver.look_up
        to = _by_family(await look_up(remote[0], remote[1], family, proto, flags, kind))
    both = [one for one in from_ or to if (not local or one in from_) and (not to or one in to)]
    if not both:
        raise ValueError("can not get address information")
    found = []
    for one in both:
        pair: Ends = (one, from_.get(one), to.get(one))
        endpoint = _host_of(network, pair)
        if endpoint is not None:
            found.append((endpoint, pair))
    return found


def _by_family(infos: list[Info]) -> dict[int, Any]:
    return {info[0]: info[4] for info in infos}


def _host_of(network: Network[E], pair: Ends) -> E | None:
    _, local, remote = pair
    own = None if local is None else pack(local[0])
    if remote is None:
        return None if own is None else network.router.stack_at(own, v6only=False)
    chosen = None if own in (ANY_V4, ANY_V6) else own
    return network.router.stack_to(pack(remote[0]), chosen)


def opened(
    found: list[tuple[E, Ends]],
    protocol_factory: Callable[[], P],
    reuse_port: bool = False,
    allow_broadcast: bool = False,
) -> tuple[DatagramTransport, P]:
    """A transport over the first pair of ends that is available, and its protocol. Raises OSError,
    the first one's, if none can."""
    failures: list[OSError] = []
    for endpoint, pair in found:
        try:
            made = datagram_socket(endpoint.host, pair, reuse_port, allow_broadcast)
        except OSError as error:
            failures.append(error)
        else:
            return endpoint.handles.datagrams_over(made, protocol_factory, pair[2])
    raise failures[0]


def datagram_socket(
    host: Host, pair: Ends, reuse_port: bool = False, allow_broadcast: bool = False
) -> DatagramSocket:
    """A socket with both ends set. With broadcasts it is not connected, as in asyncio: the answers
    come from elsewhere."""
    family, local, remote = pair
    made = host.socket(numbers.family(family), SOCK_DGRAM)
    try:
        if reuse_port:
            made.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
        if allow_broadcast:
            made.setsockopt(SOL_SOCKET, SO_BROADCAST, 1)
        if local is not None:
            made.bind(local)
        if remote is not None and not allow_broadcast:
            made.connect(remote)
    except BaseException:
        made.close()
        raise
    return made
