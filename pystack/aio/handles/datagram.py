"""A UDP socket as an `asyncio.DatagramTransport`, with asyncio's own semantics.

What differs from asyncio's transport over a kernel socket: all datagrams that have come are handed
over in one turn of the loop, and an empty one is sent (as asyncio does from Python 3.13 on).
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import constants
from collections import deque
from collections.abc import Callable
from threading import get_ident
from typing import Any, Final

from pystack.aio.drive.driver import Driver
from pystack.aio.handles.socket_base import SocketBase
from pystack.aio.handles.transport_base import BYTES_LIKE, TransportBase
from pystack.aio.handles.transport_socket import DatagramTransportSocket
from pystack.events import EVENT_CLOSED
from pystack.sockets import DatagramSocket

_logger = logging.getLogger("pystack")

_LARGEST: Final = 65_536  # octets: no datagram has more
_OVERHEAD: Final = 8  # what an empty datagram counts in the buffer, as in asyncio from 3.12 on

LostCallback = Callable[["DatagramTransport"], None]


class DatagramTransport(TransportBase, asyncio.DatagramTransport):
    """A UDP socket's transport; made by `create_datagram_endpoint`.

    `get_extra_info` knows "peername" (None unless connected), "sockname" and "socket" (options and
    names, no reading and writing). All calls raise RuntimeError in another thread than the loop's.
    """

    __slots__ = ("_address", "_buffer")

    _socket: DatagramSocket

    def __init__(
        self, driver: Driver, socket: DatagramSocket, protocol: asyncio.BaseProtocol,
        on_lost: LostCallback, address: Any = None, user_socket: SocketBase | None = None,
    ) -> None:  # fmt: skip
        """Take over a socket, bound or connected or neither. `address` is where all goes that
        `sendto` gives no address for, and the only one it may give; None if there is no such
        place. `on_lost` is called after the protocol's `connection_lost`. `user_socket` is what the
        user knows the socket by; it is closed with it."""
        try:
            peer: Any = socket.getpeername()
        except OSError:
            peer = None
        names = {"sockname": socket.getsockname(), "peername": peer}
        facade = DatagramTransportSocket(socket, self.fileno)
        super().__init__(
            driver, socket, protocol, on_lost, user_socket, {**names, "socket": facade}
        )
        self._address = address
        self._buffer: deque[tuple[bytes, Any]] = deque()

    def _begin(self) -> None:
        self._tell("connection_made", self)
        self._loop.call_soon(self._begin_reading)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give datagrams and events to another protocol from now on."""
        self._protocol = protocol

    # -- receiving -------------------------------------------------------------------------------
    def _look_soon(self) -> None:
        self._loop.call_soon(self._on_events, EVENT_CLOSED)

    def _on_events(self, _events: int) -> None:
        """The stack tells of something: look at everything."""
        if self._buffer and not self._conn_lost:
            self._send_buffered()
        while self.is_reading():
            try:
                data, address = self._socket.recvfrom(_LARGEST)
            except BlockingIOError:
                break
            except OSError as error:
                self._tell_error(error)
            else:
                self._tell("datagram_received", data, address)
        if not self._conn_lost:
            self._show()

    def _tell_error(self, error: OSError) -> None:
        """An error of the network is the protocol's to handle; without a device it is the end."""
        if self._driver.error:
            self._fatal_error(error)
        else:
            self._tell("error_received", error)

    def _tell(self, call: str, *args: Any) -> None:
        """Call the protocol. One that raises is told to the loop's exception handler, and goes
        on, as in asyncio."""
        try:
            getattr(self._protocol, call)(*args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._explain(error, f"Exception in protocol.{call}()")

    # -- sending ---------------------------------------------------------------------------------
    def sendto(self, data: bytes | bytearray | memoryview, addr: Any = None) -> None:
        """Send one datagram, which may be empty, now or as soon as there is room.

        Raises ValueError for an address other than the one that the transport was made with. What
        the stack refuses (EMSGSIZE, ENETUNREACH, …) is told to the protocol's `error_received`.
        """
        if get_ident() != self._driver.thread and not self._conn_lost:
            self._driver.refuse()
        if not isinstance(data, BYTES_LIKE):
            raise TypeError(
                f"data argument must be a bytes-like object, not {type(data).__name__!r}"
            )
        if self._address is not None:
            if addr not in (None, self._address):
                raise ValueError(f"Invalid address: must be None or {self._address}")
            addr = self._address
        if self._conn_lost:
            self._conn_lost += 1
            if self._conn_lost > constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES:
                _logger.warning("sendto() on a transport that is lost")
            return
        if not self._buffer and self._send(data, addr):
            return
        self._buffer.append((bytes(data), addr))
        self._buffered += len(data) + _OVERHEAD
        self._maybe_pause_protocol()

    def _send(self, data: bytes | bytearray | memoryview, addr: Any) -> bool:
        """Whether it is done with: sent, or refused."""
        try:
            if self._extra["peername"]:
                self._socket.send(data)
            else:
                self._socket.sendto(data, addr)
        except BlockingIOError:
            return False
        except OSError as error:
            self._tell_error(error)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fatal_error(error, "Fatal write error on a pystack datagram transport")
        return True

    def _send_buffered(self) -> None:
        """The socket has room again."""
        while self._buffer:
            data, addr = self._buffer[0]
            if not self._send(data, addr):
                break
            if not self._buffer:
                return  # what the protocol was told has closed the transport
            self._buffer.popleft()
            self._buffered -= len(data) + _OVERHEAD
        self._maybe_resume_protocol()  # which may send, or close
        if not self._buffer and self._closing and not self._conn_lost:
            self._finish(None)

    def _drop_buffer(self) -> None:
        self._buffer.clear()


def begin(transport: DatagramTransport) -> None:
    """Tell the protocol of its transport; what has come is told a turn later."""
    transport._begin()
