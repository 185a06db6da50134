"""asyncio on top of the socket calls: the one room that awaits.

`Stack` is a host with a device and a loop; `EventLoop` is asyncio's loop on which programs that
know nothing of stacks use one, `attached` makes one of a loop that runs already. `Transport` and
`Server` are what asyncio's users know; `DeviceDriver` moves packets and keeps the time.
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
