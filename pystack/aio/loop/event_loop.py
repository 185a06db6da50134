"""`EventLoop`: asyncio's own event loop, on which addresses of a stack are the stack's."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pystack import arguments
from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.endpoint.stack import Stack
from pystack.aio.loop.calls import StackCalls


class EventLoop(StackCalls, asyncio.SelectorEventLoop):
    """An event loop for programs that know nothing of stacks.

        def make_loop() -> EventLoop:
            return EventLoop(Stack.over_tun("tun0", "198.18.0.2/24"))

        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(main())

    Connections to addresses that a stack reaches, and servers at addresses that it has, go over
    the stack; everything else goes over the kernel, as on any loop. Stacks that are not open are
    opened here, which raises SetupError, and closed with the loop.
    """

    def __init__(self, *stacks: Stack, selector: selectors.BaseSelector | None = None) -> None:
        super().__init__(selector)
        self._begin([])
        try:
            for stack in stacks:
                _check(stack)
                if not stack.is_open:
                    self.finish(stack.__aenter__())
                self.attach(stack)
        except BaseException:
            self.close()
            raise

    def _begin(self, stacks: list[Endpoint]) -> None:
        self._stacks = stacks
        self.use_stacks()

    @property
    def stacks(self) -> Sequence[Endpoint]:
        """Those in use; who comes first is asked first."""
        return self._stacks

    def attach(self, stack: Endpoint) -> None:
        """Use an open stack of this loop too."""
        if stack.loop is not self:
            raise ValueError("the stack runs on another loop")
        if stack not in self._stacks:
            self._stacks.append(stack)

    def detach(self, stack: Endpoint) -> None:
        """Use it no more; what is open goes on. Raises ValueError for one that is not attached."""
        if stack not in self._stacks:
            raise ValueError("the stack is not attached to this loop")
        self._stacks.remove(stack)

    def close(self) -> None:
        """Close the stacks, which may take their `grace`, and the loop. Ctrl-C ends the grace."""
        try:
            if self._stacks and not self.is_running() and not self.is_closed():
                stacks, self._stacks = self._stacks, []
                self.finish(_all_closed(stacks))
        finally:
            super().close()

    def finish(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run it to its end while the loop does not run. Interrupted, it is cancelled and waited
        for. Raises RuntimeError where another loop runs."""
        if asyncio._get_running_loop() is not None:
            coroutine.close()
            raise RuntimeError(
                "stacks are opened and closed with an EventLoop while no other loop runs in the "
                "thread; on a loop that runs use `async with stack` and pystack.aio.attached"
            )
        task = asyncio.Task(coroutine, loop=self)
        asyncio._unregister_task(task)  # (Extending asyncio): it is none of the program's
        task.add_done_callback(lambda _: self.stop())
        try:
            self._run_until_done(task)
        except BaseException:
            task.cancel()
            self._run_until_done(task)
            if not task.cancelled():
                task.exception()  # told by what is raised here
            raise
        task.result()

    def _run_until_done(self, task: asyncio.Task[object]) -> None:
        while not task.done():  # the loop may have been stopped before, or be stopped meanwhile
            self.run_forever()


@contextmanager
def attached(stack: Stack) -> Iterator[EventLoop]:
    """Make the loop that `stack` runs on an `EventLoop` for a while, as if it had begun as one.

    For programs whose loop is running already: `async with stack: with attached(stack): …`.
    Raises TypeError for a loop that is not asyncio's selector loop (uvloop's is none).
    """
    _check(stack)
    loop = stack.loop
    if isinstance(loop, EventLoop):
        was_attached = stack in loop.stacks
        loop.attach(stack)
        try:
            yield loop
        finally:
            if not was_attached:
                loop.detach(stack)
        return
    before = type(loop)
    if not issubclass(before, asyncio.SelectorEventLoop):
        raise TypeError(
            f"{before.__module__}.{before.__name__} cannot take a stack: run the program on "
            "asyncio's own loop, or on pystack.aio.EventLoop"
        )
    own: Any = loop
    own.__class__ = EventLoop if before is asyncio.SelectorEventLoop else _like(before)
    own._begin([stack])
    try:
        yield own
    finally:
        own.__class__ = before


def _check(stack: object) -> None:
    if not isinstance(stack, Stack):
        raise TypeError(arguments.unfit("stack", stack, "a pystack.Stack was expected"))


async def _all_closed(stacks: Sequence[Endpoint]) -> None:
    closing = [asyncio.Task(stack.aclose()) for stack in stacks]
    for task in closing:
        asyncio._unregister_task(task)
    await asyncio.gather(*closing)


def _like(loop_class: type[asyncio.SelectorEventLoop]) -> type[EventLoop]:
    """An `EventLoop` that is also of a user's own class."""
    return type(f"EventLoop_{loop_class.__name__}", (EventLoop, loop_class), {})
