"""What a loop, its stacks and the process have open: compared before and after, it is a leak."""

from __future__ import annotations

import asyncio
import gc
import os
from asyncio.sslproto import SSLProtocol
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.handles.datagram import DatagramTransport
from pystack.aio.handles.ready_fd import ReadyFd
from pystack.aio.handles.server import Server
from pystack.aio.handles.stack_socket import StackSocket
from pystack.aio.handles.stream import Transport
from pystack.aio.loop.watches import Watch
from pystack.sockets import DatagramSocket, Socket
from pystack.tcp.tcb import Tcb

KINDS = (
    Transport, DatagramTransport, Server, StackSocket, Socket, DatagramSocket, Tcb, SSLProtocol,
    Watch, ReadyFd,
    asyncio.StreamReader, asyncio.BaseProtocol, asyncio.Task,
)  # fmt: skip


def timers(loop: Any) -> int:
    """Timers of the loop that may still ring; asyncio does not tell of them."""
    return sum(not handle.cancelled() for handle in loop._scheduled)


def descriptors() -> list[str]:
    """What this process has open, without what is garbage of tests before."""
    gc.collect()
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:
            continue  # of this very listing
    return sorted(found)


def of_stacks(*stacks: Endpoint) -> list[object]:
    """Connections, listeners, ports and UDP's ports of each, TIME_WAIT records included."""
    return [
        (sorted(stack.host.connections), sorted(stack.host.listeners), ports_of(stack),
         sorted(port for port, endpoints in stack.host.udp.by_port.items() if endpoints))
        for stack in stacks
    ]  # fmt: skip


def ports_of(stack: Endpoint) -> list[int]:
    """Those that somebody has bound or uses."""
    ports = stack.host.ports
    return sorted(ports._bound) + sorted(ports._used)


def objects() -> Counter[str]:
    """How many of each kind there are of those that `only_new_ones` looks at."""
    gc.collect()
    found = [one for one in gc.get_objects() if isinstance(one, KINDS)]
    return Counter(type(one).__name__ for one in found)


@contextmanager
def only_new_ones() -> Iterator[None]:
    """Meanwhile `objects` counts what was made since, which makes it quick as well."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def everything(loop: asyncio.AbstractEventLoop, *stacks: Endpoint) -> dict[str, object]:
    """All that could be left; equal before and after, nothing is."""
    return {
        "tasks": sorted(task.get_name() for task in asyncio.all_tasks(loop)),
        "timers": timers(loop),
        "descriptors": descriptors(),
        "stacks": of_stacks(*stacks),
        "objects": objects(),
    }
