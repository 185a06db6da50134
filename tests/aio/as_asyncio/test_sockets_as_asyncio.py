"""Sockets of a stack in the hands of asyncio's users do what the kernel's do there."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import socket
import struct
import tempfile
import warnings
from contextvars import ContextVar
from typing import Any

import pytest

from tests.aio.as_asyncio.both_loops import Ends, same

LINGER_0 = struct.pack("ii", 1, 0)
SHORT = 0.02  # seconds, for something not to happen in

who: ContextVar[str] = ContextVar("who", default="nobody")


def loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def pair(ends: Ends) -> tuple[socket.socket, socket.socket]:
    """A connection: the socket of the client and the one that was accepted."""
    listening = ends.socket()
    listening.setblocking(False)
    listening.bind((ends.address, 0))
    listening.listen()
    client = ends.client()
    client.setblocking(False)
    accepting = loop().create_task(loop().sock_accept(listening))
    await loop().sock_connect(client, listening.getsockname())
    accepted, peer = await accepting
    assert peer == client.getsockname()
    listening.close()
    await asyncio.sleep(0)  # the task that has the socket for its result is gone
    return client, accepted


async def until_readable(sock: socket.socket) -> None:
    """Wait for it without taking anything."""
    told = asyncio.Event()
    loop().add_reader(sock, told.set)
    await told.wait()
    loop().remove_reader(sock)


def polled(sock: socket.socket) -> tuple[bool, bool]:
    """Whether select says readable, and writable."""
    found = select.select([sock], [sock], [], 0)
    return bool(found[0]), bool(found[1])


def test_text_goes_through_every_call() -> None:
    async def scenario(ends: Ends) -> list[object]:
        client, other = await pair(ends)
        buffer = bytearray(8)
        seen: list[object] = [other.gettimeout(), other.family, other.type, client.fileno() >= 0]
        await loop().sock_sendall(client, b"hello")
        seen += [await loop().sock_recv(other, 3), await loop().sock_recv_into(other, buffer)]
        await loop().sock_sendall(client, memoryview(b"hello"))
        seen += [bytes(buffer), await loop().sock_recvfrom(other, 10)]
        await loop().sock_sendall(client, bytearray(b"hello"))
        seen += [await loop().sock_recvfrom_into(other, buffer, 3)]
        seen += [await loop().sock_recvfrom_into(other, buffer), bytes(buffer)]
        assert isinstance(client.sendmsg([b"a", b"bc"]), int)
        await until_readable(other)
        seen += [other.recv(1, socket.MSG_PEEK), other.recvmsg(2)]
        two = bytearray(1), bytearray(3)
        client.sendall(b"xyz")
        await until_readable(other)
        seen += [other.recvmsg_into(two)[0], two]
        client.shutdown(socket.SHUT_WR)
        return [*seen, await loop().sock_recv(other, 3)]

    same(scenario)


def test_a_file_is_sent_and_left_where_it_was_read_to() -> None:
    async def scenario(ends: Ends) -> list[int]:
        client, other = await pair(ends)
        with tempfile.TemporaryFile() as file:
            file.write(bytes(100_000))
            seen = [await loop().sock_sendfile(client, file, 10, 1000), file.tell()]
            seen += [await loop().sock_sendfile(client, file, 99_990), file.tell()]
        client.close()
        got = 0
        while piece := await loop().sock_recv(other, 4096):
            got += len(piece)
        return [*seen, got]

    assert same(scenario) == [1000, 1010, 10, 100_000, 1010]


def test_more_than_fits_is_sent_as_the_peer_reads() -> None:
    async def scenario(ends: Ends) -> int:
        client, other = await pair(ends)
        sending = loop().create_task(loop().sock_sendall(client, bytes(5_000_000)))
        got = 0
        while got < 5_000_000:
            got += len(await loop().sock_recv(other, 1 << 20))
        await sending
        return got

    same(scenario)


def test_a_reset_ends_the_waiting_for_room() -> None:
    async def scenario(ends: Ends) -> type:
        client, other = await pair(ends)
        sending = loop().create_task(loop().sock_sendall(client, bytes(50_000_000)))
        await until_readable(other)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        other.close()
        with pytest.raises(ConnectionError) as caught:
            await sending
        return caught.type

    assert same(scenario) is ConnectionResetError


def test_cancelled_a_call_takes_no_text_with_it() -> None:
    async def scenario(ends: Ends) -> list[object]:
        client, other = await pair(ends)
        receiving = loop().create_task(loop().sock_recv(other, 1))
        await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.wait([receiving])
        await loop().sock_sendall(client, b"text")
        return [receiving.cancelled(), await loop().sock_recv(other, 10)]

    assert same(scenario) == [True, b"text"]


def test_its_descriptor_polls_as_the_kernels_and_goes_with_it() -> None:
    async def scenario(ends: Ends) -> list[object]:
        client, other = await pair(ends)
        seen: list[object] = [polled(other)]
        await loop().sock_sendall(client, b"xy")
        await until_readable(other)
        seen += [polled(other), other.recv(1), polled(other), other.recv(1), polled(other)]
        client.close()
        await until_readable(other)
        seen += [polled(other), other.recv(1), polled(other)]
        fd = other.fileno()
        other.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
        return [*seen, other.fileno()]

    same(scenario)


def test_a_listening_socket_polls_readable_while_somebody_waits() -> None:
    async def scenario(ends: Ends) -> list[bool]:
        with ends.socket() as listening, ends.client() as client:
            for sock in listening, client:
                sock.setblocking(False)
            listening.bind((ends.address, 0))
            listening.listen()
            seen = [polled(listening)[0]]
            await loop().sock_connect(client, listening.getsockname())
            await until_readable(listening)
            seen += [polled(listening)[0]]
            listening.accept()[0].close()
            return [*seen, polled(listening)[0]]

    assert same(scenario) == [False, True, False]


# -- readers and writers --------------------------------------------------------------------------
def test_a_reader_is_called_as_long_as_there_is_text_and_no_longer() -> None:
    async def scenario(ends: Ends) -> list[object]:
        client, other = await pair(ends)
        called: list[int] = []
        enough = asyncio.Event()

        def readable() -> None:
            called.append(1)
            if len(called) == 5:
                other.recv(10)
                enough.set()

        loop().add_reader(other, readable)
        await asyncio.sleep(SHORT)
        seen: list[object] = [len(called)]
        await loop().sock_sendall(client, b"x")
        await enough.wait()
        await asyncio.sleep(SHORT)
        loop().remove_reader(other)
        return [*seen, len(called)]

    assert same(scenario) == [0, 5]


def test_another_reader_takes_the_place_of_the_first() -> None:
    async def scenario(ends: Ends) -> list[int]:
        client, other = await pair(ends)
        await loop().sock_sendall(client, b"x")
        await until_readable(other)
        called: list[int] = []
        done = asyncio.Event()

        def second() -> None:
            called.append(2)
            loop().remove_reader(other)
            done.set()

        loop().add_reader(other, called.append, 1)
        loop().add_reader(other, second)
        await done.wait()
        return called

    assert same(scenario) == [2]


def test_a_reader_that_raises_is_told_to_the_exception_handler() -> None:
    async def scenario(ends: Ends) -> list[object]:
        client, other = await pair(ends)
        told = loop().create_future()
        loop().set_exception_handler(lambda _, context: told.set_result(context))

        def fails() -> None:
            loop().remove_reader(other)
            raise ZeroDivisionError

        loop().add_reader(other, fails)
        await loop().sock_sendall(client, b"x")
        context = await told
        return [context["message"].split()[:3], type(context["exception"])]

    assert same(scenario) == [["Exception", "in", "callback"], ZeroDivisionError]


# -- contexts -------------------------------------------------------------------------------------
def test_readers_and_writers_are_called_in_the_context_that_asked_for_them() -> None:
    async def scenario(ends: Ends) -> list[str]:
        client, other = await pair(ends)
        seen: list[str] = []
        both = asyncio.Event()

        def called(remove: Any) -> None:
            seen.append(who.get())
            remove(other)
            if len(seen) == 2:
                both.set()

        who.set("reader")
        loop().add_reader(other, called, loop().remove_reader)
        who.set("writer")
        loop().add_writer(other, called, loop().remove_writer)
        who.set("somebody else")
        await loop().sock_sendall(client, b"x")
        await both.wait()
        return sorted(seen)

    assert same(scenario) == ["reader", "writer"]


class Asks(asyncio.Protocol):
    """Notes in which context it is told of things."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.seen = {who.get()}
        self.lost = loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.seen.add(who.get())

    def data_received(self, data: bytes) -> None:
        self.seen.add(who.get())
        if not self.transport.is_closing():
            self.transport.write(data)
            self.transport.write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        self.seen.add(who.get())
        self.lost.set_result(None)


