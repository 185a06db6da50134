"""httpx: its pool, its timeouts, HTTP/2; and anyio's streams, which are below it.

anyio calls `set_write_buffer_limits(0)` on every connection, and `abort()` right after the last
write. httpcore takes an idle connection for dead when `get_extra_info("socket")` has no descriptor
that may be polled, or one that polls readable.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config

from tests.libraries.application import MUCH, PIECE, app
from tests.libraries.link import NAME, Link
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Serving = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served_by_the_kernel(link: Link) -> AsyncIterator[str]:
    """hypercorn on a kernel socket of the other side; its URL."""
    listening, port = link.listening()
    config = Config()
    config.bind = [f"fd://{os.dup(listening.fileno())}"]
    config.errorlog = logging.getLogger("hypercorn.test")
    if link.tls:
        config.certfile = str(link.certificates.certificate)
        config.keyfile = str(link.certificates.key)
    enough = asyncio.Event()
    serving = asyncio.ensure_future(serve(app, config, shutdown_trigger=enough.wait))
    try:
        yield link.url(port, host=link.theirs)
    finally:
        enough.set()
        await serving
        listening.close()


@asynccontextmanager
async def kernels(link: Link, serve: Serving) -> AsyncIterator[int]:
    """A server of asyncio's on kernel sockets; its port."""
    listening, port = link.listening()
    async with await asyncio.start_server(serve, sock=listening, ssl=link.server_tls()):
        yield port


def _client(link: Link, **options: object) -> httpx.AsyncClient:
    verify: ssl.SSLContext | bool = link.client_tls() or True
    return httpx.AsyncClient(verify=verify, trust_env=False, timeout=PATIENCE, **options)  # type: ignore[arg-type]


async def _requests(link: Link, http: str) -> None:
    """Two requests, a body up in pieces, one down, and a third request, over one connection."""
    versions = {"http1": http == "1.1", "http2": http == "2"}

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(MUCH), PIECE):
            yield MUCH[at : at + PIECE]

    async with served_by_the_kernel(link) as url, _client(link, **versions) as client:
        first = (await client.get(url)).json()
        assert first["http_version"] == http
        assert link.kernel or first["client"][0] == link.ours
        assert (await client.get(url)).json() == first  # the port, too
        known = await client.put(f"{url}digest", content=pieces())
        assert known.text == hashlib.sha256(MUCH).hexdigest()
        got = b""
        async with client.stream("GET", f"{url}much") as answer:
            async for piece in answer.aiter_bytes():
                got += piece
        assert got == MUCH
        assert (await client.get(url)).json() == first


@pytest.mark.cell("httpx", "client", "HTTP/1.1, connections used again")
def test_three_requests_and_two_long_bodies_go_over_one_connection(link: Link) -> None:
    link.run(lambda: _requests(link, "1.1"))


@pytest.mark.cell("httpx", "client", "HTTP/2")
def test_three_requests_and_two_long_bodies_are_streams_of_one_connection(link: Link) -> None:
    link.run(lambda: _requests(link, "2"))


@pytest.mark.cell("httpx", "client", "HTTP/1.1, idle connections closed by the server")
def test_the_pool_notices_the_end_and_connects_anew(link: Link) -> None:
    clients: list[int] = []
    answered = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(writer.get_extra_info("peername")[1])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await answered.wait()
        writer.close()

    async def main() -> None:
        async with kernels(link, serve) as port, _client(link) as client:
            url = link.url(port, host=link.theirs)
            for _ in range(2):
                answered.clear()
                answer = await client.get(url)
                assert answer.text == "ok"
                stream = answer.extensions["network_stream"]
                answered.set()
                await _readable(stream.get_extra_info("socket").fileno())
            assert len(clients) == 2

    link.run(main)


async def _readable(descriptor: int) -> None:
    """Wait until the descriptor polls readable, which nobody told us by a callback."""
    assert descriptor >= 0
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    copy = os.dup(descriptor)  # its transport is the loop's own reader of it, on kernel sockets
    loop.add_reader(copy, told.set)
    try:
        await told.wait()
    finally:
        loop.remove_reader(copy)
        os.close(copy)


def test_of_two_addresses_the_one_that_answers_is_taken(link: Link) -> None:
    if link.kernel:
        pytest.skip("the name is one of the stack's")

    async def main() -> None:
        async with served_by_the_kernel(link) as url, _client(link) as client:
            answer = await client.get(url.replace(link.theirs, NAME))  # IPv6 refuses
            assert answer.json()["client"][0] == link.ours

    link.run(main)


@pytest.mark.cell("httpx", "client", "timeouts")
def test_connect_read_and_pool_timeouts_and_a_refusal_are_errors_of_httpx(link: Link) -> None:
    silent = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()  # until the client has gone
        writer.close()
        silent.set()

    async def main() -> None:
        async with kernels(link, serve) as port:
            url = link.url(port, host=link.theirs)
            limits = httpx.Limits(max_connections=1)
            async with _client(link, limits=limits) as client:
                waits = httpx.Timeout(20, read=0.5)
                with pytest.raises(httpx.ReadTimeout):
                    await client.get(url, timeout=waits)
                await silent.wait()
                busy = asyncio.ensure_future(client.get(url))
                await asyncio.sleep(0)
                with pytest.raises(httpx.PoolTimeout):
                    await client.get(url, timeout=httpx.Timeout(20, pool=0.1))
                busy.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await busy
                with pytest.raises(httpx.ConnectError):
                    await client.get(link.url(1, host=link.theirs))
                if not link.kernel:  # where every address of the network answers
                    nobody = {4: "198.18.0.77", 6: "fd00:198:18::77"}[link.version]
                    waits = httpx.Timeout(20, connect=0.2)
                    with pytest.raises(httpx.ConnectTimeout):
                        await client.get(link.url(port, host=nobody), timeout=waits)

    link.run(main)


@pytest.mark.cell("anyio", "client", "a stream closed right after its last write")
def test_all_that_was_sent_before_aclose_arrives(link: Link) -> None:
    got: asyncio.Future[bytes]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.set_result(await reader.read())
        writer.close()

    async def main() -> None:
        nonlocal got
        got = asyncio.get_running_loop().create_future()
        async with kernels(link, serve) as port:
            tls = link.client_tls()
            stream = await anyio.connect_tcp(
                link.theirs, port, tls=tls is not None, ssl_context=tls
            )
            await stream.send(MUCH)  # more than the stack accepts at once
            await stream.send(b"the end")
            await stream.aclose()
            assert await got == MUCH + b"the end"

    link.run(main)
