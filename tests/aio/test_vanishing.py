"""The peer, the link or the stack vanishes: whoever waits for it hears of that, in bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import ssl
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine
from socket import SO_KEEPALIVE, SO_LINGER, SOCK_DGRAM, SOL_SOCKET
from typing import Any

import pytest

from pystack.aio.endpoint.stack import Stack
from pystack.sim.vloop import VirtualLoop
from tests.aio.leftovers import everything, only_new_ones
from tests.aio.two_stacks import LEFT, RIGHT, device_of, two_stacks

MUCH = bytes(20_000_000)
SILENT = "198.18.0.99"
LONG_AFTER = 300.0  # seconds
SYSCTL = {
    "tcp_syn_retries": 2, "tcp_retries2": 6, "tcp_keepalive_time": 20, "tcp_keepalive_intvl": 5,
    "tcp_keepalive_probes": 3,
}  # fmt: skip
CONNECT_GIVES_UP = 7.0  # seconds: 1 + 2 + 4, the first one having run for a while
WRITE_GIVES_UP = 60.0  # six doublings of some 400 ms
KEEPALIVE_GIVES_UP = 20.0 + 3 * 5 + 1
HANDSHAKE_GIVES_UP = 60.0  # asyncio's


def loop() -> VirtualLoop:
    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualLoop)
    return running


async def hold(reader: StreamReader, writer: StreamWriter) -> None:
    """A peer that says nothing and reads nothing, to the end."""
    writer.transport.pause_reading()
    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(asyncio.CancelledError):
        await loop().create_future()
    writer.transport.abort()


# -- ways to wait: each gets the stack, and returns what it waited for ----------------------------
async def reading(left: Stack) -> object:
    reader, writer = await asyncio.open_connection(RIGHT, 7)
    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
    try:
        return await reader.read()
    finally:
        writer.close()


async def draining(left: Stack) -> object:
    _, writer = await asyncio.open_connection(RIGHT, 7)
    writer.write(MUCH)
    try:
        return await writer.drain()
    finally:
        writer.close()


async def sending_a_file(left: Stack) -> object:
    _, writer = await asyncio.open_connection(RIGHT, 7)
    try:
        return await loop().sendfile(writer.transport, io.BytesIO(MUCH))
    finally:
        writer.close()


async def changing_to_tls(left: Stack) -> object:
    _, writer = await asyncio.open_connection(RIGHT, 7)
    try:
        return await writer.start_tls(ssl.create_default_context(), server_hostname=RIGHT)
    finally:
        writer.close()


async def connecting_with_tls(left: Stack) -> object:
    return await asyncio.open_connection(RIGHT, 7, ssl=ssl.create_default_context())


async def connecting(left: Stack) -> object:
    return await asyncio.open_connection(SILENT, 7)


async def connecting_a_socket(left: Stack) -> object:
    with left.socket() as sock:
        sock.setblocking(False)
        return await loop().sock_connect(sock, (SILENT, 7))


async def receiving(left: Stack) -> object:
    with left.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
        await loop().sock_connect(sock, (RIGHT, 7))
        return await loop().sock_recv(sock, 1)


async def sending(left: Stack) -> object:
    with left.socket() as sock:
        sock.setblocking(False)
        await loop().sock_connect(sock, (RIGHT, 7))
        return await loop().sock_sendall(sock, MUCH)


async def watching(left: Stack) -> object:
    with left.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
        await loop().sock_connect(sock, (RIGHT, 7))
        readable = asyncio.Event()
        loop().add_reader(sock, readable.set)
        await readable.wait()
        return sock.recv(1)


async def accepting(left: Stack) -> object:
    with left.socket() as sock:
        sock.setblocking(False)
        sock.bind((LEFT, 80))
        sock.listen()
        return await loop().sock_accept(sock)


async def receiving_datagrams(left: Stack) -> object:
    with left.socket(type=SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((LEFT, 53))
        return await loop().sock_recvfrom(sock, 10)


async def having_an_endpoint(left: Stack) -> object:
    lost: asyncio.Future[None] = loop().create_future()

    class Waits(asyncio.DatagramProtocol):
        def connection_lost(self, exc: Exception | None) -> None:
            lost.set_exception(exc) if exc else lost.set_result(None)

    await loop().create_datagram_endpoint(Waits, local_addr=(LEFT, 53))
    return await lost


Wait = Callable[[Stack], Coroutine[Any, Any, object]]
GIVES_UP = [  # how long each may wait for a peer that has fallen silent, seconds
    (reading, KEEPALIVE_GIVES_UP),
    (draining, WRITE_GIVES_UP),
    (sending_a_file, WRITE_GIVES_UP),
    (changing_to_tls, HANDSHAKE_GIVES_UP),
    (connecting_with_tls, HANDSHAKE_GIVES_UP),
    (connecting, CONNECT_GIVES_UP),
    (connecting_a_socket, CONNECT_GIVES_UP),
    (receiving, KEEPALIVE_GIVES_UP),
    (sending, WRITE_GIVES_UP),
    (watching, KEEPALIVE_GIVES_UP),
]
NAMES = [wait.__name__ for wait, _ in GIVES_UP]
EVERY = [*(wait for wait, _ in GIVES_UP), accepting, receiving_datagrams, having_an_endpoint]


def release_the_peers() -> None:
    """Those that hold."""
    for task in asyncio.all_tasks():
        if "pystack" not in task.get_name() and task is not asyncio.current_task():
            task.cancel()


def heard(wait: Wait, vanish: Callable[[Stack], object]) -> tuple[type | None, int | None, float]:
    """The class and errno of what `wait` raises when `vanish(left)` happens to it, and after how
    many seconds; of the connection nothing may be left."""
    found: list[tuple[type | None, int | None, float]] = []

    @two_stacks(sysctl=SYSCTL)
    async def body(left: Stack, right: Stack) -> None:
        loop().attached += [left, right]
        await asyncio.start_server(hold, RIGHT, 7)
        with only_new_ones():
            task = loop().create_task(wait(left))
            await asyncio.sleep(0.5)
            began = loop().time()
            result = vanish(left)
            await asyncio.wait([task], timeout=2 * LONG_AFTER)
            assert task.done()
            error = task.exception()
            number = error.errno if isinstance(error, OSError) else None
            found.append((error and type(error), number, loop().time() - began))
            del task, error
            if isinstance(result, asyncio.Task):
                await result
                del result
            release_the_peers()
            await asyncio.sleep(LONG_AFTER)
            left_over = everything(loop(), left)
            assert left_over["timers"] == 0
            assert left_over["stacks"] == [([], [], [], [])]
            assert not left_over["objects"], left_over["objects"]

    body()
    return found[0]


@pytest.mark.parametrize(("wait", "seconds"), GIVES_UP, ids=NAMES)
def test_a_peer_that_falls_silent_is_given_up(wait: Wait, seconds: float) -> None:
    def fall_silent(left: Stack) -> None:
        device_of(left).lose = lambda packet: True

    error, _, took = heard(wait, fall_silent)
    assert error in (TimeoutError, ConnectionAbortedError)
    assert took <= seconds


@pytest.mark.parametrize(("wait", "seconds"), GIVES_UP, ids=NAMES)
def test_a_link_that_goes_down_is_waited_for_and_given_up(wait: Wait, seconds: float) -> None:
    error, _, took = heard(wait, lambda left: device_of(left).set_down(True))
    assert error in (TimeoutError, ConnectionAbortedError)
    assert took <= seconds


@pytest.mark.parametrize("wait", EVERY, ids=[wait.__name__ for wait in EVERY])
def test_a_device_that_is_removed_is_heard_of_at_once(wait: Wait) -> None:
    error, number, took = heard(wait, lambda left: device_of(left).remove())
    assert (error, number, took) == (OSError, errno.ENETDOWN, 0)


@pytest.mark.parametrize("wait", EVERY, ids=[wait.__name__ for wait in EVERY])
def test_a_stack_that_is_closed_is_heard_of_within_its_grace(wait: Wait) -> None:
    error, number, took = heard(wait, lambda left: loop().create_task(left.aclose()))
    if wait in (reading, having_an_endpoint):
        assert error is None  # its transport was closed under it: that is the end of the stream
    else:
        assert number in (errno.ENETDOWN, errno.ECONNABORTED)
    assert took <= 2.1
