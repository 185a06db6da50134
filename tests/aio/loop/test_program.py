"""A program that makes sockets and loops itself, on a stack that outlives its loops."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import pickle
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from pystack.aio.devices.cable import Cable
from pystack.aio.endpoint.stack import Stack
from pystack.aio.handles.stack_socket import StackSocket
from pystack.aio.loop.event_loop import EventLoop
from pystack.aio.loop.install import end, installed, refusing
from pystack.tcp.tcb import Tcb
from pystack.wire import address
from tests.surroundings import PATIENCE

OWN, OTHER = "198.18.0.2", "198.18.0.1"
OWN6 = "fd00::2"
MUCH = bytes(range(256)) * 4000
REAL_SOCKET = socket.socket

Body = Callable[[Stack], Coroutine[Any, Any, None]]


@pytest.fixture
def stack() -> Iterator[Stack]:
    """What `pystack run` has: a stack, open, on no loop, and all of Python's doors lead to it."""
    cable = Cable()
    names = {"web": [OWN, OWN6], "other": OTHER, "db": OTHER, "Büro.example": OTHER}
    made = Stack.over(cable.left, f"{OWN}/24", f"{OWN6}/64", names=names, grace=0.1)

    async def opened() -> None:
        await made.__aenter__()
        await made.leave()

    with asyncio.Runner() as runner:
        runner.run(opened())
    made.far = cable.right  # type: ignore[attr-defined]
    with installed(made):
        yield made
    end(made)


def run(stack: Stack, body: Body) -> None:
    """Run `body(other)`, `other` being the stack at the far end, as a program does."""

    async def main() -> None:
        far = stack.far  # type: ignore[attr-defined]
        async with Stack.over(far, f"{OTHER}/24", "fd00::1/64", grace=0.1) as other:
            await asyncio.wait_for(body(other), PATIENCE)

    asyncio.run(main())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())
    writer.close()


