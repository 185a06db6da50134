"""A UDP socket as an `asyncio.DatagramTransport`, with asyncio's own semantics.

What differs from asyncio's transport over a kernel socket: all datagrams that have come are handed
over in one turn of the loop, and an empty one is sent (as asyncio does from Python 3.13 on).
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import constants, transports
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from pystack.aio.facade import DatagramFacade
from pystack.aio.ready_fd import ReadyFd
from pystack.sockets import DatagramSocket

if TYPE_CHECKING:
    from pystack.aio.running import Running
    from pystack.aio.stack_socket import StackSocket

_logger = logging.getLogger("pystack")

_LARGEST: Final = 65_536  # octets: no datagram has more
_OVERHEAD: Final = 8  # what an empty datagram counts in the buffer, as in asyncio from 3.12 on
_BYTES_LIKE: Final = (bytes, bytearray, memoryview)

LostCallback = Callable[["DatagramTransport"], None]


class DatagramTransport(transports._FlowControlMixin, asyncio.DatagramTransport):
    """A UDP socket's transport; made by `create_datagram_endpoint`.

    `get_extra_info` knows "peername" (None unless connected), "sockname" and "socket" (options and
    names, no reading and writing). All calls raise RuntimeError in another thread than the loop's.
    """

    __slots__ = (
        "_driver", "_socket", "_protocol", "_on_lost", "_address", "_buffer", "_buffered",
        "_closing", "_paused", "_conn_lost", "_outer", "_ready", "__weakref__",
    )  # fmt: skip

    if TYPE_CHECKING:  # what the base has, and typeshed does not know
        _loop: asyncio.AbstractEventLoop
        _extra: dict[str, Any]

        def _maybe_pause_protocol(self) -> None: ...
        def _maybe_resume_protocol(self) -> None: ...

    def __init__(
        self, driver: Running, socket: DatagramSocket, protocol: asyncio.BaseProtocol,
        on_lost: LostCallback, address: Any = None, outer: StackSocket | None = None,
    ) -> None:  # fmt: skip
        """Take over a socket, bound or connected or neither. `address` is where all goes that
        `sendto` gives no address for, and the only one it may give; None if there is no such
        place. `on_lost` is called after the protocol's `connection_lost`. `outer` is what the
        user knows the socket by; it is closed with it."""
        try:
            peer: Any = socket.getpeername()
        except OSError:
            peer = None
        names = {"sockname": socket.getsockname(), "peername": peer}
        super().__init__({**names, "socket": DatagramFacade(socket, self.fileno)}, driver.loop)
        self._driver = driver
        self._socket = socket
        self._protocol: Any = protocol
        self._on_lost = on_lost
        self._address = address
        self._buffer: deque[tuple[bytes, Any]] = deque()
        self._buffered = 0
        self._closing = False
        self._paused = False
        self._conn_lost = 0  # connection_lost is on its way, and writes since
        self._outer = outer
        self._ready: ReadyFd | None = None  # made when somebody asks for a descriptor

    def begin(self) -> None:
        """Tell the protocol of its transport; what has come is told a turn later."""
        self._tell("connection_made", self)
        self._loop.call_soon(self._begin_reading)

    def _begin_reading(self) -> None:
        if not self._conn_lost:
            # the protocol is called in the context in which the transport was made, as in asyncio
            run: Callable[..., None] = copy_context().run
            self._socket.on_events = partial(run, self._happened)
            self._happened(0)

    def __repr__(self) -> str:
        state = "closed" if self._conn_lost else "closing" if self._closing else "open"
        return f"<DatagramTransport {state} {self._socket!r} unsent={self._buffered}>"

    def fileno(self) -> int:
        """A descriptor that polls readable on a datagram or an error that the protocol has not
        been given (see `ReadyFd`); -1 when it is closed."""
        if self._conn_lost:
            return -1
        if self._ready is None:
            self._ready = ReadyFd(-1 if self._outer is None else self._outer.fileno())
            self._ready.show(self._socket.poll())
        return self._ready.fd

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give datagrams and events to another protocol from now on."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol; None once it knows that the transport is lost."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    # -- receiving -------------------------------------------------------------------------------
    def is_reading(self) -> bool:
        """Whether datagrams are handed over as they come."""
        return not self._closing and not self._paused

    def pause_reading(self) -> None:
        """Leave datagrams in the socket, which drops some when its buffer is full."""
        if self.is_reading():
            self._check()
            self._paused = True

    def resume_reading(self) -> None:
        """Go on after `pause_reading`, from the loop's next turn on."""
        if self._paused and not self._closing:
            self._check()
            self._paused = False
            self._loop.call_soon(self._happened, 0)

    def _happened(self, _events: int) -> None:
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
        if self._ready is not None and not self._conn_lost:
            self._ready.show(self._socket.poll())

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
        if not isinstance(data, _BYTES_LIKE):
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

    def get_write_buffer_size(self) -> int:
        """Octets that the socket has not yet taken, and eight for each datagram."""
        return self._buffered

    # -- the end ---------------------------------------------------------------------------------
    def is_closing(self) -> bool:
        """Whether it is closed or on the way to it."""
        return self._closing

    def close(self) -> None:
        """Read no more; close when the socket has taken all that was sent."""
        if self._closing:
            return
        self._check()
        self._closing = True
        if not self._buffer:
            self._finish(None)

    def abort(self) -> None:
        """Close at once: what the socket has not taken yet is dropped."""
        if not self._conn_lost:
            self._check()
            self._force_close(None)

    def fail(self, error: OSError) -> None:
        """As `abort`, and the protocol is told why."""
        self._force_close(error)

    def _force_close(self, error: BaseException | None) -> None:
        if self._conn_lost:
            return
        self._buffer.clear()
        self._buffered = 0
        self._closing = True
        self._finish(error)

    def _fatal_error(self, error: BaseException, message: str = "Fatal transport error") -> None:
        if not isinstance(error, OSError):
            self._explain(error, message)
        elif self._loop.get_debug():
            _logger.debug("%r: %s", self, message, exc_info=error)
        self._force_close(error)

    def _explain(self, error: BaseException, message: str) -> None:
        self._loop.call_exception_handler(
            {
                "message": message,
                "exception": error,
                "transport": self,
                "protocol": self._protocol,
            }
        )

    def _finish(self, error: BaseException | None) -> None:
        """The socket's part is over; the protocol learns of it in the loop's next turn."""
        self._conn_lost = 1
        self._socket.on_events = None
        if self._ready is not None:
            self._ready.close()
        if self._outer is not None:
            self._outer.close()
        self._socket.close()
        self._loop.call_soon(self._call_connection_lost, error)

    def _call_connection_lost(self, error: BaseException | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._protocol = None
            self._on_lost(self)

    def _check(self) -> None:
        if get_ident() != self._driver.thread:
            self._driver.refuse()
