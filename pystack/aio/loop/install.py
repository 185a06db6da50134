"""A whole program on a stack: its sockets and its event loops, whichever library makes them."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from threading import get_ident
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pystack.aio.drive.device import GoesToChild
from pystack.aio.endpoint.stack import Stack, enter_by, is_idle, leave_now
from pystack.aio.handles.lazy_socket import replaced
from pystack.aio.loop.event_loop import EventLoop
from pystack.aio.loop.known_names import names_known
from pystack.aio.loop.os_calls import FORKS, wrapped
from pystack.aio.loop.routing import CallersRouter

# where asyncio keeps its default loop: 3.13 adds EventLoop, 3.14 hides the policy
_LOOP_NAMES: Final = ("SelectorEventLoop", "EventLoop")
_POLICIES: Final = ("_UnixDefaultEventLoopPolicy", "_DefaultEventLoopPolicy")

_LAST_WAIT: Final = 10.0  # seconds for a loop in a thread to close what is open

if TYPE_CHECKING:
    from pystack.aio.loop.ownership import Ownership
    from pystack.aio.loop.refusing import Refuser


class _NoUvloop(MetaPathFinder):
    """Says why there is none, to who asks for it; who can do without goes on."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname == "uvloop":
            raise ModuleNotFoundError(
                "uvloop's loop knows the kernel only: under pystack run leave it out", name=fullname
            )


_no_uvloop: Final = _NoUvloop()


class ProgramLoop(EventLoop):
    """The loop that a program gets when it makes one: the stack is on one of them at a time.

    A loop of the main thread takes it when it is made, and when it runs, from one that does not run
    and has nothing open on it. Loops of other threads, and of children that were forked before any
    loop used it, take it when they first use it: most of these do something else. One that runs
    beside the holder has the kernel only.
    """

    stack: ClassVar[Stack | None] = None
    holder: ClassVar[ProgramLoop | None] = None
    ownership: ClassVar[Ownership | None] = None
    refuser: ClassVar[Refuser | None] = None  # answers while no loop has the stack
    changing: ClassVar[threading.RLock] = threading.RLock()  # held while the holder changes
    # told when a child cannot serve: another process has the stack
    is_refused: ClassVar[Callable[[str], None]] = staticmethod(lambda sentence: None)
    _forks_called: ClassVar[int] = 0  # calls of os.fork that run
    _newest: ClassVar[weakref.ref[ProgramLoop] | None] = None
    _all: ClassVar[weakref.WeakSet[ProgramLoop]] = weakref.WeakSet()

    def __init__(self, selector: Any = None) -> None:
        super().__init__(selector=selector)
        self._keeps_it = False  # the stack: it is about to run, or runs
        with self.changing:
            ProgramLoop._newest = weakref.ref(self)
            self._all.add(self)
            self._take()

    def _take(self) -> None:
        stack, holder, ownership = self.stack, ProgramLoop.holder, self.ownership
        if stack is None or ownership is None or holder is self:
            return
        if not ownership.may_take or (holder and (holder._keeps_it or stack.handles)):
            self._stacks.clear()
            return
        if holder is not None:
            holder._leave_now()
        if ownership.is_first and get_ident() == threading.main_thread().ident:
            self._enter(stack)
        elif not self._stacks:
            self._stacks.append(stack)  # and enters it when it is used: `_needed`

    def _enter(self, stack: Stack) -> None:
        stack.enter(self)
        for other in self._all:
            other.forget_stacks()
        self._stacks.append(stack)
        ProgramLoop.holder = self

    def forget_stacks(self) -> None:
        """Have the kernel alone."""
        self._stacks.clear()

    def _has_device(self) -> bool:
        """Take the device from whoever refuses, and from other processes."""
        if self.refuser is not None:
            self.refuser.stop()
        return self.ownership is None or self.ownership.take()

    def run_forever(self) -> None:
        """As asyncio's, in whichever thread."""
        if self.is_running():
            super().run_forever()  # says that it can't
        with self.changing:
            self._take()
            self._keeps_it = True
            stack = self.stack
            if ProgramLoop.holder is self and stack is not None and not self._has_device():
                self._leave_now()
                self._stacks.append(stack)  # whoever uses it is told why not: `_needed`
        try:
            for one in self._stacks:
                if one.driver is not None:
                    one.driver.adopt_thread()
            super().run_forever()
        finally:
            self._keeps_it = False

    def close(self) -> None:
        """Close the loop; the stack is free for the next one, when its connections are done."""
        if self.is_running():
            super().close()  # says that it can't
        with self.changing:
            has_it = ProgramLoop.holder is self
            self._keeps_it = has_it
        stack = self.stack
        try:
            # a loop that runs in this thread would not let this one wait
            if has_it and stack and not is_idle(stack) and asyncio._get_running_loop() is None:
                self.finish(stack.leave())
        finally:
            with self.changing:
                self._keeps_it = False
                if ProgramLoop.holder is self:  # nobody has taken it meanwhile
                    self._leave_now()
            self._stacks.clear()
            super().close()

    def _leave_now(self) -> None:
        """Have the stack no more. What is open on it is reset."""
        self._stacks.clear()
        if self.stack is not None:
            leave_now(self.stack)
        ProgramLoop.holder = None
        if self.ownership is not None:
            self.ownership.give()
        if self.refuser is not None:
            self.refuser.start()


