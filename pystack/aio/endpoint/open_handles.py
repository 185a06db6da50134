"""What asyncio's users have open on a host: made here, and closed with it."""

from __future__ import annotations

import asyncio
import socket as socket_module
from collections.abc import Callable, Sequence
from errno import ECONNABORTED
from typing import Any, TypeVar

from pystack import errors
from pystack.aio.drive.driver import Driver
from pystack.aio.handles import datagram, stream
from pystack.aio.handles.asyncio_own import is_handshaking, transport_inside
from pystack.aio.handles.datagram import DatagramTransport
from pystack.aio.handles.fd_bridge import Bridge
from pystack.aio.handles.server import ProtocolFactory, Server, start_now
from pystack.aio.handles.socket_base import SocketBase
from pystack.aio.handles.stream import Transport
from pystack.aio.handles.tls import Tls
from pystack.aio.handles.transport_base import fail
from pystack.printed import several
from pystack.sockets import DatagramSocket, Socket

P = TypeVar("P", bound=asyncio.BaseProtocol)


class OpenHandles:
    """Transports, servers and bridges of one host. `ready` gives its driver, or raises where it
    cannot be used."""

    __slots__ = ("_ready", "_servers", "_transports", "_datagrams", "_bridges")

    def __init__(self, ready: Callable[[], Driver]) -> None:
        self._ready = ready
        # in the order in which they were made: sets have another in each process
        self._servers: dict[Server, None] = {}
        self._transports: dict[Transport, None] = {}
        self._datagrams: dict[DatagramTransport, None] = {}
        self._bridges: dict[Bridge, None] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._servers or self._transports or self._datagrams or self._bridges)

    def __str__(self) -> str:
        some = [
            several(len(those), what)
            for those, what in (
                (self._transports, "connection"), (self._servers, "server"),
                (self._datagrams, "UDP endpoint"), (self._bridges, "bridge"),
            )
            if those
        ]  # fmt: skip
        return ", ".join(some) or "nothing on it"

    @property
    def delivers(self) -> bool:
        """Whether a UDP endpoint may still have something to send, or a bridge to be read."""
        return bool(self._bridges or self._datagrams)

    # -- made -------------------------------------------------------------------------------------
    async def transport_over(
        self,
        socket: Socket,
        protocol_factory: Callable[[], P],
        wanted: Tls | None = None,
        user_socket: SocketBase | None = None,
    ) -> tuple[asyncio.Transport, P]:
        """A transport over a connected socket, and the protocol that it serves, with TLS when that
        is `wanted`. `user_socket` is what the user knows the socket by."""
        try:
            driver = self._ready()
            protocol = protocol_factory()
            inner: asyncio.BaseProtocol = protocol
            if wanted is not None:
                waiter: asyncio.Future[None] = driver.loop.create_future()
                inner = secured = wanted.protocol(driver.loop, protocol, waiter)
        except BaseException:
            (user_socket or socket).close()
            raise
        transport = self._begun(driver, socket, inner, user_socket)
        if wanted is None:
            return transport, protocol
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport_inside(secured), protocol

    def _begun(
        self, driver: Driver, socket: Socket, protocol: asyncio.BaseProtocol,
        user_socket: SocketBase | None,
    ) -> Transport:  # fmt: skip
        transport = Transport(driver, socket, protocol, self._lost, user_socket)
        self._transports[transport] = None
        stream.begin(transport)
        return transport

    def _lost(self, transport: Transport) -> None:
        self._transports.pop(transport, None)

    def serve(
        self,
        sockets: Sequence[Socket],
        protocol_factory: ProtocolFactory,
        wanted: Tls | None = None,
        *,
        backlog: int = 100,
        start_serving: bool = True,
        user_socket: SocketBase | None = None,
        waits_for_clients: bool = True,
    ) -> Server:
        """A server on bound sockets, which are closed if it can't be; `user_socket` is what the
        user knows the only one by. Raises OSError EADDRINUSE."""
        try:
            server = Server(
                self._ready(), sockets, protocol_factory, backlog, self._transports, self._servers,
                wanted, user_socket, waits_for_clients,
            )  # fmt: skip
            if start_serving:
                start_now(server)
        except BaseException:
            for socket in sockets:
                socket.close()
            raise
        self._servers[server] = None
        return server

    def datagrams_over(
        self,
        socket: DatagramSocket,
        protocol_factory: Callable[[], P],
        address: Any = None,
        user_socket: SocketBase | None = None,
    ) -> tuple[DatagramTransport, P]:
        """A transport over a UDP socket, which is closed if it can't be, and its protocol; see
        `DatagramTransport` for `address` and `user_socket`."""
        try:
            driver = self._ready()
            protocol = protocol_factory()
        except BaseException:
            (user_socket or socket).close()
            raise
        transport = DatagramTransport(
            driver, socket, protocol, self._datagrams_lost, address, user_socket
        )
        self._datagrams[transport] = None
        datagram.begin(transport)
        return transport, protocol

    def _datagrams_lost(self, transport: DatagramTransport) -> None:
        self._datagrams.pop(transport, None)

    def bridge_fd(
        self,
        connection: asyncio.Transport | asyncio.StreamWriter | Socket,
        user_socket: SocketBase | None = None,
        family: int | None = None,
    ) -> socket_module.socket:
        """See `Endpoint.bridge_fd`; a socket is a connected one, known to its user by
        `user_socket`."""
        driver = self._ready()
        if isinstance(connection, Socket):
            connection = self._begun(driver, connection, asyncio.Protocol(), user_socket)
        bridge = Bridge(driver.loop, connection, self._bridges, family)
        bridge.begin()
        return bridge.user_socket

    # -- closed -----------------------------------------------------------------------------------
    def close(self) -> None:
        """Close all of them; what was written is still delivered."""
        for server in list(self._servers):
            server.close()
        for bridge in list(self._bridges):
            bridge.take_rest()
        for transport in list(self._transports):
            if is_handshaking(transport.get_protocol()):  # it would take that for success
                fail(transport, errors.os_error(ECONNABORTED))
            else:
                transport.close()
        for datagrams in list(self._datagrams):
            datagrams.close()

    def fail(self) -> None:
        """End what is left, at once, but for bridges (`end_bridges`)."""
        for transport in [*self._transports, *self._datagrams]:
            fail(transport, errors.os_error(ECONNABORTED))

    def end_bridges(self) -> None:
        """Close our ends of their socket pairs."""
        for bridge in list(self._bridges):
            bridge.end()
