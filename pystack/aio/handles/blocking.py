"""A socket that blocks, in another thread than the loop's: the loop carries its data.

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
from typing import Any, Final

from pystack import errors
from pystack.aio.handles import numbers
from pystack.aio.handles.connecting import established
from pystack.aio.handles.contracts import SocketStack, running_loop
from pystack.aio.handles.socket_state import BLOCKS_WITH_LOOP, Option
from pystack.aio.handles.stack_socket import StackSocket
from pystack.sockets import Socket
from pystack.sockets.constants import IPPROTO_TCP, TCP_NODELAY

# what a socket pair knows nothing of
LEVELS: Final = (socket.IPPROTO_TCP, socket.IPPROTO_IP, socket.IPPROTO_IPV6)


class BlockingProxy:
    """A connection on the loop, as the thread knows it: its names, and its options."""

    def __init__(self, stack: SocketStack, inner: Socket) -> None:
        self._stack = stack
        self._inner = inner
        self.sockname: Any = inner.getsockname()
        self.peername: Any = inner.getpeername()

    def option(self, call: str, level: int, option: int, *args: Any) -> Any:
        """`getsockopt` or `setsockopt` on the connection."""
        args = (*numbers.option(level, option), *args)
        return _result(self._stack, _called(getattr(self._inner, call), *args), None)


def connect_blocking(
    stack: SocketStack, address: Any, sock: socket.socket, options: Sequence[Option]
) -> BlockingProxy:
    """Connect on the loop of `stack`, and give `sock` the descriptor. Raises OSError, TimeoutError
    after the socket's timeout, NotImplementedError where no loop runs that could do it."""
    made: BlockingProxy
    made, end = _result(
        stack, _bridged(stack, int(sock.family), address, options), sock.gettimeout()
    )
    with end:
        os.dup2(end.fileno(), sock.fileno(), inheritable=False)
    sock.settimeout(sock.gettimeout())  # of the new descriptor, too
    return made


async def _bridged(
    stack: SocketStack, family: int, address: Any, options: Sequence[Option]
) -> tuple[BlockingProxy, socket.socket]:
    inner = stack.host.socket(numbers.family(family))
    sock = StackSocket(stack, inner=inner)
    try:
        inner.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # the pair has gathered data already
        await established(asyncio.get_running_loop(), inner, address)
        for level, option, value in options:
            if level in LEVELS:
                inner.setsockopt(*numbers.option(level, option), value)
        return BlockingProxy(stack, inner), stack.bridge_fd(sock)
    except BaseException:
        sock.close()
        raise


async def _called(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def _result(stack: SocketStack, coroutine: Any, timeout: float | None) -> Any:
    """What a coroutine gives on the loop of `stack`."""
    loop = running_loop(stack.driver)
    if loop is None:
        coroutine.close()
        raise NotImplementedError(BLOCKS_WITH_LOOP)
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
