"""`loop.sock_…` and `add_reader`, `add_writer` for sockets of stacks (`StackSocket`).

A call is tried, and again each time the stack tells of something; descriptors and `select` have
no part in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple

from pystack.aio import numbers
from pystack.aio.handles import tls
from pystack.aio.handles.lazy_socket import LazySocket
from pystack.aio.handles.ready_fd import READABLE
from pystack.aio.handles.sendfile import send_file
from pystack.aio.handles.stack_socket import StackSocket
from pystack.aio.handles.stream import Transport
from pystack.aio.loop.name_lookup import Resolver
from pystack.aio.loop.routing import address_of
from pystack.sockets import Socket
from pystack.sockets.constants import AF_INET, AF_INET6, POLLERR, POLLHUP, POLLOUT

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_FAMILIES: Final = (AF_INET, AF_INET6)
_NOWHERE: Final = ("0.0.0.0", "::")
_WRITABLE: Final = POLLOUT | POLLHUP | POLLERR
_PIECE: Final = 262_144  # of a file, as asyncio


class SockCalls(Resolver):
    """To be mixed in before a loop's class."""

    sends_files_over_stacks: Final = True  # for transports, see `_sendfile_native`
    _watches: dict[tuple[StackSocket, int], Watch]

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return self

    def taken(self, sock: Any) -> Socket | None:
        """What is inside a stream socket of a stack, for a transport; None for one of the kernel.
        Raises TypeError for an SSLSocket, ValueError for another kind of socket."""
        if sock is None:
            return None
        tls.refuse_ssl_socket(sock)
        if not _is_ours(sock):
            return None
        core = sock._take_inner()
        if not isinstance(core, Socket):
            raise ValueError(f"A Stream Socket was expected, got {sock!r}")
        _refuse_taken(sock)
        return core

    def _ours(self, sock: Any) -> bool:
        """Whether a stack has to do it. Raises as asyncio for sockets that it does not take."""
        tls.refuse_ssl_socket(sock)
        if not _is_ours(sock):
            return False
        self._refuse_blocking(sock)
        return True

    def _refuse_blocking(self, sock: StackSocket) -> None:
        if self.get_debug() and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")

    async def _tried(self, sock: StackSocket, call: Callable[..., T], *args: Any) -> T:
        """What `call` gives once it need not wait. Raises what it raises."""
        while True:
            try:
                return call(*args)
            except BlockingIOError:
                _refuse_taken(sock)
                await _something(self._loop, sock)

    # -- the calls -------------------------------------------------------------------------------
    async def sock_recv(self, sock: Any, n: int) -> bytes:
        """As asyncio's."""
        if self._ours(sock):
            return await self._tried(sock, sock.recv, n)
        return await super().sock_recv(sock, n)

    async def sock_recv_into(self, sock: Any, buf: Any) -> int:
        """As asyncio's."""
        if self._ours(sock):
            return await self._tried(sock, sock.recv_into, buf)
        return await super().sock_recv_into(sock, buf)

    async def sock_recvfrom(self, sock: Any, bufsize: int) -> Any:
        """As asyncio's."""
        if self._ours(sock):
            return await self._tried(sock, sock.recvfrom, bufsize)
        return await super().sock_recvfrom(sock, bufsize)

    async def sock_recvfrom_into(self, sock: Any, buf: Any, nbytes: int = 0) -> Any:
        """As asyncio's."""
        if self._ours(sock):
            return await self._tried(sock, sock.recvfrom_into, buf, nbytes or len(buf))
        return await super().sock_recvfrom_into(sock, buf, nbytes)

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        """As asyncio's."""
        if not self._ours(sock):
            return await super().sock_sendall(sock, data)
        view = memoryview(data).cast("B")
        done = await self._tried(sock, sock.send, view)  # none at all may be an error, too
        while done < len(view):
            done += await self._tried(sock, sock.send, view[done:])
        return None

    async def sock_sendto(self, sock: Any, data: Any, address: Any) -> int:
        """As asyncio's; on a socket that may be ours the address decides."""
        if numbers.family(sock.family) in _FAMILIES:
            self._turn(sock, address)
        if self._ours(sock):
            return await self._tried(sock, sock.sendto, data, address)
        return await super().sock_sendto(sock, data, address)

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """As asyncio's; the address decides. A plain socket of the kernel turns into one of a stack
        if that is where the address is, for libraries that make their sockets themselves."""
        tls.refuse_ssl_socket(sock)
        if numbers.family(sock.family) not in _FAMILIES:
            return await super().sock_connect(sock, address)
        self._refuse_blocking(sock)
        place = await self._place(sock, address)
        self._turn(sock, place)
        if not self._ours(sock):
            return await super().sock_connect(sock, place)
        core = sock._take_inner()
        if not isinstance(core, Socket):
            sock.connect(place)
            return None
        try:
            return await self._tried(sock, lambda: sock._take_inner().connect(place))
        except OSError as error:
            text = f"Connect call failed {place}"
            raise OSError(error.errno, text) from None

    def _turn(self, sock: Any, place: Any) -> None:
        """Have a socket that is bound nowhere be one of the stack that reaches `place`, if one
        does."""
        if isinstance(sock, StackSocket):
            sock._route_to(place)
        elif sock.getsockname()[0] in _NOWHERE:
            remote = address_of(place)  # None for a name, which the kernel looks up
            stack = None if remote is None else self.stack_to(remote)
            either = None if stack is None else LazySocket._adopted(sock)
            if stack is not None and either is not None:
                either._bind_to_stack(stack)

    async def _place(self, sock: StackSocket, address: Any) -> Any:
        """The address with its name looked up."""
        host, port = address[:2]
        infos = await self._infos(host, port, sock.family, sock.proto, kind=sock.type)
        place = infos[0][4]
        return place[:2] + tuple(address[2:]) if len(address) > 2 else place

    async def sock_accept(self, sock: Any) -> Any:
        """As asyncio's: a `StackSocket`, and its peer's address."""
        if not self._ours(sock):
            return await super().sock_accept(sock)
        child, peer = await self._tried(sock, sock.accept)
        child.setblocking(False)
        return child, peer

    async def sock_sendfile(
        self, sock: Any, file: Any, offset: int = 0, count: int | None = None, *,
        fallback: bool | None = True,
    ) -> int:  # fmt: skip
        """As asyncio's, without the kernel's `sendfile`, which knows nothing of our sockets."""
        if not self._ours(sock):
            return await super().sock_sendfile(sock, file, offset, count, fallback=fallback)
        self._check_sendfile_params(sock, file, offset, count)
        if not fallback:
            raise asyncio.SendfileNotAvailableError(
                f"syscall sendfile is not available for socket {sock!r} and file {file!r} "
                "combination"
            )
        if hasattr(file, "seek"):
            file.seek(offset)
        sent = 0
        try:
            while count is None or sent < count:
                size = _PIECE if count is None else min(count - sent, _PIECE)
                piece = await self.run_in_executor(None, file.read, size)
                if not piece:
                    break
                await self.sock_sendall(sock, piece)
                sent += len(piece)
        finally:
            if sent and hasattr(file, "seek"):
                file.seek(offset + sent)
        return sent

    async def _sendfile_native(self, transp: Any, file: Any, offset: int, count: int | None) -> int:
        """What asyncio's `sendfile` tries first, on Python 3.11 to 3.14."""
        if isinstance(transp, Transport):
            self._check_sendfile_params(transp.get_extra_info("socket"), file, offset, count)
            return await send_file(transp, file, offset, count)
        sent: int = await super()._sendfile_native(transp, file, offset, count)  # type: ignore[misc]
        return sent

    if TYPE_CHECKING:

        def _check_sendfile_params(
            self, sock: Any, file: Any, offset: int, count: int | None
        ) -> None: ...

    # -- readers and writers ---------------------------------------------------------------------
    def add_reader(self, fd: Any, callback: Callable[[*Ts], Any], *args: *Ts) -> None:
        """As asyncio's: `callback` again and again while the socket is readable."""
        if not self._add(fd, READABLE, callback, args):
            super().add_reader(fd, callback, *args)

    def add_writer(self, fd: Any, callback: Callable[[*Ts], Any], *args: *Ts) -> None:
        """As asyncio's: `callback` again and again while the socket is writable."""
        if not self._add(fd, _WRITABLE, callback, args):
            super().add_writer(fd, callback, *args)

    def remove_reader(self, fd: Any) -> bool:
        """As asyncio's; whether there was one."""
        gone = self._remove(fd, READABLE)
        return super().remove_reader(fd) if gone is None else gone

    def remove_writer(self, fd: Any) -> bool:
        """As asyncio's; whether there was one."""
        gone = self._remove(fd, _WRITABLE)
        return super().remove_writer(fd) if gone is None else gone

    def _add(self, fd: Any, mask: int, callback: Callable[..., object], args: Any) -> bool:
        sock = StackSocket.of(fd)
        if sock is None or sock._inner is None:  # closed: whatever asyncio says to that
            return False
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        _refuse_taken(sock)
        self._remove(sock, mask)
        forget = partial(self._watches.pop, (sock, mask), None)
        self._watches[sock, mask] = Watch(self._loop, sock, mask, callback, args, forget)
        return True

    def _remove(self, fd: Any, mask: int) -> bool | None:
        sock = StackSocket.of(fd)
        if sock is None or sock._inner is None:
            return None
        watch = self._watches.pop((sock, mask), None)
        if watch is not None:
            watch.cancel()
        return watch is not None


