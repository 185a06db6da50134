"""Endpoints that are bound to no address: each datagram goes where its address is."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pystack import sim
from pystack.aio.endpoint.stack import Stack
from pystack.aio.handles.lazy_socket import replaced
from pystack.aio.loop.event_loop import EventLoop
from tests.aio.as_asyncio.both_loops import FAR, NEAR, two_on_a_cable
from tests.aio.memory_device import joined_devices
from tests.surroundings import PATIENCE


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


class Notes(asyncio.DatagramProtocol):
    """What one endpoint hears."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.came: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.calls.append("made")
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.came.put_nowait((data, addr))

    def error_received(self, exc: Exception) -> None:
        self.calls.append(type(exc).__name__)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.calls.append("lost")
        self.lost.set_result(exc)


def run(body: Callable[[EventLoop, Any, Any], Coroutine[Any, Any, None]]) -> None:
    """`body(loop, far, kernel)` with an echo server at the far stack and one at the kernel."""
    near, far = two_on_a_cable()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, EventLoop)
        ours, _ = await loop.create_datagram_endpoint(Echo, local_addr=(FAR, 0))
        kernels, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        with near.as_default(), replaced(loop.router):
            await body(loop, ours.get_extra_info("sockname"), kernels.get_extra_info("sockname"))
        ours.close()
        kernels.close()

    with asyncio.Runner(loop_factory=lambda: EventLoop(near, far)) as runner:
        runner.run(asyncio.wait_for(main(), PATIENCE))


def bound(family: int, address: str) -> Callable[[], dict[str, Any]]:
    def options() -> dict[str, Any]:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((address, 0))
        return {"sock": sock}

    return options


@pytest.mark.parametrize(
    "options",
    [
        lambda: {"family": socket.AF_INET},
        lambda: {"local_addr": ("0.0.0.0", 0)},
        bound(socket.AF_INET, "0.0.0.0"),
    ],
    ids=["family", "local_addr", "sock"],
)
def test_an_answer_comes_from_the_stacks_peer_and_from_the_kernels(
    options: Callable[[], dict[str, Any]],
) -> None:
    async def body(loop: EventLoop, far: Any, kernel: Any) -> None:
        transport, notes = await loop.create_datagram_endpoint(Notes, **options())
        assert notes.transport is transport
        transport.sendto(b"to the stack", far)
        assert await notes.came.get() == (b"to the stack", far)
        transport.sendto(b"to the kernel", kernel)
        assert await notes.came.get() == (b"to the kernel", kernel)
        assert not transport.is_closing()
        transport.close()
        assert transport.is_closing()
        assert await notes.lost is None
        assert notes.calls == ["made", "lost"]

    run(body)


def test_mapped_addresses_on_one_socket_reach_both() -> None:
    async def body(loop: EventLoop, far: Any, kernel: Any) -> None:
        transport, notes = await loop.create_datagram_endpoint(
            Notes, **bound(socket.AF_INET6, "::")()
        )  # as aioquic's client does
        for address, port in (far, kernel):
            transport.sendto(b"text", (f"::ffff:{address}", port, 0, 0))
            data, where = await notes.came.get()
            assert (data, where[:2]) == (b"text", (f"::ffff:{address}", port))
        transport.abort()
        await notes.lost

    run(body)


def test_both_sockets_have_one_port() -> None:
    async def body(loop: EventLoop, far: Any, kernel: Any) -> None:
        transport, notes = await loop.create_datagram_endpoint(Notes, local_addr=("0.0.0.0", 0))
        port = transport.get_extra_info("sockname")[1]
        other, _ = await loop.create_datagram_endpoint(Notes, local_addr=(FAR, 0))
        other.sendto(b"from the stack", (NEAR, port))
        assert await notes.came.get() == (b"from the stack", other.get_extra_info("sockname"))
        other.close()
        transport.close()
        await notes.lost

    run(body)


def test_a_port_of_ones_own_is_the_stacks_alone() -> None:
    async def body(loop: EventLoop, far: Any, kernel: Any) -> None:
        transport, _ = await loop.create_datagram_endpoint(Notes, local_addr=("0.0.0.0", 5353))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 5353))  # it is free at the kernel
        with pytest.raises(OSError, match="in use") as caught:
            await loop.create_datagram_endpoint(Notes, local_addr=("0.0.0.0", 5353))
        assert caught.value.errno == errno.EADDRINUSE
        transport.close()

    run(body)


def test_a_KernelSocket_that_is_handed_in_stays_one() -> None:
    """It was made before `socket.socket` was replaced, or is of another class (pyroute2's)."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        transport, notes = await loop.create_datagram_endpoint(Notes, sock=sock)
        transport.sendto(b"to itself", sock.getsockname())
        assert await notes.came.get() == (b"to itself", sock.getsockname())
        transport.close()
        await notes.lost

    near, far = two_on_a_cable()
    with asyncio.Runner(loop_factory=lambda: EventLoop(near, far)) as runner:
        runner.run(asyncio.wait_for(main(), PATIENCE))


def test_in_virtual_time_it_is_at_a_host_only() -> None:
    async def main() -> None:
        world = sim.World()
        client, server = world.host("client", f"{NEAR}/24"), world.host("server", f"{FAR}/24")
        world.link(client, server, delay="10ms")
        loop = asyncio.get_running_loop()
        echo, _ = await loop.create_datagram_endpoint(Echo, local_addr=(FAR, 7))
        with client.as_default():
            transport, notes = await loop.create_datagram_endpoint(Notes, family=socket.AF_INET)
        begin = loop.time()
        transport.sendto(b"text", (FAR, 7))
        assert await notes.came.get() == (b"text", (FAR, 7))
        assert loop.time() - begin == pytest.approx(0.02, abs=1e-4)
        transport.close()
        echo.close()

    sim.run(main())


def test_the_end_is_told_with_the_reason_of_the_side_that_ended_first() -> None:
    left, _ = joined_devices()
    stack = Stack.over(left, f"{NEAR}/24", grace=0.1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        _, notes = await loop.create_datagram_endpoint(Notes, family=socket.AF_INET)
        left.remove()
        why = await asyncio.wait_for(notes.lost, PATIENCE)
        assert isinstance(why, OSError)
        assert why.errno == errno.ENETDOWN
        assert notes.calls[-1] == "lost"

    with asyncio.Runner(loop_factory=lambda: EventLoop(stack)) as runner:
        runner.run(main())
