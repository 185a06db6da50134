"""Connecting: each address that a name stands for in turn, or in a race; each on its host."""

from __future__ import annotations

import asyncio
import collections
import itertools
import socket
from asyncio import staggered
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from pystack.aio.endpoint.listen import bind_first
from pystack.aio.endpoint.network import E, Network
from pystack.aio.endpoint.resolve import Info, joined
from pystack.aio.handles import numbers
from pystack.aio.handles.connecting import established
from pystack.sockets import Host, Socket
from pystack.sockets.constants import IPPROTO_TCP, TCP_FASTOPEN_CONNECT, TCP_NODELAY
from pystack.wire.address import ANY_V4, ANY_V6, pack

T = TypeVar("T")


async def connected(
    network: Network[E],
    host: Any,
    port: Any,
    *,
    family: int = 0,
    proto: int = 0,
    flags: int = 0,
    local_addr: Any = None,
    delay: float | None = None,
    interleave: int | None = None,
    all_errors: bool = False,
    fastopen: bool = False,
) -> tuple[E, Socket] | socket.socket:
    """A connection to `host` and `port`: on a host of the network, or a socket of the kernel.

    `delay` and `interleave` are asyncio's `happy_eyeballs_delay` (seconds) and `interleave`;
    `fastopen` is TCP_FASTOPEN_CONNECT. Raises OSError (ConnectionRefusedError, TimeoutError, …).
    Whatever it raises, also when cancelled, no connection and no port is left.
    """
    look_up = network.resolver.look_up
    infos = await look_up(host, port, family, proto, flags)
    local: Sequence[Info] = ()
    if local_addr is not None:
        local = await look_up(local_addr[0], local_addr[1], family, proto, flags)
    if delay is not None and interleave is None:
        interleave = 1
    if interleave:
        infos = _interleaved(infos, interleave)
    attempts = [partial(_attempt, network, info, local, fastopen) for info in infos]
    return await first_connected(network.loop, attempts, _close, delay, all_errors)


async def _attempt(
    network: Network[E], info: Info, local: Sequence[Info], fastopen: bool
) -> tuple[E, Socket] | socket.socket:
    """A connection to one address, from the first of `local` that is available, if any is given."""
    family, kind, proto, _, address = info
    own = [one[4] for one in local if one[0] == family]
    if local and not own:
        raise OSError(f"no matching local address with {family=} found")
    at = pack(own[0][0]) if own else None
    endpoint = network.router.stack_to(pack(address[0]), None if at in (ANY_V4, ANY_V6) else at)
    if endpoint is not None:
        made = _made(endpoint.host, family, fastopen)
        return endpoint, await _on_host(network.loop, made, address, own)
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        bind_first(sock, own)
        await network.loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _made(host: Host, family: int, fastopen: bool) -> Socket:
    made = host.socket(numbers.family(family))
    made.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # asyncio does so too
    if fastopen:
        made.setsockopt(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    return made


async def _on_host(
    loop: asyncio.AbstractEventLoop, made: Socket, address: Any, own: Sequence[Any]
) -> Socket:
    try:
        bind_first(made, own)
        try:
            await established(loop, made, address)
        except OSError as error:
            raise OSError(error.errno, f"Connect call failed {address}: {error.strerror}") from None
    except BaseException:
        made.close()
        raise
    return made


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
    what succeeds too late. `all_errors` raises an ExceptionGroup of them.
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


def _close(made: tuple[Any, Socket] | socket.socket) -> None:
    (made if isinstance(made, socket.socket) else made[1]).close()


def _interleaved(infos: Sequence[Info], first: int) -> list[Info]:
    """By turns of each family, beginning with `first` of the first one (RFC 8305 §4)."""
    by_family: dict[Any, list[Info]] = collections.defaultdict(list)
    for info in infos:
        by_family[info[0]].append(info)
    lists = list(by_family.values())
    head, lists[0] = lists[0][: first - 1], lists[0][first - 1 :]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*lists))
    return head + [info for info in turns if info is not None]
