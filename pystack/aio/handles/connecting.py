"""An active open that is awaited."""

from __future__ import annotations

import asyncio
import contextlib
from errno import ECONNABORTED

from pystack import errors
from pystack.sockets import Socket


async def established(loop: asyncio.AbstractEventLoop, socket: Socket, address: object) -> None:
    """Connect `socket`, however long that takes. Raises OSError; cancelled, it leaves the socket
    as it is then."""
    with contextlib.suppress(BlockingIOError):
        socket.connect(address)
        return  # it was dissolved
    notified: asyncio.Future[None] = loop.create_future()
    before = socket.on_events

    def on_events(events: int) -> None:
        if not notified.done():
            notified.set_result(None)
        if before is not None:
            before(events)

    socket.on_events = on_events
    try:
        await notified
    finally:
        if not socket.closed:
            socket.on_events = before
    try:
        socket.connect(address)
    except BlockingIOError:  # told of something else: cannot be while it is in SYN_SENT
        raise errors.os_error(ECONNABORTED) from None
