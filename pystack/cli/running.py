"""A command's coroutine, until it ends or a signal ends it; then everything is put away.

SIGPIPE is among the signals: when nobody reads our output any more (`| head`), that is the end.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final

import click

from pystack.aio import EventLoop

SIGNALS: Final = tuple(  # Windows has two of them
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE")
    if name in signal.Signals.__members__
)


class Stopped(Exception):
    """A signal has ended the command. `status` is what a shell calls it: 128 and the number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.status = 128 + number


def run(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run `main` in an event loop; its result is returned.

    SIGINT, SIGTERM, SIGHUP and SIGPIPE cancel it, so that its `finally` and `async with` put
    away what they hold; then Stopped is raised. A second signal cancels that too.
    """
    before = [(number, signal.getsignal(number)) for number in SIGNALS]
    try:
        with asyncio.Runner(loop_factory=EventLoop) as runner:
            return runner.run(_until_signal(main))
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def say(text: str) -> None:
    """Write a line to stdout, and never fail: the SIGPIPE that comes with a failure is enough."""
    try:
        click.echo(text)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)  # so that what is still buffered cannot fail at the end
        os.close(nowhere)


async def _until_signal(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    loop = asyncio.get_running_loop()
    task = loop.create_task(main())
    got: list[int] = []

    def stop(number: int) -> None:
        got.append(number)
        task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if got:
            raise Stopped(got[0]) from None
        raise
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
