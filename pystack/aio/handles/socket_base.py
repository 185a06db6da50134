"""The calls of a `socket.socket` that is, or may become, a stack's.

`SocketBase` has them all; the classes below it say how it is made and where its state is kept
(`stack_socket`, `lazy_socket`). While the state says that it is the kernel's, a call is the
kernel's. A stack's never blocks: what would have to wait is awaited through the loop. Code that
must block has `Stack.bridge_fd`.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable
from errno import ENETDOWN
from typing import TYPE_CHECKING, Any, Final

from pystack import errors
from pystack.aio.handles import known_fds, numbers, tls
from pystack.aio.handles.contracts import SocketStack
from pystack.aio.handles.known_fds import KernelSocket
from pystack.aio.handles.socket_state import BLOCKS_WITH_LOOP, NO_LOOP, WOULD_BLOCK, SocketState
from pystack.printed import printed
from pystack.sockets.constants import MSG_FASTOPEN
from pystack.sockets.tcp.tcp_info import TcpInfo

_logger = logging.getLogger("pystack")
_kernels: Final[Any] = KernelSocket  # calls that other systems lack
_NO_CONNECTION: Final = (
    "a socket of a stack can be detached, or wrapped by ssl.SSLContext.wrap_socket, once it is "
    "connected: accept, or await loop.sock_connect, and then wrap the connection; servers take ssl="
)
_NOT_HERE: Final = "a socket of a stack lives in its own process and loop, and cannot be "


class SocketBase(socket.socket):
    """See the module, and `StackSocket` for what differs from the kernel's."""

    __slots__ = ()

    if TYPE_CHECKING:
        _state: SocketState

    def __repr__(self) -> str:
        if hasattr(self, "_state") and self._state.kernels:
            return KernelSocket.__repr__(self)
        return printed(self, self._words)

    def _words(self) -> str:
        inner = self._state.inner
        return "closed" if inner is None else repr(inner)

    # -- what it is ------------------------------------------------------------------------------
    @property
    def stack(self) -> SocketStack:
        """The stack it belongs to."""
        return self._state.endpoint

    @property
    def is_ours(self) -> bool:
        """Whether a stack is inside, and not the kernel."""
        return self._state.inner is not None

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        state = self._state
        if state.kernels:
            family: socket.AddressFamily = KernelSocket.family.__get__(self)
            return family
        return numbers.family_here(state.family)

    @property
    def type(self) -> socket.SocketKind:
        """SOCK_STREAM or SOCK_DGRAM."""
        state = self._state
        if state.kernels:
            kind: socket.SocketKind = KernelSocket.type.__get__(self)
            return kind
        return socket.SocketKind(state.type)

    @property
    def proto(self) -> int:
        """IPPROTO_TCP or IPPROTO_UDP."""
        state = self._state
        if state.kernels:
            number: int = KernelSocket.proto.__get__(self)
            return number
        return socket.IPPROTO_TCP if state.type == socket.SOCK_STREAM else socket.IPPROTO_UDP

    def fileno(self) -> int:
        """A descriptor to poll, see the class; -1 when it is closed."""
        fd = KernelSocket.fileno(self)
        state = self._state
        if fd >= 0:
            if state.inner is not None:
                if state.ready is None:
                    fd = state.place_ready(self)
                    known_fds.add(self, fd)
            elif state.may_change:
                known_fds.add(self, fd)
        return fd

    @staticmethod
    def of(fd: Any) -> SocketBase | None:
        """The socket that a descriptor (`fileno()`) or an object stands for, None for others."""
        sock = known(fd)
        return sock if sock is not None and sock.is_ours else None

    def poll(self) -> int:
        """POLL… bits as they are now."""
        return self._state.poll()

    # -- blocking or not -------------------------------------------------------------------------
    def setblocking(self, flag: bool) -> None:
        """Whether a call that has to wait is an error that says so, or BlockingIOError."""
        state = self._state
        if state.kernels:
            KernelSocket.setblocking(self, flag)
        else:
            state.set_timeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        """Whether `setblocking(False)` has not been called."""
        return self.gettimeout() != 0

    def settimeout(self, value: float | None) -> None:
        """As `setblocking`, for 0 and others. Raises ValueError for a negative one."""
        state = self._state
        if state.kernels:
            KernelSocket.settimeout(self, value)
        elif value is not None and not value >= 0:
            raise ValueError("Timeout value out of range")
        else:
            state.set_timeout(None if value is None else float(value))

    def gettimeout(self) -> float | None:
        """0 where it does not block."""
        state = self._state
        return KernelSocket.gettimeout(self) if state.kernels else state.timeout

    @property
    def timeout(self) -> float | None:
        """As `gettimeout`."""
        return self.gettimeout()

    # -- from bound to closed --------------------------------------------------------------------
    def bind(self, address: Any) -> None:
        """See `sockets.Socket.bind`."""
        self._state.use().bind(address)

    def listen(self, backlog: int = 128) -> None:
        """See `sockets.Socket.listen`."""
        state = self._state
        if state.kernels:
            KernelSocket.listen(self, backlog)
        else:
            state.stream().listen(backlog)

    def connect(self, address: Any) -> None:
        """See `sockets.Socket.connect`; BlockingIOError (EINPROGRESS) is its beginning."""
        state = self._state
        inner = state.use()
        has_loop = state.endpoint.driver is not None
        if state.type == socket.SOCK_STREAM and state.timeout != 0:
            raise NotImplementedError(WOULD_BLOCK if has_loop else BLOCKS_WITH_LOOP)
        if not has_loop:
            raise OSError(ENETDOWN, NO_LOOP)
        try:
            inner.connect(address)
        finally:
            state.show()

    def connect_ex(self, address: Any) -> int:
        """As `connect`, but the errno is returned, 0 for none."""
        errno = errors.errno_of(self.connect, address)
        if errno == ENETDOWN and self._state.endpoint.driver is None:
            _logger.warning(NO_LOOP)  # which a number cannot say
        return errno

    def shutdown(self, how: int) -> None:
        """See `sockets.Socket.shutdown`."""
        state = self._state
        if state.kernels:
            KernelSocket.shutdown(self, how)
            return
        state.use().shutdown(how)
        state.show()

    def _real_close(self, *args: Any) -> None:
        """What `close` comes to when no file made of the socket is open any more."""
        known_fds.remove(self)
        try:
            self._state.close()
        finally:
            KernelSocket._real_close(self, *args)  # type: ignore[attr-defined]

    def detach(self) -> int:
        """The descriptor, which carries the data of the connection from now on (see `bridge_fd`).
        Raises NotImplementedError without a connection."""
        state = self._state
        if not state.kernels and state.inner is not None:
            try:
                self._carry_data()
            except NotImplementedError:
                if tls.is_asking():
                    self._take_another_descriptor()
                raise
        known_fds.remove(self)
        return KernelSocket.detach(self)

    def _carry_data(self) -> None:
        """Have the loop carry the data between the connection and the descriptor."""
        state = self._state
        try:
            state.use().getpeername()
        except OSError:
            raise NotImplementedError(_NO_CONNECTION) from None
        end = state.endpoint.bridge_fd(self, family=self.family)
        with end:
            end.setblocking(state.timeout is None)  # of both descriptors, then
            os.dup2(end.fileno(), KernelSocket.fileno(self), inheritable=False)
        state.detach()

    def _take_another_descriptor(self) -> None:
        """An SSLSocket that is begun asks last whether it may have the descriptor, and closes it at
        its own end in any case."""
        known_fds.remove(self)
        self._state.forget_ready()
        KernelSocket.detach(self)
        KernelSocket.__init__(self, socket.AF_INET, socket.SOCK_STREAM)

    def dup(self) -> Any:
        """Raises NotImplementedError, but for one of the kernel."""
        if self._state.kernels:
            return KernelSocket.dup(self)
        raise NotImplementedError(_NOT_HERE + "duplicated: take stack.bridge_fd(…)")

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._state.kernels:
            return KernelSocket.__reduce_ex__(self, protocol)
        raise NotImplementedError(
            _NOT_HERE + "given to another process: run the program with one process "
            "(hypercorn --workers 0, uvicorn without --workers and --reload)"
        )

    def __del__(self) -> None:
        if hasattr(self, "_state"):
            self._state.drop()
        KernelSocket.__del__(self)  # type: ignore[attr-defined]  # closes it, with a warning

    # -- data ------------------------------------------------------------------------------------
    def send(self, data: Any, flags: int = 0) -> int:
        """See `sockets.Socket.send`."""
        state = self._state
        if state.kernels:
            return KernelSocket.send(self, data, flags)
        inner: Any = state.use()
        try:
            sent: int = inner.send(data, numbers.flags(flags) if flags else 0)
        except BlockingIOError:
            state.refuse_to_wait()
            raise
        finally:
            if state.ready is not None:
                state.show()
        return sent

    def sendall(self, data: Any, flags: int = 0) -> None:
        """All of it, or an error where the stack has no room: `loop.sock_sendall` waits for it."""
        if self._state.kernels:
            KernelSocket.sendall(self, data, flags)
            return
        view = memoryview(data).cast("B")
        while len(view):
            view = view[self.send(view, flags) :]

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Any = (), flags: int = 0, address: Any = None
    ) -> int:
        """The buffers joined, for UDP as one datagram; see `sockets.DatagramSocket.sendmsg` and
        `sockets.Socket.sendmsg` for `ancdata`."""
        if self._state.kernels:
            where = () if address is None else (address,)
            return int(_kernels.sendmsg(self, buffers, ancdata, flags, *where))
        items = [(*numbers.option(level, kind), data) for level, kind, data in ancdata]
        state = self._state
        inner: Any = state.use() if state.type == socket.SOCK_STREAM else state.use_on_loop()
        sent: int = state.tried(inner.sendmsg, buffers, items, numbers.flags(flags), address)
        return sent

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        """`sendto(data, address)` or `sendto(data, flags, address)`."""
        state = self._state
        if state.kernels:
            return KernelSocket.sendto(self, data, *flags_and_address)
        if not flags_and_address:
            raise TypeError("sendto() takes 2 or 3 arguments (1 given)")
        *flags, address = flags_and_address
        if state.type == socket.SOCK_STREAM and not any(flag & MSG_FASTOPEN for flag in flags):
            return self.send(data, *flags)
        inner: Any = state.use_on_loop()
        return int(state.tried(inner.sendto, data, address, *map(numbers.flags, flags)))

    def recv(self, size: int, flags: int = 0) -> bytes:
        """See `sockets.Socket.recv`."""
        state = self._state
        if state.kernels:
            return KernelSocket.recv(self, size, flags)
        inner: Any = state.use()
        try:
            data: bytes = inner.recv(size, numbers.flags(flags) if flags else 0)
        except BlockingIOError:
            state.refuse_to_wait()
            raise
        finally:
            if state.ready is not None:
                state.show()
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """See `sockets.Socket.recv_into`."""
        state = self._state
        if state.kernels:
            return KernelSocket.recv_into(self, buffer, nbytes, flags)
        if memoryview(buffer).readonly:  # also while there is no data for it
            raise TypeError(
                "recv_into() argument 1 must be read-write bytes-like object, not "
                + type(buffer).__name__
            )
        inner: Any = state.use()
        length: int = state.tried(inner.recv_into, buffer, nbytes, numbers.flags(flags))
        return length

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
        """A datagram and where it came from; of a connection its data, and None."""
        state = self._state
        if state.kernels:
            return KernelSocket.recvfrom(self, size, flags)
        if state.type == socket.SOCK_STREAM:
            return self.recv(size, flags), None
        inner: Any = state.use()
        found: tuple[bytes, Any] = state.tried(inner.recvfrom, size, numbers.flags(flags))
        return found

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """As `recvfrom`, into a buffer."""
        state = self._state
        if state.kernels:
            return KernelSocket.recvfrom_into(self, buffer, nbytes, flags)
        if state.type == socket.SOCK_STREAM:
            return self.recv_into(buffer, nbytes, flags), None
        inner: Any = state.use()
        found: tuple[int, Any] = state.tried(
            inner.recvfrom_into, buffer, nbytes, numbers.flags(flags)
        )
        return found

    def recvmsg(self, size: int, ancillary_size: int = 0, flags: int = 0) -> Any:
        """See `sockets.Socket.recvmsg`."""
        state = self._state
        if state.kernels:
            return _kernels.recvmsg(self, size, ancillary_size, flags)
        inner: Any = state.use()
        data, ancillary, found, where = state.tried(
            inner.recvmsg, size, ancillary_size, numbers.flags(flags)
        )
        return data, ancillary, numbers.flags_here(found), where

    def recvmsg_into(self, buffers: Iterable[Any], ancillary_size: int = 0, flags: int = 0) -> Any:
        """As `recvmsg`, into one buffer after the other."""
        if self._state.kernels:
            return _kernels.recvmsg_into(self, buffers, ancillary_size, flags)
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        data, *rest = self.recvmsg(sum(map(len, views)), ancillary_size, flags)
        at = 0
        for view in views:
            piece = data[at : at + len(view)]
            view[: len(piece)] = piece
            at += len(piece)
        return len(data), *rest

    # -- names and options -----------------------------------------------------------------------
    def getsockname(self) -> Any:
        """The local address and port."""
        return self._state.use().getsockname()

    def getpeername(self) -> Any:
        """The peer's. Raises OSError ENOTCONN without one."""
        return self._state.use().getpeername()

    def setsockopt(self, level: int, option: int, value: Any, length: int | None = None) -> None:
        """See `sockets.Socket.setsockopt`."""
        if value is None:  # `length` zero bytes
            value = bytes(length or 0)
        self._state.use().setsockopt(*numbers.option(level, option), value)

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """See `sockets.Socket.getsockopt`."""
        state = self._state
        try:
            return state.use().getsockopt(*numbers.option(level, option), size)
        finally:
            state.show()

    def tcp_info(self) -> TcpInfo:
        """What is known of the connection, by the names of Linux's `struct tcp_info`."""
        return self._state.stream().tcp_info()


def state_of(sock: SocketBase) -> SocketState:
    """The stack's side of it."""
    return sock._state


def known(fd: Any) -> SocketBase | None:
    """The socket that a descriptor or an object stands for, and that is a stack's or may become
    one's."""
    sock = fd if isinstance(fd, SocketBase) else known_fds.get(fd)
    return sock if isinstance(sock, SocketBase) else None
