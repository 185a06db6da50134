"""5,000 connections opened and dropped, loops that close over open ones, and loops that do nothing:
no task, timer, descriptor or buffer is left."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import selectors
import socket
import ssl
import struct
import time
import warnings
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from pystack.aio.endpoint.stack import Stack
from pystack.aio.loop.event_loop import EventLoop
from tests.aio.as_asyncio.both_loops import FAR, NEAR, two_on_a_cable
from tests.aio.leftovers import descriptors, everything, only_new_ones
from tests.aio.test_vanishing import loop
from tests.aio.two_stacks import RIGHT, two_stacks

CONNECTIONS = 5000
AT_ONCE = 100
LONG_AFTER = 300.0  # seconds: TIME_WAIT is over
LINGER_0 = struct.pack("ii", 1, 0)


async def greet(reader: StreamReader, writer: StreamWriter) -> None:
    """A server that says something and does as its client does."""
    with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.CancelledError):
        writer.write(b"hello")
        while piece := await reader.read(4096):
            writer.write(piece)


# -- ways to drop a connection --------------------------------------------------------------------
async def close(reader: StreamReader, writer: StreamWriter) -> None:
    await reader.readexactly(5)
    writer.close()
    await writer.wait_closed()


async def close_over_unread_text(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(bytes(4096))
    await reader.readexactly(10)
    writer.transport.pause_reading()
    await asyncio.sleep(0.01)
    writer.close()


async def end_and_read_to_the_end(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"more")
    writer.write_eof()
    assert await reader.read() == b"hellomore"
    writer.close()


async def abort(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(bytes(100_000))
    writer.transport.abort()


async def reset(reader: StreamReader, writer: StreamWriter) -> None:
    facade = writer.get_extra_info("socket")
    facade.fileno()
    facade.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
    writer.transport.abort()


async def forget(reader: StreamReader, writer: StreamWriter) -> None:
    """Half-closed, and nobody looks at it any more: the peer's end closes it."""
    writer.write_eof()


async def cancelled_connect() -> None:
    task = loop().create_task(asyncio.open_connection(RIGHT, 7))
    await asyncio.sleep(0.0015)  # of 2 ms
    task.cancel()
    await asyncio.wait([task])


async def refused_connect() -> None:
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(RIGHT, 9)


WAYS = [close, close_over_unread_text, end_and_read_to_the_end, abort, reset]
if hasattr(StreamWriter, "__del__"):  # in Python 3.11.2 nothing closes a writer that is garbage
    WAYS.append(forget)


async def connect_and(drop: Callable[[StreamReader, StreamWriter], Awaitable[None]]) -> None:
    reader, writer = await asyncio.open_connection(RIGHT, 7)
    await drop(reader, writer)


async def socket_that_nobody_holds(left: Stack) -> None:
    sock = left.socket()
    sock.setblocking(False)
    await loop().sock_connect(sock, (RIGHT, 7))
    sock.fileno()
    loop().add_reader(sock, sock.recv, 100)
    await asyncio.sleep(0.01)
    loop().remove_reader(sock)


@pytest.mark.filterwarnings("ignore:unclosed")
def test_5000_connections_opened_and_dropped_leave_nothing() -> None:
    """In each of eight ways, and by sockets that are garbage then."""

    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        loop().attached += [left, right]
        await asyncio.start_server(greet, RIGHT, 7, backlog=1000)

        async def one(number: int) -> None:
            which = number % (len(WAYS) + 3)
            if which < len(WAYS):
                await connect_and(WAYS[which])
            elif which == len(WAYS):
                await cancelled_connect()
            elif which == len(WAYS) + 1:
                await refused_connect()
            else:
                await socket_that_nobody_holds(left)

        await asyncio.gather(*map(one, range(20)))
        await asyncio.sleep(LONG_AFTER)
        with only_new_ones():
            before = everything(loop(), left, right)
            for first in range(0, CONNECTIONS, AT_ONCE):
                await asyncio.gather(*map(one, range(first, first + AT_ONCE)))
            await asyncio.sleep(LONG_AFTER)
            gc.collect()
            await asyncio.sleep(LONG_AFTER)  # what was garbage only now is closed, too
            assert everything(loop(), left, right) == before
        assert right.host.counters.as_dict()["passive_opens"] > CONNECTIONS * 2 // 3

    body()


