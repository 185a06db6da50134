"""Programs made of unmodified libraries, each the same on pystack's loop and on asyncio's own.

    python -m scripts.benchmarks.libraries pystack|kernel KIND HOST [OPTION…]

prints "ready". `hello` (uvicorn) and `files` (aiohttp) are servers at HOST, until stdin ends.
`download` (aiohttp) and `latency` (httpx) are clients of the web server at HOST: a line on stdin,
such as "500", has one fetch that many MB, or a small answer again and again for that many seconds.
It answers with a line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scripts.benchmarks.client import WARM_UP, percentiles
from scripts.benchmarks.ports import MESSAGE, ORIGIN, WEB
from scripts.tree import use

MB = 1_000_000

Loops = Callable[[], asyncio.AbstractEventLoop]


def loops(stack: str, own: str) -> Loops:
    """Makes the loop: pystack's, on a TUN device and with the address `own`, or asyncio's."""
    if stack == "kernel":
        return asyncio.new_event_loop
    from pystack.aio import EventLoop, Stack

    prefix = f"{own}/{64 if ':' in own else 24}"
    return lambda: EventLoop(Stack.over_tun("tun0", prefix))


def _with_cubic(server: asyncio.AbstractServer) -> None:
    """As the sender everywhere else here. What a listener accepts inherits it."""
    for listening in server.sockets:  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")


async def _lines_of_stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


# -- servers ---------------------------------------------------------------------------------------
async def hello_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The smallest ASGI application."""
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"5")],
        }
    )
    await send({"type": "http.response.body", "body": b"hello"})


async def hello(options: argparse.Namespace) -> None:
    """uvicorn, which answers each request with "hello"."""
    import uvicorn

    settings = uvicorn.Config(
        hello_app, options.host, WEB, http=options.http, lifespan="off", ws="none",
        log_level="warning", access_log=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(settings)
    stdin = await _lines_of_stdin()
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
        if serving.done():
            raise SystemExit("uvicorn did not start")
    for one in server.servers:
        _with_cubic(one)
    print("ready", flush=True)
    await stdin.read()
    server.should_exit = True
    await serving


async def files(options: argparse.Namespace) -> None:
    """aiohttp, whose `FileResponse` sends a file of zeros, as many MB as the path says."""
    from aiohttp import web

    with tempfile.TemporaryDirectory() as directory:

        async def answer(request: web.Request) -> web.StreamResponse:
            path = Path(directory) / request.match_info["megabytes"]
            with path.open("ab") as file:
                file.truncate(int(path.name) * MB)
            return web.FileResponse(path)

        app = web.Application()
        app.add_routes([web.get(r"/{megabytes:\d+}", answer)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, options.host, WEB, shutdown_timeout=1)
        await site.start()
        _with_cubic(site._server)  # type: ignore[arg-type]
        stdin = await _lines_of_stdin()
        print("ready", flush=True)
        await stdin.read()
        await runner.cleanup()


# -- clients ---------------------------------------------------------------------------------------
async def download(options: argparse.Namespace) -> None:
    """aiohttp's client reads a body of as many MB as it is told, `--piece` octets at a time."""
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def fetch(megabytes: float) -> dict[str, float]:
            got = 0
            began = time.perf_counter()
            url = f"http://{options.host}:{ORIGIN}/{int(megabytes * MB)}"
            async with session.get(url) as response:
                _check_way(response.headers, options)
                async for piece in response.content.iter_chunked(options.piece):
                    got += len(piece)
            took = time.perf_counter() - began
            if got != int(megabytes * MB):
                raise SystemExit(f"{got} bytes came of {megabytes} MB")
            return {"value": got * 8 / took / 1e9, "work": got / MB}

        await fetch(1)  # imports, the connection
        await _answer(fetch)


async def latency(options: argparse.Namespace) -> None:
    """httpx asks for a small answer, one at a time, over one connection."""
    import httpx

    url = f"http://{options.host}:{ORIGIN}/{MESSAGE}"
    async with httpx.AsyncClient(trust_env=False) as client:

        async def requests(seconds: float) -> dict[str, float]:
            taken: list[int] = []
            for _ in range(WARM_UP // 4):
                _check_way((await client.get(url)).headers, options)
            until = time.perf_counter_ns() + int(seconds * 1e9)
            began = time.perf_counter_ns()
            while began < until:
                response = await client.get(url)
                now = time.perf_counter_ns()
                taken.append(now - began)
                began = now
                if len(response.content) != MESSAGE:
                    raise SystemExit("a response was cut short")
            ranked = percentiles(taken)
            return {"value": ranked["p50_us"], "work": len(taken) + WARM_UP // 4, **ranked}

        await _answer(requests)


def _check_way(headers: Mapping[str, str], options: argparse.Namespace) -> None:
    """The server has seen the address that is meant to be measured."""
    if headers["X-Client"] != options.own:
        raise SystemExit(f"the server was reached from {headers['X-Client']}, not {options.own}")


async def _answer(one: Callable[[float], Any]) -> None:
    stdin = await _lines_of_stdin()
    print("ready", flush=True)
    while line := await stdin.readline():
        print(json.dumps(await one(float(line))), flush=True)


KINDS = {"hello": hello, "files": files, "download": download, "latency": latency}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("stack", choices=("pystack", "kernel"))
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("host", help="where to serve, or where the server is")
    parser.add_argument("--tree", metavar="DIR", help="another checkout, whose pystack it is")
    parser.add_argument("--own", help="a client's own address")
    parser.add_argument("--piece", type=int, default=1 << 16)
    parser.add_argument("--http", default="httptools", choices=("httptools", "h11"))
    arguments = parser.parse_args()
    if arguments.tree:
        use(arguments.tree)
    factory = loops(arguments.stack, arguments.own or arguments.host)
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(KINDS[arguments.kind](arguments))


if __name__ == "__main__":
    main()
