"""A host in use on an event loop: what transports and servers know of whoever moves its packets."""

from __future__ import annotations

import asyncio
from threading import get_ident
from typing import Final

from pystack.printed import printed
from pystack.sockets import Host

NO_THREAD: Final = -1


class Driver:
    """`host` on `loop`, to be used in the thread of the loop only.

    `thread` is that thread's, and no thread's in a forked child or after the end: whoever is
    called compares it with `get_ident()` and has `refuse` explain. `error` is the errno of why
    nothing passes any more, 0 as long as it does.
    """

    __slots__ = ("host", "loop", "thread", "error", "forked", "__weakref__")

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self.host = host
        self.loop = loop
        self.thread = get_ident()
        self.error = 0
        self.forked = False
        host.on_part_failed = self._part_failed

    def __repr__(self) -> str:
        return printed(self, lambda: f"{'stopped' if self.is_stopped else 'on'} {self.host!r}")

    @property
    def is_stopped(self) -> bool:
        """Whether it has ended, or is none of this process's (after a fork)."""
        return self.thread == NO_THREAD

    def refuse(self) -> None:
        """Raise RuntimeError, as the caller is in no place to use the stack from."""
        if self.forked:
            raise RuntimeError("the stack belongs to the parent process: open one after the fork")
        if self.thread == NO_THREAD:
            raise RuntimeError("the stack is closed")
        raise RuntimeError(
            "a stack may be used from the thread of its event loop only: call "
            "loop.call_soon_threadsafe(function, ...) or "
            "asyncio.run_coroutine_threadsafe(coroutine, loop) from others"
        )

    def check(self) -> None:
        """Raise RuntimeError when called from anywhere but the thread of the loop."""
        if get_ident() != self.thread:
            self.refuse()

    def adopt_thread(self) -> None:
        """Its loop runs in this thread from now on, where it ran in another one before."""
        if not self.is_stopped:
            self.thread = get_ident()

    def leave_to_parent(self) -> None:
        """In a forked child: nothing of it may be touched."""
        self.thread = NO_THREAD
        self.forked = True

    def _part_failed(self, reason: str, error: Exception) -> None:
        """A replaceable part has raised and ended its connection, whose users hear of it too."""
        self.loop.call_exception_handler({"message": reason, "exception": error})

    def flush(self) -> None:
        """Send what waits to be sent."""
        raise NotImplementedError

    def stop(self) -> None:
        """End: nothing passes any more. May be called again."""
        raise NotImplementedError
