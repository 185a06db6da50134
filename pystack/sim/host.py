"""A host of a world: sockets for programs without asyncio, asyncio's calls for those with it."""

from __future__ import annotations

import asyncio
from errno import ENETDOWN
from typing import Literal, Self, overload

from pystack.aio.drive.driver import NO_THREAD, Driver
from pystack.aio.endpoint.endpoint import GRACE, Endpoint
from pystack.sim.network.events import Events
from pystack.sim.network.node import Node
from pystack.sim.vloop import VirtualLoop
from pystack.sockets import DatagramSocket, Host, Socket
from pystack.sockets.constants import AF_INET, SOCK_STREAM
from pystack.wire.address import is_v4


class SimHost(Node, Endpoint):
    """A host, made by `World.host`; it has one link.

    `socket()` gives BSD sockets, which never wait: their `on_events` says when to go on. In a
    program that `sim.run` runs there are `open_connection`, `start_server` and the others, as on
    `pystack.Stack`, with the names of the world's hosts as names. `host` is the `sockets.Host`
    inside. `async with` closes what is open at its end and switches the host off; it may be left
    out.
    """

    def __init__(self, events: Events, name: str, host: Host) -> None:
        Node.__init__(self, events, name, host)
        Endpoint.__init__(self, GRACE)

    @property
    def address(self) -> str:
        """Its first address."""
        return self.addresses[0]

    @overload
    def socket(self, family: int = AF_INET, type: Literal[1] = SOCK_STREAM) -> Socket: ...

    @overload
    def socket(self, family: int, type: Literal[2]) -> DatagramSocket: ...

    def socket(self, family: int = AF_INET, type: int = SOCK_STREAM) -> Socket | DatagramSocket:
        """A new socket; see `sockets.Host.socket`."""
        return self.host.socket(family, type)

    def sysctl(self, name: str, value: str | int | None = None) -> str:
        """Read or write a setting; see `sockets.Host.sysctl`."""
        return self.host.sysctl(name, value)

    def reaches(self, address: bytes) -> bool:
        """Whether it has an address of that family: in a world all is reached by the one link."""
        v4 = is_v4(address)
        return any(is_v4(own) == v4 for own in self.host.addresses.all())

    async def __aenter__(self) -> Self:
        self._ready()
        return self

    def _ready(self) -> Driver:
        if self.driver is None:
            loop = asyncio.get_running_loop()
            if not isinstance(loop, VirtualLoop) or loop.events is not self._events:
                raise RuntimeError(
                    f"the world of host {self.name} is not that of the running loop: make the "
                    "world in what pystack.sim.run runs, or give it to run as well"
                )
            self.driver = NodeDriver(self, loop)
        return super()._ready()


class NodeDriver(Driver):
    """A node as transports and servers see it: its packets are moved by the world."""

    __slots__ = ("_node",)

    def __init__(self, node: Node, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(node.host, loop)
        self._node = node

    def flush(self) -> None:
        """Send what waits to be sent."""
        self._node.flush()

    def stop(self) -> None:
        """Switch the host off."""
        self.error = self.error or ENETDOWN
        self.thread = NO_THREAD
        self._node.stop()
