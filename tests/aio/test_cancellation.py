"""A program cancelled at each of its suspensions in turn leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from pystack.aio.endpoint.stack import Stack
from pystack.sim.vloop import VirtualLoop
from tests.aio.cancelling import cancelled_everywhere
from tests.aio.leftovers import everything, only_new_ones
from tests.aio.two_stacks import LEFT, RIGHT, RIGHT6, two_stacks

MUCH = bytes(range(256)) * 1000
PLAIN, LATER, SECURE = 7, 8, 443  # ports that echo: without TLS, with it when asked for, with it
LONG_AFTER = 300.0  # seconds: TIME_WAIT is over, and so is every patience
AT_MOST = 60.0  # seconds that a program may take for its end


@dataclass
class Place:
    """Where a program runs: `left` is its own stack, the ports of `right` echo."""

    left: Stack
    right: Stack
    server_context: ssl.SSLContext
    client_context: ssl.SSLContext


Program = Callable[[Place], Awaitable[None]]


def loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


# -- who is at the other end ----------------------------------------------------------------------
async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()


async def echo_later(context: ssl.SSLContext, reader: StreamReader, writer: StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError, EOFError):
        writer.write(await reader.readexactly(1))
        await writer.start_tls(context)
        await echo(reader, writer)


@asynccontextmanager
async def visited(host: str, port: int, text: bytes = b"text") -> AsyncIterator[None]:
    """Meanwhile a task comes as a client, says something, and waits for the end."""
    task = loop().create_task(_visit(host, port, text))
    try:
        yield
    finally:
        await asyncio.wait([task])
        task.exception()  # a server that is cancelled may refuse or reset it


async def _visit(host: str, port: int, text: bytes) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(text)
        writer.write_eof()
        await reader.read()
    finally:
        writer.close()


@contextmanager
def new_socket(stack: Stack) -> Iterator[socket.socket]:
    with stack.socket() as sock:
        sock.setblocking(False)
        yield sock


# -- programs -------------------------------------------------------------------------------------
async def talks(reader: StreamReader, writer: StreamWriter) -> None:
    """What a program does with a stream: it writes and reads until both are at their end."""
    try:
        writer.write(MUCH)
        await writer.drain()
        assert await reader.readexactly(len(MUCH)) == MUCH
        if writer.can_write_eof():
            writer.write_eof()
            assert await reader.read() == b""
    finally:
        writer.close()
    await writer.wait_closed()


async def a_stream(place: Place) -> None:
    await talks(*await asyncio.open_connection(RIGHT, PLAIN))


async def a_stream_by_happy_eyeballs(place: Place) -> None:
    await talks(*await asyncio.open_connection("both", PLAIN, happy_eyeballs_delay=0.0004))


async def a_stream_from_an_address_of_its_own(place: Place) -> None:
    await talks(*await asyncio.open_connection(RIGHT, PLAIN, local_addr=(LEFT, 5000)))


async def a_stream_with_tls(place: Place) -> None:
    await talks(*await asyncio.open_connection(RIGHT, SECURE, ssl=place.client_context))


async def a_stream_that_changes_to_tls(place: Place) -> None:
    reader, writer = await asyncio.open_connection(RIGHT, LATER)
    try:
        writer.write(b"!")
        await reader.readexactly(1)
        await writer.start_tls(place.client_context, server_hostname=RIGHT)
    except BaseException:
        writer.close()
        raise
    await talks(reader, writer)


async def a_file_is_sent(place: Place) -> None:
    _, writer = await asyncio.open_connection(RIGHT, PLAIN)
    try:
        assert await loop().sendfile(writer.transport, io.BytesIO(MUCH)) == len(MUCH)
        await writer.drain()
    finally:
        writer.transport.abort()


async def no_connection(place: Place) -> None:
    for host, port in ((RIGHT, 9), ("198.18.0.99", 9)):
        with pytest.raises(OSError):  # noqa: PT011
            await asyncio.open_connection(host, port)


async def a_server(place: Place) -> None:
    server = await asyncio.start_server(echo, LEFT, 80)
    async with visited(LEFT, 80), server:
        await server.start_serving()
        await asyncio.sleep(0.1)


async def a_server_with_tls(place: Place) -> None:
    server = await asyncio.start_server(echo, LEFT, 80, ssl=place.server_context)
    async with visited(LEFT, 80, b"no TLS at all"), server:
        await asyncio.sleep(0.1)


async def a_server_for_a_while(place: Place) -> None:
    server = await asyncio.start_server(echo, LEFT, 80, start_serving=False)
    async with visited(LEFT, 80):
        serving = loop().create_task(server.serve_forever())
        try:
            await asyncio.wait([serving], timeout=0.5)
        finally:
            serving.cancel()
            await asyncio.wait([serving])


async def a_server_at_several_places(place: Place) -> None:
    async with (
        await asyncio.start_server(echo, [LEFT, RIGHT, RIGHT6], 80),
        visited(RIGHT, 80), visited(RIGHT6, 80),
    ):  # fmt: skip
        await asyncio.sleep(0.1)


async def sockets(place: Place) -> None:
    with new_socket(place.left) as sock:
        await loop().sock_connect(sock, (RIGHT, PLAIN))
        await loop().sock_sendall(sock, MUCH)
        got = memoryview(bytearray(len(MUCH)))
        while got:
            got = got[await loop().sock_recv_into(sock, got) :]
        await loop().sock_sendfile(sock, io.BytesIO(MUCH))
        assert await loop().sock_recv(sock, 65536)


async def sockets_that_are_watched(place: Place) -> None:
    with new_socket(place.left) as sock:
        await loop().sock_connect(sock, (RIGHT, PLAIN))
        sock.fileno()
        readable, writable = asyncio.Event(), asyncio.Event()
        loop().add_writer(sock, writable.set)
        await writable.wait()
        loop().remove_writer(sock)
        sock.send(b"text")
        loop().add_reader(sock, readable.set)
        await readable.wait()


async def a_socket_that_becomes_a_transport(place: Place) -> None:
    with new_socket(place.left) as sock:
        await loop().sock_connect(sock, (RIGHT, SECURE))
        await talks(*await asyncio.open_connection(
            sock=sock, ssl=place.client_context, server_hostname=RIGHT))  # fmt: skip


async def sockets_that_listen(place: Place) -> None:
    with new_socket(place.left) as listening:
        listening.bind((LEFT, 80))
        listening.listen()
        async with visited(LEFT, 80):
            try:
                child, _ = await loop().sock_accept(listening)
            finally:
                listening.close()
            with child:
                transport, _ = await loop().connect_accepted_socket(asyncio.Protocol, child)
                transport.get_extra_info("socket").fileno()
                try:
                    await asyncio.sleep(0.1)
                finally:
                    transport.close()
                await asyncio.sleep(0)


async def a_socket_that_is_served_on(place: Place) -> None:
    with new_socket(place.left) as listening:
        listening.bind((LEFT, 80))
        async with await asyncio.start_server(echo, sock=listening) as server, visited(LEFT, 80):
            assert server.sockets[0].fileno() == listening.fileno()
            await asyncio.sleep(0.1)


class Answers(asyncio.DatagramProtocol):
    """Sends back what comes, or keeps the first answer."""

    transport: asyncio.DatagramTransport

    def __init__(self, echoes: bool = False) -> None:
        self.echoes = echoes
        self.answer: asyncio.Future[bytes] = loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.echoes:
            self.transport.sendto(data, addr)
        elif not self.answer.done():
            self.answer.set_result(data)


async def datagrams(place: Place) -> None:
    there, _ = await loop().create_datagram_endpoint(
        lambda: Answers(echoes=True), local_addr=(RIGHT, 53)
    )
    try:
        here, protocol = await loop().create_datagram_endpoint(Answers, remote_addr=(RIGHT, 53))
        try:
            here.sendto(b"text")
            assert await protocol.answer == b"text"
        finally:
            here.close()
        with place.left.socket(type=socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            await loop().sock_sendto(sock, b"text", (RIGHT, 53))
            assert await loop().sock_recvfrom(sock, 10) == (b"text", (RIGHT, 53))
    finally:
        there.close()
    await asyncio.sleep(0)


async def half_closed_peers(place: Place) -> None:
    """The peer ends its half, and ours goes on; then ours is over, and the peer's goes on."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            writer.write_eof()
            await reader.read()

    async with await asyncio.start_server(serve, LEFT, 80):
        reader, writer = await asyncio.open_connection(LEFT, 80)
        try:
            assert await reader.read() == b""
            writer.write(MUCH)
            await writer.drain()
        finally:
            writer.close()
        await writer.wait_closed()


