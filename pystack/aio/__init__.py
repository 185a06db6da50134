"""asyncio on a stack: how programs of asyncio connect, serve and wait, over which device.

Each folder answers one question and says in its head how its files divide it. A folder imports only
those that stand before it here:

    drive     what moves packets between a host and a device, and keeps the time?
    devices   where do packets come from and go to?
    handles   what does a program hold: a transport, a server, a socket, a descriptor?
    endpoint  what do asyncio's calls do on one host? (`Stack` is one with a device)
    loop      which host is meant, or is it the kernel?

`EventLoop` is asyncio's loop on which programs that know nothing of stacks use one; `attached`
makes one of a loop that runs already; `loop.install` puts one under a whole program (`pystack
run`). `Transport` and `Server` are asyncio's, a `StackSocket` stands where a program has a
`socket.socket`. `Cable`, `CallableDevice` and `ImpairedDevice` are devices; `PacketDevice`, and
`ReportsLink` for the state of its link, say what another one must have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pystack.lazy import names_of

if TYPE_CHECKING:
    from pystack.aio.devices.cable import Cable, CableEnd
    from pystack.aio.devices.callable_device import CallableDevice
    from pystack.aio.devices.impaired import ImpairedDevice, parsed
    from pystack.aio.drive.device import PacketDevice, ReportsLink
    from pystack.aio.endpoint.stack import Stack
    from pystack.aio.handles.datagram import DatagramTransport
    from pystack.aio.handles.server import Server
    from pystack.aio.handles.stack_socket import StackSocket
    from pystack.aio.handles.stream import Transport
    from pystack.aio.handles.transport_socket import DatagramTransportSocket, TransportSocket
    from pystack.aio.loop.event_loop import EventLoop, attached
    from pystack.device.link_state import LinkState

__all__ = [
    "Cable", "CableEnd", "CallableDevice", "DatagramTransport", "DatagramTransportSocket",
    "EventLoop", "ImpairedDevice", "LinkState", "PacketDevice", "ReportsLink", "Server", "Stack",
    "StackSocket", "Transport", "TransportSocket", "attached", "parsed",
]  # fmt: skip

_HOMES: Final = {
    "Cable": "aio.devices.cable",
    "CableEnd": "aio.devices.cable",
    "CallableDevice": "aio.devices.callable_device",
    "DatagramTransport": "aio.handles.datagram",
    "DatagramTransportSocket": "aio.handles.transport_socket",
    "EventLoop": "aio.loop.event_loop",
    "ImpairedDevice": "aio.devices.impaired",
    "LinkState": "device.link_state",
    "PacketDevice": "aio.drive.device",
    "ReportsLink": "aio.drive.device",
    "Server": "aio.handles.server",
    "Stack": "aio.endpoint.stack",
    "StackSocket": "aio.handles.stack_socket",
    "Transport": "aio.handles.stream",
    "TransportSocket": "aio.handles.transport_socket",
    "attached": "aio.loop.event_loop",
    "parsed": "aio.devices.impaired",
}
__getattr__, __dir__ = names_of(__name__, _HOMES)
