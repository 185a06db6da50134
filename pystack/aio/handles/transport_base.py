"""What the transports of connections and of datagrams have in common: a socket, and its end."""

from __future__ import annotations

import asyncio
import logging
from asyncio import transports
from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from pystack.aio.drive.driver import Driver
from pystack.aio.handles.ready_fd import Ready, ready_fd
from pystack.aio.handles.socket_base import SocketBase, state_of
from pystack.events import EVENT_CLOSED
from pystack.printed import printed
from pystack.sockets import DatagramSocket, Socket

BYTES_LIKE: Final = (bytes, bytearray, memoryview)

_logger = logging.getLogger("pystack")


class TransportBase(transports._FlowControlMixin):
    """A transport over a socket of a stack; the two kinds add how data comes and goes.

    All calls raise RuntimeError in another thread than the loop's. Attributes may be set on it, as
    on asyncio's own.
    """

    __slots__ = (
        "_driver", "_socket", "_protocol", "_on_lost", "_buffered", "_closing", "_paused",
        "_conn_lost", "_user_socket", "_ready", "__dict__", "__weakref__",
    )  # fmt: skip

    if TYPE_CHECKING:  # what the base has, and typeshed does not know
        _loop: asyncio.AbstractEventLoop
        _extra: dict[str, Any]
        _protocol_paused: bool

        def _maybe_pause_protocol(self) -> None: ...
        def _maybe_resume_protocol(self) -> None: ...

    _socket: Any  # a Socket or a DatagramSocket

    def __init__(
        self, driver: Driver, socket: Socket | DatagramSocket, protocol: asyncio.BaseProtocol,
        on_lost: Callable[[Any], None], user_socket: SocketBase | None, extra: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Take over a socket. `on_lost` is called after the protocol's `connection_lost`.
        `user_socket` is what the user knows the socket by; it is closed with it."""
        super().__init__(extra, driver.loop)
        self._driver = driver
        self._socket = socket
        self._on_lost = on_lost
        self._buffered = 0  # octets that the socket has not taken
        self._closing = False
        self._paused = False
        self._conn_lost = 0  # connection_lost is on its way, and writes since
        self._user_socket = user_socket
        if user_socket is not None:
            state_of(user_socket).take_over(self)
        self._ready: Ready | None = None  # made when `fileno` is called
        self._protocol: Any = protocol

    def __repr__(self) -> str:
        return printed(self, self._words, f"pystack {type(self).__name__}")

    def _words(self) -> str:
        state = "closed" if self._conn_lost else "closing" if self._closing else "open"
        if self._paused and not self._closing:
            state += ", not reading"
        buffered = f", buffered {self._buffered}" if self._buffered else ""
        return f"{state} {self._socket!r}{buffered}"

    def _begin_reading(self) -> None:
        if not self._conn_lost:
            # the protocol is called in the context in which the transport was made, as in asyncio
            run: Callable[..., None] = copy_context().run
            self._socket.on_events = partial(run, self._on_events)
            self._on_events(EVENT_CLOSED)

    def _on_events(self, events: int) -> None:
        """EVENT_… bits from the stack; EVENT_CLOSED makes it look at everything."""
        raise NotImplementedError

    # -- what it is ------------------------------------------------------------------------------
    @property
    def _sock(self) -> Any:
        """By asyncio's own name, for libraries that look there."""
        return self.get_extra_info("socket")

    @property
    def _sock_fd(self) -> int:
        return self.fileno()

    def fileno(self) -> int:
        """A descriptor that polls readable on what the protocol has not been given (see
        `ready_fd`); -1 when it is closed."""
        if self._conn_lost:
            return -1
        if self._user_socket is not None:
            return self._user_socket.fileno()
        if self._ready is None:
            self._ready = ready_fd()
            self._show()
        return self._ready.fd

    def _show(self) -> None:
        """Have the descriptor follow what there is now."""
        if self._user_socket is not None:
            state_of(self._user_socket).show()
        elif self._ready is not None:
            self._ready.show(self._socket.poll())

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol; None once it knows that the transport is lost."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def get_write_buffer_size(self) -> int:
        """Octets that the socket has not yet taken; of datagrams eight more for each."""
        return self._buffered

    def is_reading(self) -> bool:
        """Whether what is received is handed over as it comes."""
        return not self._closing and not self._paused

    def pause_reading(self) -> None:
        """Leave what is received in the stack: a connection's window closes, datagrams that find
        no room are dropped."""
        if not self._closing:
            self._check()
            self._paused = True

    def resume_reading(self) -> None:
        """Go on after `pause_reading`, from the loop's next turn on."""
        if self._paused and not self._closing:
            self._check()
            self._paused = False
            self._look_soon()

    def _look_soon(self) -> None:
        raise NotImplementedError

    # -- the end ---------------------------------------------------------------------------------
    def is_closing(self) -> bool:
        """Whether it is closed or on the way to it."""
        return self._closing

    def close(self) -> None:
        """Read no more; close when the stack has taken all that was written, and delivers it."""
        if self._closing:
            return
        self._check()
        self._closing = True
        if not self._buffered:
            self._finish(None)

    def abort(self) -> None:
        """Close at once: what the stack had not accepted yet is dropped. No RST is sent for
        that; with SO_LINGER at 0 s, set through get_extra_info("socket"), it is."""
        if not self._conn_lost:
            self._check()
            self._force_close(None)

    def _force_close(self, error: BaseException | None) -> None:
        if not self._conn_lost:
            self._drop_buffer()
            self._buffered = 0
            self._closing = True
            self._finish(error)

    def _drop_buffer(self) -> None:
        raise NotImplementedError

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
        if self._user_socket is not None:
            self._user_socket.close()
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


def fail(transport: TransportBase, error: OSError) -> None:
    """As its `abort`, and the protocol is told why."""
    transport._force_close(error)