PROGRAMS: list[tuple[Program, int]] = [  # and how many suspensions there are at least
    (a_stream, 5),
    (a_stream_by_happy_eyeballs, 5),
    (a_stream_from_an_address_of_its_own, 5),
    (a_stream_with_tls, 5),
    (a_stream_that_changes_to_tls, 5),
    (a_file_is_sent, 3),
    (no_connection, 2),
    (a_server, 2),
    (a_server_with_tls, 2),
    (a_server_for_a_while, 3),
    (a_server_at_several_places, 3),
    (sockets, 5),
    (sockets_that_are_watched, 3),
    (a_socket_that_becomes_a_transport, 4),
    (sockets_that_listen, 3),
    (a_socket_that_is_served_on, 2),
    (datagrams, 2),
    (half_closed_peers, 4),
]


@pytest.mark.parametrize("woken", [False, True], ids=["while it waits", "as it is woken"])
@pytest.mark.parametrize(
    ("program", "least"), PROGRAMS, ids=[one.__name__ for one, _ in PROGRAMS]
)
def test_cancelled_wherever_it_waits_a_program_leaves_nothing(
    program: Program, least: int, woken: bool,
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:  # fmt: skip
    @two_stacks(names={"both": [RIGHT, RIGHT6]}, sysctl={"tcp_syn_retries": 2})
    async def body(left: Stack, right: Stack) -> None:
        virtual = asyncio.get_running_loop()
        assert isinstance(virtual, VirtualLoop)
        virtual.attached += [left, right]
        place = Place(left, right, *contexts)
        for port, handler, context in (
            (PLAIN, echo, None), (LATER, partial(echo_later, contexts[0]), None),
            (SECURE, echo, contexts[0]),
        ):  # fmt: skip
            await asyncio.start_server(handler, [RIGHT, RIGHT6], port, ssl=context)
        await program(place)  # what is made once and kept is there then
        await asyncio.sleep(LONG_AFTER)
        with only_new_ones():
            before = everything(virtual, left, right)
            began = virtual.time()

            async def check(at: int) -> None:
                nonlocal began
                assert virtual.time() - began < AT_MOST, at
                await asyncio.sleep(LONG_AFTER)
                assert everything(virtual, left, right) == before, at
                began = virtual.time()

            count = await cancelled_everywhere(partial(program, place), woken, check)
        assert count >= least

    body()