def test_protocols_are_called_in_the_context_of_who_made_connection_or_server() -> None:
    async def scenario(ends: Ends) -> list[set[str]]:
        made: list[Asks] = []

        def factory() -> Asks:
            made.append(Asks())
            return made[-1]

        who.set("server")
        server = await loop().create_server(factory, ends.address, 0)
        who.set("client")
        transport, client = await loop().create_connection(Asks, *server.sockets[0].getsockname())
        who.set("somebody else")
        transport.write(b"text")
        await client.lost
        await made[0].lost
        server.close()
        return [client.seen, made[0].seen]

    assert same(scenario) == [{"client"}, {"server"}]


# -- the end --------------------------------------------------------------------------------------
def test_a_file_made_of_a_socket_keeps_it_open() -> None:
    async def scenario(ends: Ends) -> list[object]:
        client, other = await pair(ends)
        file = other.makefile("rb")
        other.close()
        await loop().sock_sendall(client, b"line\nrest")
        await until_readable(other)
        seen: list[object] = [file.readline(), other.fileno() >= 0]
        file.close()
        with client.makefile("wb") as out, contextlib.suppress(OSError):
            out.write(b"more")
        return [*seen, other.fileno()]

    assert same(scenario) == [b"line\n", True, -1]


def test_a_socket_that_nobody_holds_is_closed_and_warned_of() -> None:
    async def scenario(ends: Ends) -> list[object]:
        client, other = await pair(ends)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            gc.collect()
            caught.clear()
            del other
            gc.collect()
        kinds = [(one.category, str(one.message).split()[0]) for one in caught]
        return [*kinds, await loop().sock_recv(client, 10)]

    assert same(scenario) == [(ResourceWarning, "unclosed"), b""]


