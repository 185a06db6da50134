"""`Stack`: a host with its device on an event loop, and asyncio's calls on it."""

from __future__ import annotations

import asyncio
import os
from asyncio import proactor_events
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from errno import EINVAL, ENOENT
from typing import TYPE_CHECKING, Final, NoReturn, Self

from pystack import arguments
from pystack.aio.devices import impaired
from pystack.aio.drive.alarm import monotonic_us
from pystack.aio.drive.device import PacketDevice
from pystack.aio.drive.device_driver import DeviceDriver
from pystack.aio.drive.driver import Driver
from pystack.aio.endpoint import bind_hint
from pystack.aio.endpoint.endpoint import GRACE, NOT_OPEN, Endpoint, all_told
from pystack.aio.endpoint.resolve import name_key
from pystack.aio.handles.fd_bridge import NO_READERS
from pystack.aio.handles.stack_socket import StackSocket
from pystack.device.linux import check_linux, check_packages
from pystack.errors import SetupError
from pystack.ip import route_metrics
from pystack.ip.addresses import Addresses
from pystack.parts import entry_points
from pystack.parts.configured import configured
from pystack.path.language.spec import Impairment
from pystack.sockets import Host
from pystack.sockets.constants import AF_INET, SOCK_STREAM
from pystack.wire import address

if TYPE_CHECKING:
    from pystack.aio.drive.capture import CaptureFile

ADDRESS: Final = "198.18.0.2/24"  # one of the stack's, in messages

Clock = Callable[[], int]


