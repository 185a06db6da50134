"""Instead of waiting, virtual time moves: from event to event, or on to the next timer of the loop.

Here it is found that all tasks wait for what can never come, and that time does not move on.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Protocol

from pystack.sim.network.events import ENDLESS, Events


class DeadlockError(RuntimeError):
    """Every task waits, and nothing is left that could wake one."""


class OutOfTimeError(RuntimeError):
    """The time that a loop was given is over (`VirtualLoop.end_us`)."""


class TimedLoop(Protocol):
    """What the selector needs of its loop."""

    events: Events
    end_us: int


class VirtualSelector:
    """Stands where other loops have a selector. `ready` are the callbacks that the loop will call
    next, `tasks` tells where its tasks stand."""

    def __init__(
        self, loop: TimedLoop, ready: Sequence[asyncio.Handle], tasks: Callable[[], str]
    ) -> None:
        self._loop = loop
        self._ready = ready
        self._tasks = tasks
        self._turns = 0  # since time moved last

    def select(self, timeout: float | None) -> Sequence[object]:
        """Let events happen until a callback is ready, for `timeout` seconds at most.

        Raises DeadlockError when nothing can happen any more, OutOfTimeError at the end of the
        loop's time, RuntimeError when `ENDLESS` turns of the loop take no time.
        """
        loop = self._loop
        events = loop.events
        ready = self._ready
        began_us = events.now_us
        until_us = end_us = max(loop.end_us, began_us)
        if timeout is not None:
            # never early, and exact where a float is; a timer that is due next moves time
            at_us = began_us + max(math.ceil(timeout * 1e6 - 1e-3), timeout > 0)
            until_us = min(at_us, end_us)
        while 0 < events.next_at() <= until_us:
            events.step()
            if ready:
                break
        else:
            if timeout is None and not events.next_at():
                raise DeadlockError(
                    "all tasks wait, and nothing is left to happen:" + self._tasks()
                )
            events.go_to(until_us)
            if until_us == end_us and not ready and timeout != 0:
                raise OutOfTimeError("the time of the loop is over:" + self._tasks())
        if events.now_us > began_us:
            self._turns = 0
        else:
            self._turns += 1
            if self._turns >= ENDLESS:
                self._turns = 0  # what is cancelled now gets its turns
                raise RuntimeError(
                    f"time does not move on: {ENDLESS} turns of the loop without a pause:"
                    + self._tasks()
                )
        return ()
