"""asyncio's doors to a host: connections and servers, whatever moves the host's packets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from errno import ECONNABORTED, EINVAL, ENETDOWN, ENOENT
from types import TracebackType
from typing import Final, TypeVar

from pystack.aio import plugins, streams
from pystack.aio.connecting import connected
from pystack.aio.listening import bound_sockets, places_of
from pystack.aio.names import Place, families_of, joined, resolve
from pystack.aio.running import Running
from pystack.aio.server import ProtocolFactory, Server
from pystack.aio.transport import Transport
from pystack.config import Config
from pystack.errors import SetupError
from pystack.sockets import Host, Socket, errors
from pystack.sockets.constants import (
    AF_UNSPEC,
)
from pystack.tcp import calls
from pystack.tcp.tcb import Tcb

GRACE: Final = 2.0  # seconds
_FIRST_LOOK: Final = 0.001
_LOOK_AGAIN: Final = 0.05

P = TypeVar("P", bound=asyncio.BaseProtocol)


class Doors:
    """What `Stack` and a simulated host have in common: the calls, and closing what is open.

    `host` is the `sockets.Host` inside. To be used in the thread of its loop.
    """

    host: Host

    def __init__(self, grace: float) -> None:
        """`grace`: how many seconds connections get to deliver and to close."""
        self._grace = grace
        self._driver: Running | None = None
        self._servers: set[Server] = set()
        self._transports: set[Transport] = set()

    def _ready(self) -> Running:
        """The driver, if the caller may use it now."""
        driver = self._driver
        if driver is None:
            raise RuntimeError("the stack is not open: use `async with`")
        driver.check()
        if driver.error:
            raise errors.fault(ENETDOWN)
        return driver

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop it runs on."""
        return self._ready().loop

    # -- the end ---------------------------------------------------------------------------------
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close: servers, then connections (see the class), then nothing passes any more.
        Cancelled, it does without the grace. Nothing happens when called again."""
        driver = self._driver
        if driver is None or driver.is_stopped:
            return
        driver.check()
        try:
            for server in list(self._servers):
                server.close()
            for transport in list(self._transports):
                transport.close()
            await self._until_all_closed(driver)
        finally:
            try:
                self._reset_all(driver)
            finally:
                driver.stop()
                self._stopped()
        await driver.wait_stopped()

    def _stopped(self) -> None:
        """What else is to be let go, once nothing passes any more."""

    async def _until_all_closed(self, driver: Running) -> None:
        end = driver.loop.time() + self._grace
        pause = _FIRST_LOOK
        while not driver.error and self._connections() and driver.loop.time() < end:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LOOK_AGAIN)

    def _connections(self) -> list[Tcb]:
        return [one for one in self.host.connections.values() if type(one) is Tcb]

    def _reset_all(self, driver: Running) -> None:
        for transport in list(self._transports):
            transport.fail(errors.fault(ECONNABORTED))
        for tcb in self._connections():
            calls.abort(tcb)
            self.host.mark(tcb)
        driver.flush()

    # -- connections ------------------------------------------------------------------------------
    async def create_connection(
        self,
        protocol_factory: Callable[[], P],
        host: str,
        port: int | str,
        *,
        family: int = AF_UNSPEC,
        local_addr: tuple[str, int] | None = None,
    ) -> tuple[Transport, P]:
        """As `loop.create_connection`: a transport and a protocol, connected.

        Names are looked up by the kernel's resolver; each address found is tried in turn. Raises
        ConnectionRefusedError, TimeoutError (the stack gave up: `tcp_syn_retries`) and other
        OSErrors. Cancelled, it leaves nothing.
        """
        driver = self._ready()
        families = families_of(self.host)
        places = await resolve(driver.loop, host, port, families, family)
        locals_: Sequence[Place | None] = [None]
        if local_addr is not None:
            locals_ = await resolve(driver.loop, *local_addr, families, family)
        failures: list[OSError] = []
        for place in places:
            for local in locals_:
                if local is not None and local[0] != place[0]:
                    continue
                try:
                    socket = await connected(driver.loop, self.host, place, local)
                except OSError as error:
                    failures.append(error)
                else:
                    return self._connection(driver, socket, protocol_factory)
        if not failures:
            raise OSError(EINVAL, f"{local_addr} is of another family than {host}")
        raise joined(failures)

    def _connection(
        self, driver: Running, socket: Socket, protocol_factory: Callable[[], P]
    ) -> tuple[Transport, P]:
        try:
            self._ready()
            protocol = protocol_factory()
        except BaseException:
            socket.close()
            raise
        transport = Transport(driver, socket, protocol, self._transports.discard)
        self._transports.add(transport)
        transport.begin()
        return transport, protocol

    async def open_connection(
        self,
        host: str,
        port: int | str,
        *,
        limit: int = streams.LIMIT,
        family: int = AF_UNSPEC,
        local_addr: tuple[str, int] | None = None,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As `asyncio.open_connection`: a reader and a writer, connected.

        `limit` in bytes is the reader's; the rest as in `create_connection`.
        """
        loop = self._ready().loop
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await self.create_connection(
            lambda: protocol, host, port, family=family, local_addr=local_addr
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    # -- servers ----------------------------------------------------------------------------------
    async def create_server(
        self,
        protocol_factory: ProtocolFactory,
        host: str | Sequence[str] | None = None,
        port: int | str = 0,
        *,
        family: int = AF_UNSPEC,
        backlog: int = 100,
        start_serving: bool = True,
    ) -> Server:
        """As `loop.create_server`: a `Server` at `host` and `port`.

        `host` may be several; None and "" stand for all addresses of the stack. Port 0 takes a
        free one. Raises OSError EADDRINUSE, EADDRNOTAVAIL.
        """
        driver = self._ready()
        places = await places_of(driver.loop, self.host, host, port, family)
        sockets = bound_sockets(self.host, places)
        try:
            server = Server(
                driver, sockets, protocol_factory, backlog, self._transports, self._servers
            )
            if start_serving:
                server.begin()
        except BaseException:
            for socket in sockets:
                socket.close()
            raise
        self._servers.add(server)
        return server

    async def start_server(
        self,
        client_connected_cb: streams.ConnectedCallback,
        host: str | Sequence[str] | None = None,
        port: int | str = 0,
        *,
        limit: int = streams.LIMIT,
        family: int = AF_UNSPEC,
        backlog: int = 100,
        start_serving: bool = True,
    ) -> Server:
        """As `asyncio.start_server`: `client_connected_cb(reader, writer)` for each connection.

        A callback that raises ends its own connection and is told to the loop's exception
        handler. `limit` in bytes is the readers'; the rest as in `create_server`.
        """
        handlers = streams.Handlers(self._ready().loop, client_connected_cb, limit)
        return await self.create_server(
            handlers.protocol, host, port, family=family, backlog=backlog,
            start_serving=start_serving,
        )  # fmt: skip


def configured(sysctl: Mapping[str, str | int]) -> Config:
    """A configuration with these settings. Raises SetupError for one that does not exist."""
    config = Config()
    for name, value in sysctl.items():
        try:
            config.set(name, value)
        except OSError as error:
            hint = "see pystack/config.py for all names and their values"
            raise SetupError(error.errno or ENOENT, str(error.strerror), hint) from None
    try:
        plugins.find_chosen(config)
    except OSError as error:
        problem, _, hint = str(error.strerror).partition(": ")
        raise SetupError(error.errno or ENOENT, problem, hint) from None
    return config
