"""A `socket.socket` for whole programs: the kernel's until an address makes it a stack's.

Programs make a socket first and say where it shall go later. `LazySocket` is a socket of the kernel
until it is bound to an address of a stack (or to a wildcard), connects to one that a stack reaches,
or sends there; then it becomes the stack's with the options that were set. Which stack, a router
says: that of the loop that runs in the calling thread. In a thread without a loop a connection that
may block is carried by the stack's loop; all else is the kernel's there.

A plain socket, made before or elsewhere, can be adopted (`adopt`): it becomes an `AdoptedSocket`.
"""

from __future__ import annotations

import socket
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EADDRINUSE, EADDRNOTAVAIL
from threading import get_ident
from typing import Any, ClassVar, Final, Protocol

from pystack import errors
from pystack.aio.handles import blocking, known_fds, numbers
from pystack.aio.handles.addresses import address_of
from pystack.aio.handles.contracts import Router, SocketStack
from pystack.aio.handles.known_fds import KernelSocket
from pystack.aio.handles.socket_base import SocketBase
from pystack.aio.handles.socket_state import SocketState
from pystack.aio.handles.stack_socket import StackSocket
from pystack.sockets.constants import TCP_FASTOPEN, TCP_FASTOPEN_CONNECT
from pystack.wire.address import ANY_V4, ANY_V6

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_TYPES: Final = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
_WILDCARDS: Final = (ANY_V4, ANY_V6)
_COPIED_NAMES: Final = (
    ("SOL_SOCKET", "SO_REUSEADDR"), ("SOL_SOCKET", "SO_KEEPALIVE"), ("IPPROTO_IPV6", "IPV6_V6ONLY"),
    ("IPPROTO_TCP", "TCP_NODELAY"), ("IPPROTO_TCP", "TCP_KEEPIDLE"),
    ("IPPROTO_TCP", "TCP_KEEPALIVE"), ("IPPROTO_TCP", "TCP_KEEPINTVL"),
    ("IPPROTO_TCP", "TCP_KEEPCNT"), ("IPPROTO_TCP", "TCP_USER_TIMEOUT"),
)  # fmt: skip
_COPIED: Final[tuple[tuple[int, int], ...]] = tuple(  # those that the system has
    (getattr(socket, level), getattr(socket, name))
    for level, name in _COPIED_NAMES
    if hasattr(socket, name)
) + (
    tuple((socket.IPPROTO_TCP, option) for option in (TCP_FASTOPEN, TCP_FASTOPEN_CONNECT))
    if sys.platform == "linux" else ()  # Python has no name for the second one
)  # fmt: skip


class ProgramRouter(Router[SocketStack], Protocol):
    """Whose an address is in a whole program."""

    def is_taken(self, own: bytes, port: int, kind: int, /) -> bool:
        """Whether a stack of the program, which the calling thread may not have, has that address,
        and the port of that kind of socket is in use there."""


class _Kind(type):
    """Has every socket pass for one of these: programs ask `isinstance(sock, socket.socket)`."""

    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, KernelSocket)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, KernelSocket)


