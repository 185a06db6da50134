"""A `socket.socket` for whole programs: the kernel's until an address makes it a stack's.

Programs make a socket first and say where it shall go later. `LazySocket` is a socket of the
kernel until it is bound to an address of a stack (or to a wildcard), connects to one that a stack
reaches, or sends there; then it becomes a `StackSocket` with the options that were set.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import get_ident
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from pystack import errors
from pystack.aio import numbers
from pystack.aio.handles import blocking
from pystack.aio.handles.stack_socket import StackSocket
from pystack.aio.loop.routing import Choice, address_of
from pystack.wire.address import ANY_V4, ANY_V6

if TYPE_CHECKING:
    from pystack.aio.endpoint.endpoint import Endpoint

socket_of_the_kernel: Final = socket.socket  # also where a program's module has another one

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_TYPES: Final = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
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
)


class _Kind(type):
    """Has every socket pass for one of these: programs ask `isinstance(sock, socket.socket)`."""

    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, socket_of_the_kernel)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, socket_of_the_kernel)


class LazySocket(StackSocket, metaclass=_Kind):
    """What stands for `socket.socket` in a program: see the module. `choice` finds the stack.

    IPv4-mapped addresses and "" count as what they stand for; names are the kernel's.
    """

    __slots__ = ()

    choice: ClassVar[Choice | None] = None

    def __init__(
        self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
    ) -> None:
        """As `socket.socket`."""
        socket_of_the_kernel.__init__(self, family, type, proto, fileno)
        self._begin()  # without options it stays the kernel's
        if fileno is None:
            if self.family in _FAMILIES and self.type in _TYPES:
                self._options = []

    @property
    def is_ours(self) -> bool:
        """Whether a stack is inside, and not the kernel."""
        return self._inner is not None

    @property
    def _may_change(self) -> bool:
        """Whether it is the kernel's only as long as no address says otherwise."""
        return self._options is not None

    def _route_to(self, where: Any) -> None:
        """Become a stack's socket if one reaches the address."""
        if self.choice is not None and self._options is not None:
            remote = address_of(where)
            stack = None if remote is None else self.choice.stack_to(remote)
            if stack is not None:
                self._bind_to_stack(stack)

    def _route_at(self, where: Any) -> None:
        """Become a stack's socket if one has the address, or the address is any."""
        if self.choice is not None and self._options is not None:
            own = address_of(where)
            wildcard = own in (ANY_V4, ANY_V6)
            if wildcard and self.type == socket.SOCK_DGRAM and not where[1]:
                return  # where it sends to will tell
            v6only = own == ANY_V6 and bool(
                self.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            )
            stack = None if own is None else self.choice.stack_at(own, v6only=v6only)
            # at any address another thread means the kernel: the stack is not to be had there
            if stack is not None and not (wildcard and stack._thread != get_ident()):
                self._bind_to_stack(stack)

    @staticmethod
    def _adopted(sock: socket.socket) -> LazySocket | None:
        """Turn a plain socket into one that may be a stack's; None for what is none of those.

        Options that it has already are taken over, but for the sizes of buffers.
        """
        if type(sock) is not socket_of_the_kernel or sock.type not in _TYPES:
            return None
        options = [
            (level, option, sock.getsockopt(level, option))
            for level, option in _COPIED
            if sock.family == socket.AF_INET6 or level != socket.IPPROTO_IPV6
            if sock.type == socket.SOCK_STREAM or level != socket.IPPROTO_TCP
        ]
        either: Any = sock
        either.__class__ = LazySocket
        either._begin()
        either._options = options
        return cast(LazySocket, either)

    def _bind_to_stack(self, stack: Endpoint) -> None:
        """Be a socket of `stack` from now on, with the options that were set."""
        stack._check()
        options, self._options = self._options or [], None
        kind, timeout, bound = self.type, self.gettimeout(), self.getsockname()
        core = stack.host.socket(numbers.family(self.family), kind)
        for level, option, value in options:
            try:
                core.setsockopt(*numbers.option(level, option), value)
            except OSError:
                continue  # the kernel took it, and it is none that the stack knows
        self._take(stack, core, kind)
        self._timeout = timeout
        if bound[1]:  # by bind() to an address that is the kernel's
            core.bind(bound)

    def setsockopt(self, level: int, option: int, value: Any, *length: Any) -> None:
        """As `socket.setsockopt`; a socket that becomes a stack's takes what that knows."""
        if self._carried is not None and level in blocking.LEVELS:
            self._carried.option("setsockopt", level, option, value)
            return
        if self._inner is not None:
            super().setsockopt(level, option, value, *length)
            return
        socket_of_the_kernel.setsockopt(self, level, option, value, *length)
        if self._options is not None and value is not None:
            self._options.append((level, option, value))

    def bind(self, address: Any) -> None:
        """As `socket.bind`; the address decides."""
        self._route_at(address)
        _bind(self, address)
        if self._inner is None and address_of(self.getsockname()) not in (None, ANY_V4, ANY_V6):
            self._options = None  # an address of the kernel's: it stays one of its sockets

    def connect(self, address: Any) -> None:
        """As `socket.connect`; the address decides. In a thread of its own it may block."""
        address = self._looked_up(address)
        stack = self._elsewhere(address)
        if stack is not None:
            options, self._options = self._options or [], None
            self._carried = blocking.connect_blocking(stack, address, self, options)
            return
        self._route_to(address)
        _connect(self, address)

    def connect_ex(self, address: Any) -> int:
        """As `socket.connect_ex`; the address decides."""
        address = self._looked_up(address)
        if self._elsewhere(address) is not None:
            return errors.errno_of(self.connect, address)
        self._route_to(address)
        errno: int = _connect_ex(self, address)
        return errno

    def _looked_up(self, where: Any) -> Any:
        """An address tuple in figures, where a name in it might be a stack's."""
        if not self._may_change or not isinstance(where, tuple) or address_of(where) is not None:
            return where
        try:
            infos = socket.getaddrinfo(where[0], where[1], self.family, self.type)
        except (OSError, TypeError, ValueError, IndexError):
            return where  # the kernel's socket says what is wrong
        return infos[0][4]

    def _elsewhere(self, address: Any) -> Endpoint | None:
        """The stack that reaches the address, if it runs in another thread and this may wait."""
        if self.choice is None or self._options is None or self.gettimeout() == 0:
            return None
        remote = address_of(address)
        stack = None if remote is None else self.choice.stack_to(remote)
        if stack is None or stack._thread == get_ident() or self.type != socket.SOCK_STREAM:
            return None
        return stack

    def getsockname(self) -> Any:
        """As `socket.getsockname`."""
        return _getsockname(self) if self._carried is None else self._carried.sockname

    def getpeername(self) -> Any:
        """As `socket.getpeername`."""
        return _getpeername(self) if self._carried is None else self._carried.peername

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """As `socket.getsockopt`."""
        if self._carried is not None and level in blocking.LEVELS:
            return self._carried.option("getsockopt", level, option, size)
        return _getsockopt(self, level, option, *([size] if size else []))

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        """As `socket.sendto`; the address decides."""
        if flags_and_address:
            self._route_to(flags_and_address[-1])
        sent: int = _sendto(self, data, *flags_and_address)
        return sent

    def sendmsg(self, *args: Any) -> int:
        """As `socket.sendmsg`; the address, if there is one, decides."""
        if len(args) > 3:
            self._route_to(args[3])
        sent: int = _sendmsg(self, *args)
        return sent


