"""The same scenarios on kernel sockets, by asyncio itself, and on two stacks: no difference.

A scenario gets a `Peers` and returns what it saw.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from pystack.aio.endpoint.stack import Stack
from tests.aio.recorder import Recorder
from tests.aio.two_stacks import RIGHT, failures, take_failures, two_stacks
from tests.surroundings import PATIENCE

MUCH = bytes(range(256)) * 80_000  # 20 MB
LINGER_0 = struct.pack("ii", 1, 0)
Factory = Callable[[], asyncio.BaseProtocol]


@dataclass
class Peers:
    """`listen(factory)` gives a server, `connect(factory)` a transport and protocol to it."""

    listen: Callable[[Factory], Awaitable[Any]]
    connect: Callable[[Factory], Awaitable[tuple[Any, Any]]]

    async def pair(self, **options: Any) -> tuple[Any, Any]:
        """A connection: the Recorder of the client and that of the server."""
        accepted = asyncio.get_running_loop().create_future()

        def accept() -> Recorder:
            accepted.set_result(Recorder(**options))
            return accepted.result()

        server = await self.listen(accept)
        _, client = await self.connect(lambda: Recorder(**options))
        other = await accepted
        await other.made
        server.close()
        return client, other


def reset(recorder: Recorder) -> None:
    facade = recorder.transport.get_extra_info("socket")
    facade.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
    recorder.transport.abort()


def seen(*recorders: Recorder) -> list[object]:
    """What each was told, with pauses of writing, which depend on buffers' sizes, left out."""
    out: list[object] = []
    for one in recorders:
        out.append([call for call in one.calls if not call.endswith("writing")])
        out.append((len(one.data), type(one.error)))
    return out


# -- scenarios ------------------------------------------------------------------------------------
async def close_after_writing(peers: Peers) -> object:
    client, server = await peers.pair()
    client.transport.write(MUCH)
    client.transport.close()
    states = [client.transport.is_closing(), client.transport.is_reading()]
    await client.lost
    await server.lost
    return seen(client, server), states


async def half_close(peers: Peers) -> object:
    client, server = await peers.pair(keep_open=True)
    client.transport.write(b"question")
    client.transport.write_eof()
    await server.ended
    states = [server.transport.is_closing(), server.transport.is_reading()]
    server.transport.write(b"answer")
    server.transport.write_eof()
    await client.ended
    server.transport.close()
    client.transport.close()
    await client.lost
    await server.lost
    return seen(client, server), states


async def eof_closes(peers: Peers) -> object:
    client, server = await peers.pair()
    client.transport.write_eof()
    await client.lost
    await server.lost
    return seen(client, server)


async def reset_by_peer(peers: Peers) -> object:
    client, server = await peers.pair()
    reset(server)
    await client.lost
    return seen(client, server)


async def reset_after_text(peers: Peers) -> object:
    client, server = await peers.pair()
    client.transport.pause_reading()
    server.transport.write(b"last words")
    await asyncio.sleep(0.05)
    reset(server)
    await asyncio.sleep(0.05)
    client.transport.resume_reading()
    await client.lost
    return seen(client, server)


async def write_into_a_reset(peers: Peers) -> object:
    client, server = await peers.pair()
    client.transport.pause_reading()
    reset(server)
    await asyncio.sleep(0.05)
    client.transport.write(b"into the void")
    await client.lost
    return seen(client, server)


async def close_twice_and_abort(peers: Peers) -> object:
    client, server = await peers.pair()
    for _ in range(2):
        client.transport.close()
        client.transport.abort()
        client.transport.write_eof()
        client.transport.pause_reading()
        client.transport.resume_reading()
    await client.lost
    await server.lost
    client.transport.write(b"too late")
    return seen(client, server), client.transport.get_protocol()


async def write_after_write_eof(peers: Peers) -> object:
    client, server = await peers.pair()
    client.transport.write_eof()
    with pytest.raises(RuntimeError) as caught:
        client.transport.write(b"more")
    await server.lost
    return str(caught.value)


async def wrong_kinds_of_data(peers: Peers) -> object:
    client, _ = await peers.pair()
    errors = []
    for data in "text", 7, None, ["list"]:
        with pytest.raises(TypeError) as caught:
            client.transport.write(data)
        errors.append(str(caught.value))
    client.transport.abort()
    return errors


async def limits(peers: Peers) -> object:
    client, server = await peers.pair()
    transport = client.transport
    found = [transport.get_write_buffer_limits()]
    for high, low in (0, None), (1000, None), (None, 1000), (10, 10), (None, None), (5, 9), (-1, 0):
        try:
            transport.set_write_buffer_limits(high=high, low=low)
        except ValueError as error:
            found.append(str(error))
        found.append(transport.get_write_buffer_limits())
    transport.abort()
    await server.lost
    return found


async def pause_and_resume_with_a_limit_of_0(peers: Peers) -> object:
    client, server = await peers.pair()
    client.transport.set_write_buffer_limits(high=0)
    client.transport.write(b"little")
    server.transport.pause_reading()
    calls = [list(client.calls)]
    client.transport.write(MUCH)
    calls.append(list(client.calls))
    server.transport.resume_reading()
    client.transport.close()
    await server.lost
    calls.append(list(client.calls))
    return calls, len(server.data)