class LazySocket(StackSocket, metaclass=_Kind):
    """What stands for `socket.socket` in a program: see the module.

    IPv4-mapped addresses and "" count as what they stand for; names go to `socket.getaddrinfo`.
    """

    __slots__ = ()

    router: ClassVar[ProgramRouter | None] = None

    def __init__(
        self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
    ) -> None:
        """As `socket.socket`."""
        self._state = SocketState()  # without options it stays the kernel's
        KernelSocket.__init__(self, family, type, proto, fileno)
        if fileno is None and self.family in _FAMILIES and self.type in _TYPES:
            self._state = SocketState([])

    def bind(self, address: Any) -> None:
        """As `socket.bind`; the address decides."""
        state = self._state
        address = _in_figures(self, address)
        if state.may_change:
            _route_at(self, address)
        if not state.kernels:
            super().bind(address)
            return
        try:
            KernelSocket.bind(self, address)
        except OSError as error:
            raise _refused(self, address, error) from None
        if state.may_change and address_of(self.getsockname()) not in (None, *_WILDCARDS):
            state.keep_to_kernel()  # an address of the kernel's

    def connect(self, address: Any) -> None:
        """As `socket.connect`; the address decides. In a thread of its own it may block."""
        state = self._state
        address = _in_figures(self, address)
        if state.may_change:
            stack = _route_to(self, address_of(address))
            if stack is not None:
                proxy = blocking.connect_blocking(stack, address, self, state.options or ())
                state.carry_by(proxy)
                return
        if state.kernels:
            KernelSocket.connect(self, address)
        else:
            super().connect(address)

    def connect_ex(self, address: Any) -> int:
        """As `socket.connect_ex`; the address decides."""
        state = self._state
        address = _in_figures(self, address)
        if state.may_change:
            if _route_to(self, address_of(address)) is not None:
                return errors.errno_of(self.connect, address)
        if state.kernels:
            return KernelSocket.connect_ex(self, address)
        return super().connect_ex(address)

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        """As `socket.sendto`; the address decides."""
        if flags_and_address:
            *flags, address = flags_and_address
            flags_and_address = (*flags, _in_figures(self, address))
            if self._state.may_change:
                route(self, flags_and_address[-1])
        return super().sendto(data, *flags_and_address)

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        """As `socket.sendmsg`; the address, if there is one, decides."""
        if address is not None:
            address = _in_figures(self, address)
            if self._state.may_change:
                route(self, address)
        return super().sendmsg(buffers, ancdata, flags, address)

    def setsockopt(self, level: int, option: int, value: Any, *length: Any) -> None:
        """As `socket.setsockopt`; a socket that becomes a stack's takes what that knows."""
        state = self._state
        if state.proxy is not None and level in blocking.LEVELS:
            state.proxy.option("setsockopt", level, option, value)
        elif not state.kernels:
            super().setsockopt(level, option, value, *length)
        else:
            KernelSocket.setsockopt(self, level, option, value, *length)
            state.note_option(level, option, value)

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """As `socket.getsockopt`."""
        state = self._state
        if state.proxy is not None and level in blocking.LEVELS:
            return state.proxy.option("getsockopt", level, option, size)
        if not state.kernels:
            return super().getsockopt(level, option, size)
        return KernelSocket.getsockopt(self, level, option, *([size] if size else []))

    def getsockname(self) -> Any:
        """As `socket.getsockname`."""
        state = self._state
        if state.proxy is not None:
            return state.proxy.sockname
        return KernelSocket.getsockname(self) if state.kernels else super().getsockname()

    def getpeername(self) -> Any:
        """As `socket.getpeername`."""
        state = self._state
        if state.proxy is not None:
            return state.proxy.peername
        return KernelSocket.getpeername(self) if state.kernels else super().getpeername()


class AdoptedSocket(SocketBase):
    """A plain socket of the kernel that has become a stack's: its state stands beside it."""

    __slots__ = ()

    @property
    def _state(self) -> SocketState:  # type: ignore[override]
        # in a cycle that is collected it has gone before: what is left is the kernel's
        return _adopted.get(self) or SocketState()


def may_change(sock: object) -> bool:
    """Whether it is the kernel's only as long as no address says otherwise."""
    return isinstance(sock, StackSocket) and sock._state.may_change


def route(sock: LazySocket, where: Any) -> None:
    """Have a socket that may change be of the stack that reaches an address, if one does."""
    stack = _stack_to(sock, address_of(where))
    if stack is not None and _is_usable(stack):
        bind_to_stack(sock, sock._state, stack)


def adopt(sock: socket.socket, stack: SocketStack) -> bool:
    """Turn a plain socket into one of `stack`; whether it is one that can be.

    Options that it has already are taken over, but for the sizes of buffers.
    """
    if type(sock) is not KernelSocket or sock.type not in _TYPES:
        return False
    options = [
        (level, option, sock.getsockopt(level, option))
        for level, option in _COPIED
        if sock.family == socket.AF_INET6 or level != socket.IPPROTO_IPV6
        if sock.type == socket.SOCK_STREAM or level != socket.IPPROTO_TCP
    ]
    state = SocketState(options)
    bind_to_stack(sock, state, stack)
    _adopted[sock] = state
    made: Any = sock
    made.__class__ = AdoptedSocket
    return True


