"""`Stack.bridge_fd`: a real descriptor for a connection, for threads that block and for processes.

Two stacks joined by a cable in memory, in real time; what blocks runs in threads and processes.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import resource
import shutil
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from pystack.aio.devices.cable import Cable
from pystack.aio.endpoint.stack import Stack
from tests.aio.two_stacks import two_stacks
from tests.surroundings import PATIENCE

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
MUCH = b"".join(i.to_bytes(4, "big") for i in range(5_000_000))  # 20 MB, no two words alike
DIGEST = hashlib.sha256(MUCH).hexdigest()
LINGER_0 = struct.pack("ii", 1, 0)


@dataclass
class Bridged:
    """A connection of two stacks: `descriptor` stands for one end, the streams are the other."""

    stack: Stack
    descriptor: socket.socket
    own: asyncio.StreamWriter
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


Body = Callable[[Bridged], Awaitable[None]]


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[Stack, Stack]]:
    cable = Cable()
    async with (
        asyncio.timeout(PATIENCE),
        Stack.over(cable.left, f"{CLIENT}/24") as client,
        Stack.over(cable.right, f"{SERVER}/24") as server,
    ):
        yield client, server


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(client: Stack, server: Stack) -> tuple[Streams, Streams]:
    """The streams of a connection at either end."""
    accepted: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()
    listening = await server.start_server(
        lambda reader, writer: accepted.set_result((reader, writer)), SERVER, 7
    )
    own = await client.open_connection(SERVER, 7)
    other = await accepted
    listening.close()
    return own, other


def bridged(body: Body) -> Callable[[], None]:
    """Make a test of an async function of a `Bridged`; nothing of it may be left afterwards."""

    async def main() -> None:
        async with joined() as (client, server):
            (_, own), (reader, writer) = await connected(client, server)
            with client.bridge_fd(own) as descriptor:
                await body(Bridged(client, descriptor, own, reader, writer))
            writer.close()
            for one in own, writer:
                with suppress(ConnectionError):
                    await one.wait_closed()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def test() -> None:
        gc.collect()
        before = set(os.listdir("/proc/self/fd"))
        asyncio.run(main())
        gc.collect()
        assert set(os.listdir("/proc/self/fd")) <= before

    test.__name__ = body.__name__
    return test


def receive(descriptor: socket.socket, pause: float = 0) -> bytes:
    """All there is, in a thread that blocks, `pause` seconds after each MB."""
    parts = []
    length = 0
    while part := descriptor.recv(65536):
        parts.append(part)
        length += len(part)
        if pause and length % 1_000_000 < len(part):
            time.sleep(pause)
    return b"".join(parts)


async def feed(writer: asyncio.StreamWriter, text: bytes, done: list[int] | None = None) -> None:
    """Write in pieces, as there is room, then the end; `done` counts the octets."""
    for at in range(0, len(text), 65536):
        writer.write(text[at : at + 65536])
        await writer.drain()
        if done is not None:
            done[0] = min(at + 65536, len(text))
    writer.write_eof()


async def in_thread(function: Callable[..., object], *args: object) -> object:
    """What it returns; its thread is gone then."""
    return await asyncio.to_thread(function, *args)


@bridged
async def test_a_thread_that_blocks_talks_over_it_in_both_directions(bridged: Bridged) -> None:
    def talk() -> bytes:
        bridged.descriptor.sendall(b"ping")
        return bridged.descriptor.recv(100)

    assert bridged.descriptor.getblocking()
    talking = asyncio.ensure_future(asyncio.to_thread(talk))
    assert await bridged.reader.readexactly(4) == b"ping"
    bridged.writer.write(b"pong")
    assert await talking == b"pong"


@bridged
async def test_20_mb_go_through_cat_and_back(bridged: Bridged) -> None:
    descriptor = bridged.descriptor
    process = await asyncio.create_subprocess_exec("cat", stdin=descriptor, stdout=descriptor)
    descriptor.close()
    _, text = await asyncio.gather(feed(bridged.writer, MUCH), bridged.reader.read())
    assert hashlib.sha256(text).hexdigest() == DIGEST
    assert await process.wait() == 0
    await bridged.own.wait_closed()  # cat has ended, and with it the connection


@bridged
async def test_a_process_sees_the_end_and_its_answer_comes_back(bridged: Bridged) -> None:
    descriptor = bridged.descriptor
    process = await asyncio.create_subprocess_exec("sha256sum", stdin=descriptor, stdout=descriptor)
    descriptor.close()
    await feed(bridged.writer, MUCH)
    assert (await bridged.reader.read()).decode().split()[0] == DIGEST
    assert await process.wait() == 0


@bridged
async def test_half_close_of_the_descriptor_is_a_fin_and_reading_goes_on(bridged: Bridged) -> None:
    bridged.descriptor.sendall(b"question")
    bridged.descriptor.shutdown(socket.SHUT_WR)
    assert await bridged.reader.read() == b"question"
    answering = asyncio.ensure_future(feed(bridged.writer, MUCH))
    assert await in_thread(receive, bridged.descriptor) == MUCH
    await answering


@bridged
async def test_the_peers_fin_is_an_end_and_writing_goes_on(bridged: Bridged) -> None:
    bridged.writer.write(b"question")
    bridged.writer.write_eof()
    assert await in_thread(receive, bridged.descriptor) == b"question"
    answering = asyncio.ensure_future(asyncio.to_thread(bridged.descriptor.sendall, MUCH))
    assert await bridged.reader.readexactly(len(MUCH)) == MUCH
    await answering
    bridged.descriptor.close()
    assert await bridged.reader.read() == b""


@bridged
async def test_who_reads_the_descriptor_slowly_holds_the_peer_up(bridged: Bridged) -> None:
    done = [0]
    feeding = asyncio.ensure_future(feed(bridged.writer, MUCH, done))
    await stands_still(done)
    assert done[0] < len(MUCH) / 2
    assert await in_thread(receive, bridged.descriptor, 0.02) == MUCH
    await feeding


async def stands_still(done: list[int]) -> None:
    """Until no more is taken for a while."""
    before = -1
    while done[0] != before:
        before = done[0]
        await asyncio.sleep(0.2)


@bridged
async def test_a_peer_that_reads_slowly_holds_up_who_writes_the_descriptor(
    bridged: Bridged,
) -> None:
    done = [0]

    def write() -> None:
        for at in range(0, len(MUCH), 65536):
            bridged.descriptor.sendall(MUCH[at : at + 65536])
            done[0] = at + 65536
        bridged.descriptor.close()

    writing = asyncio.ensure_future(asyncio.to_thread(write))
    await stands_still(done)
    assert done[0] < len(MUCH) / 2
    assert bridged.own.transport.get_write_buffer_size() < 1_000_000
    hashed = hashlib.sha256()
    while part := await bridged.reader.read(100_000):
        hashed.update(part)
        await asyncio.sleep(0)
    await writing
    assert hashed.hexdigest() == DIGEST


@bridged
async def test_both_directions_at_once_with_a_slow_thread(bridged: Bridged) -> None:
    sending = asyncio.ensure_future(asyncio.to_thread(bridged.descriptor.sendall, MUCH))
    receiving = asyncio.ensure_future(asyncio.to_thread(receive, bridged.descriptor, 0.02))
    text, _ = await asyncio.gather(
        bridged.reader.readexactly(len(MUCH)), feed(bridged.writer, MUCH)
    )
    await sending
    assert text == MUCH
    assert await receiving == MUCH


@bridged
async def test_closing_the_descriptor_closes_the_connection(bridged: Bridged) -> None:
    bridged.descriptor.sendall(b"the last")
    bridged.descriptor.close()
    assert await bridged.reader.read() == b"the last"
    await bridged.own.wait_closed()


@bridged
async def test_closing_it_after_half_close_closes_the_connection(bridged: Bridged) -> None:
    bridged.descriptor.shutdown(socket.SHUT_WR)
    assert await bridged.reader.read() == b""
    assert not bridged.own.is_closing()
    bridged.descriptor.close()
    await bridged.own.wait_closed()


@bridged
async def test_closing_it_over_unread_text_closes_the_connection(bridged: Bridged) -> None:
    bridged.writer.write(bytes(1000))
    await asyncio.to_thread(bridged.descriptor.recv, 1)
    bridged.descriptor.close()
    assert await bridged.reader.read() == b""
    await bridged.own.wait_closed()


@bridged
async def test_after_a_reset_reading_gives_an_end_and_writing_fails(bridged: Bridged) -> None:
    bridged.writer.write(b"as far as this")
    assert await asyncio.to_thread(bridged.descriptor.recv, 100) == b"as far as this"
    reset(bridged.writer)
    with pytest.raises(ConnectionResetError):
        await bridged.own.wait_closed()  # whoever had the connection before hears why
    assert await in_thread(receive, bridged.descriptor) == b""
    with pytest.raises(BrokenPipeError):
        bridged.descriptor.sendall(b"x")


def reset(writer: asyncio.StreamWriter) -> None:
    facade = writer.get_extra_info("socket")
    facade.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
    writer.transport.abort()


@bridged
async def test_text_that_found_no_room_before_a_reset_can_still_be_read(bridged: Bridged) -> None:
    text = MUCH[:600_000]
    bridged.writer.write(text)
    await asyncio.to_thread(bridged.descriptor.recv, 1, socket.MSG_PEEK)
    await asyncio.sleep(0.2)  # for all of it to arrive, more than a socket pair holds
    reset(bridged.writer)
    await asyncio.sleep(0.1)
    got = await in_thread(receive, bridged.descriptor)
    assert isinstance(got, bytes)
    assert len(got) > 300_000
    assert text.startswith(got)
    with pytest.raises(ConnectionResetError):
        await bridged.own.wait_closed()


@bridged
async def test_an_idle_bridge_and_one_that_is_half_closed_use_no_time(bridged: Bridged) -> None:
    bridged.writer.write(MUCH)  # more than there is room for
    bridged.descriptor.shutdown(socket.SHUT_WR)
    await bridged.reader.read()
    await asyncio.sleep(0.3)
    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.sleep(0.5)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.1
    bridged.writer.transport.abort()


def test_what_was_received_before_comes_first() -> None:
    async def main() -> None:
        async with joined() as (client, server):
            (reader, own), (_, writer) = await connected(client, server)
            writer.write(b"one\ntwo\n")
            assert await reader.readline() == b"one\n"
            writer.write(b"three\n")
            writer.write_eof()
            await asyncio.sleep(0.05)  # the reader has all, and the end
            with client.bridge_fd(own) as descriptor:
                assert await in_thread(receive, descriptor) == b"two\nthree\n"
                with pytest.raises(RuntimeError, match="was given a descriptor"):
                    await reader.read()

    asyncio.run(main())


def test_where_the_connection_has_no_room_already_the_descriptor_is_not_read() -> None:
    async def main() -> None:
        async with joined() as (client, server):
            (_, own), (reader, writer) = await connected(client, server)
            own.write(MUCH)
            with client.bridge_fd(own) as descriptor:
                done = [0]

                def write() -> None:
                    for at in range(0, len(MUCH), 65536):
                        descriptor.sendall(MUCH[at : at + 65536])
                        done[0] = at + 65536
                    descriptor.close()

                writing = asyncio.ensure_future(asyncio.to_thread(write))
                await stands_still(done)
                assert done[0] < len(MUCH) / 2
                assert await reader.read() == MUCH + MUCH
                await writing
            writer.close()

    asyncio.run(main())


def test_sockets_of_a_stack_and_transports_are_taken_too() -> None:
    async def main() -> None:
        async with joined() as (client, server):
            lost = asyncio.Event()

            class Protocol(asyncio.Protocol):
                def connection_lost(self, exc: Exception | None) -> None:
                    lost.set()

            made = client.socket()
            made.setblocking(False)
            accepted: asyncio.Future[asyncio.BaseTransport] = client.loop.create_future()

            class Accepting(asyncio.Protocol):
                def connection_made(self, transport: asyncio.BaseTransport) -> None:
                    accepted.set_result(transport)

            await server.create_server(Accepting, SERVER, 7)
            transport, _ = await client.create_connection(Protocol, SERVER, 7)
            await accepted
            with client.bridge_fd(transport) as descriptor:
                descriptor.sendall(b"x")
            await lost.wait()

            with pytest.raises(OSError, match="not connected"):
                client.bridge_fd(made)
            made.close()

    asyncio.run(main())


def test_a_connected_socket_becomes_a_descriptor() -> None:
    async def main() -> None:
        async with joined() as (client, server):
            streams: asyncio.Future[Streams] = client.loop.create_future()
            await server.start_server(lambda *pair: streams.set_result(pair), SERVER, 7)
            made = client.socket()
            made.setblocking(False)
            with suppress(BlockingIOError):
                made.connect((SERVER, 7))
            reader, writer = await streams
            with client.bridge_fd(made) as descriptor:
                writer.write(b"ping")
                assert await in_thread(descriptor.recv, 100) == b"ping"
                descriptor.sendall(b"pong")
            assert await reader.read() == b"pong"
            assert made.fileno() == -1  # it went with its connection
            writer.close()

    asyncio.run(main())


def test_what_was_written_to_the_descriptor_is_delivered_when_the_stack_closes() -> None:
    async def main() -> None:
        cable = Cable()
        async with Stack.over(cable.right, f"{SERVER}/24") as server:
            async with Stack.over(cable.left, f"{CLIENT}/24") as client:
                (_, own), (reader, writer) = await connected(client, server)
                reading = asyncio.ensure_future(reader.read())
                reading.add_done_callback(lambda _: writer.close())
                descriptor = client.bridge_fd(own)
                descriptor.sendall(MUCH[:100_000])
            assert await reading == MUCH[:100_000]
            assert descriptor.recv(1) == b""
            descriptor.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_descriptor_that_nobody_reads_ends_with_the_stack() -> None:
    async def main() -> None:
        cable = Cable()
        async with Stack.over(cable.right, f"{SERVER}/24", grace=0.2) as server:
            async with Stack.over(cable.left, f"{CLIENT}/24", grace=0.2) as client:
                (_, own), (_, writer) = await connected(client, server)
                descriptor = client.bridge_fd(own)
                writer.write(MUCH)
                await asyncio.to_thread(descriptor.recv, 1, socket.MSG_PEEK)
            writer.transport.abort()
        text = receive(descriptor)
        assert len(text) > 10_000
        assert MUCH.startswith(text)
        descriptor.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_tls_ends_in_the_loop_and_the_descriptor_has_plain_text(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = str(tmp_path / "certificate"), str(tmp_path / "key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=server",
         "-addext", f"subjectAltName=IP:{SERVER}"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=certificate)

    async def main() -> None:
        async with joined() as (client, server):

            async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                while text := await reader.read(65536):
                    writer.write(text)
                    await writer.drain()
                writer.close()

            await server.start_server(echo, SERVER, 443, ssl=context)
            _, writer = await client.open_connection(SERVER, 443, ssl=trusting)
            with client.bridge_fd(writer) as descriptor:

                def exchange() -> bytes:
                    descriptor.sendall(MUCH[:150_000])
                    text = b""
                    while len(text) < 150_000:
                        text += descriptor.recv(65536)
                    return text

                assert await asyncio.to_thread(exchange) == MUCH[:150_000]
            await writer.wait_closed()

    asyncio.run(main())


def test_what_cannot_be_given_a_descriptor_is_told_so() -> None:
    async def main() -> None:
        async with joined() as (client, server):
            (_, own), (_, writer) = await connected(client, server)
            with pytest.raises(TypeError, match="a transport, a StreamWriter"):
                client.bridge_fd(7)  # type: ignore[arg-type]
            own.close()
            with pytest.raises(ConnectionError, match="closed"):
                client.bridge_fd(own)
            with pytest.raises(RuntimeError, match="thread"):
                await in_thread(server.bridge_fd, writer)
            writer.close()
        with pytest.raises(RuntimeError, match="closed"):
            client.bridge_fd(own)

    asyncio.run(main())


@two_stacks()
async def test_in_virtual_time_there_is_none(left: Stack, right: Stack) -> None:
    await right.start_server(lambda reader, writer: writer.close(), "198.18.0.2", 7)
    _, writer = await left.open_connection("198.18.0.2", 7)
    with pytest.raises(NotImplementedError, match="virtual time"):
        left.bridge_fd(writer)
    writer.close()


def test_a_descriptor_keeps_its_connection_though_the_streams_are_collected() -> None:
    async def body() -> None:
        async with joined() as (client, server):

            async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                while data := await reader.read(100):
                    writer.write(data)
                writer.close()

            async def dialled() -> socket.socket:
                _, writer = await client.open_connection(SERVER, 7)
                return client.bridge_fd(writer)

            async with await server.start_server(echo, SERVER, 7):
                descriptor = await dialled()
                gc.collect()
                reader, writer = await asyncio.open_connection(sock=descriptor)
                for _ in range(2):
                    writer.write(b"text")
                    assert await reader.readexactly(4) == b"text"
                    gc.collect()
                writer.write_eof()
                assert await reader.read() == b""
                writer.close()

    asyncio.run(body())
