"""A listening server with the interface of `asyncio.Server` (that of Python 3.13).

Unlike Python 3.11's, `wait_closed` waits until the last connection is gone, as later ones do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from errno import EAGAIN
from typing import TYPE_CHECKING, Self

from pystack.aio.facade import SocketFacade
from pystack.aio.transport import Transport
from pystack.sockets.socket import Socket

if TYPE_CHECKING:
    from pystack.aio.running import Running

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class Server(asyncio.AbstractServer):
    """Takes connections on bound sockets; made by `Stack.create_server`."""

    def __init__(
        self,
        driver: Running,
        sockets: Iterable[Socket],
        factory: ProtocolFactory,
        backlog: int,
        transports: set[Transport],
        servers: set[Server],
    ) -> None:
        """`transports` and `servers` are all those of the stack, kept up to date from here."""
        self._driver = driver
        self._loop = driver.loop
        self._sockets: list[Socket] | None = list(sockets)
        self._factory = factory
        self._backlog = backlog
        self._transports = transports
        self._servers = servers
        self._clients: set[Transport] = set()
        self._serving = False
        self._forever: asyncio.Future[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"<pystack Server sockets={self.sockets!r}>"

    # -- begin -----------------------------------------------------------------------------------
    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop it runs on."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether it takes connections."""
        return self._serving

    @property
    def sockets(self) -> tuple[SocketFacade, ...]:
        """The listening sockets, for their names; empty once it is closed."""
        return tuple(SocketFacade(socket) for socket in self._sockets or ())

    def begin(self) -> None:
        """As `start_serving`, at once. Raises OSError EADDRINUSE."""
        if self._serving:
            return
        if self._sockets is None:
            raise RuntimeError(f"{self!r} is closed")
        self._driver.check()
        for socket in self._sockets:
            socket.on_events = lambda events, socket=socket: self._accept(socket)
            socket.listen(self._backlog)
        self._serving = True

    async def start_serving(self) -> None:
        """Take connections from now on; nothing happens if it does so already."""
        self.begin()

    async def serve_forever(self) -> None:
        """Take connections until this is cancelled or `close` is called.

        When cancelled the server closes, its connections too, and is waited for.
        """
        if self._forever is not None:
            raise RuntimeError(f"{self!r} is already being awaited on serve_forever()")
        self.begin()
        self._forever = self._loop.create_future()
        try:
            await self._forever
        except asyncio.CancelledError:
            self.close()
            self.close_clients()
            await self.wait_closed()
            raise
        finally:
            self._forever = None

    # -- connections -----------------------------------------------------------------------------
    def _accept(self, listening: Socket) -> None:
        while not listening.closed:
            try:
                socket, _ = listening.accept()
            except OSError as error:
                if error.errno != EAGAIN:
                    self._report("accept() failed", error)
                return
            try:
                transport = Transport(self._driver, socket, self._factory(), self._lost)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                socket.close()
                self._report("no protocol for an accepted connection", error)
                continue
            self._clients.add(transport)
            self._transports.add(transport)
            transport.begin()

    def _report(self, message: str, error: BaseException) -> None:
        self._loop.call_exception_handler({"message": message, "exception": error, "server": self})

    def _lost(self, transport: Transport) -> None:
        self._clients.discard(transport)
        self._transports.discard(transport)
        self._wake_if_gone()

    def close_clients(self) -> None:
        """Close all connections, after what was written to them has gone out."""
        for transport in list(self._clients):
            transport.close()

    def abort_clients(self) -> None:
        """Close all connections at once."""
        for transport in list(self._clients):
            transport.abort()

    # -- end -------------------------------------------------------------------------------------
    def close(self) -> None:
        """Take no more connections; those there are go on. May be called again."""
        sockets, self._sockets = self._sockets, None
        if sockets is None:
            return
        self._serving = False
        self._servers.discard(self)
        for socket in sockets:
            socket.on_events = None
            socket.close()
        if self._forever is not None and not self._forever.done():
            self._forever.cancel()
        self._wake_if_gone()

    def _wake_if_gone(self) -> None:
        if self._sockets is None and not self._clients:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def wait_closed(self) -> None:
        """Wait until it is closed and the last of its connections is lost."""
        if self._sockets is None and not self._clients:
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()
