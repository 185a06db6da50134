"""A whole program on a stack: its sockets and its event loops, whichever library makes them."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pystack.aio.endpoint.stack import Stack, let_go
from pystack.aio.handles.lazy_socket import replaced
from pystack.aio.loop.event_loop import EventLoop
from pystack.aio.loop.routing import CallersRouter
from pystack.sockets.constants import AF_INET, AF_INET6

# where asyncio keeps its default loop: 3.13 adds EventLoop, 3.14 hides the policy
_LOOP_NAMES: Final = ("SelectorEventLoop", "EventLoop")
_POLICIES: Final = ("_UnixDefaultEventLoopPolicy", "_DefaultEventLoopPolicy")

if TYPE_CHECKING:
    from pystack.aio.loop.refusing import Refuser


class _NoUvloop(MetaPathFinder):
    """Says why there is none, to who asks for it; who can do without goes on."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname == "uvloop":
            raise ImportError("uvloop's loop knows the kernel only: under pystack run leave it out")


_no_uvloop: Final = _NoUvloop()


class ProgramLoop(EventLoop):
    """The loop that a program gets when it makes one: the stack is on one of them at a time.

    A loop takes it when it is made, and when it runs, from one that does not run and has nothing
    open on it. One that runs beside the holder has the kernel only.
    """

    stack: ClassVar[Stack | None] = None
    holder: ClassVar[ProgramLoop | None] = None
    pid: ClassVar[int] = 0  # the process that has the stack: children know nothing of it
    refuser: ClassVar[Refuser | None] = None  # answers while no loop has the stack
    changing: ClassVar[threading.RLock] = threading.RLock()  # held while the holder changes

    def __init__(self, selector: Any = None) -> None:
        super().__init__(selector=selector)
        self._keeps_it = False  # the stack: it is about to run, or runs
        with self.changing:
            self._take()

    def _take(self) -> None:
        stack, holder = self.stack, ProgramLoop.holder
        if stack is None or holder is self or os.getpid() != self.pid:
            return
        if holder is not None:
            if holder._keeps_it or stack.handles:
                return
            holder._stacks.clear()
            let_go(stack)
        stack.enter(self)
        self.attach(stack)
        ProgramLoop.holder = self

    def run_forever(self) -> None:
        """As asyncio's, in whichever thread."""
        if self.is_running():
            super().run_forever()  # says that it can't
        with self.changing:
            self._take()
            self._keeps_it = True
            if self._stacks and self.refuser is not None:
                self.refuser.stop()
        try:
            for stack in self._stacks:
                if stack.driver is not None:
                    stack.driver.adopt_thread()
            super().run_forever()
        finally:
            self._keeps_it = False

    def close(self) -> None:
        """Close the loop; the stack is free for the next one, when its connections are done."""
        with self.changing:
            ends = bool(self._stacks) and not self.is_running() and not self.is_closed()
            self._keeps_it = self._keeps_it or ends
        if ends:
            stack = self._stacks[0]
            assert isinstance(stack, Stack)
            self.run_until_complete(stack.leave())
            self._stacks.clear()
        super().close()
        with self.changing:
            if ProgramLoop.holder is self:  # nobody has taken it meanwhile
                ProgramLoop.holder = None
                if self.refuser is not None:
                    self.refuser.start()


def end(stack: Stack) -> None:
    """Close the stack after the program, also where that has left its loop unclosed."""
    holder, ProgramLoop.holder = ProgramLoop.holder, None
    if holder is not None and holder.is_running():  # in a thread that is cut off
        asyncio.run_coroutine_threadsafe(stack.aclose(), holder).result()
        return
    if holder is not None:
        holder.close()
    loop = EventLoop()
    try:
        stack.enter(loop)
        loop.run_until_complete(stack.aclose())
    finally:
        loop.close()


@contextmanager
def installed(stack: Stack) -> Iterator[None]:
    """Meanwhile `socket.socket` is an `LazySocket`, and asyncio makes `ProgramLoop`s; the stack's
    own names are known to `socket.getaddrinfo`, too.

    `stack` is open, but on no loop (`Stack.leave`). uvloop cannot be imported meanwhile: programs
    that would take it take asyncio's own.
    """
    from asyncio import unix_events  # not to be had on Windows, as `pystack run`

    uvloop = sys.modules.pop("uvloop", None)
    places = [(module, name) for module in (asyncio, unix_events) for name in _LOOP_NAMES
              if hasattr(module, name)]  # fmt: skip
    before = [getattr(module, name) for module, name in places]
    policies = [getattr(unix_events, name, None) for name in _POLICIES]
    policy: Any = policies[0] or policies[1]
    before_factory = policy._loop_factory
    before_getaddrinfo = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, family: int = 0, *args: Any, **options: Any) -> Any:
        known = stack.look_up(host) if isinstance(host, str) else ()
        fitting = [one for one in known if family in (0, AF_INET6 if ":" in one else AF_INET)]
        return [
            info
            for name in fitting or known[:1] or [host]
            for info in before_getaddrinfo(name, port, family, *args, **options)
        ]

    ProgramLoop.stack = stack
    ProgramLoop.pid = os.getpid()
    socket.getaddrinfo = getaddrinfo
    for module, name in places:
        setattr(module, name, ProgramLoop)
    policy._loop_factory = ProgramLoop
    sys.meta_path.insert(0, _no_uvloop)
    try:
        with replaced(CallersRouter(stack)):
            yield
    finally:
        ProgramLoop.stack = None
        socket.getaddrinfo = before_getaddrinfo
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)
        policy._loop_factory = before_factory
        sys.meta_path.remove(_no_uvloop)
        if uvloop is not None:
            sys.modules["uvloop"] = uvloop
