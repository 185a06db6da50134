"""What handles ask of what stands above them, so that they import nothing from there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from pystack.aio.drive.driver import Driver
from pystack.sockets import Host

S_co = TypeVar("S_co", covariant=True)


class InnerSocket(Protocol):
    """What `sockets.Socket` and `sockets.DatagramSocket` have in common."""

    family: int
    closed: bool
    on_events: Callable[[int], None] | None

    def bind(self, address: Any) -> None: ...
    def connect(self, address: Any) -> None: ...
    def shutdown(self, how: int) -> None: ...
    def close(self) -> None: ...
    def poll(self) -> int: ...
    def getsockname(self) -> Any: ...
    def getpeername(self) -> Any: ...
    def setsockopt(self, level: int, option: int, value: Any) -> None: ...
    def getsockopt(self, level: int, option: int, size: int = 0) -> int | bytes: ...


class Proxy(Protocol):
    """A connection on the loop, as a thread knows it that blocks."""

    sockname: Any
    peername: Any

    def option(self, call: str, level: int, option: int, *args: Any) -> Any:
        """`getsockopt` or `setsockopt` on the connection."""


class SocketStack(Protocol):
    """The stack of a socket. An `Endpoint` is one."""

    @property
    def host(self) -> Host:
        """Where its sockets are made."""

    @property
    def driver(self) -> Driver | None:
        """What moves its packets now; None while it is on no loop."""

    @property
    def is_closed(self) -> bool:
        """Whether it was open, and has been closed since."""

    def check(self) -> None:
        """Raise RuntimeError or OSError where it cannot be used from here, or now."""

    def bridge_fd(self, connection: Any, *, family: int | None = None) -> socket.socket:
        """A real descriptor for a connected socket."""


class Router(Protocol[S_co]):
    """Which stack an address is for, None for the kernel: as the calling thread has it.

    Addresses are 16 bytes (`pystack.wire.address`).
    """

    def stack_at(self, own: bytes, /, v6only: bool = True) -> S_co | None:
        """Of an address to bind to."""

    def stack_to(self, remote: bytes, /, own: bytes | None = None) -> S_co | None:
        """Of an address to connect or send to, from `own` if that is chosen."""


def running_loop(driver: Driver | None) -> asyncio.AbstractEventLoop | None:
    """The loop of a driver if it runs now, in whichever thread."""
    if driver is None or driver.is_stopped or not driver.loop.is_running():
        return None
    return driver.loop
