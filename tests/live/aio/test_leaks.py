"""Thousands of connections with the kernel, opened and dropped by either side."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pystack.aio.loop.event_loop import attached
from pystack.stack.time_wait import TimeWait
from tests.aio.leftovers import descriptors, objects, only_new_ones
from tests.live.over_tun import OverTun
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live

CONNECTIONS = 5000
AT_ONCE = 100
LINGER_0 = struct.pack("ii", 1, 0)


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError):
        while piece := await reader.read(4096):
            writer.write(piece)


async def drop(number: int, reader: StreamReader, writer: StreamWriter) -> None:
    """End a connection in one of five ways."""
    writer.write(b"hello")
    way = number % 5
    if way == 0:
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await writer.wait_closed()
    elif way == 1:
        writer.write_eof()
        assert await reader.read() == b"hello"
        writer.close()
    elif way == 2:
        writer.transport.abort()
    elif way == 3:
        facade = writer.get_extra_info("socket")
        facade.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        writer.transport.abort()
    else:
        writer.write(bytes(100_000))  # what comes back is never read
        await reader.readexactly(5)
        writer.close()


async def in_batches(one: Callable[[int], Coroutine[Any, Any, None]], many: int) -> None:
    for first in range(0, many, AT_ONCE):
        await asyncio.gather(*map(one, range(first, first + AT_ONCE)))


def those_of_connections() -> list[str]:
    """Descriptors but for the stack's timer, which is made when it is first needed."""
    return [one for one in descriptors() if "timerfd" not in one]


def test_5000_connections_with_the_kernel_leave_nothing_but_time_wait(any_tun: OverTun) -> None:
    """Half of them made by an unmodified program's calls on our side, half by the kernel's."""
    tun = any_tun

    async def main() -> None:
        async with tun.stack() as stack:
            with attached(stack):
                await measured(stack)

    async def measured(stack: Any) -> None:
        listening, port = tun.listening()
        kernels = await asyncio.start_server(echo, sock=listening)
        ours = await asyncio.start_server(echo, tun.ours, 7, backlog=1000)

        async def from_here(number: int) -> None:
            await drop(number, *await asyncio.open_connection(tun.peer, port))

        async def from_there(number: int) -> None:
            sock = tun.kernel_socket()
            await asyncio.get_running_loop().sock_connect(sock, (tun.ours, 7))
            await drop(number, *await asyncio.open_connection(sock=sock))

        def is_open() -> bool:
            return any(type(one) is not TimeWait for one in stack.host.connections.values())

        await asyncio.gather(*map(from_here, range(5)), *map(from_there, range(5)))
        await asyncio.sleep(0.5)
        with only_new_ones():
            before, tasks = those_of_connections(), len(asyncio.all_tasks())
            await in_batches(from_here, CONNECTIONS // 2)
            await in_batches(from_there, CONNECTIONS // 2)
            for _ in range(40):  # two seconds for the last ends to be acknowledged
                await asyncio.sleep(0.05)
                if not is_open() and len(asyncio.all_tasks()) == tasks:
                    break
            assert not is_open()
            assert len(asyncio.all_tasks()) == tasks
            assert those_of_connections() == before
            assert not objects(), objects()
        kernels.close()
        ours.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
