"""A transport's or server's socket for its user: options and names, no reading or writing."""

from __future__ import annotations

from collections.abc import Callable
from socket import AddressFamily, SocketKind
from typing import Any

from pystack.aio.handles import numbers
from pystack.sockets.constants import IPPROTO_TCP, IPPROTO_UDP, SOCK_STREAM
from pystack.sockets.sockaddr import Address
from pystack.sockets.tcp.tcp_info import TcpInfo
from pystack.sockets.tcp.tcp_socket import Socket
from pystack.sockets.udp.udp_socket import DatagramSocket
from pystack.tcp.recording import Observer
from pystack.tcp.tcb import Tcb


class DatagramTransportSocket:
    """What `get_extra_info("socket")` gives of a UDP socket, as asyncio's TransportSocket.

    Options go by the numbers of Python's `socket` module.
    """

    __slots__ = ("_socket", "_fileno")

    def __init__(self, socket: Socket | DatagramSocket, fileno: Callable[[], int]) -> None:
        """`fileno` gives a descriptor to poll, made when first asked for."""
        self._socket = socket
        self._fileno = fileno

    def __repr__(self) -> str:
        return repr(self._socket) if hasattr(self, "_socket") else f"<{type(self).__name__}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DatagramTransportSocket) and other._socket is self._socket

    def __hash__(self) -> int:
        return hash(self._socket)

    @property
    def family(self) -> AddressFamily:
        """AF_INET or AF_INET6."""
        return numbers.family_here(self._socket.family)

    @property
    def type(self) -> SocketKind:
        """SOCK_STREAM or SOCK_DGRAM."""
        return SocketKind(self._socket.type)

    @property
    def proto(self) -> int:
        """IPPROTO_TCP or IPPROTO_UDP."""
        return IPPROTO_TCP if self._socket.type == SOCK_STREAM else IPPROTO_UDP

    def fileno(self) -> int:
        """A descriptor that polls readable on data or an end that was not taken yet, and
        carries no data; -1 when it is closed."""
        return self._fileno()

    def getsockname(self) -> Address:
        """The local address and port."""
        return self._socket.getsockname()

    def getpeername(self) -> Address:
        """The peer's address and port. Raises OSError ENOTCONN without one."""
        return self._socket.getpeername()

    def setsockopt(self, level: int, option: int, value: int | str | bytes | bytearray) -> None:
        """Set an option; raises OSError ENOPROTOOPT, EINVAL."""
        self._socket.setsockopt(*numbers.option(level, option), value)

    def getsockopt(self, level: int, option: int, size: int = 0) -> int | bytes:
        """An option as an int, or with `size` the bytes of its C form; raises OSError."""
        return self._socket.getsockopt(*numbers.option(level, option), size)

    def ioctl(self, request: int) -> int:
        """SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK."""
        return self._socket.ioctl(request)

    def setblocking(self, flag: bool) -> None:
        """It never blocks. Raises ValueError when asked to."""
        if flag:
            raise ValueError("a transport's socket cannot be blocking")

    def settimeout(self, value: float | None) -> None:
        """It never blocks. Raises ValueError for any other timeout than 0."""
        if value != 0:
            raise ValueError("a transport's socket can have no timeout but 0")

    def gettimeout(self) -> float:
        """0."""
        return 0.0


class TransportSocket(DatagramTransportSocket):
    """What `get_extra_info("socket")` and `Server.sockets` give of a TCP socket."""

    __slots__ = ()

    _socket: Socket

    def tcp_info(self) -> TcpInfo:
        """What is known of the connection, by the names of Linux's `struct tcp_info`."""
        return self._socket.tcp_info()

    def attach_recorder(self, recorder: Callable[[int, Tcb], Observer] | None) -> None:
        """As `sockets.Socket.attach_recorder`; raises OSError EBADF when it is closed."""
        self._socket.attach_recorder(recorder)

    def variant(self, kind: str) -> Any:
        """The connection's part of a kind, such as "congestion_control"; see `sockets.Socket`."""
        return self._socket.variant(kind)
