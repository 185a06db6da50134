"""`SSLContext.wrap_socket` and `detach` on a stack's socket: tornado's TLS, and whoever does as it.

What they take is the descriptor; the loop carries the text between that and the connection.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from pystack.aio.devices.cable import Cable
from pystack.aio.endpoint.stack import Stack
from pystack.aio.loop.event_loop import attached
from tests.aio.leftovers import descriptors, of_stacks
from tests.aio.two_stacks import LEFT, RIGHT
from tests.surroundings import PATIENCE

CLIENT, SERVER = LEFT, RIGHT
MUCH = bytes(range(256)) * 8000

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


async def ready(add: Callable[..., None], remove: Callable[..., object], sock: Any) -> None:
    """Until a loop's own `add_reader` or `add_writer` calls back."""
    found: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    add(sock, lambda: found.done() or found.set_result(None))
    try:
        await found
    finally:
        remove(sock)


async def tried(call: Callable[..., Any], *args: Any) -> Any:
    """A call of an SSLSocket that does not block, as tornado makes it."""
    loop = asyncio.get_running_loop()
    sock: Any = call.__self__  # type: ignore[attr-defined]
    while True:
        try:
            return call(*args)
        except (ssl.SSLWantReadError, BlockingIOError):
            await ready(loop.add_reader, loop.remove_reader, sock)
        except ssl.SSLWantWriteError:
            await ready(loop.add_writer, loop.remove_writer, sock)


async def pair(client: Stack, server: Stack) -> tuple[Any, Any]:
    """Two connected sockets, by calls that don't block."""
    loop = asyncio.get_running_loop()
    with server.socket() as listening:
        listening.setblocking(False)
        listening.bind((SERVER, 443))
        listening.listen()
        near = client.socket()
        near.setblocking(False)
        with attached(client):
            await loop.sock_connect(near, (SERVER, 443))
        with attached(server):
            far, _ = await loop.sock_accept(listening)
    return near, far


Body = Callable[[Any, Any], Any]


def on_pair(body: Body) -> None:
    async def main() -> None:
        cable = Cable()
        async with (
            asyncio.timeout(PATIENCE),
            Stack.over(cable.left, f"{CLIENT}/24") as client,
            Stack.over(cable.right, f"{SERVER}/24") as server,
        ):
            before = of_stacks(client)
            near, far = await pair(client, server)
            with attached(client), attached(server):
                await body(near, far)
            while of_stacks(client) != before:  # noqa: ASYNC110 (TIME_WAIT is at the other end)
                await asyncio.sleep(0.01)

    asyncio.run(main())


def test_both_sides_of_tls(contexts: Contexts) -> None:
    async def body(near: Any, far: Any) -> None:
        served = contexts[0].wrap_socket(far, server_side=True, do_handshake_on_connect=False)
        own = contexts[1].wrap_socket(near, do_handshake_on_connect=False, server_hostname=SERVER)
        assert isinstance(own, ssl.SSLSocket)
        assert near.fileno() == far.fileno() == -1  # as after any wrap_socket
        assert own.gettimeout() == 0
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # tornado asks for it

        async def serve() -> bytes:
            await tried(served.do_handshake)
            text = b""
            while len(text) < len(MUCH):
                text += await tried(served.recv, 65_536)
            served.close()
            return text

        serving = asyncio.create_task(serve())
        await tried(own.do_handshake)
        view = memoryview(MUCH)
        while view:
            view = view[await tried(own.send, view[:65_536]) :]
        assert await serving == MUCH
        assert await tried(own.recv, 100) == b""
        own.close()

    on_pair(body)


def test_a_detached_descriptor_carries_the_text_of_its_connection() -> None:
    async def body(near: Any, far: Any) -> None:
        loop = asyncio.get_running_loop()
        number = near.fileno()
        assert near.detach() == number
        assert near.detach() == near.fileno() == -1
        with socket.socket(fileno=number) as own:
            own.setblocking(False)
            await loop.sock_sendall(own, b"text")
            assert await loop.sock_recv(far, 100) == b"text"
            await loop.sock_sendall(far, b"answer")
            assert await loop.sock_recv(own, 100) == b"answer"
            far.close()
            assert await loop.sock_recv(own, 100) == b""

    before = descriptors()
    on_pair(body)
    assert descriptors() == before


def test_who_waits_for_a_socket_waits_for_its_descriptor_afterwards() -> None:
    async def body(near: Any, far: Any) -> None:
        loop = asyncio.get_running_loop()
        got: asyncio.Future[bytes] = loop.create_future()
        loop.add_reader(near, lambda: got.done() or got.set_result(own.recv(100)))
        own = socket.socket(fileno=near.detach())
        with own:
            own.setblocking(False)
            await loop.sock_sendall(far, b"text")
            assert await got == b"text"
            assert loop.remove_reader(own)
            far.close()  # the first to close is the one with TIME_WAIT
            assert await loop.sock_recv(own, 100) == b""

    on_pair(body)


def test_what_has_no_connection_is_neither_wrapped_nor_detached_and_goes_on(
    contexts: Contexts,
) -> None:
    async def main() -> None:
        async with Stack.over(Cable().left, f"{CLIENT}/24") as stack:
            listening, unconnected = stack.socket(), stack.socket()
            datagrams = stack.socket(type=socket.SOCK_DGRAM)
            listening.setblocking(False)
            listening.bind((CLIENT, 443))
            listening.listen()
            with listening, unconnected, datagrams:
                for sock in listening, unconnected, datagrams:
                    with pytest.raises(NotImplementedError, match="once it is connected: accept"):
                        sock.detach()
                for sock, server_side in (listening, True), (unconnected, False):
                    context = contexts[0 if server_side else 1]
                    name = None if server_side else SERVER
                    with pytest.raises(NotImplementedError, match="then wrap the connection"):
                        context.wrap_socket(sock, server_side=server_side, server_hostname=name)
                assert listening.fileno() >= 0
                with pytest.raises(BlockingIOError):
                    listening.accept()

    before = descriptors()
    asyncio.run(main())
    gc.collect()  # what `ssl` had begun
    assert descriptors() == before