def test_tls_connections_opened_and_dropped_leave_nothing(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        loop().attached += [left, right]
        await asyncio.start_server(greet, RIGHT, 443, ssl=contexts[0], backlog=1000)

        async def one(number: int) -> None:
            if number % 4 == 0:
                with pytest.raises(ssl.SSLCertVerificationError):
                    await asyncio.open_connection(RIGHT, 443, ssl=ssl.create_default_context())
                return
            reader, writer = await asyncio.open_connection(RIGHT, 443, ssl=contexts[1])
            await reader.readexactly(5)
            if number % 4 == 1:
                writer.transport.abort()
            elif number % 4 == 2:
                writer.write(bytes(100_000))
            writer.close()

        await asyncio.gather(*map(one, range(8)))
        await asyncio.sleep(LONG_AFTER)
        with only_new_ones():
            before = everything(loop(), left, right)
            for _ in range(10):
                await asyncio.gather(*map(one, range(20)))
            await asyncio.sleep(LONG_AFTER)
            assert everything(loop(), left, right) == before

    body()


# -- loops that close -----------------------------------------------------------------------------
def on_event_loop(
    main: Callable[[Stack, Stack], Coroutine[Any, Any, None]],
    *, grace: float = 0.2, selector: selectors.BaseSelector | None = None,
) -> float:  # fmt: skip
    """Run it on an EventLoop with two stacks, close that, and return how long closing took."""
    told: list[object] = []
    near, far = two_on_a_cable(grace=grace)
    made = EventLoop(near, far, selector=selector)
    made.set_exception_handler(lambda _, context: told.append(context))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.run_until_complete(main(near, far))
        began = time.monotonic()
        made.close()
        took = time.monotonic() - began
        gc.collect()
    assert not told, told
    return took


def test_a_loop_closes_over_everything_that_may_be_open(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], recwarn: pytest.WarningsRecorder
) -> None:
    """Servers, connections with unread and unsent text, half-closed ones, TLS, sockets that listen:
    within the grace of both stacks, and no descriptor stays."""
    kept: list[object] = []

    async def main(near: Stack, far: Stack) -> None:
        async def silent(reader: StreamReader, writer: StreamWriter) -> None:
            writer.transport.pause_reading()
            kept.append(writer)

        running = asyncio.get_running_loop()
        await asyncio.start_server(silent, FAR, 7)
        await asyncio.start_server(silent, FAR, 443, ssl=contexts[0])
        for _ in range(3):
            _, writer = await asyncio.open_connection(FAR, 7)
            writer.write(bytes(10_000_000))
            kept.append(writer)
        _, writer = await asyncio.open_connection(FAR, 7)
        writer.write_eof()
        writer.get_extra_info("socket").fileno()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        secure = await asyncio.open_connection(FAR, 443, ssl=context)
        kept.extend((writer, *secure))
        listening = near.socket()
        listening.setblocking(False)
        listening.bind((NEAR, 80))
        listening.listen()
        running.add_reader(listening, print)
        kept.append(listening)

    gc.collect()
    before = descriptors()
    assert on_event_loop(main, grace=0.2) < 1.0
    for one in kept:
        if isinstance(one, socket.socket):
            one.close()
    kept.clear()
    gc.collect()
    assert descriptors() == before


def test_a_runner_that_is_interrupted_leaves_no_pending_task() -> None:
    """What a program that is cancelled in the midst of things leaves to `asyncio.Runner`."""
    told: list[object] = []
    gc.collect()
    before = descriptors()
    near, far = two_on_a_cable(grace=0.2)

    async def main() -> None:
        running = asyncio.get_running_loop()
        running.set_exception_handler(lambda _, context: told.append(context))
        server = await asyncio.start_server(greet, FAR, 7)
        sock = near.socket()
        sock.setblocking(False)
        with sock:
            sock.bind((NEAR, 80))
            sock.listen()
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve_forever())
                group.create_task(asyncio.open_connection("198.18.0.99", 7))
                group.create_task(running.sock_accept(sock))
                group.create_task(connected_for_ever())
                await asyncio.sleep(0.05)
                raise KeyboardInterrupt

    async def connected_for_ever() -> None:
        reader, writer = await asyncio.open_connection(FAR, 7)
        with contextlib.closing(writer):
            while True:
                await reader.read(100)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with (
            pytest.raises(BaseException),  # noqa: B017, PT011
            asyncio.Runner(loop_factory=lambda: EventLoop(near, far)) as runner,
        ):
            runner.run(main())
        gc.collect()
    assert not told
    assert descriptors() == before


# -- loops that do nothing ------------------------------------------------------------------------
class CountingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Counts how often the loop was woken."""

    woken = 0

    def select(self, timeout: float | None = None) -> Any:
        self.woken += 1
        return super().select(timeout)


def test_a_hundred_idle_connections_wake_nobody() -> None:
    counting = CountingSelector()

    async def main(near: Stack, far: Stack) -> None:
        await asyncio.start_server(greet, FAR, 7, backlog=200)
        streams = await asyncio.gather(
            *(asyncio.open_connection(FAR, 7) for _ in range(100))
        )  # fmt: skip
        for reader, writer in streams:
            writer.write(b" and again")
            await reader.readexactly(len(b"hello and again"))
            writer.get_extra_info("socket").fileno()
        await asyncio.sleep(0.5)  # the last delayed acknowledgements
        woken, cpu_s = counting.woken, time.process_time()
        await asyncio.sleep(2)
        assert counting.woken - woken <= 2  # by this very sleep
        assert time.process_time() - cpu_s < 0.02
        for _, writer in streams:
            writer.close()

    on_event_loop(main, selector=counting)


def test_servers_and_stacks_that_wait_for_clients_wake_nobody() -> None:
    counting = CountingSelector()

    async def main(near: Stack, far: Stack) -> None:
        async with await asyncio.start_server(greet, [NEAR, FAR], 7):
            with near.socket() as sock:
                sock.setblocking(False)
                sock.bind((NEAR, 80))
                sock.listen()
                accepting = asyncio.create_task(asyncio.get_running_loop().sock_accept(sock))
                await asyncio.sleep(0.1)
                woken = counting.woken
                await asyncio.sleep(1)
                assert counting.woken - woken <= 2
                accepting.cancel()
                await asyncio.wait([accepting])

    on_event_loop(main, selector=counting)