class Stack(Endpoint):
    """A TCP stack of one's own, with asyncio's calls; `async with` opens and closes it.

        async with pystack.Stack.over_tun("tun0", "198.18.0.2/24") as stack:
            reader, writer = await stack.open_connection("198.18.0.1", 80)

    `host` is the `sockets.Host` inside (settings by `host.sysctl`, counters, BSD sockets),
    `device` what it sends its packets through. Leaving it closes what is open: connections get
    up to `grace` seconds to deliver and to close, then a RST; then the device goes.

    To be used in the thread of its loop; calls from others raise RuntimeError.
    """

    device: PacketDevice

    def __init__(
        self,
        open_device: Callable[[], Awaitable[PacketDevice]],
        addresses: Sequence[str],
        *,
        sysctl: Mapping[str, str | int] | None = None,
        pcap: str | os.PathLike[str] | None = None,
        grace: float = GRACE,
        clock: Clock = monotonic_us,
        secret: bytes | None = None,
        routes: Iterable[str] = (),
        names: Mapping[str, str | Sequence[str]] | None = None,
    ) -> None:
        """See `over_tun` and `over`, which make one."""
        super().__init__(arguments.number("grace", grace, "seconds were expected"))
        self._routes = arguments.texts("routes", routes, "10.0.0.0/8")
        for route in self._routes:
            route_metrics.parse(route)
        known = arguments.mapping("names", names or {}, "{'db': '198.18.0.1'}")
        self._names: dict[str, tuple[str, ...]] = {}
        for name, given in known.items():
            key = name_key(arguments.text("names", name, "db"))
            self._names[key] = (*self._names.get(key, ()), *_addresses(given))
        self._open_device = open_device
        self._addresses = arguments.texts("addresses", addresses, ADDRESS)
        self._config = configured(sysctl or {})
        self._pcap = pcap
        self._clock = clock
        self._secret = os.urandom(32) if secret is None else arguments.secret(secret)
        self._opened = False
        self._cleanup = ExitStack()
        self._capture: CaptureFile | None = None
        self._on_needed: Callable[[], None] = lambda: None  # between two loops: `enter_by`

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
        impair: str | Impairment | None = None,
        sysctl: Mapping[str, str | int] | None = None,
        pcap: str | os.PathLike[str] | None = None,
        grace: float = GRACE,
        routes: Iterable[str] = (),
        names: Mapping[str, str | Sequence[str]] | None = None,
    ) -> Self:
        """A stack over a new TUN device `name` ("tun%d": the first free one).

        `address` ("198.18.0.2/24") and `addr6` are the stack's, at least one of them; `peer`
        and `peer6` the kernel's on the device, by default the first other one of the prefix.
        `mtu` in bytes; `netns` the network namespace, by name or path, that gets the device;
        `offload` lets runs of up to 64 KB pass uncut; `queue_length` is how many packets wait in
        the device before the kernel drops some. `impair` makes a bad way of the device, such as
        "delay 20ms loss 1%" (docs/impairments.md; ValueError where it is none); with most of its
        words there is no offload. `sysctl` has settings by Linux's names, `pcap` is a file to
        capture to, `grace` is in seconds. `routes` are networks besides those of the addresses that
        are reached through the stack ("10.0.0.0/8", or "default"), for programs on an `EventLoop`,
        and what connections there are asked for ("10.0.0.0/8 advmss 1400",
        `sockets.Host.add_route`); `names` are host names, as in /etc/hosts. Raises
        ValueError for a malformed one and TypeError for one of another type; entering raises
        SetupError.
        """
        impairment = impaired.checked(impair)
        pairs = [(own, other) for own, other in ((address, peer), (addr6, peer6)) if own]
        arguments.text("name", name, "tun0")
        for own, other in pairs:
            arguments.text("address", own, ADDRESS)
            arguments.text("peer", other or "", "198.18.0.1")
        if _is_address(name):
            hint = f'give the address behind it, as in over_tun("tun0", "{name}")'
            raise SetupError(EINVAL, f"{name} is no name of a device", hint)
        if not pairs:
            raise SetupError(EINVAL, "no address was given", f'give one such as "{ADDRESS}"')
        if not isinstance(mtu, int):
            raise TypeError(arguments.unfit("mtu", mtu, "bytes were expected, such as 1500"))

        async def open_device() -> PacketDevice:
            check_linux()
            check_packages()
            from pystack.aio.devices.tun import TunDevice

            whole = offload and not (impairment and impairment.needs_packets())
            device = await TunDevice.open(
                name, pairs, mtu=mtu, netns=netns, offload=whole, queue_length=queue_length
            )
            if impairment is None:
                return device
            return impaired.ImpairedDevice(device, impairment)

        return cls(
            open_device, [own for own, _ in pairs], sysctl=sysctl, pcap=pcap, grace=grace,
            routes=routes, names=names,
        )  # fmt: skip

    @classmethod
    def over(
        cls,
        device: PacketDevice,
        *addresses: str,
        sysctl: Mapping[str, str | int] | None = None,
        pcap: str | os.PathLike[str] | None = None,
        grace: float = GRACE,
        clock: Clock = monotonic_us,
        secret: bytes | None = None,
        routes: Iterable[str] = (),
        names: Mapping[str, str | Sequence[str]] | None = None,
    ) -> Self:
        """A stack over any device, such as one that joins two stacks in one program.

        `clock` gives the time in µs, above 0, for loops with a time of their own; `secret` (16
        to 64 bytes) makes initial sequence numbers and ports repeatable. The rest as in `over_tun`.
        Raises TypeError and ValueError for what is none.
        """
        if isinstance(device, (str, type)) or not hasattr(device, "read"):
            wanted = "a device was expected, such as an end of a pystack.aio.Cable"
            raise TypeError(arguments.unfit("device", device, wanted))
        own = Addresses()
        for one in addresses:
            own.add(arguments.text("addresses", one, ADDRESS))

        async def open_device() -> PacketDevice:
            return device

        return cls(
            open_device, addresses, sysctl=sysctl, pcap=pcap, grace=grace, clock=clock,
            secret=secret, routes=routes, names=names,
        )  # fmt: skip

    def _words(self) -> str:
        where = f" over {self.device.name}" if hasattr(self, "device") else ""
        return f"{', '.join(self._addresses)}{where}, {self._state()}"

    @property
    def is_open(self) -> bool:
        """Whether it has been opened, and not closed since."""
        return self.driver is not None and not self.driver.is_stopped

    @property
    def capture_error(self) -> OSError | None:
        """Why the capture to `pcap` has ended before the stack, such as by a full disk."""
        return None if self._capture is None else self._capture.error

    def look_up(self, name: str) -> Sequence[str]:
        """The addresses of one of `names`, however it is spelt (`name_key`); none for another."""
        return self._names.get(name_key(name), ())

    # -- begin and end ---------------------------------------------------------------------------
    if not TYPE_CHECKING:  # type checkers see none of these

        def __getattr__(self, name: str) -> NoReturn:
            kind = type(self).__name__
            if name in ("host", "device"):
                raise AttributeError(f"a {kind} has no {name} before it is open: use `async with`")
            raise AttributeError(f"{kind!r} object has no attribute {name!r}")

        def __enter__(self) -> NoReturn:
            raise TypeError("a stack is opened by `async with`, not by `with`")

        def __exit__(self, *_: object) -> None:
            """Never called."""

    async def __aenter__(self) -> Self:
        if self._opened:
            raise RuntimeError("a stack is opened once; make another one")
        self._opened = True
        entry_points.load()  # setsockopt may ask for any of them later
        self.device = device = await self._open_device()
        with ExitStack() as undo:
            undo.callback(device.close)
            self.host = new_host(self)
            for route in self._routes:
                _add_route(self.host, route)
            if self._pcap is not None:
                from pystack.aio.drive.capture import CaptureFile

                loop = asyncio.get_running_loop()
                self._capture = CaptureFile(self._pcap, device.name, self._clock, loop)
                self._cleanup.callback(self._capture.close)
                undo.callback(self._capture.close)
            self.enter(asyncio.get_running_loop())
            undo.pop_all()
        return self

    # -- from loop to loop -----------------------------------------------------------------------
    def enter(self, loop: asyncio.AbstractEventLoop) -> None:
        """Go on, after `leave`, with another loop, which need not run yet."""
        if self.is_open:
            raise RuntimeError("the stack is on a loop already")
        if not self._opened or self.is_closed:
            raise RuntimeError("the stack is closed" if self.is_closed else NOT_OPEN)
        driver = driver_of(self, self.host, self.device, loop)
        driver.start()
        self.driver = driver
        bind_hint.watch_for(self, loop)

    async def leave(self) -> None:
        """Let go of the loop: connections and servers end as in `aclose`, the device stays.

        Sockets may be made, bound and listen meanwhile; what they send waits for `enter`.
        """
        driver = self.driver
        if driver is None:
            raise RuntimeError(NOT_OPEN)
        driver.check()
        try:
            await self._all_closed(driver)
        finally:
            let_go(self)
        await all_told()

    def _has_any(self) -> bool:
        return bool(self.handles) or self._is_busy()

    def _reset(self, driver: Driver) -> None:
        self._reset_all(driver)

    def _late_driver(self) -> Driver:
        self._on_needed()
        return self.driver or super()._late_driver()

    def check(self) -> None:
        """As `Endpoint.check`; between two loops it may be used from any thread."""
        if self.driver is not None or not self._opened:
            super().check()

    def _stopped(self) -> None:
        self._cleanup.close()

    def socket(self, family: int = AF_INET, type: int = SOCK_STREAM, proto: int = 0) -> StackSocket:
        """A `socket.socket` of this stack, for `loop.sock_connect` and the like. It never blocks.

        Raises OSError as `sockets.Host.socket`, and NotImplementedError on Windows' own event loop,
        which would go by the descriptor alone.
        """
        if isinstance(self._ready().loop, proactor_events.BaseProactorEventLoop):
            raise NotImplementedError(NO_READERS)
        return StackSocket(self, family, type, proto)

    # -- what is asked of it ----------------------------------------------------------------------
    async def drop_counters(self) -> dict[str, int]:
        """Packets that were lost at this end, by where and why; those at 0 are left out.

        `queue_full`: sent by the kernel faster than the stack read them. `kernel_refused`:
        written by the stack, and not taken by the kernel. `link_down`, `write_failed`: never
        written. The others, such as `bad_checksum`, came and were no use.
        """
        driver = self._ready()
        assert isinstance(driver, DeviceDriver)
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