def test_a_socket_that_a_transport_has_is_no_others_to_wait_for() -> None:
    async def scenario(ends: Ends) -> list[object]:
        client, other = await pair(ends)
        transport, _ = await loop().connect_accepted_socket(asyncio.Protocol, other)
        seen = []
        for call in (
            lambda: loop().sock_recv(other, 1),
            lambda: loop().add_reader(other, print),
        ):
            try:
                result = call()
                if result is not None:
                    await result
            except RuntimeError as error:
                seen.append("is used by transport" in str(error))
        transport.close()
        client.close()
        return seen

    assert same(scenario) == [True, True]


def test_a_datagram_to_a_name_is_the_kernels() -> None:
    async def scenario(ends: Ends) -> bytes:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        ):
            there.bind(("127.0.0.1", 0))
            for each in there, sock:
                each.setblocking(False)
            await loop().sock_sendto(sock, b"text", ("localhost", there.getsockname()[1]))
            return (await loop().sock_recvfrom(there, 10))[0]

    assert same(scenario) == b"text"


def test_its_descriptor_is_one_whoever_asks_first() -> None:
    async def scenario(ends: Ends) -> list[object]:
        client, other = await pair(ends)
        before = other.fileno()
        transport, _ = await loop().connect_accepted_socket(asyncio.Protocol, other)
        transport.pause_reading()
        seen: list[object] = [transport.get_extra_info("socket").fileno() == before]
        await loop().sock_sendall(client, b"text")
        while not is_readable(before):  # noqa: ASYNC110 (no callback tells of it)
            await asyncio.sleep(0.001)
        other.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        transport.resume_reading()
        while is_readable(before):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        other.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        transport.close()
        client.close()
        return seen

    assert same(scenario) == [True]


