"""An HTTP server on pystack, as a program of its own: what curl meets in the live tests.

    python -m tests.live.http_program --netns PATH --dir DIR [--no-offload]

GET gives the files of the folder, PUT anywhere answers with the SHA-256 of what came. aiohttp does
the HTTP. It prints "ready", and ends with the end of its stdin.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys
from pathlib import Path

from aiohttp import web

from pystack.aio.endpoint.stack import Stack

ADDRESSES = {4: "198.18.0.2", 6: "fd00:198:18::2"}
PORT = 80


async def digest(request: web.Request) -> web.Response:
    """The SHA-256 of the request's body."""
    known = hashlib.sha256()
    async for part in request.content.iter_any():
        known.update(part)
    return web.Response(text=known.hexdigest())


async def whose(request: web.Request) -> web.Response:
    """Which connection this came over."""
    assert request.transport is not None
    return web.Response(text=str(request.transport.get_extra_info("peername")[1]))


async def serve(arguments: argparse.Namespace) -> None:
    application = web.Application()
    application.router.add_put("/{name:.*}", digest)
    application.router.add_get("/port", whose)
    application.router.add_static("/", arguments.dir)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    assert runner.server is not None
    async with Stack.over_tun(
        "tun0",
        f"{ADDRESSES[4]}/24",
        addr6=f"{ADDRESSES[6]}/64",
        netns=arguments.netns,
        offload=arguments.offload,
    ) as stack:
        await stack.create_server(runner.server, None, PORT)
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
        await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--netns", required=True)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--offload", action=argparse.BooleanOptionalAction, default=True)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
