"""An active open that is awaited."""

from __future__ import annotations

import asyncio
import contextlib
from errno import ECONNABORTED
from typing import Final

from pystack import errors
from pystack.sockets import Socket
from pystack.tcp.fastopen import active

_TURNS_TO_WRITE: Final = 3  # a task that has waited for a connection is awake by then


async def established(loop: asyncio.AbstractEventLoop, socket: Socket, address: object) -> None:
    """Connect `socket`, however long that takes. Raises OSError; cancelled, it leaves the socket
    as it is then."""
    with contextlib.suppress(BlockingIOError):
        socket.connect(address)
        return  # it was dissolved, or its SYN waits for the first data (TCP_FASTOPEN_CONNECT)
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


def open_soon(
    loop: asyncio.AbstractEventLoop, socket: Socket, turns: int = _TURNS_TO_WRITE
) -> None:
    """A SYN that still waits for the first data in so many turns of the loop leaves without."""
    tcb = socket.tcb
    if tcb is None or not active.waits_for_data(tcb) or socket.closed:
        return
    if turns:
        loop.call_soon(open_soon, loop, socket, turns - 1)
        return
    with contextlib.suppress(BlockingIOError):
        socket.send(b"")
