"""aiohttp's server and client, as their users write them."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pystack.aio import EventLoop
from tests.libraries import by_curl
from tests.libraries.application import MUCH, PIECE
from tests.libraries.link import NAME, Link

pytestmark = pytest.mark.live
PORT = 8080


# -- an application with the routes of `application` -----------------------------------------------
async def _facts(request: web.Request) -> web.Response:
    assert request.transport is not None
    facts: dict[str, Any] = {"http_version": "1.1", "scheme": request.scheme}
    facts["client"] = request.transport.get_extra_info("peername")
    facts["server"] = request.transport.get_extra_info("sockname")
    return web.json_response(facts)


async def _digest(request: web.Request) -> web.Response:
    known = hashlib.sha256()
    async for piece in request.content.iter_any():
        known.update(piece)
    return web.Response(text=known.hexdigest())


async def _much(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    answer.enable_chunked_encoding()
    await answer.prepare(request)
    for at in range(0, len(MUCH), PIECE):
        await answer.write(MUCH[at : at + PIECE])
    return answer


async def _echo(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse(max_msg_size=0)
    await websocket.prepare(request)
    async for message in websocket:
        await websocket.send_bytes(message.data)
    return websocket


async def _never(request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


@asynccontextmanager
async def _runner() -> AsyncIterator[web.AppRunner]:
    app = web.Application()
    app.router.add_get("/", _facts)
    app.router.add_get("/much", _much)
    app.router.add_route("*", "/digest", _digest)
    app.router.add_get("/echo", _echo)
    app.router.add_get("/never", _never)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    yield runner
    await runner.cleanup()


@asynccontextmanager
async def served(link: Link) -> AsyncIterator[None]:
    """The application at our address and PORT."""
    async with _runner() as runner:
        await web.TCPSite(runner, link.ours, PORT, ssl_context=link.server_tls()).start()
        yield


@asynccontextmanager
async def served_by_the_kernel(link: Link) -> AsyncIterator[int]:
    """The application on kernel sockets of the other side; its port."""
    listening, port = link.listening()
    async with _runner() as runner:
        await web.SockSite(runner, listening, ssl_context=link.server_tls()).start()
        yield port


def _session(link: Link, factory: Any = None, **options: Any) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(ssl=link.client_tls() or True, socket_factory=factory)
    return aiohttp.ClientSession(connector=connector, **options)


# -- the server ------------------------------------------------------------------------------------
@pytest.mark.cell("aiohttp", "server", "HTTP/1.1")
def test_curl_has_two_answers_over_one_connection_and_bodies_in_chunks(
    link: Link, tmp_path: Path
) -> None:
    async def main() -> None:
        async with served(link):
            await by_curl.check(link, PORT, tmp_path)

    link.run(main)


async def _messages(session: aiohttp.ClientSession, url: str) -> None:
    async with session.ws_connect(url, max_msg_size=0) as websocket:
        for message in (b"", b"hello", bytes(500_000)):
            await websocket.send_bytes(message)
            assert await websocket.receive_bytes() == message
        assert await websocket.close()
        assert websocket.close_code == 1000


@pytest.mark.cell("aiohttp", "server", "WebSocket")
def test_a_client_on_kernel_sockets_gets_its_messages_back_and_closes(link: Link) -> None:
    async def main() -> None:
        async with served(link), _session(link, lambda _info: link.socket()) as session:
            await _messages(session, link.url(PORT, "/echo", scheme="ws"))

    link.run(main)


# -- the client ------------------------------------------------------------------------------------
async def _use_client(session: aiohttp.ClientSession, link: Link, port: int) -> None:
    """One connection for all: two requests, a chunked body up, one down."""
    url = link.url(port, host=link.theirs)
    ports = set()
    for _ in range(2):
        async with session.get(url) as answer:
            facts = json.loads(await answer.text())
        assert link.kernel or facts["client"][0] == link.ours
        assert facts["server"][:2] == [link.theirs, port]
        ports.add(facts["client"][1])

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(MUCH), PIECE):
            yield MUCH[at : at + PIECE]

    async with session.put(f"{url}digest", data=pieces()) as answer:
        assert await answer.text() == hashlib.sha256(MUCH).hexdigest()
    async with session.get(f"{url}much") as answer:
        assert await answer.read() == MUCH
    async with session.get(url) as answer:
        ports.add(json.loads(await answer.text())["client"][1])
    assert len(ports) == 1


@pytest.mark.cell("aiohttp", "client", "HTTP/1.1")
def test_requests_and_bodies_in_chunks_go_over_one_connection(link: Link) -> None:
    """It makes a socket, has aiohappyeyeballs connect it by `sock_connect`, and hands it to
    `create_connection(sock=)`."""

    async def main() -> None:
        async with served_by_the_kernel(link) as port, _session(link) as session:
            await _use_client(session, link, port)

    link.run(main)


@pytest.mark.cell("aiohttp", "client", "HTTP/1.1, `socket_factory=` with sockets of the stack")
def test_the_same_with_sockets_that_it_is_given(link: Link) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def make(info: Any) -> socket.socket:
            if not isinstance(loop, EventLoop):
                return socket.socket(info[0], info[1])  # --kernel
            return loop.stacks[0].socket(info[0], info[1])

        async with served_by_the_kernel(link) as port, _session(link, make) as session:
            await _use_client(session, link, port)

    link.run(main)


@pytest.mark.cell("aiohttp", "client", "WebSocket")
def test_a_server_on_kernel_sockets_gives_messages_back_and_closes(link: Link) -> None:
    async def main() -> None:
        async with served_by_the_kernel(link) as port, _session(link) as session:
            await _messages(session, link.url(port, "/echo", scheme="ws", host=link.theirs))

    link.run(main)


def test_of_two_addresses_the_one_that_answers_is_taken(link: Link) -> None:
    if link.kernel:
        pytest.skip("the name is one of the stack's")

    async def main() -> None:
        async with (
            served_by_the_kernel(link) as port, _session(link) as session,
            session.get(f"http://{NAME}:{port}/") as answer,  # IPv6 refuses
        ):  # fmt: skip
            assert json.loads(await answer.text())["client"][0] == link.ours

    link.run(main)


def test_a_refused_connection_and_a_silent_server_are_errors_of_aiohttp(link: Link) -> None:
    async def main() -> None:
        async with served_by_the_kernel(link) as port, _session(link) as session:
            with pytest.raises(aiohttp.ClientConnectorError) as refused:
                await session.get(link.url(1, host=link.theirs))
            assert refused.value.errno == errno.ECONNREFUSED
            silent = link.url(port, "/never", host=link.theirs)
            with pytest.raises(aiohttp.SocketTimeoutError):
                await session.get(silent, timeout=aiohttp.ClientTimeout(sock_read=0.1))

    link.run(main)


def test_a_kept_connection_that_the_server_has_closed_is_not_used_again(link: Link) -> None:
    """aiohttp hears of the end by its protocol, and connects anew."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    clients: list[int] = []

    async def main() -> None:
        listening, port = link.listening()
        ended = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            clients.append(writer.get_extra_info("peername")[1])
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.write_eof()
            assert await reader.read() == b""  # the client has closed as well
            writer.close()
            ended.set()

        async with (
            await asyncio.start_server(serve, sock=listening), _session(link) as session
        ):  # fmt: skip
            for _ in range(2):
                ended.clear()
                async with session.get(link.url(port, host=link.theirs)) as got:
                    assert await got.text() == "ok"
                await ended.wait()
            assert len(set(clients)) == 2

    link.run(main)


@pytest.mark.cell("aiohttp", "client", "HTTPS through a proxy, by `loop.start_tls`", without={
    "plain": "`loop.start_tls` begins TLS",
})  # fmt: skip
def test_tls_begins_on_a_connection_to_a_proxy(link: Link) -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both the proxy, and the server that it would have connected to."""
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        tls = link.server_tls()
        assert tls is not None
        await writer.start_tls(tls)
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.read()
        writer.close()

    async def main() -> None:
        listening, port = link.listening()
        proxy = link.url(port, host=link.theirs).replace("https", "http")
        async with await asyncio.start_server(serve, sock=listening):
            async with _session(link) as session:
                url = link.url(443, "/path", host=link.theirs)
                async with session.get(url, proxy=proxy) as answer:
                    assert await answer.text() == "ok"
            where = f"[{link.theirs}]" if link.version == 6 else link.theirs
            assert asked == [f"CONNECT {where}:443 HTTP/1.1".encode(), b"GET /path HTTP/1.1"]

    link.run(main)
