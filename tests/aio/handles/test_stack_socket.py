"""`StackSocket`: what differs from a socket of the kernel, and what it says then."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import select
import socket
import threading
from asyncio import StreamReader, StreamWriter
from errno import EADDRNOTAVAIL, EBADF, EINPROGRESS, EMFILE, ENETDOWN, EOPNOTSUPP
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from typing import Any

import pytest

from pystack.aio.endpoint.stack import Stack
from pystack.aio.handles.ready_fd import ReadyFd, ready_in_place_of
from pystack.aio.handles.stack_socket import StackSocket
from pystack.sockets.constants import POLLIN, POLLOUT
from tests.aio.leftovers import descriptors
from tests.aio.test_vanishing import hold, loop
from tests.aio.two_stacks import LEFT, RIGHT, RIGHT6, two_stacks
from tests.surroundings import PATIENCE


async def silent(reader: StreamReader, writer: StreamWriter) -> None:
    await reader.read()
    writer.close()


# -- what it is -----------------------------------------------------------------------------------
@two_stacks()
async def test_it_is_a_socket_and_says_what_of(left: Stack, right: Stack) -> None:
    with left.socket() as sock, left.socket(socket.AF_INET6) as six:
        assert isinstance(sock, socket.socket)
        assert isinstance(sock, StackSocket)
        assert (sock.family, sock.type, sock.proto) == (
            socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP,
        )  # fmt: skip
        assert six.family is socket.AF_INET6
        assert sock.stack is left
        assert "Socket" in repr(sock)
    with left.socket(type=socket.SOCK_DGRAM) as datagrams:
        assert (datagrams.type, datagrams.proto) == (socket.SOCK_DGRAM, socket.IPPROTO_UDP)


@two_stacks()
async def test_it_blocks_as_the_default_says_until_it_is_told_not_to(
    left: Stack, right: Stack
) -> None:
    with left.socket() as sock:
        assert sock.gettimeout() is None
    with left.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
        assert sock.gettimeout() == 0
    socket.setdefaulttimeout(5)
    try:
        with left.socket() as sock:
            assert sock.gettimeout() == 5
    finally:
        socket.setdefaulttimeout(None)


@two_stacks()
async def test_what_would_block_says_what_to_do_instead(left: Stack, right: Stack) -> None:
    await right.start_server(hold, RIGHT, 7)
    with left.socket() as sock:
        with pytest.raises(NotImplementedError, match=r"setblocking\(False\) and await loop"):
            sock.connect((RIGHT, 7))
        sock.setblocking(False)
        assert sock.connect_ex((RIGHT, 7)) == EINPROGRESS
        await loop().sock_connect(sock, (RIGHT, 7))
        sock.settimeout(PATIENCE)
        with pytest.raises(NotImplementedError, match="bridge_fd"):
            sock.recv(1)
        with pytest.raises(NotImplementedError, match="bridge_fd"):
            sock.sendall(bytes(20_000_000))
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
    with left.socket() as listening:
        listening.bind((LEFT, 80))
        listening.listen()
        with pytest.raises(NotImplementedError, match="bridge_fd"):
            listening.accept()


@two_stacks()
async def test_it_cannot_leave_its_process(left: Stack, right: Stack) -> None:
    with left.socket() as sock:
        for call in sock.dup, lambda: copy.copy(sock), lambda: pickle.dumps(sock):
            with pytest.raises(NotImplementedError, match="lives in its own process"):
                call()  # type: ignore[no-untyped-call]


@two_stacks()
async def test_calls_of_another_kind_of_socket_are_not_supported(left: Stack, right: Stack) -> None:
    with left.socket(type=socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        for call in sock.listen, sock.accept, sock.tcp_info:
            with pytest.raises(OSError) as caught:  # noqa: PT011
                call()
            assert caught.value.errno == EOPNOTSUPP
        with pytest.raises(ValueError, match="A Stream Socket was expected"):
            await loop().create_server(asyncio.Protocol, sock=sock)


# -- its descriptor -------------------------------------------------------------------------------
@two_stacks()
async def test_its_descriptor_stays_the_same_number_and_is_known_by_it(
    left: Stack, right: Stack
) -> None:
    loop().attached.append(left)
    await right.start_server(silent, RIGHT, 7)
    with left.socket() as sock:
        sock.setblocking(False)
        fd = sock.fileno()
        assert sock.fileno() == fd
        assert StackSocket.of(fd) is StackSocket.of(sock) is sock
        assert not os.get_inheritable(fd)
        await loop().sock_connect(sock, (RIGHT, 7))
        told = asyncio.Event()
        loop().add_writer(fd, told.set)
        await told.wait()
        assert loop().remove_writer(sock)
    assert sock.fileno() == -1
    assert StackSocket.of(fd) is None
    assert StackSocket.of(object()) is None


def test_a_transports_descriptor_polls_readable_while_there_is_something() -> None:
    before = descriptors()
    ready = ReadyFd()
    ready.show(POLLOUT)
    assert polled(ready.fd) == POLLOUT
    ready.show(POLLIN)
    ready.show(POLLIN | POLLOUT)
    assert polled(ready.fd) == POLLIN | POLLOUT
    assert os.eventfd_read(ready.fd) == 1
    ready.show(0)
    assert polled(ready.fd) == POLLOUT
    ready.close()
    ready.close()
    assert ready.fd == -1
    ready.show(POLLIN)
    assert descriptors() == before


def test_a_sockets_descriptor_polls_as_the_socket_does_in_its_own_place() -> None:
    before = descriptors()
    with socket.socket() as other:
        fd = other.fileno()
        ready = ready_in_place_of(other)
        assert (ready.fd, other.fileno()) == (fd, fd)
        assert not os.get_inheritable(fd)
        for _ in range(2):
            for bits in (0, POLLIN, POLLIN | POLLOUT, POLLOUT, 0, POLLOUT, POLLIN):
                ready.show(bits)
                assert polled(fd) == bits
        ready.close()
        ready.close()
        assert ready.fd == -1
        ready.show(POLLIN)
    assert descriptors() == before


def polled(fd: int) -> int:
    poll = select.poll()
    poll.register(fd, POLLIN | POLLOUT)
    return sum(bits for _, bits in poll.poll(0)) & (POLLIN | POLLOUT)


@two_stacks()
async def test_without_a_descriptor_left_a_connection_is_refused_and_nothing_kept(
    left: Stack, right: Stack
) -> None:
    with left.socket() as sock:
        sock.setblocking(False)
        sock.bind((LEFT, 80))
        sock.listen()
        reader, writer = await right.open_connection(LEFT, 80)
        readable = asyncio.Event()
        loop().add_reader(sock, readable.set)
        await readable.wait()
        soft, hard = getrlimit(RLIMIT_NOFILE)
        setrlimit(RLIMIT_NOFILE, (3, hard))  # all below are taken
        try:
            with pytest.raises(OSError) as caught:  # noqa: PT011
                sock.accept()
        finally:
            setrlimit(RLIMIT_NOFILE, (soft, hard))
        assert caught.value.errno == EMFILE
        assert await reader.read() == b""
        writer.close()


# -- the end --------------------------------------------------------------------------------------
@two_stacks()
async def test_closed_while_somebody_waits_for_it_it_tells_them(left: Stack, right: Stack) -> None:
    """Where the kernel's would let them wait for ever."""
    loop().attached.append(left)
    await right.start_server(hold, RIGHT, 7)

    async def failure(call: Any, *args: Any, connected: bool = True) -> int | None:
        sock = left.socket()
        sock.setblocking(False)
        if connected:
            await loop().sock_connect(sock, (RIGHT, 7))
        task = loop().create_task(call(sock, *args))
        await asyncio.sleep(0.1)
        sock.close()
        with pytest.raises(OSError) as caught:  # noqa: PT011
            await task
        return caught.value.errno

    assert await failure(loop().sock_recv, 1) == EBADF
    assert await failure(loop().sock_sendall, bytes(20_000_000)) == EBADF
    assert await failure(loop().sock_connect, ("198.18.0.99", 7), connected=False) == EBADF
    sock = left.socket()
    sock.setblocking(False)
    loop().add_reader(sock, print)
    loop().add_writer(sock, print)
    sock.close()
    assert not loop()._watches