def enter_by(stack: Stack, needed: Callable[[], None]) -> None:
    """Have `needed` called when the stack is used between two loops: it may `enter` one."""
    stack._on_needed = needed
    stack.host.on_dirty = needed


def is_idle(stack: Stack) -> bool:
    """Whether it is on a loop, and nothing of asyncio's is open on it or being closed."""
    return stack.driver is not None and not stack._has_any()


def leave_now(stack: Stack) -> None:
    """As `Stack.leave`, at once: what is open is reset, and nobody hears of it. Nothing happens
    between two loops."""
    if isinstance(stack.driver, DeviceDriver):
        stack._reset(stack.driver)
        let_go(stack)


def new_host(stack: Stack) -> Host:
    """Another host with the addresses and settings of a stack that is open, and nothing on it."""
    return Host(
        stack._addresses, secret=stack._secret, mtu=stack.device.mtu, gso=stack.device.offload,
        checksum_offload=stack.device.offload, config=stack._config,
    )  # fmt: skip


def driver_of(
    stack: Stack, host: Host, device: PacketDevice, loop: asyncio.AbstractEventLoop
) -> DeviceDriver:
    """A driver, by the clock of a stack and with its capture."""
    return DeviceDriver(host, device, loop, stack._clock, stack._capture)


def let_go(stack: Stack) -> None:
    """As its `leave`, at once, of a loop on which nothing is open, if it is on one."""
    if isinstance(stack.driver, DeviceDriver):
        stack.driver.let_go()
        stack.driver = None
        stack.host.on_dirty = stack._on_needed


def _addresses(given: str | Sequence[str]) -> tuple[str, ...]:
    """Addresses in their usual notation. Raises ValueError for a malformed one."""
    every = arguments.texts("names", given, "198.18.0.1")
    return tuple(address.text(address.pack(one)) for one in every)


def _add_route(host: Host, route: str) -> None:
    try:
        host.add_route(route)
    except OSError as error:  # a name that is known when the stack opens, or never
        problem, _, hint = str(error.strerror).partition(": ")
        raise SetupError(error.errno or ENOENT, problem, hint) from None


def _is_address(name: str) -> bool:
    try:
        address.interface(name)
    except ValueError:
        return False
    return True
