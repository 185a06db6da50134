"""Running a coroutine up to its n-th suspension and cancelling it there."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

Main = Callable[[], Coroutine[Any, Any, object]]


@types.coroutine
def stepped(
    coroutine: Coroutine[Any, Any, object], at: int, woken: bool
) -> Generator[Any, Any, bool]:
    """Run it and cancel it at its `at`-th suspension: while it waits, or when it is `woken`, in the
    turn in which it would have gone on. Returns whether it came to that.

    What it does about the cancellation, `finally` and `async with`, is waited for. Raises
    AssertionError if it goes on as if nothing had happened.
    """
    task = asyncio.current_task()
    assert task is not None
    suspensions = 0
    step: Callable[[Any], Any] = coroutine.send
    argument: Any = None
    try:
        while True:
            waits_for = step(argument)
            suspensions += 1
            if suspensions == at and not woken:
                asyncio.get_running_loop().call_soon(task.cancel)
            try:
                step, argument = coroutine.send, (yield waits_for)
            except BaseException as error:
                step, argument = coroutine.throw, error
            if suspensions == at and woken:
                step, argument = coroutine.throw, asyncio.CancelledError()
    except StopIteration:
        assert suspensions < at, f"it took no notice of being cancelled at suspension {at}"
        return False
    except asyncio.CancelledError:
        assert suspensions >= at
        return True


async def cancelled_everywhere(
    main: Main, woken: bool, check: Callable[[int], Coroutine[Any, Any, None]]
) -> int:
    """Run `main` again and again, cancelled at its first suspension, its second … until it ends
    before that; `check(n)` comes after each. Returns how many suspensions there are."""
    at = 0
    came_to_it = True
    while came_to_it:
        at += 1
        came_to_it = await asyncio.create_task(_run(main, at, woken))
        await check(at)
    return at - 1


async def _run(main: Main, at: int, woken: bool) -> bool:
    return await stepped(main(), at, woken)
