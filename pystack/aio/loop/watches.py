"""`add_reader` and `add_writer` for sockets of stacks, and for those that may become one's.

A socket that may still become a stack's is watched by the loop's own selector until it does; then
whoever waits for it is moved over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from pystack.aio.handles.ready_fd import READABLE, WRITABLE
from pystack.aio.handles.socket_base import SocketBase, known, state_of
from pystack.aio.loop.given_sockets import refuse_taken

Callback = Callable[..., object]
Key = tuple[SocketBase, int]  # and READABLE or WRITABLE


class Watches:
    """All of one loop. `unwatch` takes a mask and a descriptor out of the loop's own selector."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, unwatch: Callable[[int, int], object]
    ) -> None:
        self._loop = loop
        self._unwatch = unwatch
        self._active: dict[Key, Watch] = {}
        self._lazy: dict[Key, tuple[Callback, tuple[Any, ...]]] = {}  # in the loop's own selector

    def __len__(self) -> int:
        """How many sockets of stacks are watched, once for each direction."""
        return len(self._active)

    def add(self, fd: Any, mask: int, callback: Callback, args: tuple[Any, ...]) -> bool:
        """Call back while a socket of a stack is ready; False for another, which is the loop's
        own to watch. Raises RuntimeError, as asyncio, for one that a transport has."""
        sock = known(fd)
        if sock is None:
            return False
        state = state_of(sock)
        if state.inner is None:
            if state.may_change:
                if not any(sock is one for one, _ in self._lazy):
                    state.on_bound.append(partial(self._move, sock, sock.fileno()))
                self._lazy[sock, mask] = callback, args
            return False
        if self._loop.is_closed():
            raise RuntimeError("Event loop is closed")
        refuse_taken(sock)
        self.remove(sock, mask)
        forget = partial(self._active.pop, (sock, mask), None)
        self._active[sock, mask] = Watch(self._loop, sock, mask, callback, args, forget)
        return True

    def remove(self, fd: Any, mask: int) -> bool | None:
        """No more; whether it was watched, None where the loop's own selector knows."""
        sock = known(fd)
        if sock is None:
            return None
        self._lazy.pop((sock, mask), None)
        if state_of(sock).inner is None:
            return None
        watch = self._active.pop((sock, mask), None)
        if watch is not None:
            watch.cancel()
        return watch is not None

    def _move(self, sock: SocketBase, fd: int) -> None:
        """It has become a stack's."""
        for mask in READABLE, WRITABLE:
            waiting = self._lazy.pop((sock, mask), None)
            if waiting is not None and not self._loop.is_closed():
                self._unwatch(mask, fd)
                self.add(sock, mask, *waiting)


class Watch:
    """Calls back while a socket is ready for something: once a turn of the loop, as a selector.

    In the context in which it was asked for, as asyncio does. `forget` is called when the socket
    is closed meanwhile.
    """

    __slots__ = (
        "_loop", "_sock", "_mask", "_callback", "_args", "_forget", "_context", "_handle", "_is_on",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: SocketBase, mask: int, callback: Callback,
        args: tuple[Any, ...], forget: Callable[[], object],
    ) -> None:  # fmt: skip
        self._loop = loop
        self._sock = sock
        self._mask = mask
        self._callback = callback
        self._args = args
        self._forget = forget
        self._context = copy_context()
        self._handle: asyncio.Handle | None = None
        self._is_on = True
        state_of(sock).watch(self._look)
        self._look(0)

    def cancel(self) -> None:
        """No more."""
        self._is_on = False
        state_of(self._sock).unwatch(self._look)
        if self._handle is not None:
            self._handle.cancel()

    def _look(self, _events: int) -> None:
        if not self._sock.is_ours:
            self.cancel()
            self._forget()
        elif self._is_on and self._handle is None and self._sock.poll() & self._mask:
            self._handle = self._loop.call_soon(self._call, context=self._context)

    def _call(self) -> None:
        self._handle = None
        if self._is_on and self._sock.poll() & self._mask:
            try:
                self._callback(*self._args)
            finally:
                self._look(0)
