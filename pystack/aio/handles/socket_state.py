"""The stack's side of a `socket.socket`: what is inside it, who watches it, how it is polled.

A `StackSocket` and a `LazySocket` keep it in a slot; for a plain socket that was adopted it stands
beside it (`lazy_socket.AdoptedSocket`). Every variable is written here.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import weakref
from collections.abc import Callable
from errno import EBADF, ENETDOWN, EOPNOTSUPP
from threading import get_ident
from typing import Any, Final, TypeVar

from pystack import errors
from pystack.aio.handles.contracts import InnerSocket, Proxy, SocketStack
from pystack.aio.handles.ready_fd import Ready, ready_in_place_of
from pystack.sockets import Socket

WOULD_BLOCK: Final = (
    "a socket of a stack cannot block: setblocking(False) and await loop.sock_… calls, or take "
    "stack.bridge_fd(…) for code that has to block"
)
BLOCKS_WITH_LOOP: Final = (
    "a socket of a stack can block only while the stack's event loop runs, in another thread than "
    "the loop's (stack.bridge_fd gives a descriptor that blocks)"
)
NO_LOOP: Final = (
    "no asyncio event loop has the stack, so nothing can pass: connect and send while one runs "
    "(programs without asyncio are for sockets of the kernel)"
)
T = TypeVar("T")

Option = tuple[int, int, Any]  # level, number, value
Watcher = Callable[[int], None]  # called with EVENT_… bits


class SocketState:
    """See the module. `inner` is None once the socket is closed, and while it is the kernel's."""

    __slots__ = (
        "inner", "endpoint", "kernels", "options", "family", "type", "timeout", "ready", "watchers",
        "on_move", "transport", "proxy", "__weakref__",
    )  # fmt: skip

    inner: InnerSocket | None
    endpoint: SocketStack
    kernels: bool  # calls are the kernel's: it is not a stack's, or not yet
    options: list[Option] | None  # that were set; None: it can no longer become a stack's
    family: int  # as `sockets` has it, as `type`
    type: int
    timeout: float | None
    ready: Ready | None  # its descriptor, once `fileno` was called
    watchers: list[Watcher]
    # called with True when it becomes a stack's or leaves it (`detach`)
    on_move: list[Callable[[bool], None]]  # with False when neither can come any more
    transport: Any  # which has taken it over
    proxy: Proxy | None  # on the loop, for a thread that blocks

    def __init__(self, options: list[Option] | None = None, *, kernels: bool = True) -> None:
        self.inner = None
        self.kernels = kernels
        self.options = options
        self.family = self.type = 0
        self.timeout = None
        self.ready = None
        self.watchers = []
        self.on_move = []
        self.transport = None
        self.proxy = None

    def __del__(self, is_over: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_over():
            self.drop()

    def drop(self) -> None:
        """There is no reference to the socket any more: it is closed in a turn of its loop, in
        whichever thread this is. Garbage is collected at any moment."""
        inner, self.inner = self.inner, None
        if inner is None or inner.closed:
            return
        driver = self.endpoint.driver
        if driver is not None and not driver.is_stopped:
            with contextlib.suppress(RuntimeError):  # the loop is closed, or has no other threads
                driver.loop.call_soon_threadsafe(inner.close)
        elif driver is None:
            inner.close()

    # -- the kernel's or a stack's ----------------------------------------------------------------
    @property
    def may_change(self) -> bool:
        """Whether it is the kernel's only as long as no address says otherwise."""
        return self.options is not None

    def keep_to_kernel(self) -> None:
        """It stays the kernel's."""
        self.options = None
        self._tell_move(False)

    def bind_to_stack(
        self, stack: SocketStack, inner: InnerSocket, type: int, timeout: float | None
    ) -> None:
        """Be a socket of `stack` from now on."""
        self.endpoint = stack
        self.inner = inner
        self.family = inner.family
        self.type = type
        self.timeout = timeout
        self.kernels = False
        self.options = None
        this = weakref.ref(self)  # one without references is closed, whatever its peer does

        def on_events(events: int) -> None:
            state = this()
            if state is not None:
                state.notify(events)

        inner.on_events = on_events
        self._tell_move(True)

    def _tell_move(self, has_moved: bool) -> None:
        on_move, self.on_move = self.on_move, []
        for call in on_move:
            call(has_moved)

    def carry_by(self, proxy: Proxy) -> None:
        """A connection on the loop has the other end of the descriptor from now on."""
        self.options = None
        self.proxy = proxy

    def take_over(self, transport: object) -> None:
        """`transport` reads and writes from now on."""
        self.transport = transport

    def note_option(self, level: int, option: int, value: Any) -> None:
        """The kernel's socket has it; a stack's gets it when this becomes one."""
        if self.options is not None and value is not None:
            self.options.append((level, option, value))

    def set_timeout(self, value: float | None) -> None:
        """0: calls don't block. Raises OSError EBADF when closed, as the kernel's."""
        if self.inner is None:
            raise errors.os_error(EBADF)
        self.timeout = value

    # -- use -------------------------------------------------------------------------------------
    def use(self) -> InnerSocket:
        """What is inside. Raises OSError EBADF when closed, ENETDOWN without a stack or a device,
        RuntimeError in another thread than the loop's."""
        inner = self.inner
        if inner is None:
            raise errors.os_error(EBADF)
        driver = self.endpoint.driver
        if driver is None or driver.error or driver.thread != get_ident():
            if self.endpoint.is_closed:
                raise OSError(ENETDOWN, "the stack is closed")
            self.endpoint.check()
        return inner

    def use_on_loop(self) -> InnerSocket:
        """As `use`, for what has to pass at once: OSError ENETDOWN as well on no loop."""
        inner = self.use()
        if self.endpoint.driver is None:
            raise OSError(ENETDOWN, NO_LOOP)
        return inner

    def stream(self) -> Socket:
        """The TCP socket that is inside. Raises as `use`, and OSError EOPNOTSUPP for UDP."""
        inner = self.use()
        if not isinstance(inner, Socket):
            raise errors.os_error(EOPNOTSUPP)
        return inner

    def tried(self, call: Callable[..., T], *args: Any) -> T:
        """What a call of the inner socket gives, which may change what polling says. Raises
        NotImplementedError where it would have to block."""
        try:
            return call(*args)
        except BlockingIOError:
            self.refuse_to_wait()
            raise
        finally:
            self.show()

    def refuse_to_wait(self) -> None:
        """A call could not be done at once: an error where its caller would wait for it."""
        if self.timeout != 0:
            raise NotImplementedError(WOULD_BLOCK) from None

    def poll(self) -> int:
        """POLL… bits as they are now."""
        return 0 if self.inner is None else self.inner.poll()

    def watch(self, watcher: Watcher) -> None:
        """Have `watcher` called with EVENT_… bits whenever something happens, with 0 at its end."""
        self.watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """No longer; nothing happens if it is not called anyway."""
        with contextlib.suppress(ValueError):
            self.watchers.remove(watcher)

    def notify(self, events: int) -> None:
        """EVENT_… bits from the stack."""
        self.show()
        for watcher in tuple(self.watchers):
            watcher(events)

    # -- its descriptor --------------------------------------------------------------------------
    def place_ready(self, sock: socket.socket) -> int:
        """Have the descriptor of `sock` poll as this does; its number is returned."""
        if self.ready is None:
            self.ready = ready_in_place_of(sock)
            self.show()
        return self.ready.fd

    def forget_ready(self) -> None:
        """The descriptor belongs to another object; `place_ready` makes a new one poll."""
        if self.ready is not None:
            self.ready.close()
            self.ready = None

    def show(self) -> None:
        """Have the descriptor, if `fileno` was called, follow what there is now."""
        if self.ready is not None and self.inner is not None:
            self.ready.show(self.inner.poll())

    def detach(self) -> None:
        """The descriptor carries the data from now on, and belongs to another object."""
        self.inner = None
        self._tell_move(True)
        self._let_go()

    def close(self) -> None:
        """Nothing is inside any more. Who watches is told, unlike with the kernel's."""
        inner, self.inner = self.inner, None
        try:
            if inner is not None:
                inner.close()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self.transport = None
        self.options = None
        self._tell_move(False)
        if self.ready is not None:
            self.ready.close()
        watchers, self.watchers = self.watchers, []
        for watcher in watchers:
            watcher(0)