async def text_and_end_together(peers: Peers) -> object:
    """A task that the text has woken runs before the end is told."""

    class Woken(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            asyncio.get_running_loop().call_soon(self.calls.append, "woken")

    accepted: list[Woken] = []

    def accept() -> Woken:
        accepted.append(Woken())
        return accepted[-1]

    server = await peers.listen(accept)
    _, client = await peers.connect(Recorder)
    await asyncio.sleep(0.05)
    accepted[0].transport.pause_reading()
    client.transport.write(b"text")
    client.transport.close()
    await asyncio.sleep(0.05)
    accepted[0].transport.resume_reading()
    await accepted[0].lost
    server.close()
    return seen(client, *accepted)


async def pausing_in_connection_made(peers: Peers) -> object:
    class Paused(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.transport.pause_reading()

    accepted: list[Paused] = []

    def accept() -> Paused:
        accepted.append(Paused())
        return accepted[-1]

    server = await peers.listen(accept)
    _, client = await peers.connect(Recorder)
    client.transport.write(b"early")
    client.transport.close()
    await asyncio.sleep(0.05)
    before = seen(*accepted)
    accepted[0].transport.resume_reading()
    await accepted[0].lost
    server.close()
    return before, seen(client, *accepted)


async def raising_in_data_received(peers: Peers) -> object:
    class Raising(Recorder):
        def data_received(self, data: bytes) -> None:
            raise ZeroDivisionError

    accepted: list[Raising] = []

    def accept() -> Raising:
        accepted.append(Raising())
        return accepted[-1]

    server = await peers.listen(accept)
    _, client = await peers.connect(Recorder)
    client.transport.write(b"text")
    await client.lost
    await accepted[0].lost
    server.close()
    (failure,) = take_failures()
    return seen(*accepted), failure["message"], type(failure["exception"])


async def aborting_while_told(peers: Peers) -> object:
    class Aborting(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.abort()

        def eof_received(self) -> bool:
            raise AssertionError("it is closed")

    accepted: list[Aborting] = []

    def accept() -> Aborting:
        accepted.append(Aborting())
        return accepted[-1]

    server = await peers.listen(accept)
    _, client = await peers.connect(Recorder)
    client.transport.write(b"text")
    client.transport.write_eof()
    await client.lost
    await accepted[0].lost
    server.close()
    return seen(client, *accepted)


async def names(peers: Peers) -> object:
    client, server = await peers.pair()
    ends = [one.transport.get_extra_info(name) for one in (client, server)
            for name in ("sockname", "peername")]  # fmt: skip
    facts = [ends[0] == ends[3], ends[1] == ends[2], [type(part) for part in ends[0]]]
    client.transport.abort()
    await client.lost
    after = [client.transport.get_extra_info(name) for name in ("sockname", "peername")]
    options = server.transport.get_extra_info("socket")
    nodelay = options.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    server.transport.abort()
    return facts, after == ends[:2], nodelay, options.family, options.type, options.proto


async def refused(peers: Peers) -> object:
    server = await peers.listen(Recorder)
    server.close()
    with pytest.raises(ConnectionRefusedError) as caught:
        await peers.connect(Recorder)
    return caught.value.errno


async def server_states(peers: Peers) -> object:
    server = await peers.listen(Recorder)
    states = [server.is_serving(), len(server.sockets)]
    server.close()
    server.close()
    await server.wait_closed()
    return [*states, server.is_serving(), server.sockets]


SCENARIOS = [
    close_after_writing, half_close, eof_closes, reset_by_peer, reset_after_text,
    write_into_a_reset, close_twice_and_abort, write_after_write_eof, wrong_kinds_of_data, limits,
    pause_and_resume_with_a_limit_of_0, text_and_end_together, pausing_in_connection_made,
    raising_in_data_received, aborting_while_told, names, refused, server_states,
]  # fmt: skip


# -- both worlds ----------------------------------------------------------------------------------
def on_kernel_sockets(scenario: Callable[[Peers], Coroutine[Any, Any, object]]) -> object:
    async def main() -> object:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context))
        port = 0

        async def listen(factory: Factory) -> asyncio.Server:
            nonlocal port
            server = await loop.create_server(factory, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            return server

        async def connect(factory: Factory) -> tuple[Any, Any]:
            return await loop.create_connection(factory, "127.0.0.1", port)

        async with asyncio.timeout(PATIENCE):
            return await scenario(Peers(listen, connect))

    failures.clear()
    return asyncio.run(main())


def on_stacks(scenario: Callable[[Peers], Coroutine[Any, Any, object]]) -> object:
    result: list[object] = []

    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        peers = Peers(
            lambda factory: right.create_server(factory, RIGHT, 7000),
            lambda factory: left.create_connection(factory, RIGHT, 7000),
        )
        result.append(await scenario(peers))

    body()
    return result[0]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_stack_does_as_asyncio_on_kernel_sockets(
    scenario: Callable[[Peers], Coroutine[Any, Any, object]],
) -> None:
    if scenario is pausing_in_connection_made and sys.version_info < (3, 11, 4):
        pytest.skip("asyncio itself did not heed so early a pause then (python/cpython#103607)")
    assert on_stacks(scenario) == on_kernel_sockets(scenario)
