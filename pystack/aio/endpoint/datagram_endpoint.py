"""asyncio's door to a host for datagrams: where they go to and come from, and their transports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pystack import arguments
from pystack.aio import numbers
from pystack.aio.endpoint.listen import places_of
from pystack.aio.endpoint.resolve import Target, families_of, pair, resolve
from pystack.aio.handles.datagram import DatagramTransport
from pystack.sockets import DatagramSocket, Host
from pystack.sockets.constants import (
    AF_UNSPEC,
    SO_BROADCAST,
    SO_REUSEPORT,
    SOCK_DGRAM,
    SOL_SOCKET,
)
from pystack.sockets.sockaddr import Address

if TYPE_CHECKING:
    from pystack.aio.drive.driver import Driver
    from pystack.aio.handles.stack_socket import StackSocket

P = TypeVar("P", bound=asyncio.BaseProtocol)
Where = tuple[str | None, int | str]
Pair = tuple[int, Address | None, Address | None]  # family, from where, to where


class DatagramEndpoint:
    """What `Endpoint` has of datagrams; `_datagrams` are the transports that are open."""

    host: Host
    _datagrams: dict[DatagramTransport, None]

    def _ready(self) -> Driver:
        raise NotImplementedError

    async def create_datagram_endpoint(
        self,
        protocol_factory: Callable[[], P],
        local_addr: Where | None = None,
        remote_addr: Where | None = None,
        *,
        family: int = AF_UNSPEC,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
    ) -> tuple[DatagramTransport, P]:
        """As `loop.create_datagram_endpoint`: a transport over a UDP socket, and its protocol.

        Of each family that both addresses have, the first that works is taken; a local host of None
        or "" stands for all addresses of the stack. Raises ValueError and TypeError as asyncio, and
        OSError (EADDRINUSE, EADDRNOTAVAIL, ENETUNREACH).
        """
        arguments.function("protocol_factory", protocol_factory)
        pairs = await self._pairs(local_addr, remote_addr, family)
        failures: list[OSError] = []
        for ends in pairs:
            try:
                socket = self._datagram_socket(ends, bool(reuse_port), bool(allow_broadcast))
            except OSError as error:
                failures.append(error)
            else:
                return self._datagrams_over(socket, protocol_factory, ends[2])
        raise failures[0]

    async def _pairs(self, local: Where | None, remote: Where | None, family: int) -> list[Pair]:
        if not local and not remote:
            if family == AF_UNSPEC:
                raise ValueError("unexpected address family")
            return [(family, None, None)]
        for what, where in (("local_addr", local), ("remote_addr", remote)):
            if where is not None:
                pair(what, where)
        loop = self._ready().loop
        families = families_of(self.host)
        from_, to = {}, {}
        if local:
            from_ = _by_family(await places_of(loop, self.host, local[0], local[1], family))
        if remote:
            found = await resolve(loop, remote[0] or "", remote[1], families, family, SOCK_DGRAM)
            to = _by_family(found)
        both = [one for one in from_ or to if (not local or one in from_) and (not to or one in to)]
        if not both:
            raise ValueError("can not get address information")
        return [(one, from_.get(one), to.get(one)) for one in both]

    def _datagram_socket(
        self, ends: Pair, reuse_port: bool, allow_broadcast: bool
    ) -> DatagramSocket:
        """A socket with both ends set. With broadcasts it is not connected, as in asyncio: the
        answers come from elsewhere."""
        family, local, remote = ends
        socket = self.host.socket(numbers.family(family), SOCK_DGRAM)
        try:
            if reuse_port:
                socket.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
            if allow_broadcast:
                socket.setsockopt(SOL_SOCKET, SO_BROADCAST, 1)
            if local is not None:
                socket.bind(local)
            if remote is not None and not allow_broadcast:
                socket.connect(remote)
        except BaseException:
            socket.close()
            raise
        return socket

    def _datagrams_over(
        self,
        socket: DatagramSocket,
        protocol_factory: Callable[[], P],
        address: Address | None = None,
        user_socket: StackSocket | None = None,
    ) -> tuple[DatagramTransport, P]:
        """A transport over a socket, which is closed if it can't be, and its protocol; see
        `DatagramTransport` for `address` and `user_socket`."""
        try:
            driver = self._ready()
            protocol = protocol_factory()
        except BaseException:
            (user_socket or socket).close()
            raise
        transport = DatagramTransport(
            driver, socket, protocol, self._datagrams_lost, address, user_socket
        )  # fmt: skip
        self._datagrams[transport] = None
        transport._begin()
        return transport, protocol

    def _datagrams_lost(self, transport: DatagramTransport) -> None:
        self._datagrams.pop(transport, None)


def _by_family(places: list[Target]) -> dict[int, Address]:
    """The last address of each family, which is the one that asyncio takes."""
    return dict(places)
