"""Whose a program's socket is: by the loop of the thread that calls, and never by a guess.

The stack reaches the kernel's loopback as well, so that an address alone does not tell whose it is.
"""

from __future__ import annotations

import asyncio
import errno
import select
import selectors
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pystack.aio.devices.cable import Cable
from pystack.aio.endpoint.stack import Stack
from pystack.aio.handles.known_fds import KernelSocket
from pystack.aio.loop.install import end, installed
from tests.aio.loop.test_program import OTHER, OWN, OWN6, echo, echoed, run
from tests.surroundings import PATIENCE

CLOSED_PORT = 8999


@pytest.fixture
def stack() -> Iterator[Stack]:
    """As `pystack run` has it; it reaches 127.0.0.0/8, too."""
    cable = Cable()
    made = Stack.over(
        cable.left, f"{OWN}/24", f"{OWN6}/64", routes=["127.0.0.0/8"], grace=0.1
    )

    async def opened() -> None:
        await made.__aenter__()
        await made.leave()

    with asyncio.Runner() as runner:
        runner.run(opened())
    made.far = cable.right  # type: ignore[attr-defined]
    with installed(made):
        yield made
    end(made)


def in_thread(function: Any, *args: Any) -> Any:
    """What a call gives in a thread of its own, or raises there."""
    found: list[Any] = []

    def call() -> None:
        try:
            found.append(function(*args))
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(PATIENCE)
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def is_ours(sock: Any) -> bool:
    return bool(getattr(sock, "is_ours", False))


def nonblocking(kind: int = socket.SOCK_STREAM) -> Any:
    sock = socket.socket(socket.AF_INET, kind)
    sock.setblocking(False)
    return sock