def is_readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def test_a_transport_closes_the_socket_that_it_was_given() -> None:
    async def scenario(ends: Ends) -> list[object]:
        client, other = await pair(ends)
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop().connect_accepted_socket(lambda: protocol, other)
        await loop().sock_sendall(client, b"x")
        facade = transport.get_extra_info("socket")
        seen: list[object] = [
            await reader.read(1), facade.fileno() == other.fileno(),
            transport.get_extra_info("peername") == client.getsockname(),
        ]  # fmt: skip
        transport.close()
        seen.append(await loop().sock_recv(client, 1))
        await asyncio.sleep(0)
        return [*seen, other.fileno(), facade.fileno()]

    assert same(scenario) == [b"x", True, True, b"", -1, -1]


# -- what a socket refuses ------------------------------------------------------------------------
def test_a_closed_socket_refuses_everything() -> None:
    async def scenario(ends: Ends) -> list[object]:
        sock = ends.socket()
        sock.close()
        sock.close()
        seen: list[object] = [sock.fileno(), sock.detach(), sock.connect_ex((ends.address, 9))]
        for call, *args in (
            (sock.getsockname,), (sock.getpeername,), (sock.getsockopt, 1, 2),
            (sock.setsockopt, 1, 2, 3), (sock.shutdown, 2), (sock.listen,), (sock.accept,),
            (sock.bind, ("", 0)), (sock.recv, 1), (sock.send, b""), (sock.get_inheritable,),
        ):  # fmt: skip
            with pytest.raises(OSError) as caught:  # noqa: PT011
                call(*args)
            seen.append(caught.value.errno)
        return seen

    assert set(same(scenario)) == {-1, 9}


@pytest.mark.parametrize("timeout", [0, None, 5, 0.5])
def test_a_timeout_is_as_it_was_set(timeout: float | None) -> None:
    async def scenario(ends: Ends) -> list[object]:
        with ends.socket() as sock:
            sock.settimeout(timeout)
            with pytest.raises(ValueError, match="Timeout value out of range"):
                sock.settimeout(-1)
            return [sock.gettimeout(), sock.timeout, sock.getblocking()]

    same(scenario)


def test_wrong_arguments_are_refused_as_by_the_kernels_sockets() -> None:
    async def scenario(ends: Ends) -> list[object]:
        client, other = await pair(ends)
        seen: list[object] = []
        arguments: list[tuple[Any, ...]] = [
            (client.recv, 1), (client.recv, -1), (client.recv, "a"), (client.recv, 0),
            (client.recv_into, bytearray()), (client.recv_into, bytearray(3), 5),
            (client.recv_into, bytearray(3), -5), (client.recv_into, b"abc"), (client.send, "a"),
            (client.accept,), (client.connect_ex, (ends.address, 1)), (client.listen,),
            (client.shutdown, 7), (client.shutdown, "a"), (client.setsockopt, 1, 2),
            (client.getsockopt, 77, 2), (client.sendto, b"x"), (client.sendto, b"x", 0, None, 1),
            (client.sendto, b"x", 0, ("192.0.2.1", 5)), (client.bind, None),
        ]  # fmt: skip
        client.connect_ex(other.getsockname())  # the kernel says once more that it is connected
        for call, *args in arguments:
            try:
                seen.append(call(*args))
            except Exception as error:
                seen.append((type(error), getattr(error, "errno", None)))
        other.close()
        return seen

    same(scenario)