@two_stacks()
async def test_it_belongs_to_the_thread_of_its_loop_but_may_be_dropped_in_any(
    left: Stack, right: Stack
) -> None:
    sock = left.socket()
    told: list[BaseException] = []

    def use() -> None:
        try:
            sock.getsockname()
        except RuntimeError as error:
            told.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "thread of its event loop" in str(told[0])
    sock.close()


@two_stacks()
async def test_after_its_stack_is_closed_it_says_that_the_network_is_down(
    left: Stack, right: Stack
) -> None:
    sock = left.socket()
    sock.setblocking(False)
    await left.aclose()
    for call in (lambda: sock.recv(1), lambda: sock.bind((LEFT, 0)), sock.getsockname):
        with pytest.raises(OSError, match="the stack is closed") as caught:
            call()  # type: ignore[no-untyped-call]
        assert caught.value.errno == ENETDOWN
    sock.close()
    assert sock.fileno() == -1


@two_stacks()
async def test_addresses_that_are_not_the_stacks_are_not_available(
    left: Stack, right: Stack
) -> None:
    with left.socket() as sock, pytest.raises(OSError) as caught:  # noqa: PT011
        sock.bind((RIGHT, 0))
    assert caught.value.errno == EADDRNOTAVAIL
    with left.socket(socket.AF_INET6) as sock, pytest.raises(OSError) as caught:  # noqa: PT011
        sock.bind((RIGHT6, 0))
    assert caught.value.errno == EADDRNOTAVAIL