def bind_to_stack(sock: socket.socket, state: SocketState, stack: SocketStack) -> None:
    """Make `sock`, with its `state`, a socket of `stack` with the options that were set."""
    kind, timeout = KernelSocket.type.__get__(sock), KernelSocket.gettimeout(sock)
    bound = KernelSocket.getsockname(sock)
    family = numbers.family(KernelSocket.family.__get__(sock))
    inner = stack.host.socket(family, kind)
    for level, option, value in state.options or ():
        try:
            inner.setsockopt(*numbers.option(level, option), value)
        except OSError:
            continue  # the kernel took it, and it is none that the stack knows
    state.bind_to_stack(stack, inner, kind, timeout)
    if known_fds.has(sock):
        state.place_ready(sock)
    if bound[1]:  # by bind() to an address that is the kernel's
        inner.bind(bound)


@contextmanager
def replaced(router: ProgramRouter) -> Iterator[None]:
    """Meanwhile `socket.socket` is a `LazySocket`, in every thread."""
    before, before_router = socket.socket, LazySocket.router
    LazySocket.router = router
    socket.socket = LazySocket  # type: ignore[misc]
    try:
        yield
    finally:
        LazySocket.router = before_router
        socket.socket = before  # type: ignore[misc]


def _stack_to(sock: LazySocket, remote: bytes | None) -> SocketStack | None:
    return None if sock.router is None or remote is None else sock.router.stack_to(remote)


def _route_to(sock: LazySocket, remote: bytes | None) -> SocketStack | None:
    """Have the socket be of the stack that reaches an address, if one does. A stack of another
    thread is returned where a call may block and its loop carries the connection."""
    stack = _stack_to(sock, remote)
    if stack is None:
        return None
    if _is_usable(stack):
        bind_to_stack(sock, sock._state, stack)
        return None
    may_block = sock.type == socket.SOCK_STREAM and sock.gettimeout() != 0
    return stack if may_block else None


def _route_at(sock: LazySocket, where: Any) -> None:
    """Have the socket be of the stack that has an address, or of the first one at any address."""
    own = None if sock.router is None else address_of(where)
    if sock.router is None or own is None:
        return
    wildcard = own in _WILDCARDS
    if wildcard and sock.type == socket.SOCK_DGRAM and not where[1]:
        return  # where it sends to will tell
    v6only = own == ANY_V6 and bool(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    stack = sock.router.stack_at(own, v6only=v6only)
    if stack is not None and _is_usable(stack):
        bind_to_stack(sock, sock._state, stack)


def _is_usable(stack: SocketStack) -> bool:
    """Whether it may be used in this thread: that of its loop, any while it is on none."""
    return stack.driver is None or stack.driver.thread == get_ident()


def _refused(sock: LazySocket, where: Any, error: OSError) -> OSError:
    """What to raise where the kernel does not have an address: it may be a stack's."""
    own = address_of(where)
    if error.errno != EADDRNOTAVAIL or sock.router is None or own is None:
        return error
    if sock.router.is_taken(own, where[1], sock.type):
        return OSError(EADDRINUSE, "Address already in use")
    return error


def _in_figures(sock: LazySocket, where: Any) -> Any:
    """An address tuple without a name in it, which might be one that stacks know."""
    host = where[0] if isinstance(where, tuple) and where else ""
    if isinstance(host, str) and (":" in host or host.replace(".", "").isdecimal() or not host):
        return where
    if not isinstance(host, (str, bytes)) or sock.family not in _FAMILIES or host == "<broadcast>":
        return where
    try:
        return socket.getaddrinfo(host, where[1], sock.family, sock.type)[0][4]
    except (OSError, TypeError, ValueError, IndexError):
        return where  # the socket says what is wrong


_adopted: Final[weakref.WeakKeyDictionary[socket.socket, SocketState]] = (
    weakref.WeakKeyDictionary()
)
