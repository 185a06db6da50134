"""uvicorn with its HTTP and WebSocket implementations, in this process and as a command."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import websockets

from tests.libraries import by_curl
from tests.libraries.application import app, fastapi_app
from tests.libraries.link import Link
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live
PORT = 8000


@asynccontextmanager
async def served(link: Link, application: Any = app, **options: Any) -> AsyncIterator[None]:
    """uvicorn on this loop, at our address and PORT; ended as by SIGTERM."""
    if link.tls:
        options["ssl_certfile"] = link.certificates.certificate
        options["ssl_keyfile"] = link.certificates.key
    server = uvicorn.Server(
        uvicorn.Config(application, host=link.ours, port=PORT, log_level="warning", **options)
    )
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    serving = asyncio.ensure_future(server.serve())
    try:
        await link.until_served(PORT)
        yield
    finally:
        server.should_exit = True
        await serving


@pytest.mark.cell("uvicorn", "server", "HTTP/1.1 by h11, an application of Starlette's")
def test_curl_has_two_answers_over_one_connection_and_bodies_in_chunks(
    link: Link, tmp_path: Path
) -> None:
    async def main() -> None:
        async with served(link, http="h11"):
            await by_curl.check(link, PORT, tmp_path)

    link.run(main)


@pytest.mark.cell("uvicorn", "server", "HTTP/1.1 by httptools, the same")
def test_the_same_of_httptools(link: Link, tmp_path: Path) -> None:
    async def main() -> None:
        async with served(link, http="httptools"):
            await by_curl.check(link, PORT, tmp_path)

    link.run(main)


async def _messages(link: Link) -> None:
    """A client on the kernel's sockets sends messages, gets them back, and closes."""
    async with websockets.connect(
        link.url(PORT, "/echo", scheme="ws"), sock=await link.connection(PORT),
        ssl=link.client_tls(), server_hostname=link.ours if link.tls else None,
    ) as client:  # fmt: skip
        for message in (b"", b"hello", bytes(500_000)):
            await client.send(message)
            assert await client.recv() == message
        await client.close()
        assert client.close_code == 1000


@pytest.mark.cell("uvicorn", "server", "WebSocket by websockets")
def test_a_client_on_kernel_sockets_gets_its_messages_back_and_closes(link: Link) -> None:
    async def main() -> None:
        async with served(link, ws="websockets-sansio"):
            await _messages(link)

    link.run(main)


@pytest.mark.cell("uvicorn", "server", "WebSocket by wsproto")
def test_the_same_of_wsproto(link: Link) -> None:
    async def main() -> None:
        async with served(link, ws="wsproto"):
            await _messages(link)

    link.run(main)


@pytest.mark.cell("fastapi", "server", "a checked JSON body, on uvicorn")
def test_a_fastapi_application_answers_and_refuses(link: Link) -> None:
    post = ["curl", *link.curl, "--json", '{"numbers": [1, 2, 3]}']
    bad = ["curl", *link.curl, "--json", '{"numbers": "?"}', "--no-fail", "-w", "%{http_code}"]

    async def main() -> None:
        async with served(link, fastapi_app):
            url = link.url(PORT, "/sum")
            assert await link.output(*post, url) == '{"sum":6}'
            assert (await link.output(*bad, "-o", "/dev/null", url)) == "422"

    link.run(main)


@pytest.mark.cell("uvicorn", "server", "`pystack run`: lifespan, SIGTERM")
def test_a_request_is_finished_after_sigterm_and_then_the_lifespan(link: Link) -> None:
    words = ["uvicorn", "tests.libraries.application:app", "--host", link.ours]
    words += ["--port", str(PORT)]
    if link.tls:
        words += ["--ssl-certfile", str(link.certificates.certificate)]
        words += ["--ssl-keyfile", str(link.certificates.key)]
    with link.program(*words) as program:
        program.until("started")
        program.until_err("Uvicorn running")
        curl = by_curl.open_request(link, PORT)
        assert curl.stdin is not None
        curl.stdin.write(b"first half, ")
        curl.stdin.flush()
        program.until("asked")
        program.signal(signal.SIGTERM)
        program.until_err("Waiting for connections to close")
        answer, _ = curl.communicate(b"second half", timeout=PATIENCE)
        assert answer.decode() == hashlib.sha256(b"first half, second half").hexdigest()
        assert program.end() == -signal.SIGTERM  # as without us
        assert "ended" in program.out
        assert "Traceback" not in program.err
