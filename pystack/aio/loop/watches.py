"""`add_reader` and `add_writer` for sockets of stacks, and for those that may become one's.

A socket that may still become a stack's is watched by the loop's own selector until it does; then
whoever waits for it is moved over, and back again when its descriptor is taken (`detach`).
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from pystack.aio.handles.known_fds import KernelSocket
from pystack.aio.handles.socket_base import SocketBase, known, state_of
from pystack.aio.loop.given_sockets import refuse_taken, stack_of

Callback = Callable[..., object]
Key = tuple[SocketBase, int]  # and READABLE or WRITABLE (`ready_fd`)


class Watches:
    """All of one loop. `selects` are `add_reader` and `remove_reader`, `add_writer` and
    `remove_writer` of the loop's own selector, by READABLE and WRITABLE."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, selects: dict[int, tuple[Callback, Callback]]
    ) -> None:
        self._loop = loop
        self._selects = selects
        self._active: dict[Key, Watch] = {}
        self._lazy: dict[Key, tuple[Callback, tuple[Any, ...]]] = {}  # in the loop's own selector
        self._followed: weakref.WeakSet[SocketBase] = weakref.WeakSet()

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
                self._follow(sock)
                self._lazy[sock, mask] = callback, args
            return False
        if self._loop.is_closed():
            raise RuntimeError("Event loop is closed")
        refuse_taken(sock)
        if stack_of(sock).driver is None:
            _ = stack_of(sock).loop  # takes the stack, in a child that has not used it so far
        self.remove(sock, mask)
        self._follow(sock)
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

    def _follow(self, sock: SocketBase) -> None:
        if sock not in self._followed:
            self._followed.add(sock)
            this = weakref.ref(sock)  # one without references is closed
            state_of(sock).on_move.append(lambda has_moved: self._move(this(), has_moved))

    def _move(self, sock: SocketBase | None, has_moved: bool) -> None:
        """It has become a stack's, or its descriptor is to be taken; or neither can come."""
        if sock is None or self._loop.is_closed():
            return
        self._followed.discard(sock)
        if not has_moved:
            for mask in self._selects:
                self._lazy.pop((sock, mask), None)
            return
        fd = KernelSocket.fileno(sock)
        for mask, (select, unselect) in self._selects.items():
            lazy = self._lazy.pop((sock, mask), None)
            watch = self._active.pop((sock, mask), None)
            if lazy is not None:
                unselect(fd)
                self.add(sock, mask, *lazy)
            elif watch is not None:
                watch.cancel()
                watch.select(select, fd)


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

    def select(self, select: Callback, fd: int) -> None:
        """Have a selector call back from now on."""
        self._context.run(select, fd, self._callback, *self._args)

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
