"""aiohttp's server and client, as their users write them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.libraries.link import Link

pytestmark = pytest.mark.live

server = pytest.mark.cell("aiohttp", "server", "HTTP/1.1")
PORT = 8080
MUCH = bytes(range(251)) * 20_000  # 5 MB


async def _hello(request: web.Request) -> web.Response:
    assert request.transport is not None
    return web.Response(text=f"hello {request.transport.get_extra_info('peername')[1]}")


async def _digest(request: web.Request) -> web.StreamResponse:
    """The SHA-256 of the body, then the body's length in pieces."""
    known = hashlib.sha256()
    answer = web.StreamResponse()
    answer.enable_chunked_encoding()
    await answer.prepare(request)
    async for piece in request.content.iter_any():
        known.update(piece)
        await asyncio.sleep(0)
    await answer.write(known.hexdigest().encode())
    await answer.write_eof()
    return answer


async def _much(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    answer.enable_chunked_encoding()
    await answer.prepare(request)
    for at in range(0, len(MUCH), 50_000):
        await answer.write(MUCH[at : at + 50_000])
    return answer


def application() -> web.Application:
    app = web.Application()
    app.router.add_get("/", _hello)
    app.router.add_get("/much", _much)
    app.router.add_route("*", "/digest", _digest)
    return app


@asynccontextmanager
async def served(link: Link) -> AsyncIterator[None]:
    """The application at our address and PORT."""
    runner = web.AppRunner(application())
    await runner.setup()
    await web.TCPSite(runner, link.ours, PORT, ssl_context=link.server_tls()).start()
    yield
    await runner.cleanup()


@server
def test_curl_gets_two_answers_over_one_connection(link: Link) -> None:
    async def main() -> None:
        async with served(link):
            url = link.url(PORT)
            first, second = (
                await link.output("curl", *link.curl, "-w", "\n", url, url)
            ).splitlines()
        assert first.startswith("hello ")
        assert first == second  # the same port at curl's side

    link.run(main)


@server
def test_curl_sends_and_gets_bodies_in_chunks(link: Link, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(MUCH)

    async def main() -> None:
        async with served(link):
            chunked = ("-H", "Transfer-Encoding: chunked", "-T", str(body))
            answer = await link.output("curl", *link.curl, *chunked, link.url(PORT, "/digest"))
            assert answer == hashlib.sha256(MUCH).hexdigest()
            got = str(tmp_path / "got")
            await link.output("curl", *link.curl, "-o", got, link.url(PORT, "/much"))

    link.run(main)
    assert (tmp_path / "got").read_bytes() == MUCH
