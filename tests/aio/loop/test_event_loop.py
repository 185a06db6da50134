"""`EventLoop`: what it opens and closes, and which of the kernel and the stacks a call goes to."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
import sys
import time
import warnings
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine
from errno import EINVAL
from pathlib import Path
from typing import Any

import pytest

from pystack.aio.endpoint.stack import Stack
from pystack.aio.loop.event_loop import EventLoop, attached
from pystack.errors import SetupError
from pystack.sim.vloop import VirtualLoop
from tests.aio.as_asyncio.both_loops import FAR, KERNEL, NEAR, NEAR6, two_on_a_cable
from tests.aio.leftovers import descriptors
from tests.aio.memory_device import joined_devices
from tests.surroundings import PATIENCE

Main = Callable[[Stack, Stack], Coroutine[Any, Any, None]]


def run(main: Main, **options: Any) -> None:
    """Run `main(near, far)` on an EventLoop with these two stacks."""
    near, far = two_on_a_cable(**options)
    with asyncio.Runner(loop_factory=lambda: EventLoop(near, far)) as runner:
        runner.run(asyncio.wait_for(main(near, far), PATIENCE))


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError):
        writer.write(await reader.read())


async def sockname_after_echo(*place: Any, **options: Any) -> Any:
    """The address of our end of a connection over which an echo came."""
    reader, writer = await asyncio.open_connection(*place, **options)
    with contextlib.closing(writer):
        writer.write(b"text")
        writer.write_eof()
        assert await reader.read() == b"text"
        return writer.get_extra_info("sockname")


# -- begin and end --------------------------------------------------------------------------------
def test_stacks_are_opened_and_closed_with_the_loop() -> None:
    before = descriptors()
    near, far = two_on_a_cable()
    loop = EventLoop(near, far)
    assert near.is_open
    assert far.is_open
    assert list(loop.stacks) == [near, far]
    loop.close()
    loop.close()
    assert near.is_closed
    assert far.is_closed
    gc.collect()
    assert descriptors() == before


def test_a_stack_that_cannot_be_opened_is_a_setup_error_and_leaves_nothing() -> None:
    async def fails() -> Any:
        raise SetupError(EINVAL, "no device", "make one")

    gc.collect()
    before = descriptors()
    near, _ = two_on_a_cable()
    with pytest.raises(SetupError, match="no device"):
        EventLoop(near, Stack(fails, ["198.18.1.1/24"]))
    assert near.is_closed
    gc.collect()
    assert descriptors() == before


def test_where_a_loop_runs_already_it_says_what_to_do() -> None:
    async def main() -> None:
        near, _ = two_on_a_cable()
        with pytest.raises(RuntimeError, match="attached"):
            EventLoop(near)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        gc.collect()


def test_interrupted_while_it_closes_it_does_without_the_grace() -> None:
    left, right = joined_devices()
    near = Stack.over(left, f"{NEAR}/24", grace=20)
    loop = EventLoop(near, Stack.over(right, f"{FAR}/24", grace=20))
    kept: list[object] = []

    async def leave_open() -> None:
        await asyncio.start_server(echo, FAR, 7)
        kept.append(await asyncio.open_connection(FAR, 7))
        left.lose = right.lose = lambda packet: True

    def interrupt() -> None:
        raise KeyboardInterrupt

    loop.run_until_complete(leave_open())
    loop.call_later(0.1, interrupt)
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(KeyboardInterrupt):
            loop.close()
    assert time.monotonic() - began < 18  # a grace is 20 s
    assert loop.is_closed()
    assert near.is_closed


def test_a_stack_of_another_loop_is_refused() -> None:
    near, _ = two_on_a_cable()
    first = EventLoop(near)
    with pytest.raises(ValueError, match="another loop"):
        EventLoop(near)
    assert near.is_open
    with pytest.raises(ValueError, match="not attached"):
        first.detach(two_on_a_cable()[0])
    first.close()


# -- attached to a loop that runs -----------------------------------------------------------------
def test_a_stack_is_attached_to_a_running_loop_for_a_while() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = two_on_a_cable()
        async with near, far:
            with attached(near) as made, attached(far), attached(far):
                assert made is loop
                assert list(made.stacks) == [near, far]
                async with await asyncio.start_server(echo, FAR, 7):
                    assert (await sockname_after_echo(FAR, 7))[0] == NEAR
            assert type(loop) is asyncio.SelectorEventLoop
            with pytest.raises(OSError, match="bind on"):
                await asyncio.start_server(echo, FAR, 7)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())


def test_a_stack_that_the_loop_has_anyway_stays_when_it_is_attached_and_not() -> None:
    async def main(near: Stack, far: Stack) -> None:
        with attached(far) as loop:
            pass
        assert list(loop.stacks) == [near, far]

    run(main)


def test_a_loop_of_a_users_own_class_stays_one() -> None:
    class Own(asyncio.SelectorEventLoop):
        def word(self) -> str:
            return "mine"

    async def main() -> None:
        near, _ = two_on_a_cable()
        async with near:
            with attached(near) as loop:
                assert isinstance(loop, Own)
                assert loop.word() == "mine"
            assert type(loop) is Own

    with asyncio.Runner(loop_factory=Own) as runner:
        runner.run(main())


def test_a_loop_that_is_none_of_asyncios_selector_loops_is_refused() -> None:
    async def main() -> None:
        async with Stack.over(joined_devices()[0], f"{NEAR}/24", grace=0) as stack:
            with pytest.raises(TypeError, match="cannot take a stack: run"), attached(stack):
                pass

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


# -- the kernel's or a stack's --------------------------------------------------------------------
def test_addresses_of_the_kernel_are_the_kernels() -> None:
    async def main(near: Stack, far: Stack) -> None:
        async with await asyncio.start_server(echo, KERNEL, 0) as server:
            port = server.sockets[0].getsockname()[1]
            assert (await sockname_after_echo(KERNEL, port))[0] == KERNEL
            sock = socket.create_connection((KERNEL, port))
            assert (await sockname_after_echo(sock=sock))[0] == KERNEL
        assert not near.host.counters.active_opens

    run(main)


def test_one_server_may_be_at_addresses_of_the_kernel_and_of_two_stacks() -> None:
    async def main(near: Stack, far: Stack) -> None:
        server = await asyncio.start_server(echo, [KERNEL, NEAR, FAR], 0)
        places = [one.getsockname() for one in server.sockets]
        assert sorted(host for host, _ in places) == [KERNEL, NEAR, FAR]
        for place in places:
            await sockname_after_echo(*place)
        serving = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert not server.is_serving()
        assert not server.sockets
        await server.wait_closed()
        for place in places:
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(*place)

    run(main)


def test_a_server_that_cannot_have_all_places_has_none() -> None:
    async def main(near: Stack, far: Stack) -> None:
        with socket.create_server((KERNEL, 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match="address already in use"):
                await asyncio.start_server(echo, [NEAR, FAR, KERNEL], port)
        for host in NEAR, FAR:
            async with await asyncio.start_server(echo, host, port):
                pass

    run(main)


@pytest.mark.parametrize("host", [None, "", "0.0.0.0"])
def test_a_wildcard_is_the_first_stacks(host: str | None) -> None:
    async def main(near: Stack, far: Stack) -> None:
        async with await asyncio.start_server(echo, host, 7):
            assert (await sockname_after_echo(NEAR, 7))[0] == FAR
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(KERNEL, 7)
        with pytest.raises(OSError):  # noqa: PT011
            await asyncio.start_server(echo, host, 7, family=socket.AF_UNIX)

    run(main)


@pytest.mark.parametrize("delay", [None, 0.01])
def test_of_a_names_addresses_each_goes_its_own_way(delay: float | None) -> None:
    async def main(near: Stack, far: Stack) -> None:
        options = {} if delay is None else {"happy_eyeballs_delay": delay}
        async with await asyncio.start_server(echo, KERNEL, 0) as server:
            port = server.sockets[0].getsockname()[1]
            found = await asyncio.get_running_loop().getaddrinfo("both", port, type=1)
            assert [info[4][0] for info in found] == [FAR, KERNEL]
            assert (await sockname_after_echo("both", port, **options))[0] == KERNEL
            async with await asyncio.start_server(echo, FAR, port):
                assert (await sockname_after_echo("both", port, **options))[0] == NEAR

    run(main, names={"both": [FAR, KERNEL]})


@pytest.mark.parametrize(
    ("own", "host"), [("0.0.0.0", NEAR), (NEAR, NEAR), ("::", NEAR6), (NEAR6, NEAR6)]
)
def test_a_local_address_may_be_any_or_one(own: str, host: str) -> None:
    async def main(near: Stack, far: Stack) -> None:
        async with await asyncio.start_server(echo, [FAR, "fd00::2"], 7):
            there = FAR if ":" not in own else "fd00::2"
            found = await sockname_after_echo(there, 7, local_addr=(own, 5000))
            assert found[:2] == (host, 5000)

    run(main)


@pytest.mark.skipif(not Path("/etc/services").exists(), reason="no /etc/services (netbase)")
def test_ports_may_be_texts_and_names_of_services() -> None:
    async def main(near: Stack, far: Stack) -> None:
        for port, number in (("8080", 8080), ("discard", 9)):
            async with await asyncio.start_server(echo, FAR, port) as server:
                assert server.sockets[0].getsockname()[1] == number
                await sockname_after_echo(FAR, port)

    run(main)


def test_a_stack_that_is_detached_is_asked_no_more_and_what_is_open_goes_on() -> None:
    async def main(near: Stack, far: Stack) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, EventLoop)
        async with await asyncio.start_server(echo, FAR, 7):
            reader, writer = await asyncio.open_connection(FAR, 7)
            loop.detach(near)
            loop.detach(far)
            with pytest.raises(OSError, match="bind on"):
                await asyncio.start_server(echo, FAR, 8)
            writer.write(b"text")
            writer.write_eof()
            assert await reader.read() == b"text"
            writer.close()
            loop.attach(near)
            loop.attach(far)

    run(main)


def test_what_has_nothing_to_do_with_stacks_is_as_ever(tmp_path: Path) -> None:
    """Unix sockets, processes, threads and signals."""

    async def main(near: Stack, far: Stack) -> None:
        loop = asyncio.get_running_loop()
        path = str(tmp_path / "socket")
        async with await asyncio.start_unix_server(echo, path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"text")
            writer.write_eof()
            assert await reader.read() == b"text"
            writer.close()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('text')", stdout=asyncio.subprocess.PIPE
        )
        assert await process.communicate() == (b"text\n", None)
        assert await asyncio.to_thread(str.upper, "text") == "TEXT"
        told = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, told.set)
        signal.raise_signal(signal.SIGUSR1)
        await told.wait()
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main)


# -- TLS ------------------------------------------------------------------------------------------
def test_under_tls_a_transport_knows_its_socket_and_its_certificate(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async def main(near: Stack, far: Stack) -> None:
        async with await asyncio.start_server(echo, FAR, 443, ssl=contexts[0]):
            _, writer = await asyncio.open_connection(FAR, 443, ssl=contexts[1])
            known = writer.get_extra_info
            assert known("peername") == (FAR, 443)
            assert known("socket").getpeername() == (FAR, 443)
            assert known("socket").fileno() >= 0
            assert known("tcp_info").tcpi_bytes_acked > 100
            assert known("ssl_object").version() == "TLSv1.3"
            assert known("sslcontext") is contexts[1]
            assert dict(known("peercert"))["subject"] == ((("commonName", "right"),),)
            assert known("cipher")
            assert known("nothing", 5) == 5
            facade = known("socket")
            writer.close()
            await writer.wait_closed()
            assert facade.fileno() == -1

    run(main)


@pytest.mark.parametrize("silent", ["server", "client"])
def test_who_says_nothing_in_a_handshake_is_given_up(
    silent: str, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async def main(near: Stack, far: Stack) -> None:
        patience = {"ssl_handshake_timeout": 0.1}
        if silent == "server":
            kept: list[StreamWriter] = []

            def hold(_: StreamReader, writer: StreamWriter) -> None:
                kept.append(writer)

            async with await asyncio.start_server(hold, FAR, 443):
                with pytest.raises(ConnectionAbortedError, match=r"longer than 0\.1 seconds"):
                    await asyncio.open_connection(FAR, 443, ssl=contexts[1], **patience)
                kept[0].close()
        else:
            server = await asyncio.start_server(echo, FAR, 443, ssl=contexts[0], **patience)
            async with server:
                reader, writer = await asyncio.open_connection(FAR, 443)
                assert await reader.read() == b""
                writer.close()

    run(main)


def test_a_handshake_that_fails_is_raised_here_and_told_there_in_debug_mode(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async def main(near: Stack, far: Stack) -> None:
        told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.set_exception_handler(lambda _, context: told.put_nowait(context))
        async with await asyncio.start_server(echo, FAR, 443, ssl=contexts[0]):
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.open_connection(FAR, 443, ssl=True)
            context = await told.get()
            assert "Error on transport creation" in context["message"]
            with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
                await asyncio.open_connection(FAR, 443, ssl=contexts[1],
                                              server_hostname="198.18.0.9")  # fmt: skip

    run(main)
