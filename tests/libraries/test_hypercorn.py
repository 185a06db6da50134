"""hypercorn, which binds its sockets itself: `socket.socket` is replaced, as by `pystack run`."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import websockets
from hypercorn.asyncio import serve
from hypercorn.config import Config

from tests.libraries import by_curl
from tests.libraries.application import app
from tests.libraries.link import Link
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live
PORT = 8000


def _bind(link: Link) -> str:
    return link.url(PORT, "").split("//")[1]


@asynccontextmanager
async def served(link: Link) -> AsyncIterator[None]:
    """hypercorn on this loop, at our address and PORT; ended by its `shutdown_trigger`."""
    config = Config()
    config.bind = [_bind(link)]
    config.errorlog = logging.getLogger("hypercorn.test")
    if link.tls:
        config.certfile = str(link.certificates.certificate)
        config.keyfile = str(link.certificates.key)
    enough = asyncio.Event()
    serving = asyncio.ensure_future(serve(app, config, shutdown_trigger=enough.wait))
    try:
        await link.until_served(PORT)
        yield
    finally:
        enough.set()
        await serving


@pytest.mark.cell("hypercorn", "server", "HTTP/1.1")
def test_curl_has_two_answers_over_one_connection_and_bodies_in_chunks(
    link: Link, tmp_path: Path
) -> None:
    async def main() -> None:
        async with served(link):
            await by_curl.check(link, PORT, tmp_path)

    link.run(main, facade=True)


@pytest.mark.cell("hypercorn", "server", "HTTP/2")
def test_curl_has_two_answers_over_one_connection_and_long_bodies(
    link: Link, tmp_path: Path
) -> None:
    async def main() -> None:
        async with served(link):
            await by_curl.check(link, PORT, tmp_path, "2")

    link.run(main, facade=True)


@pytest.mark.cell("hypercorn", "server", "WebSocket")
def test_a_client_on_kernel_sockets_gets_its_messages_back_and_closes(link: Link) -> None:
    async def main() -> None:
        async with (
            served(link),
            websockets.connect(
                link.url(PORT, "/echo", scheme="ws"), sock=await link.connection(PORT),
                ssl=link.client_tls(), server_hostname=link.ours if link.tls else None,
            ) as client,
        ):  # fmt: skip
            for message in (b"", b"hello", bytes(500_000)):
                await client.send(message)
                assert await client.recv() == message

    link.run(main, facade=True)


@pytest.mark.cell("hypercorn", "server", "`pystack run`, `--workers 0`: lifespan, SIGTERM")
def test_a_request_is_finished_after_sigterm_and_then_the_lifespan(link: Link) -> None:
    words = ["hypercorn", "--workers", "0", "--bind", _bind(link), "--graceful-timeout", "20"]
    if link.tls:
        words += ["--certfile", str(link.certificates.certificate)]
        words += ["--keyfile", str(link.certificates.key)]
    with link.program(*words, "tests.libraries.application:app") as program:
        program.until("started")
        program.until_err("Running on")
        curl = by_curl.open_request(link, PORT)
        assert curl.stdin is not None
        curl.stdin.write(b"first half, ")
        curl.stdin.flush()
        program.until("asked")
        program.signal(signal.SIGTERM)

        async def until_refused() -> None:
            while True:
                try:
                    (await link.connection(PORT)).close()
                except ConnectionRefusedError:
                    return
                await asyncio.sleep(0.02)

        asyncio.run(asyncio.wait_for(until_refused(), PATIENCE))
        answer, _ = curl.communicate(b"second half", timeout=PATIENCE)
        assert answer.decode() == hashlib.sha256(b"first half, second half").hexdigest()
        assert program.end() == 0, program.err
        assert "ended" in program.out
        assert "Traceback" not in program.err
