"""A listening server with the interface of `asyncio.Server` (that of Python 3.13).

`wait_closed` waits until the last connection is gone, as asyncio's does from Python 3.12 on; that
of Python 3.11 does not once the server is closed, nor do then the servers of an `EventLoop`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context, copy_context
from errno import EAGAIN
from functools import partial
from typing import Any, Self

from pystack.aio.drive.driver import Driver
from pystack.aio.handles.ready_fd import Ready, ready_fd
from pystack.aio.handles.socket_base import SocketBase
from pystack.aio.handles.stream import Transport, begin
from pystack.aio.handles.tls import Tls
from pystack.aio.handles.transport_socket import TransportSocket
from pystack.printed import printed, several
from pystack.sockets.tcp.tcp_socket import Socket
from pystack.wire.address import place

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class Server(asyncio.AbstractServer):
    """Takes connections on bound sockets; made by `Stack.create_server` and `EventLoop`.

    `_beside` is asyncio's own server for those addresses that are the kernel's, if there are any.
    What libraries read off asyncio's own is here, too: `_ssl_context` and the like.
    """

    def __init__(
        self,
        driver: Driver,
        sockets: Iterable[Socket],
        factory: ProtocolFactory,
        backlog: int,
        transports: dict[Transport, None],
        servers: dict[Server, None],
        tls: Tls | None = None,
        user_socket: SocketBase | None = None,
        waits_for_clients: bool = True,
    ) -> None:
        """`transports` and `servers` are all those of the stack, kept up to date from here;
        `user_socket` is what the user knows the one socket by, and is closed with it;
        `waits_for_clients` says what `wait_closed` does."""
        self._driver = driver
        self._loop = driver.loop
        self._sockets: list[Socket] | None = list(sockets)
        self._protocol_factory = factory
        self._backlog = backlog
        self._transports = transports
        self._servers = servers
        self._tls = tls
        self._user_socket = user_socket
        self._waits_for_clients = waits_for_clients
        self._ready: dict[Socket, Ready] = {}
        self._beside: asyncio.AbstractServer | None = None
        self._clients: dict[Transport, None] = {}
        self._serving = False
        self._context: Context  # of who began to serve
        self._forever: asyncio.Future[None] | None = None
        self._waiters: list[asyncio.Future[None]] | None = []  # None once all is over

    def __repr__(self) -> str:
        return printed(self, self._words, f"pystack {type(self).__name__}")

    def _words(self) -> str:
        own = self._sockets
        at = ", ".join(place(one.local, one.port) for one in own or ()) or "nowhere"
        state = "closed" if own is None else f"{'' if self._serving else 'not '}serving at {at}"
        beside = f", beside {self._beside!r}" if self._beside is not None else ""
        return f"{state}, {several(len(self._clients), 'connection')}{beside}"

    @property
    def _ssl_context(self) -> ssl.SSLContext | None:
        return None if self._tls is None else self._tls.context

    @property
    def _ssl_handshake_timeout(self) -> float | None:
        return None if self._tls is None else self._tls.handshake_timeout

    @property
    def _ssl_shutdown_timeout(self) -> float | None:
        return None if self._tls is None else self._tls.shutdown_timeout

    @property
    def _active_count(self) -> int:
        return len(self._clients)

    # -- begin -----------------------------------------------------------------------------------
    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop it runs on."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether it takes connections."""
        return self._serving

    @property
    def sockets(self) -> tuple[Any, ...]:
        """The listening sockets, for their names; empty once it is closed."""
        own = tuple(TransportSocket(socket, partial(self._fileno, socket))
                    for socket in self._sockets or ())  # fmt: skip
        return own if self._beside is None else own + tuple(getattr(self._beside, "sockets", ()))

    def _fileno(self, socket: Socket) -> int:
        """A descriptor for a listening socket: what waits is accepted at once, so it is quiet."""
        if socket.closed:
            return -1
        if self._user_socket is not None:
            return self._user_socket.fileno()
        if socket not in self._ready:
            self._ready[socket] = ready_fd()
        return self._ready[socket].fd

    def _start(self) -> None:
        if self._serving:
            return
        if self._sockets is None:
            raise RuntimeError(f"{self!r} is closed")
        self._driver.check()
        self._context = copy_context()
        for socket in self._sockets:
            socket.on_events = lambda events, socket=socket: self._accept(socket)
            socket.listen(self._backlog)
        self._serving = True

    async def start_serving(self) -> None:
        """Take connections from now on; nothing happens if it does so already."""
        self._start()
        if self._beside is not None:
            await self._beside.start_serving()

    async def serve_forever(self) -> None:
        """Take connections until this is cancelled or `close` is called.

        When cancelled the server closes and is waited for, its connections too if `wait_closed`
        waits for them.
        """
        if self._forever is not None:
            raise RuntimeError(f"{self!r} is already being awaited on serve_forever()")
        self._forever = self._loop.create_future()
        try:
            await self.start_serving()
            await self._forever
        except asyncio.CancelledError:
            self.close()
            if self._waits_for_clients:
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
            self._context.copy().run(self._serve, socket)

    def _serve(self, socket: Socket) -> None:
        """A transport for a connection; in a context of its own, that of who began to serve."""
        try:
            transport = Transport(self._driver, socket, self._protocol(), self._lost)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            socket.close()
            self._report("no protocol for an accepted connection", error)
            return
        self._clients[transport] = None
        self._transports[transport] = None
        begin(transport)

    def _protocol(self) -> asyncio.BaseProtocol:
        protocol = self._protocol_factory()
        if self._tls is None:
            return protocol
        waiter: asyncio.Future[None] = self._loop.create_future()
        waiter.add_done_callback(self._secured)
        return self._tls.protocol(self._loop, protocol, waiter)

    def _secured(self, waiter: asyncio.Future[None]) -> None:
        """A handshake is over; that one failed is told in debug mode, as in asyncio."""
        if waiter.cancelled():
            return
        error = waiter.exception()
        if error is not None and self._loop.get_debug():
            self._report("Error on transport creation for incoming connection", error)

    def _report(self, message: str, error: BaseException) -> None:
        self._loop.call_exception_handler({"message": message, "exception": error, "server": self})

    def _lost(self, transport: Transport) -> None:
        self._clients.pop(transport, None)
        self._transports.pop(transport, None)
        self._wake_if_gone()

    def close_clients(self) -> None:
        """Close all connections, after what was written to them has gone out."""
        for transport in list(self._clients):
            transport.close()
        self._others("close_clients")

    def abort_clients(self) -> None:
        """Close all connections at once."""
        for transport in list(self._clients):
            transport.abort()
        self._others("abort_clients")

    def _others(self, call: str) -> None:
        """The same for the connections of the kernel's addresses, from Python 3.13 on."""
        getattr(self._beside, call, lambda: None)()

    # -- end -------------------------------------------------------------------------------------
    def close(self) -> None:
        """Take no more connections; those there are go on. May be called again."""
        sockets, self._sockets = self._sockets, None
        if sockets is None:
            return
        self._serving = False
        self._servers.pop(self, None)
        for socket in sockets:
            socket.on_events = None
            socket.close()
        if self._user_socket is not None:
            self._user_socket.close()
        for ready in self._ready.values():
            ready.close()
        if self._beside is not None:
            self._beside.close()
        if self._forever is not None and not self._forever.done():
            self._forever.cancel()
        self._wake_if_gone()

    def _wake_if_gone(self) -> None:
        if self._sockets is None and not self._clients:
            waiters, self._waiters = self._waiters, None
            for waiter in waiters or ():
                if not waiter.done():
                    waiter.set_result(None)

    async def wait_closed(self) -> None:
        """Wait until it is closed and the last of its connections is lost; see the module."""
        is_open = self._sockets is not None
        if self._waiters is not None and (is_open or self._waits_for_clients):
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter
        if self._beside is not None:
            await self._beside.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()


def start_now(server: Server) -> None:
    """As its `start_serving`, at once. Raises OSError EADDRINUSE."""
    server._start()


def joined(servers: Sequence[Any]) -> Any:
    """One server that answers for all: the first, with the others beside it. Only the last may be
    asyncio's own."""
    head: Any = None
    for server in reversed(servers):
        if isinstance(server, Server):
            server._beside = head
        head = server
    return head
