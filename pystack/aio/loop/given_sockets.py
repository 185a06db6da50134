"""Sockets that a user hands to calls of a loop: which stack they belong to, what is inside."""

from __future__ import annotations

from typing import Any, cast

from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.handles import tls
from pystack.aio.handles.known_fds import KernelSocket
from pystack.aio.handles.socket_base import SocketBase, known, state_of
from pystack.sockets import Socket


def is_ours(sock: Any) -> bool:
    """Whether it is a stack's, and open."""
    return isinstance(sock, SocketBase) and sock.is_ours


def unwrapped(sock: Any) -> Any:
    """What a user hands over as a socket: where it is an object around one of a stack's, as
    gunicorn's, the one inside."""
    if sock is None or isinstance(sock, KernelSocket):
        return sock
    return known(sock) or sock


def stack_of(sock: SocketBase) -> Endpoint:
    """The stack that a socket belongs to."""
    return cast(Endpoint, sock.stack)


def stream_inside(sock: Any) -> Socket | None:
    """What is inside a stream socket of a stack, for a transport; None for one of the kernel.
    Raises TypeError for an SSLSocket, ValueError for another kind of socket."""
    if sock is None:
        return None
    tls.refuse_ssl_socket(sock)
    if not is_ours(sock):
        return None
    inner = state_of(sock).use()
    if not isinstance(inner, Socket):
        raise ValueError(f"A Stream Socket was expected, got {sock!r}")
    refuse_taken(sock)
    return inner


def refuse_taken(sock: SocketBase) -> None:
    """Raise RuntimeError, as asyncio, for a socket that a transport has."""
    transport = state_of(sock).transport
    if transport is not None and not transport.is_closing():
        raise RuntimeError(
            f"File descriptor {sock.fileno()!r} is used by transport {transport!r}"
        )
