"""A `socket.socket` whose other side is a stack of ours: for programs that make sockets themselves.

`StackSocket` goes wherever asyncio's users hand in a socket: `loop.sock_connect`, `sock_recv` …,
`create_connection(sock=)`, `create_server(sock=)`. It never blocks: what would have to wait is
awaited through the loop. Code that must block has `Stack.bridge_fd`.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import weakref
from collections.abc import Callable, Iterable
from errno import EBADF, ENETDOWN, EOPNOTSUPP
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from pystack import errors
from pystack.aio import numbers
from pystack.aio.handles.ready_fd import Ready, ready_in_place_of
from pystack.printed import printed
from pystack.sockets import Socket
from pystack.sockets.constants import SOCK_NONBLOCK, SOCK_TYPE_MASK
from pystack.sockets.tcp_info import TcpInfo

if TYPE_CHECKING:
    from pystack.aio.endpoint.endpoint import Endpoint


class Core(Protocol):
    """What `sockets.Socket` and `sockets.DatagramSocket` have in common."""

    family: int
    closed: bool
    on_events: Callable[[int], None] | None

    def bind(self, address: Any) -> None: ...
    def connect(self, address: Any) -> None: ...
    def shutdown(self, how: int) -> None: ...
    def close(self) -> None: ...
    def poll(self) -> int: ...
    def getsockname(self) -> Any: ...
    def getpeername(self) -> Any: ...
    def setsockopt(self, level: int, option: int, value: Any) -> None: ...
    def getsockopt(self, level: int, option: int, size: int = 0) -> int | bytes: ...


_WOULD_BLOCK = (
    "a socket of a stack cannot block: setblocking(False) and await loop.sock_… calls, or take "
    "stack.bridge_fd(…) for code that has to block"
)
# what the kernel makes until somebody asks for a descriptor
_PLACEHOLDER: Final[int] = getattr(socket, "AF_UNIX", socket.AF_INET)
_NOT_HERE = "a socket of a stack lives in its own process and loop, and cannot be "


class SocketState:
    """What a stack's socket keeps: beside it, so that a plain socket may turn into one."""

    __slots__ = (
        "inner", "stack", "ready", "watchers", "family", "type", "timeout", "options", "carried",
        "transport",
    )  # fmt: skip

    def __init__(self) -> None:
        self.inner: Core | None = None
        self.stack: Endpoint | None = None
        self.ready: Ready | None = None
        self.watchers: list[Callable[[int], None]] = []
        self.family = 0
        self.type = 0
        self.timeout: float | None = None
        self.options: list[tuple[int, int, Any]] | None = None  # None: it stays the kernel's
        self.transport: Any = None  # which has taken it over
        self.carried: Any = None  # by the loop, for a thread that blocks

    def __del__(self, is_over: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_over():
            self.drop()

    def drop(self) -> None:
        """Nobody holds it any more."""
        core, self.inner = self.inner, None
        if core is not None and not core.closed and self.stack is not None:
            self.stack._close_soon(core)  # not now: garbage is collected in the midst of anything


_states: Final[weakref.WeakKeyDictionary[socket.socket, SocketState]] = weakref.WeakKeyDictionary()


_NOTHING: Final = SocketState()


def _kept(name: str) -> Any:
    """An attribute that is kept in `SocketState`."""

    def get(sock: socket.socket) -> Any:
        # in a cycle that is collected it has gone before: what is left is the kernel's
        return getattr(_states.get(sock) or _NOTHING, name)

    def put(sock: socket.socket, value: Any) -> None:
        inside = _states.get(sock)
        if inside is not None:
            setattr(inside, name, value)

    return property(get, put)


class StackSocket(socket.socket):
    """A socket of `stack`: see `sockets.Socket` and `DatagramSocket` for the calls.

    `_inner` is what is inside, None once it is closed. The descriptor that `fileno()` gives polls
    readable on text, end, error or a waiting connection, and carries no data. Like all of a
    stack it belongs to the thread of the loop: RuntimeError elsewhere. When the stack is closed or
    its device gone, calls raise OSError ENETDOWN.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        _inner: Core | None
        _stack: Endpoint
        _ready: Ready | None
        _watchers: list[Callable[[int], None]]
        _family: int
        _type: int
        _timeout: float | None
        _options: list[tuple[int, int, Any]] | None
        _carried: Any
        _transport: Any
    else:
        _inner = _kept("inner")
        _stack, _ready, _watchers = _kept("stack"), _kept("ready"), _kept("watchers")
        _family, _type, _timeout = _kept("family"), _kept("type"), _kept("timeout")
        _options, _carried = _kept("options"), _kept("carried")
        _transport = _kept("transport")

    def __init__(
        self, endpoint: Endpoint, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM,
        proto: int = 0, *, core: Core | None = None,
    ) -> None:  # fmt: skip
        """Raises OSError as `sockets.Host.socket`. `core`: one that exists already."""
        made = core or endpoint.host.socket(numbers.family(family), type, proto)
        super().__init__(_PLACEHOLDER, socket.SOCK_STREAM)  # until somebody asks for it
        self._begin()
        self._timeout = socket.getdefaulttimeout()
        self._take(endpoint, made, type & SOCK_TYPE_MASK)
        if type & SOCK_NONBLOCK:
            self._timeout = 0.0

    def _begin(self) -> None:
        _states[self] = SocketState()

    def _take(self, endpoint: Endpoint, core: Core, type: int) -> None:
        self._stack = endpoint
        self._family = core.family
        self._type = type
        self._inner = core
        this = weakref.ref(self)  # one that nobody holds is to go, whatever its peer does

        def on_events(events: int) -> None:
            sock = this()
            if sock is not None:
                sock._on_events(events)

        core.on_events = on_events

    def __repr__(self) -> str:
        return printed(self, lambda: "closed" if self._inner is None else repr(self._inner))

    # -- what it is ------------------------------------------------------------------------------
    @property
    def stack(self) -> Endpoint:
        """The stack it belongs to."""
        return self._stack

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        return numbers.family_here(self._family)

    @property
    def type(self) -> socket.SocketKind:
        """SOCK_STREAM or SOCK_DGRAM."""
        return socket.SocketKind(self._type)

    @property
    def proto(self) -> int:
        """IPPROTO_TCP or IPPROTO_UDP."""
        return socket.IPPROTO_TCP if self._type == socket.SOCK_STREAM else socket.IPPROTO_UDP

    def fileno(self) -> int:
        """A descriptor to poll, see the class; -1 when it is closed."""
        fd = super().fileno()
        if fd >= 0 and self._ready is None and self._inner is not None:
            self._ready = ready_in_place_of(self)
            self._ready.show(self._inner.poll())
            fd = self._ready.fd
            _by_fd[fd] = self
        return fd

    # -- for the loop ----------------------------------------------------------------------------
    @property
    def is_ours(self) -> bool:
        """Whether a stack is inside, and not the kernel."""
        return True

    def _route_to(self, address: Any) -> None:
        """Whether a stack is inside may depend on where it shall send; here it does not."""

    @staticmethod
    def of(fd: Any) -> StackSocket | None:
        """The socket that a descriptor (`fileno()`) or an object stands for, None for others."""
        if isinstance(fd, StackSocket):
            return fd if fd.is_ours else None
        if not isinstance(fd, int):
            try:
                fd = fd.fileno()
            except (AttributeError, ValueError):
                return None
        return _by_fd.get(fd)

    def _watch(self, watcher: Callable[[int], None]) -> None:
        """Have `watcher` called with EVENT_… bits whenever something happens."""
        self._watchers.append(watcher)

    def _unwatch(self, watcher: Callable[[int], None]) -> None:
        """No longer; nothing happens if it is not called anyway."""
        with contextlib.suppress(ValueError):
            self._watchers.remove(watcher)

    def poll(self) -> int:
        """POLL… bits as they are now."""
        return 0 if self._inner is None else self._inner.poll()

    def _take_inner(self) -> Core:
        """What is inside, for a transport that takes it over and closes this when it ends."""
        return self._used()

    def _on_events(self, events: int) -> None:
        self._show()
        for watcher in tuple(self._watchers):
            watcher(events)

    def _show(self) -> None:
        """Have the descriptor, if somebody knows it, follow what there is now."""
        if self._ready is not None and self._inner is not None:
            self._ready.show(self._inner.poll())

    def _used(self) -> Core:
        core = self._inner
        if core is None:
            raise errors.os_error(EBADF)
        if self._stack.is_closed:
            raise OSError(ENETDOWN, "the stack is closed")
        self._stack._check()
        return core

    def _waits(self) -> None:
        """A call could not be done at once: an error where the caller would wait for it."""
        if self._timeout != 0:
            raise NotImplementedError(_WOULD_BLOCK) from None

    # -- blocking or not -------------------------------------------------------------------------
    def setblocking(self, flag: bool) -> None:
        """Whether a call that has to wait is an error that says so, or BlockingIOError."""
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        """Whether `setblocking(False)` has not been called."""
        return self._timeout != 0

    def settimeout(self, value: float | None) -> None:
        """As `setblocking`, for 0 and others. Raises ValueError for a negative one."""
        if value is not None and not value >= 0:
            raise ValueError("Timeout value out of range")
        self._timeout = None if value is None else float(value)

    def gettimeout(self) -> float | None:
        """0 where it does not block."""
        return self._timeout

    @property
    def timeout(self) -> float | None:
        """As `gettimeout`."""
        return self._timeout

    # -- from bound to closed --------------------------------------------------------------------
    def bind(self, address: Any) -> None:
        """See `sockets.Socket.bind`."""
        self._used().bind(address)

    def listen(self, backlog: int = 128) -> None:
        """See `sockets.Socket.listen`."""
        core = self._used()
        if not isinstance(core, Socket):
            raise errors.os_error(EOPNOTSUPP)
        core.listen(backlog)

    def accept(self) -> tuple[socket.socket, Any]:
        """A `StackSocket` and its peer's address. Raises BlockingIOError when none waits."""
        core = self._used()
        if not isinstance(core, Socket):
            raise errors.os_error(EOPNOTSUPP)
        try:
            child, peer = core.accept()
        except BlockingIOError:
            self._waits()
            raise
        finally:
            self._show()
        try:
            return StackSocket(self._stack, core=child), peer
        except OSError:  # no descriptor is left
            child.close()
            raise

    def connect(self, address: Any) -> None:
        """See `sockets.Socket.connect`; BlockingIOError (EINPROGRESS) is its beginning."""
        core = self._used()
        if isinstance(core, Socket) and self._timeout != 0:
            raise NotImplementedError(_WOULD_BLOCK)
        try:
            core.connect(address)
        finally:
            self._show()

    def connect_ex(self, address: Any) -> int:
        """As `connect`, but the errno is returned, 0 for none."""
        return errors.errno_of(self.connect, address)

    def shutdown(self, how: int) -> None:
        """See `sockets.Socket.shutdown`."""
        self._used().shutdown(how)
        self._show()

    def _real_close(self, *args: Any) -> None:
        """What `close` comes to when no file made of the socket is open any more."""
        core, self._inner = self._inner, None
        self._transport = None
        if self._ready is not None:
            _by_fd.pop(self._ready.fd, None)
            self._ready.close()
        try:
            if core is not None:
                core.close()
        finally:
            super()._real_close(*args)  # type: ignore[misc]
            watchers, self._watchers = self._watchers, []
            for watcher in watchers:  # who waits for it is told, unlike with the kernel's
                watcher(0)

    def detach(self) -> int:
        """Raises NotImplementedError: there is no descriptor that the text comes through."""
        if self._inner is None:
            return -1
        raise NotImplementedError(_NOT_HERE + "detached from it")

    def dup(self) -> NoReturn:
        """Raises NotImplementedError."""
        raise NotImplementedError(_NOT_HERE + "duplicated")

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise NotImplementedError(
            _NOT_HERE + "given to another process: run the program with one process "
            "(hypercorn --workers 0, uvicorn without --workers and --reload)"
        )

    def __del__(self) -> None:
        inside = _states.get(self)
        if inside is not None:  # else it was part of a cycle, and that is gone already
            inside.drop()
        super().__del__()  # type: ignore[misc]  # closes the descriptor, with a warning

    # -- text ------------------------------------------------------------------------------------
    def _call(self, name: str, *args: Any) -> Any:
        method = getattr(self._used(), name, None)
        if method is None:
            raise errors.os_error(EOPNOTSUPP)
        try:
            return method(*args)
        except BlockingIOError:
            self._waits()
            raise
        finally:
            self._show()

    def send(self, data: Any, flags: int = 0) -> int:
        """See `sockets.Socket.send`."""
        sent: int = self._call("send", data, numbers.flags(flags))
        return sent

    def sendall(self, data: Any, flags: int = 0) -> None:
        """All of it, or an error where the stack has no room: `loop.sock_sendall` waits for it."""
        view = memoryview(data).cast("B")
        while len(view):
            view = view[self.send(view, flags) :]

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Any = (), flags: int = 0, address: Any = None
    ) -> int:
        """The buffers as one text, or one datagram. Raises NotImplementedError with `ancdata`."""
        if any(True for _ in ancdata):
            raise NotImplementedError("a stack takes no ancillary data")
        data = b"".join(buffers)
        return self.send(data, flags) if address is None else self.sendto(data, flags, address)

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        """`sendto(data, address)` or `sendto(data, flags, address)`."""
        if not flags_and_address:
            raise TypeError("sendto() takes 2 or 3 arguments (1 given)")
        *flags, address = flags_and_address
        if self._type == socket.SOCK_STREAM:
            return self.send(data, *flags)
        sent: int = self._call("sendto", data, address, *map(numbers.flags, flags))
        return sent

    def recv(self, size: int, flags: int = 0) -> bytes:
        """See `sockets.Socket.recv`."""
        data: bytes = self._call("recv", size, numbers.flags(flags))
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """See `sockets.Socket.recv_into`."""
        if memoryview(buffer).readonly:  # also while there is no text for it
            raise TypeError(
                "recv_into() argument 1 must be read-write bytes-like object, not "
                + type(buffer).__name__
            )
        length: int = self._call("recv_into", buffer, nbytes, numbers.flags(flags))
        return length

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
        """A datagram and where it came from; of a connection its text, and None."""
        if self._type == socket.SOCK_STREAM:
            return self.recv(size, flags), None
        found: tuple[bytes, Any] = self._call("recvfrom", size, numbers.flags(flags))
        return found

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """As `recvfrom`, into a buffer."""
        if self._type == socket.SOCK_STREAM:
            return self.recv_into(buffer, nbytes, flags), None
        found: tuple[int, Any] = self._call("recvfrom_into", buffer, nbytes, numbers.flags(flags))
        return found

    def recvmsg(self, size: int, ancillary_size: int = 0, flags: int = 0) -> Any:
        """See `sockets.Socket.recvmsg`."""
        text, told, found, where = self._call("recvmsg", size, ancillary_size, numbers.flags(flags))
        return text, told, numbers.flags_here(found), where

    def recvmsg_into(self, buffers: Iterable[Any], ancillary_size: int = 0, flags: int = 0) -> Any:
        """As `recvmsg`, into one buffer after the other."""
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        text, *rest = self.recvmsg(sum(map(len, views)), ancillary_size, flags)
        at = 0
        for view in views:
            piece = text[at : at + len(view)]
            view[: len(piece)] = piece
            at += len(piece)
        return len(text), *rest

    # -- names and options -----------------------------------------------------------------------
    def getsockname(self) -> Any:
        """The local address and port."""
        return self._used().getsockname()

    def getpeername(self) -> Any:
        """The peer's. Raises OSError ENOTCONN without one."""
        return self._used().getpeername()

    def setsockopt(self, level: int, option: int, value: Any, length: int | None = None) -> None:
        """See `sockets.Socket.setsockopt`."""
        if value is None:  # `length` zero bytes
            value = bytes(length or 0)
        self._used().setsockopt(*numbers.option(level, option), value)

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """See `sockets.Socket.getsockopt`."""
        try:
            return self._used().getsockopt(*numbers.option(level, option), size)
        finally:
            self._show()

    def tcp_info(self) -> TcpInfo:
        """What is known of the connection, by the names of Linux's `struct tcp_info`."""
        core = self._used()
        if not isinstance(core, Socket):
            raise errors.os_error(EOPNOTSUPP)
        return core.tcp_info()


# sockets whose descriptor somebody knows
_by_fd: Final[weakref.WeakValueDictionary[int, StackSocket]] = weakref.WeakValueDictionary()
