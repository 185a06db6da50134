"""Calls that may block (a terminal, a pipe, a file), made in a thread beside the event loop.

asyncio's own way to read pipes takes no regular files, and makes the descriptor non-blocking for
everybody who shares it, such as the shell. A thread of the default executor would keep the
process from ending while it waits for somebody to type.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any


class Blocking:
    """One thread that makes one call after the other. It ends with the process at the latest."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]]] = SimpleQueue()
        Thread(target=self._work, name=name, daemon=True).start()

    async def call(self, function: Callable[[], Any]) -> Any:
        """What `function` returns or raises. When cancelled, the call goes on unheard."""
        future = asyncio.get_running_loop().create_future()
        self._jobs.put((future, function))
        return await future

    def _work(self) -> None:
        while True:
            future, function = self._jobs.get()
            result, error = None, None
            try:
                result = function()
            except OSError as failure:
                error = failure
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                future.get_loop().call_soon_threadsafe(_settle, future, result, error)


def _settle(future: asyncio.Future[Any], result: object, error: OSError | None) -> None:
    if future.done():
        return  # nobody waits for it any more
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of `data`, however long it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
