"""A `socket.socket` whose other side is a stack of ours: for programs that make sockets themselves.

`StackSocket` goes wherever asyncio's users hand in a socket: `loop.sock_connect`, `sock_recv` …,
`create_connection(sock=)`, `create_server(sock=)`.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from pystack.aio.handles import numbers
from pystack.aio.handles.contracts import InnerSocket, SocketStack
from pystack.aio.handles.known_fds import KernelSocket
from pystack.aio.handles.socket_base import SocketBase
from pystack.aio.handles.socket_state import SocketState
from pystack.sockets.constants import SOCK_NONBLOCK, SOCK_TYPE_MASK

# the descriptor until `fileno` is called
_PLACEHOLDER: Final[int] = getattr(socket, "AF_UNIX", socket.AF_INET)


class StackSocket(SocketBase):
    """A socket of `stack`: see `sockets.Socket` and `DatagramSocket` for the calls.

    The descriptor that `fileno()` gives polls readable on data, end, error or a waiting connection,
    writable where there is room, and carries no data. Like all of a stack it belongs to the thread
    of the loop: RuntimeError elsewhere. When the stack is closed or its device gone, calls raise
    OSError ENETDOWN.
    """

    __slots__ = ("_state",)

    _state: SocketState

    def __init__(
        self, stack: SocketStack, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM,
        proto: int = 0, *, inner: InnerSocket | None = None,
    ) -> None:  # fmt: skip
        """Raises OSError as `sockets.Host.socket`. `inner`: one that exists already."""
        self._state = SocketState(kernels=False)
        made = inner or stack.host.socket(numbers.family(family), type, proto)
        KernelSocket.__init__(self, _PLACEHOLDER, socket.SOCK_STREAM)
        timeout = 0.0 if type & SOCK_NONBLOCK else socket.getdefaulttimeout()
        self._state.bind_to_stack(stack, made, type & SOCK_TYPE_MASK, timeout)

    def accept(self) -> tuple[socket.socket, Any]:
        """A `StackSocket` and its peer's address. Raises BlockingIOError when none waits."""
        state = self._state
        if state.kernels:
            return KernelSocket.accept(self)
        child, peer = state.tried(state.stream().accept)
        try:
            return StackSocket(state.endpoint, inner=child), peer
        except OSError:  # no descriptor is left
            child.close()
            raise
