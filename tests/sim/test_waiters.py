"""However a connection dies, whoever waits for it is woken, in bounded time. A waiter that were
forgotten would be a deadlock, which the loop reports."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from pystack import sim

BOUND_S = 1_500  # tcp_retries2: 924.6 s, and more where a window was shut
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Scene:
    """Two hosts with a router between them, connected; the far end never reads or writes."""

    def __init__(self) -> None:
        world = self.world = sim.World(seed=1)
        self.near, self.far = world.host("near"), world.host("far")
        self.router = world.router("router")
        world.link(self.near, self.router, rate="100mbit", delay="1ms")
        world.link(self.router, self.far, rate="100mbit", delay="1ms")
        for host in (self.near, self.far):
            host.sysctl("tcp_keepalive_time", 60)

    async def connect(self) -> tuple[Streams, Streams]:
        accepted: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()

        async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set_result((reader, writer))

        server = await self.far.start_server(keep, port=1)
        ours = await self.near.open_connection("far", 1)
        theirs = await accepted
        server.close()
        for _, writer in (ours, theirs):
            facade = writer.get_extra_info("socket")
            facade.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return ours, theirs


# -- who waits -----------------------------------------------------------------------------------
async def reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert await reader.read() == b""


async def reads_exactly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with pytest.raises((asyncio.IncompleteReadError, OSError)):
        await reader.readexactly(1)


async def drains(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not writer.transport.is_closing():
        writer.write(bytes(1 << 20))
        await writer.drain()


async def waits_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


# -- how it dies ---------------------------------------------------------------------------------
async def peer_aborts(scene: Scene, theirs: Streams) -> None:
    facade = theirs[1].get_extra_info("socket")
    facade.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs[1].transport.abort()


async def peer_closes(scene: Scene, theirs: Streams) -> None:
    theirs[1].close()


async def peer_is_switched_off(scene: Scene, theirs: Streams) -> None:
    scene.far.stop()


async def router_is_switched_off(scene: Scene, theirs: Streams) -> None:
    scene.router.stop()


async def own_host_closes(scene: Scene, theirs: Streams) -> None:
    await scene.near.aclose()


async def own_host_is_switched_off(scene: Scene, theirs: Streams) -> None:
    scene.near.stop()


WAITERS = [reads, reads_exactly, drains, waits_closed]
DEATHS = [
    peer_aborts, peer_closes, peer_is_switched_off, router_is_switched_off, own_host_closes,
    own_host_is_switched_off,
]  # fmt: skip


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("waiter", WAITERS)
def test_who_waits_is_woken(
    waiter: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    death: Callable[[Scene, Streams], Awaitable[None]],
) -> None:
    async def main() -> float:
        scene = Scene()
        ours, theirs = await scene.connect()
        task = asyncio.ensure_future(waiter(*ours))
        await asyncio.sleep(3)
        assert not task.done()
        began = scene.world.now_s
        await death(scene, theirs)
        with contextlib.suppress(OSError):  # ECONNRESET, ETIMEDOUT, …
            await task
        return scene.world.now_s - began

    assert sim.run(main()) < BOUND_S


@pytest.mark.parametrize("death", [peer_is_switched_off, router_is_switched_off])
def test_who_connects_is_told_that_nobody_answers(
    death: Callable[[Scene, Streams], Awaitable[None]],
) -> None:
    async def main() -> float:
        scene = Scene()
        nobody = (asyncio.StreamReader(), None)
        await death(scene, nobody)  # type: ignore[arg-type]
        with pytest.raises(TimeoutError):
            await scene.near.open_connection(scene.far.address, 1)
        return scene.world.now_s

    assert sim.run(main()) < 140


def test_who_connects_is_told_of_a_refusal_and_of_no_way() -> None:
    async def main() -> None:
        scene = Scene()
        with pytest.raises(ConnectionRefusedError):
            await scene.near.open_connection(scene.far.address, 1)
        with pytest.raises(OSError, match="unreachable"):
            await scene.near.open_connection("10.77.0.1", 1)

    sim.run(main())


def test_a_waiter_that_is_cancelled_leaves_nothing() -> None:
    async def main() -> None:
        scene = Scene()
        scene.router.stop()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(scene.near.open_connection(scene.far.address, 1), 5)
        await asyncio.sleep(0)
        assert scene.near.host.connections == {}

    sim.run(main())