async def echoed(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
    reader, writer = streams
    writer.write(b"text")
    writer.write_eof()
    found = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return found


# -- servers --------------------------------------------------------------------------------------
@pytest.mark.parametrize("host", [OWN, "0.0.0.0", None, "web"])
def test_a_program_serves_at_the_stacks_addresses_and_at_all(stack: Stack, host: str) -> None:
    async def body(other: Stack) -> None:
        async with await asyncio.start_server(echo, host, 80):
            assert await echoed(await other.open_connection(OWN, 80)) == b"text"

    run(stack, body)


def test_a_server_at_another_address_is_the_kernels(stack: Stack) -> None:
    async def body(other: Stack) -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            assert await echoed(await asyncio.open_connection("localhost", port)) == b"text"

    run(stack, body)


def test_one_server_listens_at_addresses_of_both(stack: Stack) -> None:
    async def body(other: Stack) -> None:
        async with await asyncio.start_server(echo, [OWN, "127.0.0.1"], 7070) as server:
            names = sorted(one.getsockname()[0] for one in server.sockets)
            assert names == ["127.0.0.1", OWN]
            assert await echoed(await other.open_connection(OWN, 7070)) == b"text"
            assert await echoed(await asyncio.open_connection("127.0.0.1", 7070)) == b"text"

    run(stack, body)


def test_a_socket_that_was_bound_before_there_was_a_loop_serves(stack: Stack) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((OWN, 0))
    sock.listen(5)
    sock.setblocking(False)
    sock.set_inheritable(True)
    place = sock.getsockname()
    assert isinstance(sock, socket.socket)
    assert (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_STREAM)

    async def body(other: Stack) -> None:
        async with await asyncio.start_server(echo, sock=sock):
            assert await echoed(await other.open_connection(*place)) == b"text"
        assert sock.fileno() == -1

    run(stack, body)


# -- sockets --------------------------------------------------------------------------------------
def test_a_socket_becomes_a_stacks_by_the_address_that_it_connects_to(stack: Stack) -> None:
    async def body(other: Stack) -> None:
        loop = asyncio.get_running_loop()
        server = await other.start_server(echo, OTHER, 80)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            await loop.sock_connect(sock, (OTHER, 80))
            assert sock.getpeername() == (OTHER, 80)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 200_000
            assert sock.gettimeout() == 0
            await loop.sock_sendall(sock, b"text")
            sock.shutdown(socket.SHUT_WR)
            assert await loop.sock_recv(sock, 100) == b"text"
            assert await loop.sock_recv(sock, 100) == b""
        server.close()

    run(stack, body)


def test_a_mapped_address_counts_as_what_it_stands_for(stack: Stack) -> None:
    async def body(other: Stack) -> None:
        loop = asyncio.get_running_loop()
        server = await other.start_server(echo, OTHER, 80)
        with socket.socket(socket.AF_INET6) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setblocking(False)
            await loop.sock_connect(sock, (f"::ffff:{OTHER}", 80))
            assert sock.getpeername()[:2] == (f"::ffff:{OTHER}", 80)
        server.close()

    run(stack, body)


def test_other_sockets_stay_the_kernels(stack: Stack) -> None:
    one, other = socket.socketpair()
    with one, other:
        one.send(b"x")
        assert other.recv(1) == b"x"
        assert not (isinstance(one, StackSocket) and one.is_ours)
    with socket.socket() as listening, socket.socket() as client:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        client.connect(listening.getsockname())
        child, _ = listening.accept()
        with child:
            child.sendall(b"text")
            assert client.recv(10) == b"text"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert socket.create_connection(listening.getsockname()[:2]).close() is None


def test_a_socket_bound_to_an_address_of_the_kernels_stays_its(stack: Stack) -> None:
    async def body(other: Stack) -> None:
        with socket.socket() as sock:
            sock.setblocking(False)
            sock.bind(("127.0.0.1", 0))
            sock.connect_ex((OTHER, 80))
            assert isinstance(sock, StackSocket)
            assert not sock.is_ours
            assert sock.getsockname()[0] == "127.0.0.1"

    run(stack, body)


def test_wait_closed_waits_for_clients_where_that_of_asyncio_does(stack: Stack) -> None:
    async def body(other: Stack) -> None:
        accepted = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set()
            await echo(reader, writer)

        server = await asyncio.start_server(serve, OWN, 80)
        reader, writer = await other.open_connection(OWN, 80)
        await accepted.wait()
        server.close()
        waiting = asyncio.create_task(server.wait_closed())
        await asyncio.sleep(0.05)
        assert waiting.done() == (sys.version_info < (3, 12))
        assert await echoed((reader, writer)) == b"text"
        await waiting

    run(stack, body)


def test_a_blocking_call_says_what_to_do_instead(stack: Stack) -> None:
    with socket.socket() as sock, pytest.raises(NotImplementedError, match="bridge_fd"):
        sock.connect((OTHER, 80))


def test_the_wildcard_of_ipv6_is_that_of_ipv4_too_unless_it_may_not(stack: Stack) -> None:
    stack.host.addresses.remove(address.pack(OWN6))

    async def body(other: Stack) -> None:
        sock = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
        async with await asyncio.start_server(echo, sock=sock):
            assert await echoed(await other.open_connection(OWN, 80)) == b"text"
        with socket.create_server(("::", 0), family=socket.AF_INET6) as sock:
            assert not getattr(sock, "is_ours", False)

    run(stack, body)


def test_a_thread_of_its_own_listens_at_the_kernel(stack: Stack) -> None:
    def in_thread() -> None:
        with (
            socket.create_server(("0.0.0.0", 0)) as listening,
            socket.create_connection(("127.0.0.1", listening.getsockname()[1])) as client,
        ):
            listening.accept()[0].close()
            assert client.recv(1) == b""

    async def body(other: Stack) -> None:
        await asyncio.to_thread(in_thread)

    run(stack, body)


# -- threads that block ---------------------------------------------------------------------------
def test_a_thread_may_block_while_the_loop_carries_its_text(stack: Stack) -> None:
    def in_thread(host: str) -> bytes:
        with socket.create_connection((host, 80), timeout=PATIENCE) as sock:
            assert sock.getpeername() == (OTHER, 80)
            assert sock.getsockname()[0] == OWN
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            sock.sendall(MUCH)
            sock.shutdown(socket.SHUT_WR)
            with sock.makefile("rb") as file:
                return file.read()

    async def body(other: Stack) -> None:
        async with await other.start_server(echo, OTHER, 80):
            for host in OTHER, "other":
                assert await asyncio.to_thread(in_thread, host) == MUCH

    run(stack, body)


def test_what_a_thread_is_refused_is_the_same_error(stack: Stack) -> None:
    def in_thread() -> None:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((OTHER, 80), timeout=PATIENCE)
        with socket.socket() as sock:
            assert sock.connect_ex((OTHER, 80)) == errno.ECONNREFUSED

    async def body(other: Stack) -> None:
        await asyncio.to_thread(in_thread)

    run(stack, body)


def test_a_threads_timeout_is_kept_and_leaves_nothing(stack: Stack) -> None:
    def in_thread() -> None:
        with pytest.raises(TimeoutError):
            socket.create_connection(("198.18.0.99", 80), timeout=0.2)
        with (
            socket.create_connection((OTHER, 80), timeout=0.2) as sock,
            pytest.raises(TimeoutError),
        ):
            sock.recv(1)

    async def body(other: Stack) -> None:
        async with await other.start_server(echo, OTHER, 80):
            await asyncio.to_thread(in_thread)

    run(stack, body)
    assert not [one for one in stack.host.connections.values() if isinstance(one, Tcb)]


def test_without_a_loop_that_runs_nothing_can_block(stack: Stack) -> None:
    said: list[str] = []

    def in_thread() -> None:
        try:
            socket.create_connection((OTHER, 80))
        except NotImplementedError as error:
            said.append(str(error))

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert "only while the stack's event loop runs" in said[0]


def test_a_stacks_socket_goes_to_no_other_process(stack: Stack) -> None:
    with socket.socket() as sock:
        sock.bind((OWN, 0))
        with pytest.raises(NotImplementedError, match="with one process"):
            pickle.dumps(sock)
        with pytest.raises(NotImplementedError, match="its own process"):
            sock.dup()


def test_a_name_in_idna_2008_is_the_resolvers_affair(stack: Stack) -> None:
    async def body(other: Stack) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(socket.gaierror):  # without a way to the Internet
            await loop.getaddrinfo(b"xn--fa-hia.invalid", 80)
        assert (await loop.getaddrinfo(b"web", 80, family=socket.AF_INET))[0][4] == (OWN, 80)

    run(stack, body)


def test_an_address_of_neither_is_the_kernels_error(stack: Stack) -> None:
    with socket.socket() as sock, pytest.raises(OSError, match="Cannot assign requested address"):
        sock.bind(("203.0.113.1", 80))


# -- loops ----------------------------------------------------------------------------------------
def test_every_way_to_a_loop_leads_to_the_stack(stack: Stack) -> None:
    for make in (asyncio.new_event_loop, asyncio.SelectorEventLoop,
                 asyncio.DefaultEventLoopPolicy().new_event_loop):  # fmt: skip
        loop = make()
        assert isinstance(loop, EventLoop)
        loop.run_until_complete(asyncio.sleep(0))
        assert list(loop.stacks) == [stack]
        loop.close()
    with pytest.raises(ImportError, match="knows the kernel only"):
        import uvloop  # noqa: F401


def test_loops_that_follow_each_other_share_the_stack(stack: Stack) -> None:
    async def main() -> None:
        server = await asyncio.start_server(echo, OWN, 80)
        assert await echoed(await asyncio.open_connection(OWN, 80)) == b"text"
        server.close()

    asyncio.run(main())
    asyncio.run(main())


def test_a_second_loop_beside_the_first_has_the_kernel_only(stack: Stack) -> None:
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    assert isinstance(first, EventLoop)
    assert isinstance(second, EventLoop)
    server = first.run_until_complete(serving())
    second.run_until_complete(asyncio.sleep(0))
    assert (list(first.stacks), list(second.stacks)) == ([stack], [])
    server.close()
    second.close()
    first.close()


async def serving() -> asyncio.AbstractServer:
    return await asyncio.start_server(echo, OWN, 80)


def test_a_loop_that_never_ran_or_has_nothing_open_gives_the_stack_to_one_that_runs(
    stack: Stack,
) -> None:
    unused, ended = asyncio.new_event_loop(), asyncio.new_event_loop()
    ended.run_until_complete(asyncio.sleep(0))

    async def main() -> None:
        server = await serving()
        opening = asyncio.open_connection(OWN, 80)
        assert await echoed(await asyncio.wait_for(opening, PATIENCE)) == b"text"
        server.close()

    asyncio.run(main())
    ended.close()
    unused.close()


def test_connections_of_a_loop_end_with_it_and_what_they_wrote_arrives(stack: Stack) -> None:
    got = bytearray()

    async def body(other: Stack) -> None:
        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.extend(await reader.read())
            writer.close()

        await other.start_server(take, OTHER, 80)
        _, writer = await asyncio.open_connection(OTHER, 80)
        writer.write(b"last words")
        await asyncio.sleep(0.05)
        writer.close()

    run(stack, body)
    assert got == b"last words"


def test_a_loop_may_run_in_another_thread_than_the_one_that_made_it(stack: Stack) -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def served() -> bytes:
        async with await asyncio.start_server(echo, OWN, 80):
            return await echoed(await asyncio.open_connection(OWN, 80))

    assert asyncio.run_coroutine_threadsafe(served(), loop).result(10) == b"text"
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_afterwards_all_is_as_before() -> None:
    assert socket.socket is REAL_SOCKET
    assert not issubclass(asyncio.SelectorEventLoop, EventLoop)
    assert not [one for one in sys.meta_path if "Uvloop" in type(one).__name__]
    loop = asyncio.new_event_loop()
    assert not isinstance(loop, EventLoop)
    loop.close()


def test_loops_of_several_threads_and_the_refusals_between_them_take_turns(stack: Stack) -> None:
    failures: list[BaseException] = []

    def loops() -> None:
        try:
            for _ in range(200):
                asyncio.run(asyncio.sleep(0))
        except BaseException as error:
            failures.append(error)

    with refusing(stack, hint=lambda: None):
        threads = [threading.Thread(target=loops) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert failures == []


def test_a_loop_that_was_told_to_stop_can_be_closed_and_others_follow(stack: Stack) -> None:
    for _ in range(2):
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(serving())
        loop.stop()
        loop.close()
        assert loop.is_closed()
        assert not server.is_serving()
        asyncio.run(asyncio.sleep(0))


def test_a_loop_is_closed_while_another_one_runs_in_the_thread(stack: Stack) -> None:
    first = asyncio.new_event_loop()
    first.run_until_complete(serving())

    async def main() -> None:
        first.close()

    asyncio.run(main())
    assert first.is_closed()
    asyncio.run(connected_to_itself())


async def connected_to_itself() -> None:
    async with await asyncio.start_server(echo, OWN, 80):
        assert await echoed(await asyncio.open_connection(OWN, 80)) == b"text"


def test_a_loop_in_a_thread_takes_the_stack_when_it_uses_it(stack: Stack) -> None:
    def elsewhere() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(asyncio.sleep(0))
        assert stack.driver is None  # most loops in threads do something else
        loop.run_until_complete(connected_to_itself())
        loop.close()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(PATIENCE)
    asyncio.run(connected_to_itself())


def test_uvloop_is_a_module_that_is_not_found(stack: Stack) -> None:
    with pytest.raises(ModuleNotFoundError, match="knows the kernel only") as caught:
        import uvloop  # noqa: F401
    assert caught.value.name == "uvloop"
