"""A hint for who binds a socket of the kernel to an address that only a stack has.

On a loop that knows nothing of stacks `asyncio.start_server(…, "198.18.0.2")` asks the kernel,
which says "cannot assign requested address" and no more. Neither the loop nor its errors are ours
to change: Python's audit event `socket.bind` tells of it without that, wherever the call was made.
The hook looks at that event alone, and is there from the first stack on that runs on such a loop;
Python has no way to take it out again.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import weakref
from contextlib import suppress
from threading import local
from typing import Any, Final

from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.handles.addresses import address_of
from pystack.wire import address
from pystack.wire.address import is_v4

_Socket: Final = socket.socket  # the kernel's, also where programs have another one later
_logger = logging.getLogger("pystack")
_told: Final[weakref.WeakKeyDictionary[Endpoint, set[bytes]]] = weakref.WeakKeyDictionary()
_here: Final = local()  # `asks` while this thread asks the kernel
_installed: Final[list[bool]] = []


def watch_for(stack: Endpoint, loop: asyncio.AbstractEventLoop) -> None:
    """From now on tell, once for each of its addresses, of sockets that cannot have it."""
    if _finds_stacks(loop):
        return
    _told.setdefault(stack, set())
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_hear)


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.bind" and _told and not getattr(_here, "asks", False):
        with suppress(Exception):  # what a hook raises would end the call
            own = address_of(args[1])
            for stack, told in list(_told.items()):
                if own is not None and own not in told and _is_only(stack, own):
                    told.add(own)
                    _tell(own)


def _is_only(stack: Endpoint, own: bytes) -> bool:
    """Whether the stack has that address, on a loop that is not told of it, and the kernel not."""
    driver = stack.driver
    if driver is None or driver.is_stopped or _finds_stacks(driver.loop):
        return False
    return own in stack.host.addresses.local and not _kernel_has(own)


def _finds_stacks(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether asyncio's own calls on it do, as on an `EventLoop`."""
    return bool(getattr(loop, "finds_stacks", False))


def _kernel_has(own: bytes) -> bool:
    family = socket.AF_INET if is_v4(own) else socket.AF_INET6
    _here.asks = True
    try:
        with _Socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address.text(own), 0))
    except OSError:
        return False
    finally:
        _here.asks = False
    return True


def _tell(own: bytes) -> None:
    _logger.warning(
        "%s is an address of a stack, and not the kernel's: call stack.start_server "
        "(create_server, create_datagram_endpoint), or asyncio's own within "
        "`with pystack.aio.attached(stack):`",
        address.text(own),
    )
