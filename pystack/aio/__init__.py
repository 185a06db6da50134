"""asyncio on top of the socket calls: the one room that awaits.

Each folder answers one question and says in its head how its files divide it. A folder imports only
those that stand before it here:

    drive     what moves packets between a host and a device, and keeps the time?
    devices   where do packets come from and go to?
    handles   what does a program hold: a transport, a server, a socket, a descriptor?
    endpoint  what do asyncio's calls do on one host? (`Stack` is one with a device)
    loop      which host is meant, or is it the kernel?

`EventLoop` is asyncio's loop on which programs that know nothing of stacks use one; `attached`
makes one of a loop that runs already; `loop.install` puts one under a whole program (`pystack
run`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pystack.aio.endpoint.stack import Stack
    from pystack.aio.handles.stack_socket import StackSocket
    from pystack.aio.loop.event_loop import EventLoop, attached

__all__ = ["EventLoop", "Stack", "StackSocket", "attached"]

_HOMES: Final = {  # each is imported when it is first asked for
    "EventLoop": "pystack.aio.loop.event_loop",
    "Stack": "pystack.aio.endpoint.stack",
    "StackSocket": "pystack.aio.handles.stack_socket",
    "attached": "pystack.aio.loop.event_loop",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
