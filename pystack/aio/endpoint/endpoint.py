"""asyncio's calls on one host: connections and servers, whatever moves the host's packets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from errno import ECONNABORTED, ENETDOWN, ENOENT
from functools import partial
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pystack import arguments, errors
from pystack.aio.drive.driver import NO_THREAD, Driver
from pystack.aio.endpoint import streams
from pystack.aio.endpoint.connect import connected, first_connected
from pystack.aio.endpoint.datagram_endpoint import DatagramEndpoint
from pystack.aio.endpoint.listen import bound_sockets, places_of
from pystack.aio.endpoint.resolve import Target, families_of, pair, resolve
from pystack.aio.handles import tls
from pystack.aio.handles.datagram import DatagramTransport
from pystack.aio.handles.fd_bridge import Bridge
from pystack.aio.handles.server import ProtocolFactory, Server
from pystack.aio.handles.stack_socket import Core, StackSocket
from pystack.aio.handles.stream import Transport
from pystack.config import Config
from pystack.errors import SetupError
from pystack.parts import entry_points
from pystack.printed import printed, several
from pystack.sockets import Host, Socket
from pystack.sockets.constants import AF_UNSPEC
from pystack.tcp.tcb import Tcb
from pystack.tcp.user import user_calls

if TYPE_CHECKING:
    import socket
    import ssl

GRACE: Final = 2.0  # seconds
NOT_OPEN: Final = "the stack is not open: use `async with`"
_FIRST_LOOK: Final = 0.001
_TURNS_TO_TELL: Final = 3
_LOOK_AGAIN: Final = 0.05

P = TypeVar("P", bound=asyncio.BaseProtocol)


class Endpoint(DatagramEndpoint):
    """What `Stack` and a simulated host have in common: the calls, and closing what is open.

    `host` is the `sockets.Host` inside. To be used in the thread of its loop.
    """

    host: Host

    def __init__(self, grace: float) -> None:
        """`grace`: how many seconds connections get to deliver and to close."""
        self._grace = grace
        self._driver: Driver | None = None
        # in the order in which they were made: sets have another in each process
        self._servers: dict[Server, None] = {}
        self._transports: dict[Transport, None] = {}
        self._datagrams: dict[DatagramTransport, None] = {}
        self._bridges: dict[Bridge, None] = {}

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        raise NotImplementedError

    def _state(self) -> str:
        driver = self._driver
        if driver is None or driver.is_stopped:
            return "closed" if driver is not None else "not open"
        some = [
            several(len(those), what)
            for those, what in (
                (self._transports, "connection"), (self._servers, "server"),
                (self._datagrams, "UDP endpoint"), (self._bridges, "bridge"),
            )
            if those
        ]  # fmt: skip
        return f"open: {', '.join(some) or 'nothing on it'}"

    def _ready(self) -> Driver:
        """The driver, if the caller may use it now."""
        driver = self._driver
        if driver is None:
            raise RuntimeError(NOT_OPEN)
        driver.check()
        if driver.error:
            raise errors.os_error(ENETDOWN)
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
        try:
            await self._all_closed(driver)
        finally:
            driver.stop()
            self.host.fail_all(ENETDOWN)
            self._stopped()
        await all_told()

    async def _all_closed(self, driver: Driver) -> None:
        """Close all there is, with the grace; what is left then is reset."""
        driver.check()
        try:
            for server in list(self._servers):
                server.close()
            for bridge in list(self._bridges):
                bridge.take_rest()
            for transport in list(self._transports):
                if tls.is_handshaking(transport.get_protocol()):  # it would take that for success
                    transport._fail(errors.os_error(ECONNABORTED))
                else:
                    transport.close()
            for datagrams in list(self._datagrams):
                datagrams.close()
            await self._until_all_closed(driver)
        finally:
            self._reset_all(driver)

    def _stopped(self) -> None:
        """What else is to be let go, once nothing passes any more."""

    async def _until_all_closed(self, driver: Driver) -> None:
        end = driver.loop.time() + self._grace
        pause = _FIRST_LOOK
        while not driver.error and self._is_busy() and driver.loop.time() < end:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LOOK_AGAIN)

    def _is_busy(self) -> bool:
        """Whether anything is to be delivered, or to be taken out of a bridge by its user."""
        return bool(self._connections() or self._bridges or self._datagrams)

    def _connections(self) -> list[Tcb]:
        return [one for one in self.host.connections.values() if type(one) is Tcb]

    def _reset_all(self, driver: Driver) -> None:
        for transport in list(self._transports):
            transport._fail(errors.os_error(ECONNABORTED))
        for datagrams in list(self._datagrams):
            datagrams._fail(errors.os_error(ECONNABORTED))
        for tcb in self._connections():
            user_calls.abort(tcb)
            self.host.mark(tcb)
        for bridge in list(self._bridges):
            bridge.end()
        driver.flush()

    # -- addresses and names -----------------------------------------------------------------------
    @property
    def _thread(self) -> int:
        """The thread of its loop; no thread's number when it is closed."""
        return NO_THREAD if self._driver is None else self._driver.thread

    @property
    def _is_used(self) -> bool:
        """Whether asyncio's users have anything open on it."""
        return bool(self._servers or self._transports or self._datagrams or self._bridges)

    def _adopt_thread(self) -> None:
        """Its loop runs in this thread from now on, where it ran in another one before."""
        if self._driver is not None:
            self._driver.adopt_thread()

    def _running_loop(self) -> asyncio.AbstractEventLoop | None:
        """Its loop, if that runs now, in whichever thread; None if there is none."""
        driver = self._driver
        runs = driver is not None and not driver.is_stopped and driver.loop.is_running()
        return driver.loop if runs and driver is not None else None

    def _close_soon(self, socket: Core) -> None:
        """Close a socket in a turn of the loop, whichever thread this is."""
        driver = self._driver
        if driver is not None and not driver.is_stopped:
            with contextlib.suppress(RuntimeError):  # the loop is closed, or has no other threads
                driver.loop.call_soon_threadsafe(socket.close)
        elif self._thread == get_ident():
            socket.close()

    @property
    def is_closed(self) -> bool:
        """Whether it was open, and has been closed since."""
        driver = self._driver
        return driver is not None and driver.is_stopped and not driver.forked

    def _check(self) -> None:
        """Raise RuntimeError when called from anywhere but the thread of the loop; OSError ENETDOWN
        when the device is gone."""
        self._ready()

    def _owns(self, address: bytes) -> bool:
        """Whether these 16 bytes are an address of the stack (`pystack.wire.address`)."""
        return address in self.host.addresses.local

    def _reaches(self, address: bytes) -> bool:
        """Whether packets to `address` go through this stack: its own, those of its prefixes, and
        those that its routes name."""
        return self.host.addresses.has_route(address)

    def look_up(self, name: str) -> Sequence[str]:
        """The addresses of a name that is known here, none for another."""
        return ()

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """Where several stacks are on a loop, asyncio's own calls begin at this one meanwhile, in
        tasks that are made meanwhile too."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    # -- connections ------------------------------------------------------------------------------
    async def create_connection(
        self,
        protocol_factory: Callable[[], P],
        host: str,
        port: int | str,
        *,
        ssl: ssl.SSLContext | bool | None = None,
        family: int = AF_UNSPEC,
        local_addr: tuple[str, int] | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        all_errors: bool = False,
    ) -> tuple[asyncio.Transport, P]:
        """As `loop.create_connection`: a transport and a protocol, connected.

        Names are looked up by the kernel's resolver; each address found is tried in turn, or with
        `happy_eyeballs_delay` (seconds) in a race. Raises ConnectionRefusedError, TimeoutError
        (the stack gave up: `tcp_syn_retries`) and other OSErrors, `ssl.SSLError`. Cancelled, it
        leaves nothing.
        """
        driver = self._ready()
        arguments.function("protocol_factory", protocol_factory)
        wanted = tls.of_client(
            ssl, host, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout
        )
        families = families_of(self.host)
        places = await resolve(driver.loop, host, port, families, family)
        local: Sequence[Target] = ()
        if local_addr is not None:
            own = pair("local_addr", local_addr)
            local = await resolve(driver.loop, *own, families, family)
        socket = await first_connected(
            driver.loop, [partial(self._connected, place, local) for place in places], Socket.close,
            happy_eyeballs_delay, all_errors,
        )  # fmt: skip
        return await self._transport_over(socket, protocol_factory, wanted)

    async def _connected(self, place: Target, local: Sequence[Target] = ()) -> Socket:
        """A socket connected to one place; see `connecting.connected`."""
        return await connected(self._ready().loop, self.host, place, local)

    async def _transport_over(
        self,
        socket: Socket,
        protocol_factory: Callable[[], P],
        wanted: tls.Tls | None = None,
        user_socket: StackSocket | None = None,
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
        transport = Transport(driver, socket, inner, self._lost, user_socket)
        self._transports[transport] = None
        transport._begin()
        if wanted is None:
            return transport, protocol
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return secured._app_transport, protocol

    def _lost(self, transport: Transport) -> None:
        self._transports.pop(transport, None)

    async def open_connection(
        self, host: str, port: int | str, *, limit: int = streams.LIMIT, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As `asyncio.open_connection`: a reader and a writer, connected.

        `limit` in bytes is the reader's; the options are those of `create_connection`.
        """
        loop = self._ready().loop
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await self.create_connection(lambda: protocol, host, port, **options)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    def bridge_fd(
        self, connection: asyncio.Transport | asyncio.StreamWriter | StackSocket
    ) -> socket.socket:
        """A real descriptor for a connection: for threads that block, and for other processes.

        What it gives is a blocking socket, one end of a socket pair, which may be used in any
        thread and handed to a subprocess (`stdin=`, `stdout=`). The connection is the
        descriptor's from then on: text, room for text and half-close pass both ways, and when
        all copies of the descriptor are closed the connection is closed. When the connection is
        lost, by a RST too, reading gives what had come, then the end; writing raises
        BrokenPipeError (ConnectionResetError where text written just before was lost). With TLS
        `shutdown(SHUT_WR)` ends nothing, as TLS here has no half-close.

        Raises ConnectionError for a connection that is closed, OSError ENOTCONN for a socket
        without one, NotImplementedError in virtual time.
        """
        driver = self._ready()
        if isinstance(connection, StackSocket):
            connection = self._carried(driver, connection)
        elif not isinstance(connection, (asyncio.Transport, asyncio.StreamWriter)):
            raise TypeError(
                "a transport, a StreamWriter or a connected socket of a stack is expected, not "
                f"{connection!r}"
            )
        bridge = Bridge(driver.loop, connection, self._bridges)
        bridge.begin()
        return bridge.user_socket

    def _carried(self, driver: Driver, sock: StackSocket) -> Transport:
        """A transport for a connected socket, whose protocol is still to be set."""
        core = sock._take_inner()
        if sock.stack is not self or not isinstance(core, Socket):
            raise ValueError(f"A Stream Socket of this stack was expected, got {sock!r}")
        core.getpeername()
        transport = Transport(driver, core, asyncio.Protocol(), self._lost, sock)
        self._transports[transport] = None
        transport._begin()
        return transport

    # -- servers ----------------------------------------------------------------------------------
    async def create_server(
        self,
        protocol_factory: ProtocolFactory,
        host: str | Sequence[str] | None = None,
        port: int | str = 0,
        *,
        family: int = AF_UNSPEC,
        backlog: int = 100,
        ssl: ssl.SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> Server:
        """As `loop.create_server`: a `Server` at `host` and `port`.

        `host` may be several; None and "" stand for all addresses of the stack. Port 0 takes a
        free one. Raises OSError EADDRINUSE, EADDRNOTAVAIL.
        """
        driver = self._ready()
        arguments.function("protocol_factory", protocol_factory)
        wanted = tls.of_server(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        places = await places_of(driver.loop, self.host, host, port, family)
        sockets = bound_sockets(self.host, places)
        return self._serve(
            sockets, protocol_factory, wanted, backlog=backlog, start_serving=start_serving
        )

    def _serve(
        self,
        sockets: Sequence[Socket],
        protocol_factory: ProtocolFactory,
        wanted: tls.Tls | None = None,
        *,
        backlog: int = 100,
        start_serving: bool = True,
        user_socket: StackSocket | None = None,
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
                server._begin()
        except BaseException:
            for socket in sockets:
                socket.close()
            raise
        self._servers[server] = None
        return server

    async def start_server(
        self,
        client_connected_cb: streams.ConnectedCallback,
        host: str | Sequence[str] | None = None,
        port: int | str = 0,
        *,
        limit: int = streams.LIMIT,
        **options: Any,
    ) -> Server:
        """As `asyncio.start_server`: `client_connected_cb(reader, writer)` for each connection.

        A callback that raises ends its own connection and is told to the loop's exception
        handler. `limit` in bytes is the readers'; the options are those of `create_server`.
        """
        arguments.function("client_connected_cb", client_connected_cb)
        handlers = streams.Handlers(self._ready().loop, client_connected_cb, limit)
        return await self.create_server(handlers.protocol, host, port, **options)


async def all_told() -> None:
    """Until protocols have heard of their end, and who waits for that, too: `connection_lost` comes
    in a turn of the loop of its own, that of a protocol above TLS one later."""
    for _ in range(_TURNS_TO_TELL):
        await asyncio.sleep(0)


def current() -> Endpoint | None:
    """The stack that `Endpoint.as_default` has chosen, if any."""
    return _current.get()


_current: Final[ContextVar[Endpoint | None]] = ContextVar("pystack_here", default=None)


def configured(sysctl: Mapping[str, str | int]) -> Config:
    """A configuration with these settings. Raises SetupError for one that does not exist, TypeError
    for what is no dict of them."""
    config = Config()
    for name, value in arguments.mapping("sysctl", sysctl, "{'tcp_sack': 0}").items():
        arguments.text("sysctl", name, "tcp_sack")
        try:
            config.set(name, value)
        except OSError as error:
            hint = "see pystack/config.py for all names and their values"
            raise SetupError(error.errno or ENOENT, str(error.strerror), hint) from None
    try:
        entry_points.find_chosen(config)
    except OSError as error:
        problem, _, hint = str(error.strerror).partition(": ")
        raise SetupError(error.errno or ENOENT, problem, hint) from None
    return config
