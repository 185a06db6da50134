"""`Stack`: a host with its device on an event loop, and asyncio's doors to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from errno import ECONNABORTED, EINVAL, ENETDOWN, ENOENT
from types import TracebackType
from typing import Final, Self, TypeVar

from pystack.aio import streams
from pystack.aio.connecting import connected
from pystack.aio.driver import Driver, PacketDevice, monotonic_us
from pystack.aio.listening import bound_sockets, places_of
from pystack.aio.names import Place, families_of, joined, resolve
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

_GRACE: Final = 2.0  # seconds
_FIRST_LOOK: Final = 0.001
_LOOK_AGAIN: Final = 0.05

P = TypeVar("P", bound=asyncio.BaseProtocol)
Clock = Callable[[], int]


class Stack:
    """A TCP stack of one's own, with asyncio's calls; `async with` opens and closes it.

        async with pystack.Stack.over_tun("tun0", "198.18.0.2/24") as stack:
            reader, writer = await stack.open_connection("198.18.0.1", 80)

    `host` is the `sockets.Host` inside (settings by `host.sysctl`, counters, BSD sockets),
    `device` what it sends its packets through. Leaving it closes what is open: connections get
    up to `grace` seconds to deliver and to close, then a RST; then the device goes.

    To be used in the thread of its loop; calls from others raise RuntimeError.
    """

    host: Host
    device: PacketDevice

    def __init__(
        self,
        open_device: Callable[[], Awaitable[PacketDevice]],
        addresses: Sequence[str],
        *,
        sysctl: Mapping[str, str | int] | None = None,
        pcap: str | os.PathLike[str] | None = None,
        grace: float = _GRACE,
        clock: Clock = monotonic_us,
        secret: bytes | None = None,
    ) -> None:
        """See `over_tun` and `over`, which make one."""
        self._open_device = open_device
        self._addresses = tuple(addresses)
        self._config = _configured(sysctl or {})
        self._pcap = pcap
        self._grace = grace
        self._clock = clock
        self._secret = secret or os.urandom(32)
        self._driver: Driver | None = None
        self._opened = False
        self._servers: set[Server] = set()
        self._transports: set[Transport] = set()
        self._cleanup = ExitStack()

    @classmethod
    def over_tun(
        cls,
        name: str = "tun0",
        address: str | None = None,
        *,
        peer: str | None = None,
        addr6: str | None = None,
        peer6: str | None = None,
        mtu: int = 1500,
        netns: str | None = None,
        offload: bool = True,
        queue_length: int | None = None,
        sysctl: Mapping[str, str | int] | None = None,
        pcap: str | os.PathLike[str] | None = None,
        grace: float = _GRACE,
    ) -> Self:
        """A stack over a new TUN device `name` ("tun%d": the first free one).

        `address` ("198.18.0.2/24") and `addr6` are the stack's, at least one of them; `peer`
        and `peer6` the kernel's on the device, by default the first other one of the prefix.
        `mtu` in bytes; `netns` the network namespace, by name or path, that gets the device;
        `offload` lets runs of up to 64 KB pass uncut; `queue_length` is how many packets wait in
        the device before the kernel drops some. `sysctl` has settings by Linux's names, `pcap`
        is a file to capture to, `grace` is in seconds. Entering raises SetupError.
        """
        pairs = [(own, other) for own, other in ((address, peer), (addr6, peer6)) if own]
        if not pairs:
            raise SetupError(EINVAL, "no address was given", 'give one such as "198.18.0.2/24"')

        async def open_device() -> PacketDevice:
            from pystack.aio.tun_device import TunDevice

            return await TunDevice.open(
                name, pairs, mtu=mtu, netns=netns, offload=offload, queue_length=queue_length
            )

        return cls(
            open_device, [own for own, _ in pairs], sysctl=sysctl, pcap=pcap, grace=grace
        )  # fmt: skip

    @classmethod
    def over(
        cls,
        device: PacketDevice,
        *addresses: str,
        sysctl: Mapping[str, str | int] | None = None,
        pcap: str | os.PathLike[str] | None = None,
        grace: float = _GRACE,
        clock: Clock = monotonic_us,
        secret: bytes | None = None,
    ) -> Self:
        """A stack over any device, such as one that joins two stacks in one program.

        `clock` gives the time in µs, above 0, for loops with a time of their own; `secret` (16
        to 64 bytes) makes initial sequence numbers and ports repeatable.
        """

        async def open_device() -> PacketDevice:
            return device

        return cls(
            open_device, addresses, sysctl=sysctl, pcap=pcap, grace=grace, clock=clock,
            secret=secret,
        )  # fmt: skip

    # -- begin and end ---------------------------------------------------------------------------
    async def __aenter__(self) -> Self:
        if self._opened:
            raise RuntimeError("a stack is opened once; make another one")
        self._opened = True
        self.device = device = await self._open_device()
        with ExitStack() as undo:
            undo.callback(device.close)
            self.host = Host(
                self._addresses, secret=self._secret, mtu=device.mtu, gso=device.offload,
                checksum_offload=device.offload, config=self._config,
            )  # fmt: skip
            loop = asyncio.get_running_loop()
            tap = None
            if self._pcap is not None:
                from pystack.aio.capture import CaptureFile

                tap = CaptureFile(self._pcap, device.name, self._clock, loop)
                self._cleanup.callback(tap.close)
                undo.callback(tap.close)
            driver = Driver(self.host, device, loop, self._clock, tap)
            driver.start()
            undo.pop_all()
        self._driver = driver
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close: servers, then connections (see the class), then the device. Cancelled, it
        does without the grace. Nothing happens when called again."""
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
                self._cleanup.close()
        await driver.wait_stopped()

    async def _until_all_closed(self, driver: Driver) -> None:
        end = driver.loop.time() + self._grace
        pause = _FIRST_LOOK
        while not driver.error and self._connections() and driver.loop.time() < end:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LOOK_AGAIN)

    def _connections(self) -> list[Tcb]:
        return [one for one in self.host.connections.values() if type(one) is Tcb]

    def _reset_all(self, driver: Driver) -> None:
        for transport in list(self._transports):
            transport.fail(errors.fault(ECONNABORTED))
        for tcb in self._connections():
            calls.abort(tcb)
            self.host.mark(tcb)
        driver.flush()

    # -- what is asked of it ----------------------------------------------------------------------
    def _ready(self) -> Driver:
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

    async def drop_counters(self) -> dict[str, int]:
        """Packets that were lost at this end, by where and why; those at 0 are left out.

        `queue_full`: sent by the kernel faster than the stack read them. `kernel_refused`:
        written by the stack, and not taken by the kernel. `link_down`, `write_failed`: never
        written. The others, such as `bad_checksum`, came and were no use.
        """
        driver = self._ready()
        counters = self.host.counters.as_dict()
        drops = {
            "link_down": driver.lost_link_down,
            "write_failed": driver.lost_refused,
            **await self.device.drops(),
            **{
                name.removeprefix("dropped_"): count
                for name, count in counters.items()
                if name.startswith("dropped_")
            },
        }
        return {name: count for name, count in drops.items() if count}

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
        self, driver: Driver, socket: Socket, protocol_factory: Callable[[], P]
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


def _configured(sysctl: Mapping[str, str | int]) -> Config:
    config = Config()
    for name, value in sysctl.items():
        try:
            config.set(name, value)
        except OSError as error:
            hint = "see pystack/config.py for all names and their values"
            raise SetupError(error.errno or ENOENT, str(error.strerror), hint) from None
    return config
