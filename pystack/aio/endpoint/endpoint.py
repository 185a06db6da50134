"""asyncio's calls on one host: connections, servers, datagrams, whatever moves its packets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from errno import ENETDOWN, EOPNOTSUPP
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pystack import arguments, errors
from pystack.aio.drive.driver import Driver
from pystack.aio.endpoint import connect, datagram, listen, streams
from pystack.aio.endpoint.network import Network
from pystack.aio.endpoint.open_handles import OpenHandles
from pystack.aio.endpoint.resolve import Resolver, families_of, pair
from pystack.aio.handles import tls
from pystack.aio.handles.connecting import open_soon
from pystack.aio.handles.datagram import DatagramTransport
from pystack.aio.handles.server import ProtocolFactory, Server
from pystack.aio.handles.socket_base import SocketBase, state_of
from pystack.printed import printed
from pystack.sockets import Host, Socket
from pystack.sockets.constants import AF_UNSPEC
from pystack.stack.fast_accepts import SERVER
from pystack.tcp.tcb import Tcb
from pystack.tcp.user import user_calls
from pystack.wire.address import ANY_V4, ANY_V6, is_v4

if TYPE_CHECKING:
    import ssl as ssl_module

GRACE: Final = 2.0  # seconds
NOT_OPEN: Final = "the stack is not open: use `async with`"
_NO_FASTOPEN: Final = "servers may not use TCP Fast Open: set tcp_fastopen to 3 (host.sysctl)"
_FIRST_LOOK: Final = 0.001
_TURNS_TO_TELL: Final = 3
_LOOK_AGAIN: Final = 0.05

# shared by the files of `pystack.aio`; `dir` leaves it out
_INSIDE: Final = frozenset(("check", "driver", "handles", "owns", "reaches"))

P = TypeVar("P", bound=asyncio.BaseProtocol)
Where = tuple[str | None, int | str]


class Endpoint:
    """What `Stack` and a simulated host have in common: the calls, and closing what is open.

    `host` is the `sockets.Host` inside, `driver` what moves its packets now (None while it is on no
    loop), `handles` what is open on it. To be used in the thread of its loop.
    """

    host: Host

    def __init__(self, grace: float) -> None:
        """`grace`: how many seconds connections get to deliver and to close."""
        self._grace = grace
        self.driver: Driver | None = None
        self.handles = OpenHandles(self._ready)

    def __dir__(self) -> list[str]:
        """Without what is shared by the files of `pystack.aio`."""
        return [name for name in super().__dir__() if name not in _INSIDE]

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        raise NotImplementedError

    def _state(self) -> str:
        driver = self.driver
        if driver is None or driver.is_stopped:
            return "closed" if driver is not None else "not open"
        return f"open: {self.handles}"

    def _ready(self) -> Driver:
        """The driver, if the caller may use it now."""
        driver = self.driver
        if driver is None:
            driver = self._late_driver()
        driver.check()
        if driver.error:
            raise errors.os_error(ENETDOWN)
        return driver

    def _late_driver(self) -> Driver:
        """One where there was none a moment ago. Raises RuntimeError."""
        raise RuntimeError(NOT_OPEN)

    def check(self) -> None:
        """Raise RuntimeError when called from anywhere but the thread of the loop; OSError ENETDOWN
        when the device is gone."""
        self._ready()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop it runs on."""
        return self._ready().loop

    @property
    def is_closed(self) -> bool:
        """Whether it was open, and has been closed since."""
        driver = self.driver
        return driver is not None and driver.is_stopped and not driver.forked

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
        driver = self.driver
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
            self.handles.close()
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
        return bool(self._connections() or self.handles.delivers)

    def _connections(self) -> list[Tcb]:
        return [one for one in self.host.connections.values() if type(one) is Tcb]

    def _reset_all(self, driver: Driver) -> None:
        self.handles.fail()
        for tcb in self._connections():
            user_calls.abort(tcb)
            self.host.mark(tcb)
        self.handles.end_bridges()
        driver.flush()

    # -- addresses and names -----------------------------------------------------------------------
    def owns(self, address: bytes) -> bool:
        """Whether these 16 bytes are an address of the stack (`pystack.wire.address`)."""
        return address in self.host.addresses.local

    def reaches(self, address: bytes) -> bool:
        """Whether packets to `address` (16 bytes) go through this stack: its own, those of its
        prefixes, and those that its routes name."""
        return self.host.addresses.has_route(address)

    def look_up(self, name: str) -> Sequence[str]:
        """The addresses of a name that is known here, none for another."""
        return ()

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """Where several stacks are on a loop, asyncio's own calls begin at this one meanwhile, in
        tasks that are made meanwhile too."""
        token = _default.set(self)
        try:
            yield
        finally:
            _default.reset(token)

    def _network(self) -> Network[Endpoint]:
        """This host alone: for the calls below."""
        loop = self._ready().loop
        return Network(loop, _OneHost(self), Resolver(loop, partial(families_of, self.host)))

    # -- connections ------------------------------------------------------------------------------
    async def create_connection(
        self,
        protocol_factory: Callable[[], P],
        host: str,
        port: int | str,
        *,
        ssl: ssl_module.SSLContext | bool | None = None,
        family: int = AF_UNSPEC,
        local_addr: tuple[str, int] | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        all_errors: bool = False,
        fastopen: bool = False,
    ) -> tuple[asyncio.Transport, P]:
        """As `loop.create_connection`: a transport and a protocol, connected.

        Names are looked up by the kernel's resolver; each address found is tried in turn, or with
        `happy_eyeballs_delay` (seconds) in a race. Raises ConnectionRefusedError, TimeoutError
        (the stack gave up: `tcp_syn_retries`) and other OSErrors, `ssl.SSLError`. Cancelled, it
        leaves nothing.

        With `fastopen` (TCP Fast Open, RFC 7413) it returns at once where a cookie of the server is
        known, and what is written first, TLS's hello too, leaves with the SYN; a peer that can't be
        reached is then told to the protocol. Without a cookie it asks for one. Data on a SYN may
        come twice: write only what may. Raises OSError EOPNOTSUPP where `tcp_fastopen` is 0.
        """
        arguments.function("protocol_factory", protocol_factory)
        wanted = tls.of_client(
            ssl, host, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout
        )
        if local_addr is not None:
            pair("local_addr", local_addr)
        made = await connect.connected(
            self._network(), host, port, family=family, local_addr=local_addr,
            delay=happy_eyeballs_delay, all_errors=all_errors, fastopen=fastopen,
        )  # fmt: skip
        assert not isinstance(made, socket.socket)  # there is no kernel here
        if fastopen:
            open_soon(self.loop, made[1])
        return await self.handles.transport_over(made[1], protocol_factory, wanted)

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
        self,
        connection: asyncio.Transport | asyncio.StreamWriter | SocketBase,
        *,
        family: int | None = None,
    ) -> socket.socket:
        """A real descriptor for a connection: for threads that block, and for other processes.

        What it gives is a blocking socket, one end of a socket pair, which may be used in any
        thread and handed to a subprocess (`stdin=`, `stdout=`). The connection is the
        descriptor's from then on: data, room for data and half-close pass both ways, and when
        all copies of the descriptor are closed the connection is closed. When the connection is
        lost, by a RST too, reading gives what had come, then the end; writing raises
        BrokenPipeError (ConnectionResetError where data written just before was lost). With TLS
        `shutdown(SHUT_WR)` ends nothing, as TLS here has no half-close. The connection keeps
        what it needs, even if no other reference to it is left.

        With `family` AF_INET or AF_INET6 it is a connection over the kernel's loopback instead,
        for what sets options of TCP; names are the loopback's then, and that all copies are closed
        after a half-close is noticed when the peer sends or closes.

        Raises ConnectionError for a connection that is closed, OSError ENOTCONN for a socket
        without one, NotImplementedError in virtual time.
        """
        self._ready()
        if isinstance(connection, SocketBase):
            inner = state_of(connection).use()
            if connection.stack is not self or not isinstance(inner, Socket):
                raise ValueError(f"A Stream Socket of this stack was expected, got {connection!r}")
            inner.getpeername()
            return self.handles.bridge_fd(inner, connection, family)
        if not isinstance(connection, (asyncio.Transport, asyncio.StreamWriter)):
            raise TypeError(
                "a transport, a StreamWriter or a connected socket of a stack is expected, not "
                f"{connection!r}"
            )
        return self.handles.bridge_fd(connection, family=family)

    # -- servers ----------------------------------------------------------------------------------
    async def create_server(
        self,
        protocol_factory: ProtocolFactory,
        host: str | Sequence[str] | None = None,
        port: int | str = 0,
        *,
        family: int = AF_UNSPEC,
        backlog: int = 100,
        ssl: ssl_module.SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        fastopen: int = 0,
    ) -> Server:
        """As `loop.create_server`: a `Server` at `host` and `port`.

        `host` may be several; None and "" stand for all addresses of the stack. Port 0 takes a
        free one. `fastopen` connections may be given data of their SYN before their handshake is
        complete (TCP Fast Open, RFC 7413; 0 for none), which a client may send twice. Raises
        OSError EADDRINUSE, EADDRNOTAVAIL; EOPNOTSUPP with `fastopen` where `tcp_fastopen` keeps
        servers from it.
        """
        if fastopen and not self.host.config.tcp_fastopen & SERVER:
            raise OSError(EOPNOTSUPP, _NO_FASTOPEN)
        arguments.function("protocol_factory", protocol_factory)
        wanted = tls.of_server(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        if host is not None and not isinstance(host, (str, bytes)):
            host = arguments.texts("host", host, "198.18.0.2")
        places, _ = await listen.places(self._network(), host, port, family)
        ((_, sockets),) = listen.bound(places, fastopen=fastopen)
        return self.handles.serve(
            sockets, protocol_factory, wanted, backlog=backlog, start_serving=start_serving
        )

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

    # -- datagrams --------------------------------------------------------------------------------
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
        found: list[tuple[Endpoint, datagram.Ends]]
        if not local_addr and not remote_addr:
            if family == AF_UNSPEC:
                raise ValueError("unexpected address family")
            found = [(self, (family, None, None))]
        else:
            for what, where in (("local_addr", local_addr), ("remote_addr", remote_addr)):
                if where is not None:
                    pair(what, where)
            found = await datagram.ends(self._network(), local_addr, remote_addr, family)
        self._ready()
        return datagram.opened(found, protocol_factory, bool(reuse_port), bool(allow_broadcast))


class _OneHost:
    """A router where there is one host, and no kernel."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def stack_at(self, own: bytes, /, v6only: bool = True) -> Endpoint | None:
        """It, but for the wildcard of a family that it has not."""
        if own in (ANY_V4, ANY_V6) and not has_family(self._endpoint, own):
            return None
        return self._endpoint

    def stack_to(self, remote: bytes, /, own: bytes | None = None) -> Endpoint | None:
        """It."""
        return self._endpoint


def has_family(endpoint: Endpoint, like: bytes) -> bool:
    """Whether it has an address of the family of that one."""
    v4 = is_v4(like)
    return any(is_v4(own) == v4 for own in endpoint.host.addresses.all())


async def all_told() -> None:
    """Until protocols have heard of their end, and who waits for that, too: `connection_lost` comes
    in a turn of the loop of its own, that of a protocol above TLS one later."""
    for _ in range(_TURNS_TO_TELL):
        await asyncio.sleep(0)


def default() -> Endpoint | None:
    """The stack that `Endpoint.as_default` has chosen, if any."""
    return _default.get()


_default: Final[ContextVar[Endpoint | None]] = ContextVar("pystack_default", default=None)
