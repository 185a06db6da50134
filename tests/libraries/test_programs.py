"""Scripts that know nothing of pystack, by `pystack run`; and a loop that runs already."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import httpx
import pytest

from pystack.aio import Stack, attached
from tests.libraries.link import OURS, Link
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live

APPLICATION = """\
from functools import partial

from aiohttp import web

async def hello(request):
    return web.Response(text="hello")

app = web.Application()
app.router.add_get("/", hello)
web.run_app(app, host=HOST, port=8080, print=partial(print, flush=True))
"""

CLIENTS = """\
import asyncio
import sys

import aiohttp
import httpx

async def main():
    url = sys.argv[1]
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        print(await answer.text())
    async with httpx.AsyncClient() as client:
        print((await client.get(url)).text)

asyncio.run(main())
"""

BLOCKING = """\
import sys

import httpx

print(httpx.get(sys.argv[1]))
"""


def _script(folder: Path, text: str) -> str:
    path = folder / "script.py"
    path.write_text(text)
    return str(path)


@pytest.mark.columns("IPv4 plain", "IPv6 plain")
@pytest.mark.parametrize("wildcard", [False, True])
def test_aiohttps_run_app_serves_at_its_address_or_at_all(
    link: Link, tmp_path: Path, wildcard: bool
) -> None:
    host = {4: "0.0.0.0", 6: "::"}[link.version] if wildcard else link.ours
    script = _script(tmp_path, APPLICATION.replace("HOST", repr(host)))
    with link.program("python", script) as program:
        program.until("Running on")
        got = link.namespace.run(["curl", *link.curl, link.url(8080)]).stdout
        assert got == "hello"
        assert program.end(signal.SIGTERM) == 0  # run_app takes it for a good end
        assert "Traceback" not in program.err


@pytest.mark.columns("IPv4 plain", "IPv6 plain")
def test_clients_in_a_script_reach_a_server_on_kernel_sockets(link: Link, tmp_path: Path) -> None:
    script = _script(tmp_path, CLIENTS)
    (tmp_path / "file").write_text("hello")
    anywhere = {4: "0.0.0.0", 6: "::"}[link.version]  # the device comes with the program
    where = ["--bind", anywhere, "--directory", str(tmp_path)]
    with link.beside("python", "-u", "-m", "http.server", *where, "8000") as server:
        server.until("Serving HTTP")
        url = link.url(8000, "/file", host=link.theirs)
        with link.program("python", script, url) as program:
            assert program.end() == 0, program.err
            assert program.out == "hello\nhello\n"
        server.end(signal.SIGTERM)
        if not link.kernel:
            assert server.err.count(f"{link.ours} - - ") == 2  # its log


def error_of(shown: str) -> str:
    """The line of the error; the last one may be pystack's own, that no packet went through."""
    return next(line for line in shown.splitlines() if line.startswith("NotImplementedError"))


def test_a_client_that_blocks_is_told_what_to_do(link: Link, tmp_path: Path) -> None:
    if link.kernel:
        pytest.skip("the kernel's sockets block")
    script = _script(tmp_path, BLOCKING)
    with link.program("python", script, link.url(8000, host=link.theirs)) as program:
        assert program.end() == 1
        assert "can block only while the stack's event loop runs" in error_of(program.err)


@pytest.mark.parametrize(
    "words",
    [("hypercorn", "--bind", f"{OURS[4]}:8000"), ("uvicorn", "--reload", "--host", OURS[4])],
    ids=["hypercorn-worker", "uvicorn-reload"],
)
def test_a_server_that_starts_processes_is_told_what_to_do(
    link: Link, words: tuple[str, ...]
) -> None:
    if link.kernel:
        pytest.skip("the kernel's sockets go to other processes")
    with link.program(*words, "tests.libraries.application:app") as program:
        assert program.end() == 1
        told = error_of(program.err)
        assert told.startswith("NotImplementedError: a socket of a stack lives in its own process")
        assert "run the program with one process (hypercorn --workers 0" in told


@pytest.mark.columns("IPv4 TLS")
def test_a_library_takes_a_stack_that_is_attached_to_its_loop(link: Link) -> None:
    """asyncio's own loop, which ran before the stack was there."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        name = writer.get_extra_info("peername")[0].encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + name)
        writer.close()

    async def main() -> None:
        tls = link.client_tls()
        assert tls is not None
        async with (
            asyncio.timeout(PATIENCE),
            Stack.over_tun("tun0", f"{OURS[4]}/24", netns=link.namespace.path) as stack,
            httpx.AsyncClient(verify=tls, trust_env=False) as client,
        ):
            listening, port = link.listening()
            await asyncio.start_server(serve, sock=listening, ssl=link.server_tls())
            with attached(stack):
                answer = await client.get(link.url(port, host=link.theirs))
            assert answer.text == link.ours

    if link.kernel:
        pytest.skip("it is about the stack")
    asyncio.run(main())
