"""Where asyncio's calls look for the host of an address: one host alone, or several and the kernel.

The calls themselves (`connect`, `listen`, `datagram`) are written once, for a `Network`. That of an
`Endpoint` knows its own host only; that of an event loop has all its stacks, and the kernel.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pystack.aio.endpoint.open_handles import OpenHandles
from pystack.aio.endpoint.resolve import Resolver
from pystack.aio.handles.contracts import Router
from pystack.sockets import Host


class HostCalls(Protocol):
    """What the calls ask of a host. An `Endpoint` is one."""

    @property
    def host(self) -> Host:
        """Where sockets are made."""

    @property
    def handles(self) -> OpenHandles:
        """Where transports and servers are made."""


E = TypeVar("E", bound=HostCalls)


@dataclass(frozen=True, slots=True)
class Network(Generic[E]):
    """`router` says to which host an address belongs (None: the kernel), `resolver` what a name
    stands for; `has_kernel` whether there is one to send what no stack reaches."""

    loop: asyncio.AbstractEventLoop
    router: Router[E]
    resolver: Resolver
    has_kernel: bool = True
