"""A socket that blocks, in another thread than the loop's: the loop carries its text.

A thread may wait, so `socket.connect` can do there what it always does: a connection is made on the
loop, a bridge gives it a descriptor, and that takes the place of the socket's own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import socket
from collections.abc import Callable, Sequence
from errno import ECONNABORTED
from typing import TYPE_CHECKING, Any, Final

from pystack import errors
from pystack.aio import numbers
from pystack.aio.handles.stack_socket import StackSocket

if TYPE_CHECKING:
    from pystack.aio.endpoint.endpoint import Endpoint
    from pystack.sockets import Socket

# what a socket pair knows nothing of
LEVELS: Final = (socket.IPPROTO_TCP, socket.IPPROTO_IP, socket.IPPROTO_IPV6)

_NO_LOOP: Final = (
    "a socket of a stack can block only while the stack's event loop runs, in another thread than "
    "the loop's"
)


class BlockingProxy:
    """A connection on the loop, as the thread knows it: its names, and its options."""

    def __init__(self, stack: Endpoint, core: Socket) -> None:
        self._stack = stack
        self._inner = core
        self.sockname = core.getsockname()
        self.peername = core.getpeername()

    def option(self, call: str, level: int, option: int, *args: Any) -> Any:
        """`getsockopt` or `setsockopt` on the connection."""
        args = (*numbers.option(level, option), *args)
        return _waited(self._stack, _called(getattr(self._inner, call), *args), None)


def connect_blocking(
    stack: Endpoint, address: Any, sock: socket.socket, options: Sequence[tuple[int, int, Any]]
) -> BlockingProxy:
    """Connect on the loop of `stack`, and give `sock` the descriptor. Raises OSError, TimeoutError
    after the socket's timeout, NotImplementedError where no loop runs that could do it."""
    made: BlockingProxy
    made, end = _waited(
        stack, _bridged(stack, int(sock.family), address, options), sock.gettimeout()
    )
    with end:
        os.dup2(end.fileno(), sock.fileno(), inheritable=False)
    sock.settimeout(sock.gettimeout())  # of the new descriptor, too
    return made


async def _bridged(
    stack: Endpoint, family: int, address: Any, options: Sequence[tuple[int, int, Any]]
) -> tuple[BlockingProxy, socket.socket]:
    core = await stack._connected((numbers.family(family), address))
    sock = StackSocket(stack, core=core)
    try:
        for level, option, value in options:
            if level in LEVELS:
                core.setsockopt(*numbers.option(level, option), value)
        return BlockingProxy(stack, core), stack.bridge_fd(sock)
    except BaseException:
        sock.close()
        raise


async def _called(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def _waited(stack: Endpoint, coroutine: Any, timeout: float | None) -> Any:
    """What a coroutine gives on the loop of `stack`."""
    loop = stack._running_loop()
    if loop is None:
        coroutine.close()
        raise NotImplementedError(_NO_LOOP)
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result(timeout)
    except concurrent.futures.CancelledError:
        raise errors.os_error(ECONNABORTED) from None  # the loop has ended
    except concurrent.futures.TimeoutError:
        if future.done():
            raise  # the stack's own
        future.cancel()
        raise TimeoutError("timed out") from None
