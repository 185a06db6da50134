"""Where tasks stand, for the texts of errors: their names, the line that runs, where it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import FrameType
from typing import Any


def described(loop: asyncio.AbstractEventLoop) -> str:
    """One line for each task of `loop` that is not done, in the order of their names."""
    tasks = [task for task in asyncio.all_tasks(loop) if not task.done()]
    return "".join(f"\n  {line}" for line in places(tasks))


def places(tasks: Iterable[asyncio.Task[Any]]) -> list[str]:
    """What these tasks are called and where they stand, in the order of their names."""
    return sorted(f"{task.get_name()}: {_place(task.get_coro())}" for task in tasks)


def _place(coroutine: Any) -> str:
    """The outermost line and, if that is not it, the innermost one."""
    frames: list[FrameType] = []
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            frames.append(frame)
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    if not frames:
        return "somewhere"
    places = [_line(frames[0])]
    if len(frames) > 1:
        places.append(_line(frames[-1]))
    return ", waits in ".join(places)


def _line(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_qualname} ({code.co_filename}, line {frame.f_lineno})"
