"""A command's coroutine, until it ends or is ended; then everything is put away.

What ends it is a signal, or the loss of stdout: whoever read it has left (`| head`), or the disk
that it goes to is full. A signal that was ignored when the command began stays so: that is how
`nohup` and a shell's `&` ask for it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final

from pystack.aio import EventLoop
from pystack.cli.calling.failures import Incomplete
from pystack.cli.terminal.output import write

SIGNALS: Final = tuple(  # Windows has two of them
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if name in signal.Signals.__members__
)


class Stopped(Exception):
    """A signal has ended the command. `status` is what a shell calls it: 128 and the number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.status = 128 + number


class _Run:
    """One run: its task, and what has ended it before its time."""

    def __init__(self) -> None:
        self._task: asyncio.Task[int] | None = None
        self._why: Exception | None = None

    async def until_ended(self, main: Callable[[], Coroutine[Any, Any, int]]) -> int:
        """What `main` returns. Raises Stopped, or OSError with the file name "stdout"."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(main())
        heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        for number in heard:
            loop.add_signal_handler(number, self.end, Stopped(number))
        try:
            return await self._task
        except Incomplete:
            raise
        except (asyncio.CancelledError, Exception):
            if self._why is not None:  # also where putting things away has failed after it
                raise self._why from None
            raise
        finally:
            for number in heard:
                loop.remove_signal_handler(number)

    def end(self, why: Exception) -> None:
        """Have it end. A second call ends the putting away, too."""
        self._why = self._why or why
        if self._task is not None:
            self._task.cancel()


_runs: Final[list[_Run]] = []  # those that go on: one at most, and none before and after it


def run(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run `main` in an event loop; its result is returned.

    SIGINT, SIGTERM, SIGHUP and the loss of stdout cancel it, so that its `finally` and `async
    with` put away what they hold; then Stopped is raised, or OSError for stdout. A second signal
    cancels that too.
    """
    before = [(number, signal.getsignal(number)) for number in SIGNALS]
    this = _Run()
    _runs.append(this)
    try:
        with asyncio.Runner(loop_factory=EventLoop) as runner:
            return runner.run(this.until_ended(main))
    finally:
        _runs.remove(this)
        for number, handler in before:
            signal.signal(number, handler)


def say(text: str) -> None:
    """Write a line to stdout. Where that fails, the command is ended, by its run if there is one:
    callers within need not care. Else raises OSError with the file name "stdout"."""
    try:
        write(text)
    except OSError as lost:
        if not _runs:
            raise
        _runs[-1].end(lost)