def _needed() -> None:
    """The stack is used, and on no loop: by a loop that takes it now, or another process has it.
    Raises RuntimeError in the latter case, or SystemExit where this one was to serve."""
    stack, ownership = ProgramLoop.stack, ProgramLoop.ownership
    newest = ProgramLoop._newest and ProgramLoop._newest()
    loop = asyncio._get_running_loop() or newest
    if stack is None or ownership is None or not isinstance(loop, ProgramLoop):
        return
    with ProgramLoop.changing:
        if ProgramLoop.holder is None and stack in loop.stacks:
            if loop._has_device():
                loop._enter(stack)
                loop._keeps_it = loop.is_running()
                return
            sentence = (
                f"the stack is used by another process of the program ({ownership.user()}), and "
                "only one can: leave out further workers"
            )
            if stack.host.listeners:  # a worker: the program would start another in its place
                ProgramLoop.is_refused(sentence)
                raise SystemExit(2)
            raise RuntimeError(sentence)


def _before_fork() -> None:
    """No thread of ours beside a fork: a child could inherit locks that it holds. A stack that
    nobody uses goes to the child as well."""
    ProgramLoop.changing.acquire()
    stack, holder = ProgramLoop.stack, ProgramLoop.holder
    if holder is not None and stack is not None and not holder._keeps_it and not stack.handles:
        holder._leave_now()
    if ProgramLoop.refuser is not None:
        ProgramLoop.refuser.pause()
    if stack is not None and isinstance(stack.device, GoesToChild):
        stack.device.keep_in_child(ProgramLoop.holder is None)


def _after_fork() -> None:
    if not ProgramLoop._forks_called:
        _go_on()
    ProgramLoop.changing.release()


def _go_on() -> None:
    if ProgramLoop.refuser is not None:
        ProgramLoop.refuser.go_on()


def _without_thread(fork: Callable[[], Any]) -> Callable[[], Any]:
    """The same fork; what goes on after it does so when it has returned. Python 3.13 counts the
    threads, to warn of them, after the hooks of a fork."""

    def call() -> Any:
        with ProgramLoop.changing:
            ProgramLoop._forks_called += 1
        try:
            return fork()
        finally:
            with ProgramLoop.changing:  # in a child it is a new one
                ProgramLoop._forks_called -= 1
                _go_on()

    return call


