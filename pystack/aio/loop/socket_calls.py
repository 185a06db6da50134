"""`loop.sock_…` for sockets of stacks.

A call is tried, and again each time the stack tells of something; `select` has no part in it. A
socket that may still become a stack's waits by `add_reader`, which follows it there.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.endpoint.network import Network
from pystack.aio.handles import lazy_socket, numbers, tls
from pystack.aio.handles.addresses import address_of
from pystack.aio.handles.lazy_socket import LazySocket, may_change
from pystack.aio.handles.socket_base import SocketBase, state_of
from pystack.aio.loop.given_sockets import is_ours, refuse_taken
from pystack.sockets import Socket
from pystack.sockets.constants import AF_INET, AF_INET6

T = TypeVar("T")
Call = Callable[..., Any]

_FAMILIES: Final = (AF_INET, AF_INET6)
_NOWHERE: Final = ("0.0.0.0", "::")
_PIECE: Final = 262_144  # of a file, as asyncio


def does(loop: asyncio.AbstractEventLoop, sock: Any) -> bool:
    """Whether a stack has to do it. Raises as asyncio for sockets that it does not take."""
    tls.refuse_ssl_socket(sock)
    if not is_ours(sock):
        return False
    _refuse_blocking(loop, sock)
    return True


async def tried(
    loop: asyncio.AbstractEventLoop, sock: Any, call: Callable[..., T], *args: Any
) -> T:
    """What `call` gives once it need not wait. Raises what it raises."""
    while True:
        try:
            return call(*args)
        except BlockingIOError:
            if sock.is_ours:
                refuse_taken(sock)
                await _something(loop, sock)
            else:
                await _readable(loop, sock)


async def send_all(loop: asyncio.AbstractEventLoop, sock: Any, data: Any) -> None:
    """As `loop.sock_sendall`."""
    view = memoryview(data).cast("B")
    done = await tried(loop, sock, sock.send, view)  # none at all may be an error, too
    while done < len(view):
        done += await tried(loop, sock, sock.send, view[done:])


async def receive_from(
    loop: asyncio.AbstractEventLoop, kernels: Call, sock: Any, call: Callable[..., T], *args: Any
) -> T:
    """As `loop.sock_recvfrom` and `sock_recvfrom_into`: `call` is the socket's, `kernels` the
    loop's own for a socket that can't become a stack's."""
    if does(loop, sock) or (may_change(sock) and sock.gettimeout() == 0):
        return await tried(loop, sock, call, *args)
    found: T = await kernels(sock, *args)
    return found


async def send_to(
    network: Network[Endpoint], kernels: Call, sock: Any, data: Any, address: Any
) -> int:
    """As `loop.sock_sendto`; on a socket that may be a stack's the address decides."""
    if numbers.family(sock.family) in _FAMILIES:
        _route(network, sock, address)
    if does(network.loop, sock):
        return await tried(network.loop, sock, sock.sendto, data, address)
    sent: int = await kernels(sock, data, address)
    return sent


async def connect(network: Network[Endpoint], kernels: Call, sock: Any, address: Any) -> None:
    """As `loop.sock_connect`; the address decides. A plain socket of the kernel turns into one of a
    stack if that is where the address is, for libraries that make their sockets themselves."""
    loop = network.loop
    tls.refuse_ssl_socket(sock)
    if numbers.family(sock.family) not in _FAMILIES:
        await kernels(sock, address)
        return
    _refuse_blocking(loop, sock)
    where = await _looked_up(network, sock, address)
    _route(network, sock, where)
    if not does(loop, sock):
        await kernels(sock, where)
    elif not isinstance(state_of(sock).inner, Socket):
        sock.connect(where)
    else:
        try:
            await tried(loop, sock, lambda: state_of(sock).use().connect(where))
        except OSError as error:
            raise OSError(error.errno, f"Connect call failed {where}") from None


def _route(network: Network[Endpoint], sock: Any, where: Any) -> None:
    """Have a socket that is bound nowhere be one of the stack that reaches an address, if one
    does."""
    if isinstance(sock, SocketBase):
        if may_change(sock):
            lazy_socket.route(cast(LazySocket, sock), where)
    elif sock.getsockname()[0] in _NOWHERE:
        remote = address_of(where)  # None for a name, which the kernel looks up
        endpoint = None if remote is None else network.router.stack_to(remote)
        if endpoint is not None:
            lazy_socket.adopt(sock, endpoint)


async def _looked_up(network: Network[Endpoint], sock: Any, address: Any) -> Any:
    """The address with its name looked up."""
    host, port = address[:2]
    infos = await network.resolver.look_up(host, port, sock.family, sock.proto, 0, sock.type)
    where = infos[0][4]
    return where[:2] + tuple(address[2:]) if len(address) > 2 else where


async def accept(loop: asyncio.AbstractEventLoop, sock: Any) -> tuple[socket.socket, Any]:
    """As `loop.sock_accept`: a `StackSocket`, and its peer's address."""
    child, peer = await tried(loop, sock, sock.accept)
    child.setblocking(False)
    return child, peer


async def send_file(
    loop: asyncio.AbstractEventLoop, sock: Any, file: Any, offset: int, count: int | None,
    fallback: bool | None,
) -> int:  # fmt: skip
    """As `loop.sock_sendfile`, without the kernel's `sendfile`, which knows nothing of stacks."""
    if not fallback:
        raise asyncio.SendfileNotAvailableError(
            f"syscall sendfile is not available for socket {sock!r} and file {file!r} combination"
        )
    if hasattr(file, "seek"):
        file.seek(offset)
    sent = 0
    try:
        while count is None or sent < count:
            size = _PIECE if count is None else min(count - sent, _PIECE)
            piece = await loop.run_in_executor(None, file.read, size)
            if not piece:
                break
            await send_all(loop, sock, piece)
            sent += len(piece)
    finally:
        if sent and hasattr(file, "seek"):
            file.seek(offset + sent)
    return sent


def _refuse_blocking(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    if loop.get_debug() and sock.gettimeout() != 0:
        raise ValueError("the socket must be non-blocking")


async def _something(loop: asyncio.AbstractEventLoop, sock: SocketBase) -> None:
    """Wait until the stack tells something of `sock`."""
    notified: asyncio.Future[None] = loop.create_future()

    def on_events(_events: int) -> None:
        if not notified.done():
            notified.set_result(None)

    state = state_of(sock)
    state.watch(on_events)
    try:
        await notified
    finally:
        state.unwatch(on_events)


async def _readable(loop: asyncio.AbstractEventLoop, sock: LazySocket) -> None:
    """Wait until `sock`, which is the kernel's as yet, has something, there or at a stack."""
    notified: asyncio.Future[None] = loop.create_future()

    def on_readable() -> None:
        if not notified.done():
            notified.set_result(None)

    loop.add_reader(sock, on_readable)
    try:
        await notified
    finally:
        loop.remove_reader(sock)
