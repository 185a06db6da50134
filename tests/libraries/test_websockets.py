"""websockets' own server and client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import websockets

from tests.libraries.link import Link

pytestmark = pytest.mark.live

PORT = 8765
MESSAGES = (b"", "text", b"hello", bytes(2_000_000))


async def _echo(connection: websockets.ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@asynccontextmanager
async def _served(
    link: Link, listening: socket.socket | None = None
) -> AsyncIterator[websockets.Server]:
    """At our address and PORT, or on a kernel socket."""
    place = {"sock": listening} if listening else {"host": link.ours, "port": PORT}
    tls = link.server_tls()
    async with websockets.serve(_echo, **place, ssl=tls, max_size=None) as server:  # type: ignore[arg-type]
        yield server


def _connect(link: Link, port: int, sock: socket.socket | None = None) -> websockets.connect:
    """To us by a kernel socket, or to the kernel by the stack."""
    host = link.ours if sock else link.theirs
    tls = {"ssl": link.client_tls(), "server_hostname": host} if link.tls else {}
    url = link.url(port, scheme="ws", host=host)
    return websockets.connect(url, sock=sock, max_size=None, proxy=None, **tls)  # type: ignore[arg-type]


async def _use(client: websockets.ClientConnection) -> None:
    for message in MESSAGES:
        await client.send(message)
        assert await client.recv() == message
    await (await client.ping())
    await client.close(code=1000)
    assert client.close_code == 1000


@pytest.mark.cell("websockets", "server", "messages, ping, close")
def test_a_client_on_kernel_sockets_sends_large_messages_pings_and_closes(link: Link) -> None:
    async def main() -> None:
        async with _served(link), _connect(link, PORT, await link.connection(PORT)) as client:
            assert client.local_address[0] == link.theirs
            await _use(client)

    link.run(main)


@pytest.mark.cell("websockets", "client", "messages, ping, close")
def test_it_sends_large_messages_to_a_server_on_kernel_sockets_pings_and_closes(link: Link) -> None:
    async def main() -> None:
        listening, port = link.listening()
        async with _served(link, listening), _connect(link, port) as client:
            assert link.kernel or client.local_address[0] == link.ours
            await _use(client)

    link.run(main)


def test_a_server_that_closes_tells_its_clients(link: Link) -> None:
    """It sends each a close frame (1001) and waits for the answer."""

    async def main() -> None:
        async with _served(link) as server:
            client = await _connect(link, PORT, await link.connection(PORT))
            server.close()
            await server.wait_closed()
            with pytest.raises(websockets.ConnectionClosedOK) as gone:
                await client.recv()
            assert gone.value.rcvd is not None
            assert gone.value.rcvd.code == 1001

    link.run(main)


def test_a_peer_that_stops_reading_holds_up_the_sender(link: Link) -> None:
    """`send` waits while the peer's window, and what is kept here, are full; then it goes on."""

    many, message = 200, bytes(100_000)

    async def main() -> None:
        done: list[asyncio.Event] = []
        held_up = asyncio.Event()

        async def send_all(connection: websockets.ServerConnection) -> None:
            done.append(asyncio.Event())
            high = connection.transport.get_write_buffer_limits()[1]
            for _ in range(many):
                sending = asyncio.ensure_future(connection.send(message))
                await asyncio.sleep(0)
                if connection.transport.get_write_buffer_size() > high:
                    held_up.set()
                await sending
            done[0].set()

        async with (
            websockets.serve(send_all, link.ours, PORT, compression=None),
            _connect(link, PORT, await link.connection(PORT)) as client,
        ):
            client.transport.pause_reading()
            await held_up.wait()
            assert not done[0].is_set()
            client.transport.resume_reading()
            for _ in range(many):
                assert await client.recv() == message
            await done[0].wait()

    link.run(main)