def _in_child() -> None:
    ProgramLoop.changing = threading.RLock()
    if ProgramLoop.refuser is not None:
        ProgramLoop.refuser.forget()  # it is the parent's
        ProgramLoop.refuser = None
    if ProgramLoop.ownership is not None and ProgramLoop.stack is not None:
        ProgramLoop.ownership.begin_child(may_take=ProgramLoop.holder is None)
        ProgramLoop.holder = None


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child
    )


def end(stack: Stack) -> None:
    """Close the stack after the program, also where that has left its loop unclosed."""
    ownership, holder = ProgramLoop.ownership, ProgramLoop.holder
    try:
        if holder is not None and holder.is_running():  # in a thread that is cut off
            closing = asyncio.run_coroutine_threadsafe(stack.aclose(), holder)
            try:
                closing.result(_LAST_WAIT)
            except TimeoutError:
                stack.device.close()
            return
        if holder is not None:
            holder.close()
        if ownership is not None and not ownership.take():
            stack.device.close()  # another process goes on with it, or has it alone
            return
        loop = EventLoop()
        loop.set_debug(False)
        try:
            stack.enter(loop)
            loop.run_until_complete(stack.aclose())
        finally:
            loop.close()
    finally:
        ProgramLoop.stack = ProgramLoop.holder = ProgramLoop.ownership = None
        if ownership is not None:
            ownership.close()


@contextmanager
def installed(stack: Stack) -> Iterator[Ownership]:
    """Meanwhile `socket.socket` is a `LazySocket`, and asyncio makes `ProgramLoop`s; the stack's
    own names are known to `socket.getaddrinfo` and `socket.gethostbyname`, too. Gives who says
    which process has the stack.

    `stack` is open, but on no loop (`Stack.leave`); `end` closes it. uvloop cannot be imported
    meanwhile: programs that would take it take asyncio's own.
    """
    from asyncio import unix_events  # not to be had on Windows, as `pystack run`

    from pystack.aio.loop.ownership import Ownership

    uvloop = sys.modules.pop("uvloop", None)
    places = [(module, name) for module in (asyncio, unix_events) for name in _LOOP_NAMES
              if hasattr(module, name)]  # fmt: skip
    before = [getattr(module, name) for module, name in places]
    policies = [getattr(unix_events, name, None) for name in _POLICIES]
    policy: Any = policies[0] or policies[1]
    before_factory = policy._loop_factory
    ProgramLoop.stack = stack
    ProgramLoop.ownership = ownership = Ownership()
    enter_by(stack, _needed)
    for module, name in places:
        setattr(module, name, ProgramLoop)
    policy._loop_factory = ProgramLoop
    sys.meta_path.insert(0, _no_uvloop)
    try:
        with replaced(CallersRouter(stack)), names_known(stack):
            yield ownership
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)
        policy._loop_factory = before_factory
        sys.meta_path.remove(_no_uvloop)
        if uvloop is not None:
            sys.modules["uvloop"] = uvloop


@contextmanager
def refusing(stack: Stack, hint: Callable[[], None]) -> Iterator[None]:
    """Meanwhile connections to `stack` are refused whenever no `ProgramLoop` has it. To be used
    within `installed`. A loop that stands still, and was not closed, has it.

    `hint` is called once when the program listens, does nothing for 5 seconds, and no loop takes
    the stack, so that nobody is answered.
    """
    from pystack.aio.loop.refusing import Refuser  # for Linux, as `Ownership`

    assert ProgramLoop.ownership is not None
    refuser = Refuser(stack, ProgramLoop.ownership, hint)
    with ProgramLoop.changing:
        ProgramLoop.refuser = refuser
        refuser.start()
    try:
        with wrapped(FORKS, _without_thread):
            yield
    finally:
        with ProgramLoop.changing:
            if ProgramLoop.refuser is refuser:  # in a forked child it is the parent's
                ProgramLoop.refuser = None
                refuser.close()
