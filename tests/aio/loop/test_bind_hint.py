"""Who asks the kernel for an address that only a stack has is told what would have been right."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pystack import Stack
from pystack.aio import EventLoop, attached
from pystack.aio.devices.cable import Cable

OWN, OWN6 = "198.18.77.2", "fd77::2"
HINT = "is an address of a stack, and not the kernel's: call stack.start_server"


def nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def stack(*addresses: str) -> Stack:
    return Stack.over(Cable().left, *(addresses or (f"{OWN}/24", f"{OWN6}/64")), grace=0)


def hints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if HINT in record.getMessage()]


async def serve(own: str) -> None:
    await asyncio.start_server(nobody, own, 80)


async def serve_datagrams(own: str) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(own, 0))


async def connect_from(own: str) -> None:
    far = "127.0.0.1" if own == OWN else "::1"
    await asyncio.open_connection(far, 9, local_addr=(own, 0))


async def bind(own: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in own else socket.AF_INET) as sock:
        sock.bind((own, 80))


def kernel_speaks_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("call", [serve, serve_datagrams, connect_from, bind])
@pytest.mark.parametrize("own", [OWN, *[OWN6] * kernel_speaks_ipv6()])
def test_it_is_told_once_for_each_address_whatever_the_call(
    caplog: pytest.LogCaptureFixture, call: Callable[[str], Coroutine[Any, Any, None]], own: str
) -> None:
    async def main() -> None:
        async with stack():
            for _ in range(3):
                with pytest.raises(OSError):  # noqa: PT011 (whatever the kernel says to that)
                    await call(own)

    asyncio.run(main())
    (hint,) = hints(caplog)
    assert hint.startswith(own)
    assert "pystack.aio.attached(stack)" in hint
    assert "\n" not in hint


def test_the_error_itself_is_the_kernels(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with stack():
            await bind(OWN)

    with pytest.raises(OSError) as caught:  # noqa: PT011 (its number is looked at)
        asyncio.run(main())
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert hints(caplog)


def test_it_is_told_in_other_threads_too(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with stack():
            with pytest.raises(OSError):  # noqa: PT011
                await asyncio.to_thread(asyncio.run, bind(OWN))

    asyncio.run(main())
    assert len(hints(caplog)) == 1


def test_where_the_stacks_calls_are_found_or_it_is_closed_nothing_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with stack() as own:
            with attached(own):
                async with await asyncio.start_server(nobody, OWN, 80):
                    pass
            async with await own.start_server(nobody, OWN, 80):
                pass
        with pytest.raises(OSError):  # noqa: PT011
            await bind(OWN)

    asyncio.run(main())
    with asyncio.Runner(loop_factory=lambda: EventLoop(stack())) as runner:
        runner.run(serve(OWN))
    assert not hints(caplog)


def test_addresses_that_the_kernel_has_or_nobody_are_its_own_affair(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with stack(f"{OWN}/24", "127.0.0.1/8"):
            await serve_datagrams("127.0.0.1")
            for own in ("198.18.77.3", "203.0.113.5"):
                with pytest.raises(OSError):  # noqa: PT011
                    await bind(own)

    asyncio.run(main())
    assert not hints(caplog)