class Watch:
    """Calls back while a socket is ready for something: once a turn of the loop, as a selector.

    In the context in which it was asked for, as asyncio does. `forget` is called when the socket
    is closed meanwhile.
    """

    __slots__ = (
        "_loop", "_sock", "_mask", "_callback", "_args", "_forget", "_context", "_handle", "_is_on",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: StackSocket, mask: int,
        callback: Callable[..., object], args: tuple[Any, ...], forget: Callable[[], object],
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
        sock._watch(self._look)
        self._look(0)

    def cancel(self) -> None:
        """No more."""
        self._is_on = False
        self._sock._unwatch(self._look)
        if self._handle is not None:
            self._handle.cancel()

    def _look(self, _events: int) -> None:
        if self._sock._inner is None:
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


def _refuse_taken(sock: StackSocket) -> None:
    """Raise RuntimeError, as asyncio, for a socket that a transport has."""
    transport = sock._transport
    if transport is not None and not transport.is_closing():
        raise RuntimeError(f"File descriptor {sock.fileno()!r} is used by transport {transport!r}")


def _is_ours(sock: Any) -> bool:
    return isinstance(sock, StackSocket) and sock.is_ours


async def _something(loop: asyncio.AbstractEventLoop, sock: StackSocket) -> None:
    """Wait until the stack tells something of `sock`."""
    told: asyncio.Future[None] = loop.create_future()

    def on_events(_events: int) -> None:
        if not told.done():
            told.set_result(None)

    sock._watch(on_events)
    try:
        await told
    finally:
        sock._unwatch(on_events)
