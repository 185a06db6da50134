"""An endpoint for datagrams that may go to a stack or to the kernel: it has a socket at each.

Both are at one port, and each datagram takes the one that reaches its address.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.handles.addresses import address_of
from pystack.aio.handles.contracts import Router
from pystack.printed import printed


class DualDatagramTransport(asyncio.DatagramTransport):
    """The transport of an endpoint with a socket of the kernel's and one of a stack.

    `get_extra_info` tells of the kernel's. Made by `create_datagram_endpoint` for an
    endpoint that is bound to no address and no port, and so may send to either.
    """

    def __init__(
        self, protocol: asyncio.BaseProtocol, endpoint: Endpoint, router: Router[Endpoint]
    ) -> None:
        super().__init__()
        self._protocol: Any = protocol
        self._endpoint = endpoint
        self._router = router
        self._legs: list[asyncio.DatagramTransport] = []  # the kernel's, and the stack's
        self._early: list[tuple[bytes, Any]] = []  # before `begin`
        self._paused = 0  # legs
        self._open = 2
        self._why: BaseException | None = None  # it has ended

    def __repr__(self) -> str:
        return printed(self, lambda: ", ".join(map(repr, self._legs)), "pystack DatagramTransport")

    # -- what the legs tell -----------------------------------------------------------------------
    def _came(self, data: bytes, where: Any) -> None:
        """A datagram."""
        if self._legs:
            self._protocol.datagram_received(data, where)
        else:
            self._early.append((data, where))

    def _failed(self, error: Exception) -> None:
        """An error that the network has reported."""
        if self._legs:
            self._protocol.error_received(error)

    def _leg_paused(self, by: int) -> None:
        """One leg more, or fewer, whose buffer is full."""
        before, self._paused = self._paused, self._paused + by
        if not before:
            self._protocol.pause_writing()
        elif not self._paused:
            self._protocol.resume_writing()

    def _lost(self, error: BaseException | None) -> None:
        """A leg has ended; with one of them the other ends too."""
        self._open -= 1
        self._why = self._why or error  # that of the first one
        if self._open:
            self.close()
        elif self._legs:
            self._protocol.connection_lost(self._why)

    # -- what the user asks ----------------------------------------------------------------------
    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send to an address, from the leg that reaches it."""
        kernels, ours = self._legs
        remote = address_of(addr)  # None for a name, which the kernel's socket looks up
        is_ours = remote is not None and self._router.stack_to(remote) is self._endpoint
        (ours if is_ours else kernels).sendto(data, addr)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As the kernel's leg."""
        return self._legs[0].get_extra_info(name, default)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give datagrams and events to another protocol from now on."""
        self._protocol = protocol

    def get_write_buffer_size(self) -> int:
        """Octets that wait on both legs."""
        return sum(one.get_write_buffer_size() for one in self._written())

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Of each leg."""
        for one in self._written():
            one.set_write_buffer_limits(high, low)

    def _written(self) -> list[Any]:
        return list(self._legs)

    def is_closing(self) -> bool:
        """Whether it is closed or on the way to it."""
        return any(one.is_closing() for one in self._legs)

    def close(self) -> None:
        """Close when what waits has been sent."""
        for one in self._legs:
            one.close()

    def abort(self) -> None:
        """Close at once."""
        for one in self._legs:
            one.abort()


class _Leg(asyncio.DatagramProtocol):
    """Hears of one of the two sockets."""

    def __init__(self, dual: DualDatagramTransport) -> None:
        self._dual = dual

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._dual._came(data, addr)

    def error_received(self, exc: Exception) -> None:
        self._dual._failed(exc)

    def pause_writing(self) -> None:
        self._dual._leg_paused(1)

    def resume_writing(self) -> None:
        self._dual._leg_paused(-1)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._dual._lost(exc)


def leg(dual: DualDatagramTransport) -> asyncio.DatagramProtocol:
    """A protocol for one of the two."""
    return _Leg(dual)


def begin(
    dual: DualDatagramTransport,
    kernels: asyncio.DatagramTransport,
    stacks: asyncio.DatagramTransport,
) -> None:
    """Tell the protocol that it may begin."""
    dual._legs = [kernels, stacks]
    dual._protocol.connection_made(dual)
    for data, where in dual._early:
        dual._protocol.datagram_received(data, where)
    dual._early.clear()
