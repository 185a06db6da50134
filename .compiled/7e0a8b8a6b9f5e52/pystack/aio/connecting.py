"""An active open that is awaited."""

from __future__ import annotations

import asyncio
import contextlib
from errno import ECONNABORTED

from pystack.aio.listening import bind
from pystack.aio.names import Place
from pystack.sockets import Host, Socket, errors
from pystack.sockets.constants import IPPROTO_TCP, TCP_NODELAY


async def connected(
    loop: asyncio.AbstractEventLoop, host: Host, place: Place, local: Place | None
) -> Socket:
    """A socket connected to `place`, from `local` if that is given.

    Raises OSError (ConnectionRefusedError, TimeoutError, …). Whatever it raises, also when
    cancelled, no connection and no port is left.
    """
    family, address = place
    socket = host.socket(family)
    try:
        socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # asyncio does so too
        if local is not None:
            bind(socket, local)
        try:
            await _established(loop, socket, place)
        except OSError as error:
            raise OSError(error.errno, f"Connect call failed {address}: {error.strerror}") from None
    except BaseException:
        socket.close()
        raise
    return socket


async def _established(loop: asyncio.AbstractEventLoop, socket: Socket, place: Place) -> None:
    with contextlib.suppress(BlockingIOError):
        socket.connect(place[1])
    told: asyncio.Future[None] = loop.create_future()

    def happened(_events: int) -> None:
        if not told.done():
            told.set_result(None)

    socket.on_events = happened
    await told
    socket.on_events = None
    try:
        socket.connect(place[1])
    except BlockingIOError:  # told of something else: cannot be while it is in SYN_SENT
        raise errors.fault(ECONNABORTED) from None
