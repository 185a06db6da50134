"""One scenario on asyncio's own loop, over the kernel's loopback, and on an `EventLoop`."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from pystack.aio.devices.cable import Cable
from pystack.aio.endpoint.stack import Stack
from pystack.aio.loop.event_loop import EventLoop
from tests.surroundings import PATIENCE

T = TypeVar("T")

KERNEL, KERNEL6 = "127.0.0.1", "::1"
NEAR, NEAR6 = "198.18.0.1", "fd00::1"  # where connections begin
FAR, FAR6 = "198.18.0.2", "fd00::2"  # where servers are
_NEW_WORDS = {  # Python 3.13 says the same with others
    "): [errno 98] ": "): ", "): [errno 99] ": "): ", "A datagram socket was": "A UDP Socket was",
}  # fmt: skip


@dataclass
class Ends:
    """`address` and `address6` are where to listen, `socket` makes a socket there; `client` makes
    one for the other end."""

    address: str
    address6: str
    socket: Callable[..., socket.socket]
    client: Callable[..., socket.socket]


Scenario = Callable[[Ends], Coroutine[Any, Any, T]]


def on_kernel(scenario: Scenario[T]) -> T:
    """What it returns on asyncio's own loop."""
    ends = Ends(KERNEL, KERNEL6, socket.socket, socket.socket)
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(asyncio.wait_for(scenario(ends), PATIENCE))


def on_stacks(scenario: Scenario[T], **options: Any) -> T:
    """What it returns on an `EventLoop` with two stacks."""
    near, far = two_on_a_cable(**options)
    ends = Ends(FAR, FAR6, far.socket, near.socket)
    with asyncio.Runner(loop_factory=lambda: EventLoop(near, far)) as runner:
        return runner.run(asyncio.wait_for(scenario(ends), PATIENCE))


def two_on_a_cable(*, grace: float = 0.1, **options: Any) -> tuple[Stack, Stack]:
    """A stack at NEAR and one at FAR, to be opened."""
    cable = Cable()
    return (
        Stack.over(cable.left, f"{NEAR}/24", f"{NEAR6}/64", grace=grace, **options),
        Stack.over(cable.right, f"{FAR}/24", f"{FAR6}/64", grace=grace, **options),
    )


def same(scenario: Scenario[T]) -> T:
    """What it returns on both, which is the same."""
    found, expected = on_stacks(scenario), on_kernel(scenario)
    assert found == expected, f"a stack: {found}\nthe kernel: {expected}"
    return found


async def failure_of(call: Coroutine[Any, Any, object]) -> str:
    """The exception that `call` raises: its class, errno, and text if asyncio has made that."""
    try:
        await call
    except Exception as error:
        text = str(error).replace(FAR6, KERNEL6).replace(FAR, KERNEL)
        text = re.sub(r"(Connect call failed \(.*?\)): [a-z ]+", r"\1", text)  # we say why, too
        for new, usual in _NEW_WORDS.items():
            text = text.replace(new, usual)
        number = error.errno if isinstance(error, OSError) else None
        plain = number is not None and "address" not in text and "failed" not in text
        return f"{type(error).__name__} {number} {'' if plain else text}"
    return "none"
