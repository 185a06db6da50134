"""Runs coroutines one after the other on one loop, none of them longer than it may.

What takes too long, or waits for what can never come, gets the failure where it waits: so the
traceback ends at the line that is to blame, and what has to be cleaned up is.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable, Coroutine, Generator, Iterable
from types import TracebackType
from typing import Any, Final, TypeVar

from pystack.sim import DeadlockError, OutOfTimeError, VirtualLoop
from pystack.sim.task_places import places

T = TypeVar("T")

_CLEANING_S: Final = 10.0  # for what is ended from outside; twice, then it is left alone
_FIRST_LOOK_S: Final = 0.001
_LOOK_AGAIN_S: Final = 0.05


class BoundedRunner:
    """One `loop`, made by `make_loop`; all coroutines run in one context.

    `failure` makes what is raised out of a text: a BaseException that programs do not catch.
    """

    def __init__(
        self,
        make_loop: Callable[[], asyncio.AbstractEventLoop],
        failure: Callable[[str], BaseException],
    ) -> None:
        self._failure = failure
        self._context = contextvars.copy_context()
        self._runner = asyncio.Runner(loop_factory=make_loop)
        self.loop = self._runner.get_loop()
        self._not_ours = set(asyncio.all_tasks(self.loop))  # what a stack needs itself

    def run(self, coroutine: Coroutine[Any, Any, T], *, timeout_s: float, name: str) -> T:
        """What the coroutine returns, or what it raises. `name` is that of its task."""
        __tracebackhide__ = True
        inner = _Interruptible(coroutine)
        task = self.loop.create_task(inner, name=name, context=self._context)
        reason = problem = self._drive(task, timeout_s)
        for _ in range(2):
            if problem:
                inner.reason = self._failure(problem)
                task.cancel()
                problem = self._drive(task, _CLEANING_S)
        if reason:
            error = None if not task.done() or task.cancelled() else task.exception()
            if error is None:
                raise self._failure(reason)  # it took no notice
            raise error.with_traceback(_without_asyncio(error.__traceback__))
        return task.result()

    def _drive(self, task: asyncio.Task[Any], timeout_s: float) -> str:
        """Run until the task is done; else "" is not what is returned, but why it is not."""
        __tracebackhide__ = True
        try:
            self.loop.run_until_complete(self._end_of(task, timeout_s))
            if task.done():
                return ""
            problem = f"{timeout_s:g} s have passed"
        except DeadlockError:
            problem = "everything waits, and nothing is left to happen"
        except OutOfTimeError:
            problem = f"{timeout_s:g} s of virtual time have passed"
        except RuntimeError as error:  # no time passes: the loop has no other way to say it
            if task.done():
                raise
            problem = str(error).partition(":\n")[0]
        return f"{problem}:" + "".join(f"\n  {line}" for line in places(self.left()))

    def _end_of(self, task: asyncio.Task[Any], timeout_s: float) -> asyncio.Future[None]:
        """Done when the task is, or it took too long. A future: a task of ours would be among those
        that a program sees, and cancels."""
        end: asyncio.Future[None] = self.loop.create_future()

        def complete(*_: object) -> None:
            if not end.done():
                end.set_result(None)

        task.add_done_callback(complete)
        if isinstance(self.loop, VirtualLoop):
            self.loop.end_us = self.loop.now_us() + max(round(timeout_s * 1e6), 1)
        else:
            timer = self.loop.call_later(timeout_s, complete)
            end.add_done_callback(lambda _: timer.cancel())
        return end

    def left(self) -> list[asyncio.Task[Any]]:
        """The tasks that are not done."""
        return [
            task
            for task in asyncio.all_tasks(self.loop) - self._not_ours
            if not task.done()
        ]

    def settle(self, busy: Callable[[], Iterable[object]], grace_s: float) -> None:
        """Let time pass until no task is left and nothing is `busy`, `grace_s` at most."""

        async def settled() -> None:
            end = self.loop.time() + grace_s
            me = asyncio.current_task()
            pause = _FIRST_LOOK_S
            while self.loop.time() < end and (
                any(task is not me for task in self.left()) or any(True for _ in busy())
            ):
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LOOK_AGAIN_S)

        if self.left() or any(True for _ in busy()):
            self.run(settled(), timeout_s=grace_s + 1, name="settling")

    def cancel_left(self) -> None:
        """Cancel the tasks that are not done, and let them clean up, for a while at most."""
        tasks = self.left()
        if not tasks:
            return

        async def cancelled() -> None:
            self.loop.set_exception_handler(_but_cancellations)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_CLEANING_S)

        self.run(cancelled(), timeout_s=2 * _CLEANING_S, name="cancelling")

    def close(self) -> None:
        """Cancel what is left, and close the loop; tasks that do not end are left alone."""
        if isinstance(self.loop, VirtualLoop):
            self.loop.end_us = self.loop.now_us() + round(_CLEANING_S * 1e6)
        try:
            self._runner.close()
        except (DeadlockError, OutOfTimeError):
            self.loop.close()


def _but_cancellations(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Python 3.11's streams tell of servers' tasks that are cancelled as of errors."""
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


def _without_asyncio(trace: TracebackType | None) -> TracebackType | None:
    """Where something waits in asyncio tells nothing that its own line does not."""
    folder = os.path.dirname(asyncio.__file__)
    entries = []
    while trace is not None:
        entries.append(trace)
        trace = trace.tb_next
    kept = None
    for entry in reversed(entries):
        if os.path.dirname(entry.tb_frame.f_code.co_filename) != folder:
            kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return kept


class _Interruptible(Coroutine[Any, Any, T]):
    """A coroutine that gets `reason`, if there is one, in the place of its next cancellation."""

    def __init__(self, inner: Coroutine[Any, Any, T]) -> None:
        self.reason: BaseException | None = None
        self._inner = inner
        self.__name__ = getattr(inner, "__name__", "coroutine")
        self.__qualname__ = getattr(inner, "__qualname__", self.__name__)

    def send(self, value: Any) -> Any:
        __tracebackhide__ = True
        return self._inner.send(value)

    def throw(self, kind: Any, value: Any = None, trace: Any = None) -> Any:
        __tracebackhide__ = True
        error = kind if value is None else value
        if isinstance(error, asyncio.CancelledError) and self.reason is not None:
            error, self.reason = self.reason, None
        return self._inner.throw(error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._inner.__await__()

    # where it stands, for `sim.task_places` and asyncio's own reports
    @property
    def cr_await(self) -> Any:
        return getattr(self._inner, "cr_await", None)

    @property
    def cr_frame(self) -> Any:
        return getattr(self._inner, "cr_frame", None)

    @property
    def cr_code(self) -> Any:
        return getattr(self._inner, "cr_code", None)

    @property
    def cr_running(self) -> bool:
        return bool(getattr(self._inner, "cr_running", False))