# -- a loop in another thread ---------------------------------------------------------------------
def test_a_loop_beside_connects_over_the_kernel(stack: Stack) -> None:
    async def beside(port: int) -> bytes:
        with nonblocking() as sock:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
            assert not is_ours(sock)
        return await echoed(await asyncio.open_connection("127.0.0.1", port))

    async def body(other: Stack) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            async with await asyncio.start_server(echo, sock=listening):
                port = listening.getsockname()[1]
                found = await asyncio.to_thread(lambda: asyncio.run(beside(port)))
                assert found == b"text"
        async with await other.start_server(echo, OTHER, 80):  # and this one is as it was
            assert await echoed(await asyncio.open_connection(OTHER, 80)) == b"text"

    run(stack, body)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_of_the_stack_is_in_use_for_a_loop_beside_too(stack: Stack, kind: int) -> None:
    def bind(port: int) -> int | None:
        with socket.socket(socket.AF_INET, kind) as sock, pytest.raises(OSError) as caught:  # noqa: PT011
            sock.bind((OWN, port))
        return caught.value.errno

    async def beside() -> tuple[int | None, int | None]:
        return bind(7000), bind(7001)

    async def body(other: Stack) -> None:
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.bind((OWN, 7000))
            if kind == socket.SOCK_STREAM:
                sock.listen()
            assert is_ours(sock)
            found = await asyncio.to_thread(lambda: asyncio.run(beside()))
            assert found == (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
            assert await asyncio.to_thread(bind, 7000) == errno.EADDRINUSE

    run(stack, body)


def test_a_server_at_the_same_place_in_a_loop_beside_is_refused(stack: Stack) -> None:
    async def beside() -> None:
        await asyncio.start_server(echo, OWN, 7000)

    async def body(other: Stack) -> None:
        async with await asyncio.start_server(echo, OWN, 7000):
            with pytest.raises(OSError, match="address already in use"):
                await asyncio.to_thread(lambda: asyncio.run(beside()))
            assert await echoed(await other.open_connection(OWN, 7000)) == b"text"

    run(stack, body)


def test_datagrams_of_a_thread_are_the_kernels(stack: Stack) -> None:
    async def body(other: Stack) -> None:
        with nonblocking(socket.SOCK_DGRAM) as receiving:
            receiving.bind(("127.0.0.1", 0))
            assert not is_ours(receiving)
            port = receiving.getsockname()[1]

            def send() -> None:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.sendto(b"text", ("127.0.0.1", port))
                    assert not is_ours(sock)

            await asyncio.to_thread(send)
            assert await asyncio.get_running_loop().sock_recv(receiving, 100) == b"text"

    run(stack, body)


def test_after_a_loop_in_another_thread_the_stack_may_be_had_in_any(stack: Stack) -> None:
    def one_loop() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    in_thread(one_loop)
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind((OWN6, 0))
        assert is_ours(sock)

    async def body(other: Stack) -> None:
        async with await other.start_server(echo, OTHER, 80):
            assert await echoed(await asyncio.open_connection(OTHER, 80)) == b"text"

    asyncio.run(asyncio.sleep(0))
    run(stack, body)


# -- no asyncio loop ------------------------------------------------------------------------------
def test_without_a_loop_nothing_is_connected_or_sent(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    for thread in (lambda call: call(), in_thread):
        with nonblocking() as sock:
            with pytest.raises(OSError, match="no asyncio event loop") as caught:
                thread(lambda sock=sock: sock.connect((OTHER, 80)))
            assert caught.value.errno == errno.ENETDOWN
            caplog.clear()
            assert thread(lambda sock=sock: sock.connect_ex((OTHER, 80))) == errno.ENETDOWN
            assert "no asyncio event loop" in caplog.text
        with nonblocking(socket.SOCK_DGRAM) as sock:
            with pytest.raises(OSError, match="no asyncio event loop"):
                thread(lambda sock=sock: sock.sendto(b"text", (OTHER, 80)))
            with pytest.raises(OSError, match="no asyncio event loop"):
                thread(lambda sock=sock: sock.sendmsg([b"text"], [], 0, (OTHER, 80)))


# -- readiness ------------------------------------------------------------------------------------
def polled(sock: Any) -> tuple[bool, bool]:
    """Whether the kernel says that its descriptor is readable, and writable."""
    readable, writable, _ = select.select([sock], [sock], [], 0)
    return bool(readable), bool(writable)


async def settled(sock: Any, wanted: tuple[bool, bool]) -> None:
    while polled(sock) != wanted:  # noqa: ASYNC110 (what the kernel says is no event of the loop)
        await asyncio.sleep(0.001)


def test_a_connection_is_writable_when_it_is_made_and_not_before(stack: Stack) -> None:
    async def body(other: Stack) -> None:
        async with await other.start_server(echo, OTHER, 80):
            with nonblocking() as sock:
                assert sock.connect_ex((OTHER, 80)) == errno.EINPROGRESS
                assert polled(sock) == (False, False)
                await settled(sock, (False, True))
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
                while True:
                    try:
                        sock.send(bytes(1_000_000))
                    except BlockingIOError:
                        break
                assert polled(sock) == (False, False)

    run(stack, body)


def test_a_connection_that_is_refused_looks_refused(stack: Stack) -> None:
    async def body(other: Stack) -> None:
        with nonblocking() as sock:
            fd = sock.fileno()
            assert sock.connect_ex((OTHER, CLOSED_PORT)) == errno.EINPROGRESS
            assert (sock.fileno(), polled(sock)) == (fd, (False, False))
            await settled(sock, (True, True))
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED

    run(stack, body)


# -- who waits for a socket before it is a stack's -----------------------------------------------
Waiting = Any


def by_reader(loop: Any, sock: Any, got: asyncio.Future[Any]) -> None:
    loop.add_reader(sock, lambda: got.done() or got.set_result(sock.recvfrom(100)))


def by_reader_of_its_number(loop: Any, sock: Any, got: asyncio.Future[Any]) -> None:
    fd = sock.fileno()
    loop.add_reader(fd, lambda: got.done() or got.set_result(sock.recvfrom(100)))


def by_sock_recvfrom(loop: Any, sock: Any, got: asyncio.Future[Any]) -> None:
    task = loop.create_task(loop.sock_recvfrom(sock, 100))
    task.add_done_callback(lambda done: got.set_result(done.result()))


@pytest.mark.parametrize("wait", [by_reader, by_reader_of_its_number, by_sock_recvfrom])
@pytest.mark.parametrize("send", ["sendto", "sock_sendto"])
def test_who_waits_before_the_first_datagram_gets_the_answer(
    stack: Stack, wait: Waiting, send: str
) -> None:
    class Answering(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(data, addr)

    async def body(other: Stack) -> None:
        await other.create_datagram_endpoint(Answering, (OTHER, 9))
        loop = asyncio.get_running_loop()
        got: asyncio.Future[Any] = loop.create_future()
        with nonblocking(socket.SOCK_DGRAM) as sock:
            wait(loop, sock, got)
            await asyncio.sleep(0)
            assert not is_ours(sock)
            if send == "sendto":
                sock.sendto(b"text", (OTHER, 9))
            else:
                await loop.sock_sendto(sock, b"text", (OTHER, 9))
            assert is_ours(sock)
            assert await got == (b"text", (OTHER, 9))
            assert loop.remove_reader(sock) == (wait is not by_sock_recvfrom)
            assert not loop.remove_reader(sock)

    run(stack, body)


def by_select(sock: Any) -> Any:
    return lambda: bool(select.select([sock], [], [], 0)[0])


def by_poll(sock: Any) -> Any:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return lambda: bool(poll.poll(0))


def by_epoll(sock: Any) -> Any:
    epoll = select.epoll()
    epoll.register(sock.fileno(), select.EPOLLIN)
    return lambda: bool(epoll.poll(0))


def by_selectors(sock: Any) -> Any:
    selector = selectors.DefaultSelector()
    selector.register(sock, selectors.EVENT_READ)
    return lambda: [key.fileobj for key, _ in selector.select(0)] == [sock]


@pytest.mark.parametrize("to_poll", [by_select, by_poll, by_epoll, by_selectors])
@pytest.mark.parametrize("bound", [False, True], ids=["unbound", "bound"])
@pytest.mark.parametrize("where", [OTHER, "fd00::1"])
def test_who_polls_before_the_first_datagram_sees_the_answers_and_nothing_else(
    stack: Stack, where: str, bound: bool, to_poll: Any
) -> None:
    async def body(other: Stack) -> None:
        family = socket.AF_INET6 if ":" in where else socket.AF_INET
        with (
            socket.socket(family, socket.SOCK_DGRAM) as sock,
            KernelSocket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
        ):
            sock.setblocking(False)
            if bound:
                sock.bind(("", 0))
            is_readable = to_poll(sock)
            assert not is_readable()
            if bound and family == socket.AF_INET:  # of the kernel's, before it is the stack's
                stranger.sendto(b"stray", ("127.0.0.1", sock.getsockname()[1]))
                assert is_readable()
            sock.sendto(b"text", (where, 9))
            assert is_ours(sock)
            assert not is_readable()
            with other.socket(family, socket.SOCK_DGRAM) as far:
                own = OWN6 if ":" in where else OWN
                for text in (b"one", b"two"):
                    far.sendto(text, (own, sock.getsockname()[1]))
            while not is_readable():  # noqa: ASYNC110 (a poll tells no event)
                await asyncio.sleep(0)
            assert [sock.recv(100), sock.recv(100)] == [b"one", b"two"]
            assert not is_readable()

    run(stack, body)


def test_a_reader_that_was_removed_before_stays_removed(stack: Stack) -> None:
    async def body(other: Stack) -> None:
        loop = asyncio.get_running_loop()
        with nonblocking(socket.SOCK_DGRAM) as sock:
            called: list[int] = []
            loop.add_writer(sock, called.append, 1)
            assert loop.remove_writer(sock)
            sock.sendto(b"text", (OTHER, 9))
            await asyncio.sleep(0.05)
            assert called == []
            loop.add_writer(sock, called.append, 2)
            await asyncio.sleep(0.05)
            assert set(called) == {2}
            loop.remove_writer(sock)

    run(stack, body)


def test_the_kernels_socket_is_watched_as_ever(stack: Stack) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with nonblocking(socket.SOCK_DGRAM) as one, nonblocking(socket.SOCK_DGRAM) as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            got: asyncio.Future[Any] = loop.create_future()
            by_reader(loop, one, got)
            other.sendto(b"text", one.getsockname())
            assert (await got)[0] == b"text"
            assert loop.remove_reader(one)
            assert not is_ours(one)

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


