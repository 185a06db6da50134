"""Calls that are natural and wrong: each is answered by one line that says what would be right."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from pystack import Stack
from pystack.aio import attached
from pystack.aio.devices.cable import Cable
from tests.aio.two_stacks import LEFT, RIGHT, two_stacks

NOT_OPEN = "the stack is not open: use `async with`"
CLOSED = "the stack is closed"
Call = Callable[[Stack], Any]


def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def done(call: Call, stack: Stack) -> None:
    result = call(stack)
    if inspect.isawaitable(result):
        await result


CALLS: list[Call] = [
    lambda stack: stack.open_connection(RIGHT, 80),
    lambda stack: stack.create_connection(asyncio.Protocol, RIGHT, 80),
    lambda stack: stack.start_server(quiet, LEFT, 80),
    lambda stack: stack.create_server(asyncio.Protocol, LEFT, 80),
    lambda stack: stack.create_datagram_endpoint(asyncio.DatagramProtocol, (LEFT, 80)),
    lambda stack: stack.socket(),
    lambda stack: stack.bridge_fd(None),  # type: ignore[arg-type]
    lambda stack: stack.drop_counters(),
    lambda stack: stack.loop,
    lambda stack: stack.leave(),
]


def stack() -> Stack:
    return Stack.over(Cable().left, f"{LEFT}/24", grace=0)


@pytest.mark.parametrize("call", [*CALLS, lambda own: own.enter(asyncio.new_event_loop())])
def test_a_stack_that_nobody_has_opened_says_how(call: Call) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=NOT_OPEN):
            await done(call, stack())

    asyncio.run(main())


@pytest.mark.parametrize("call", CALLS)
def test_a_stack_that_is_closed_says_so(call: Call) -> None:
    async def main() -> None:
        async with stack() as own:
            pass
        with pytest.raises(RuntimeError, match=CLOSED):
            await done(call, own)
        with pytest.raises(RuntimeError, match=CLOSED):
            own.enter(asyncio.get_running_loop())
        with pytest.raises(RuntimeError, match="a stack is opened once; make another one"):
            await own.__aenter__()
        with pytest.raises(RuntimeError), attached(own):
            pass
        assert own.host.counters.in_packets == 0, "what it has counted stays"

    asyncio.run(main())


def test_what_a_stack_has_once_it_is_open_is_missed_with_a_reason() -> None:
    own = stack()
    for name in "host", "device":
        with pytest.raises(AttributeError, match=f"a Stack has no {name} before it is open"):
            getattr(own, name)
        assert not hasattr(own, name)
    with pytest.raises(AttributeError, match="'Stack' object has no attribute 'hots'"):
        own.hots  # type: ignore[attr-defined]  # noqa: B018


def test_with_in_the_place_of_async_with() -> None:
    with (
        pytest.raises(TypeError, match="by `async with`, not by `with`"),
        stack(),  # type: ignore[attr-defined]
    ):
        pass


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda own: own.open_connection(5, 80), "host=5: a text such as"),
        (lambda own: own.open_connection((RIGHT, 80), 80), f"host=('{RIGHT}', 80): a text"),
        (lambda own: own.open_connection(RIGHT, 80, local_addr=LEFT), f"local_addr='{LEFT}': a pa"),
        (lambda own: own.open_connection(RIGHT, 80, ssl="yes"), "ssl='yes': an ssl.SSLContext"),
        (lambda own: own.create_connection(asyncio.Protocol(), RIGHT, 80), "protocol_factory=<"),
        (lambda own: own.start_server(LEFT, 80), f"client_connected_cb='{LEFT}': a function was"),
        (lambda own: own.start_server(None, LEFT, 80), "client_connected_cb=None: a function was"),
        (lambda own: own.start_server(quiet, 80), "host=80: texts such as '198.18.0.2' were"),
        (lambda own: own.start_server(quiet, [80]), "host=80: a text such as '198.18.0.2' was"),
        (lambda own: own.start_server(quiet, LEFT, 80, ssl="yes"), "ssl='yes': an ssl.SSLContext"),
        (lambda own: own.create_server(asyncio.Protocol(), LEFT, 80), "protocol_factory=<"),
        (
            lambda own: own.create_datagram_endpoint(asyncio.DatagramProtocol(), (LEFT, 0)),
            "protocol_factory=<",
        ),
        (
            lambda own: own.create_datagram_endpoint(asyncio.DatagramProtocol, LEFT),
            f"local_addr='{LEFT}': a pair such as",
        ),
    ],
)
def test_what_a_call_cannot_take_is_told_at_once(call: Call, words: str) -> None:
    async def main() -> None:
        async with stack() as own:
            with pytest.raises(TypeError) as caught:
                await asyncio.wait_for(done(call, own), 10)
            assert words in str(caught.value)
            assert "\n" not in str(caught.value)
            assert not own.host.connections
            assert not own.host.listeners

    asyncio.run(main())


@two_stacks()
async def test_a_host_in_bytes_is_its_text_whatever_its_length(left: Stack, right: Stack) -> None:
    await right.start_server(quiet, RIGHT.encode(), 80)  # type: ignore[arg-type]
    _, writer = await left.open_connection(RIGHT.encode(), 80)  # type: ignore[arg-type]
    writer.close()
    with pytest.raises(OSError, match=r"not known|No address|no host"):
        await left.open_connection(b"host", 80)  # type: ignore[arg-type]
