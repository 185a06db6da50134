"""A whole program on a stack: its sockets and its event loops, whichever library makes them."""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio import unix_events
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from pystack.aio.either_socket import OneStack, replaced
from pystack.aio.event_loop import EventLoop
from pystack.aio.stack import Stack

# where asyncio keeps its default loop: 3.13 adds EventLoop, 3.14 hides the policy
_LOOP_NAMES: Final = ("SelectorEventLoop", "EventLoop")
_POLICIES: Final = ("_UnixDefaultEventLoopPolicy", "_DefaultEventLoopPolicy")


class ProgramLoop(EventLoop):
    """The loop that a program gets when it makes one: the stack is on one of them at a time.

    A second loop beside the first has the kernel only.
    """

    stack: ClassVar[Stack | None] = None

    def __init__(self, selector: Any = None) -> None:
        super().__init__(selector=selector)
        stack = self.stack
        if stack is not None and not stack.is_open:
            stack.enter(self)
            self.attach(stack)

    def close(self) -> None:
        """Close the loop; the stack is free for the next one, when its connections are done."""
        try:
            if self.stacks and not self.is_running() and not self.is_closed():
                stack, self._stacks = self.stack, []
                assert stack is not None
                self.finish(stack.leave())
        finally:
            super().close()


@contextmanager
def installed(stack: Stack) -> Iterator[None]:
    """Meanwhile `socket.socket` is an `EitherSocket`, and asyncio makes `ProgramLoop`s; the stack's
    own names are known to `socket.getaddrinfo`, too.

    `stack` is open, but on no loop (`Stack.leave`). uvloop cannot be imported meanwhile: programs
    that would take it take asyncio's own.
    """
    uvloop = sys.modules.get("uvloop")
    places = [(module, name) for module in (asyncio, unix_events) for name in _LOOP_NAMES
              if hasattr(module, name)]  # fmt: skip
    before = [getattr(module, name) for module, name in places]
    policies = [getattr(unix_events, name, None) for name in _POLICIES]
    policy: Any = policies[0] or policies[1]
    before_factory = policy._loop_factory
    before_getaddrinfo = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        known = stack.look_up(host) if isinstance(host, str) else ()
        return [
            info for name in known or [host] for info in before_getaddrinfo(name, *args, **options)
        ]

    ProgramLoop.stack = stack
    socket.getaddrinfo = getaddrinfo
    for module, name in places:
        setattr(module, name, ProgramLoop)
    policy._loop_factory = ProgramLoop
    sys.modules["uvloop"] = None  # type: ignore[assignment]
    try:
        with replaced(OneStack(stack)):
            yield
    finally:
        ProgramLoop.stack = None
        socket.getaddrinfo = before_getaddrinfo
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)
        policy._loop_factory = before_factory
        del sys.modules["uvloop"]
        if uvloop is not None:
            sys.modules["uvloop"] = uvloop
