"""Two stacks joined by a wire in memory, on a loop in virtual time.

    @two_stacks()
    async def test_what_one_writes_the_other_reads(left, right): ...

`left` is at 198.18.0.1 and fd00::1, `right` at 198.18.0.2 and fd00::2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from pystack.aio.endpoint.stack import Stack
from pystack.sim.vloop import VirtualLoop
from tests.aio.memory_device import MemoryDevice, joined_devices

LEFT, RIGHT = "198.18.0.1", "198.18.0.2"
LEFT6, RIGHT6 = "fd00::1", "fd00::2"

Body = Callable[[Stack, Stack], Coroutine[Any, Any, None]]


def run(body: Callable[[VirtualLoop], Awaitable[None]]) -> None:
    """Run `body(loop)` in virtual time; exceptions in callbacks fail it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.set_exception_handler(_raise)
        await body(loop)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def _raise(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    failures.append(context)


failures: list[dict[str, Any]] = []


def over(device: MemoryDevice, *addresses: str, loop: VirtualLoop, **options: Any) -> Stack:
    """A stack over `device` with a secret of its own and the loop's time."""
    secret = device.name.encode().ljust(32, b".")
    return Stack.over(device, *addresses, clock=loop.now_us, secret=secret, **options)


def two_stacks(
    *, mtu: int = 1500, offload: bool = False, sysctl: Mapping[str, str | int] | None = None,
    **options: Any,
) -> Callable[[Body], Callable[[], None]]:  # fmt: skip
    """Make a test of an async function of two stacks."""

    def decorate(body: Body) -> Callable[[], None]:
        async def with_stacks(loop: VirtualLoop) -> None:
            failures.clear()
            left, right = joined_devices(mtu=mtu, offload=offload)
            make = partial(over, loop=loop, sysctl=sysctl, **options)
            async with (
                make(left, f"{LEFT}/24", f"{LEFT6}/64") as one,
                make(right, f"{RIGHT}/24", f"{RIGHT6}/64") as other,
            ):
                await body(one, other)
            assert not failures, failures
            for stack in one, other:
                assert stack.host.counters.owner_errors == 0

        def test() -> None:
            run(with_stacks)

        test.__name__ = body.__name__
        test.__doc__ = body.__doc__
        test.__module__ = body.__module__
        return test

    return decorate


def take_failures() -> list[dict[str, Any]]:
    """What the loop's exception handler was told; the test expected it."""
    taken = list(failures)
    failures.clear()
    return taken


def device_of(stack: Stack) -> MemoryDevice:
    """The memory device under a stack of these."""
    assert isinstance(stack.device, MemoryDevice)
    return stack.device