@contextmanager
def replaced(choice: Choice) -> Iterator[None]:
    """Meanwhile `socket.socket` is an `LazySocket`, in every thread."""
    before, before_choice = socket.socket, LazySocket.choice
    LazySocket.choice = choice
    socket.socket = LazySocket  # type: ignore[misc]
    try:
        yield
    finally:
        LazySocket.choice = before_choice
        socket.socket = before  # type: ignore[misc]


def _either(name: str) -> Callable[..., Any]:
    """The call of a stack's socket once it is one, the kernel's before."""
    ours = getattr(StackSocket, name)
    kernels = getattr(socket_of_the_kernel, name)

    @wraps(kernels)
    def call(self: LazySocket, *args: Any, **options: Any) -> Any:
        return (kernels if self._inner is None else ours)(self, *args, **options)

    return call


def _either_property(name: str) -> property:
    ours: Any = getattr(StackSocket, name)
    kernels: Any = getattr(socket_of_the_kernel, name)

    def value(self: LazySocket) -> Any:
        return kernels.__get__(self) if self._inner is None else ours.fget(self)

    return property(value)


_bind, _connect, _connect_ex = _either("bind"), _either("connect"), _either("connect_ex")
_sendto, _sendmsg, _getsockopt = _either("sendto"), _either("sendmsg"), _either("getsockopt")
_getsockname, _getpeername = _either("getsockname"), _either("getpeername")
for _name in (
    "listen", "accept", "shutdown", "fileno", "setblocking", "getblocking", "settimeout",
    "gettimeout", "detach", "dup", "send", "sendall", "recv", "recv_into", "recvfrom",
    "recvfrom_into", "recvmsg", "recvmsg_into", "__repr__", "__reduce_ex__",
):  # fmt: skip
    setattr(LazySocket, _name, _either(_name))
for _name in "family", "type", "proto", "timeout":
    setattr(LazySocket, _name, _either_property(_name))
