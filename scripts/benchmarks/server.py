"""The server that is measured: the same asyncio protocols on pystack or on the kernel's sockets.

    python -m scripts.benchmarks.server pystack|kernel HOST [--no-offload] [--tracemalloc]

prints "ready", then answers each line on stdin with a line of JSON about its memory, and ends
with the end of stdin. `--tree DIR` has it on the pystack of another checkout.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import socket
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any

from scripts.benchmarks.ports import ECHO, MESSAGE, ONCE, SINK, SOURCE
from scripts.tree import use

BLOB = bytes(1 << 18)
BACKLOG = 1024

CreateServer = Callable[..., Any]


class Sink(asyncio.Protocol):
    """Counts what comes, and says how much it was."""

    def __init__(self) -> None:
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.count += len(data)

    def eof_received(self) -> None:
        self.transport.write(self.count.to_bytes(8, "big"))


class Source(asyncio.Protocol):
    """Writes as fast as the transport lets it, until the peer has closed its half."""

    finished = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.may_write = True
        self.fill()

    def pause_writing(self) -> None:
        self.may_write = False

    def resume_writing(self) -> None:
        self.may_write = True
        self.fill()

    def eof_received(self) -> None:
        self.finished = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.finished = True

    def fill(self) -> None:
        while self.may_write and not self.finished:
            self.transport.write(BLOB)


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Once(asyncio.Protocol):
    """One request, one response, and the end."""

    def __init__(self) -> None:
        self.missing = MESSAGE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing <= 0:
            self.transport.write(b"!" * MESSAGE)
            self.transport.close()


SERVICES: dict[int, Callable[[], asyncio.Protocol]] = {
    SINK: Sink,
    SOURCE: Source,
    ECHO: Echo,
    ONCE: Once,
}


@contextlib.asynccontextmanager
async def on_pystack(host: str, offload: bool) -> AsyncIterator[CreateServer]:
    """pystack on a TUN device of its own."""
    import pystack

    prefix = f"{host}/{64 if ':' in host else 24}"
    async with pystack.Stack.over_tun("tun0", prefix, offload=offload) as stack:
        yield stack.create_server


@contextlib.asynccontextmanager
async def on_kernel(_host: str, _offload: bool) -> AsyncIterator[CreateServer]:
    """The kernel's sockets. cubic is inherited by what a listener accepts."""

    async def create_server(factory: Any, host: str, port: int, backlog: int) -> asyncio.Server:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        sock.bind((host, port))
        loop = asyncio.get_running_loop()
        return await loop.create_server(factory, sock=sock, backlog=backlog)

    yield create_server


STACKS = {"pystack": on_pystack, "kernel": on_kernel}


def memory() -> dict[str, float]:
    """What the process holds now, in bytes."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    traced = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0
    return {"resident": resident, "traced": traced}


async def serve(arguments: argparse.Namespace) -> None:
    async with STACKS[arguments.stack](arguments.host, not arguments.no_offload) as create_server:
        servers = [
            await create_server(factory, arguments.host, port, backlog=BACKLOG)
            for port, factory in SERVICES.items()
        ]
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        if arguments.tracemalloc:
            tracemalloc.start()
        print("ready", flush=True)
        while await reader.readline():
            print(json.dumps(memory()), flush=True)
        for server in servers:
            server.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("stack", choices=STACKS)
    parser.add_argument("host")
    parser.add_argument("--no-offload", action="store_true")
    parser.add_argument("--tracemalloc", action="store_true")
    parser.add_argument("--tree", metavar="DIR")
    parser.add_argument("--profile", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.tree:
        use(arguments.tree)
    if arguments.profile:
        import cProfile

        cProfile.runctx(
            "asyncio.run(serve(arguments))", globals(), {"arguments": arguments}, arguments.profile
        )
    else:
        asyncio.run(serve(arguments))


if __name__ == "__main__":
    main()
