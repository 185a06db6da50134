"""Active opens that are awaited: one, or several places of one name in turn or in a race."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import staggered
from collections.abc import Awaitable, Callable, Sequence
from errno import ECONNABORTED, EINVAL
from functools import partial
from typing import TypeVar

from pystack import errors
from pystack.aio.endpoint.listen import bind_first
from pystack.aio.endpoint.resolve import Target, joined
from pystack.sockets import Host, Socket
from pystack.sockets.constants import IPPROTO_TCP, TCP_NODELAY

T = TypeVar("T")


async def first_connected(
    loop: asyncio.AbstractEventLoop,
    attempts: Sequence[Callable[[], Awaitable[T]]],
    close: Callable[[T], None],
    delay: float | None = None,
    all_errors: bool = False,
) -> T:
    """What the first attempt that succeeds gives. Raises what they raised when all have failed.

    One after the other; with `delay` (seconds) the next one begins when the one before has
    failed or taken that long (RFC 8305), and what loses the race is cancelled; `close` is for
    what succeeds when nobody wants it any more. `all_errors` raises an ExceptionGroup of them.
    """
    failures: list[Exception] = []
    if delay is None:
        for attempt in attempts:
            try:
                return await attempt()
            except OSError as error:
                failures.append(error)
    else:
        made: list[T] = []
        try:
            _, _, raised = await staggered.staggered_race(
                [partial(_noted, attempt, made) for attempt in attempts], delay, loop=loop
            )
        except BaseException:  # the race is over, and its winner may be known already
            for one in made:
                close(one)
            raise
        for loser in made[1:]:
            close(loser)
        if made:
            return made[0]
        failures = [error for error in raised if isinstance(error, Exception)]
    try:
        if all_errors:
            raise ExceptionGroup("create_connection failed", failures)
        raise joined(failures)
    finally:
        del failures  # an error knows this frame, which would know the error


async def _noted(attempt: Callable[[], Awaitable[T]], made: list[T]) -> None:
    made.append(await attempt())


async def connected(
    loop: asyncio.AbstractEventLoop, host: Host, place: Target, local: Sequence[Target] = ()
) -> Socket:
    """A socket connected to `place`, from the first of `local` that can be had, if any is given.

    Raises OSError (ConnectionRefusedError, TimeoutError, …). Whatever it raises, also when
    cancelled, no connection and no port is left.
    """
    family, address = place
    socket = host.socket(family)
    try:
        socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # asyncio does so too
        own = [at for kind, at in local if kind == family]
        if local and not own:
            raise OSError(EINVAL, "the local address is of another family")
        bind_first(socket, own)
        try:
            await established(loop, socket, address)
        except OSError as error:
            raise OSError(error.errno, f"Connect call failed {address}: {error.strerror}") from None
    except BaseException:
        socket.close()
        raise
    return socket


async def established(loop: asyncio.AbstractEventLoop, socket: Socket, address: object) -> None:
    """Connect `socket`, however long that takes. Raises OSError; cancelled, it leaves the socket
    as it is then."""
    with contextlib.suppress(BlockingIOError):
        socket.connect(address)
        return  # it was dissolved
    told: asyncio.Future[None] = loop.create_future()
    before = socket.on_events

    def on_events(events: int) -> None:
        if not told.done():
            told.set_result(None)
        if before is not None:
            before(events)

    socket.on_events = on_events
    try:
        await told
    finally:
        if not socket.closed:
            socket.on_events = before
    try:
        socket.connect(address)
    except BlockingIOError:  # told of something else: cannot be while it is in SYN_SENT
        raise errors.os_error(ECONNABORTED) from None
