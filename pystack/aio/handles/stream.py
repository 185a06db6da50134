"""One connection as an `asyncio.Transport`, with asyncio's own semantics.

What differs from asyncio's transport over a kernel socket: the end of a connection goes out with
the last data instead of one turn of the loop later; received data is handed over as it came,
without asking for a size; and `close` and `abort` never lose what the stack had accepted while
the peer still has to acknowledge it, even if the application leaves data unread.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import base_events, constants, sslproto
from collections import deque
from collections.abc import Callable, Mapping
from errno import ENOTCONN
from threading import get_ident
from types import MappingProxyType
from typing import Any, Final

from pystack import errors
from pystack.aio.drive.driver import Driver
from pystack.aio.handles.sendfile import FileSending, regular_file
from pystack.aio.handles.socket_base import SocketBase
from pystack.aio.handles.transport_base import BYTES_LIKE, TransportBase
from pystack.aio.handles.transport_socket import TransportSocket
from pystack.events import EVENT_CLOSED, EVENT_WRITABLE
from pystack.sockets.constants import SHUT_WR
from pystack.sockets.tcp import tcp_errors
from pystack.sockets.tcp.tcp_info import TcpInfo
from pystack.sockets.tcp.tcp_socket import Socket
from pystack.tcp.state import states
from pystack.tcp.state.states import CLOSED, SYN_SENT
from pystack.wire.flow_key import ends, local_end, remote_end

_logger = logging.getLogger("pystack")

_SMALL: Final = 16384  # received chunks under this are handed over together
_TOGETHER: Final = 262_144
_SENDFILE: Final[type] = base_events._SendfileFallbackProtocol  # type: ignore[attr-defined]
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

LostCallback = Callable[["Transport"], None]


class Transport(TransportBase):
    """A connection's transport; made by `Stack` and `Server`.

    `get_extra_info` knows "peername", "sockname", "socket" (options, names and `tcp_info` of the
    connection, no reading and writing) and "tcp_info" (a `sockets.TcpInfo`, also after the end).
    All calls raise RuntimeError in another thread than the loop's.
    """

    _start_tls_compatible = True  # asyncio's start_tls finds all it needs here

    __slots__ = ("_buffer", "_gives_buffer", "_eof", "_eof_told", "_file")

    _socket: Socket

    def __init__(
        self, driver: Driver, socket: Socket, protocol: asyncio.BaseProtocol,
        on_lost: LostCallback, user_socket: SocketBase | None = None,
    ) -> None:  # fmt: skip
        """Take over a connected socket. `on_lost` is called after the protocol's
        `connection_lost`. `user_socket` is what the user knows the socket by; it is closed
        with it."""
        super().__init__(driver, socket, protocol, on_lost, user_socket, _NOTHING)
        self._buffer: deque[bytes | memoryview] | None = None  # made when first needed
        self._eof = False  # write_eof was called
        self._eof_told = False  # the protocol knows of the peer's
        self._file: FileSending | None = None  # what `loop.sendfile` sends
        self.set_protocol(protocol)

    def _words(self) -> str:
        tcb = self._socket.tcb
        if tcb is None:
            return super()._words()
        state = "closed" if self._conn_lost else "closing, " if self._closing else ""
        if not self._conn_lost:
            state += states.NAMES[tcb.state]
        unsent = self._buffered + tcb.unsent
        words = f"{ends(tcb.key, '<-' if tcb.passive else '->')} {state}"
        paused = ", not reading" if self._paused and not self._closing else ""
        return f"{words}, unsent {unsent}, flight {tcb.flight}, unread {tcb.recvbuf.held}{paused}"

    def _begin(self) -> None:
        try:
            self._protocol.connection_made(self)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._explain(error, "Exception in protocol.connection_made()")
        self._loop.call_soon(self._begin_reading)

    def _begin_reading(self) -> None:
        if self._socket.tcb is None and not self._conn_lost:  # handed in without a connection
            self._fatal_error(errors.os_error(ENOTCONN))
        super()._begin_reading()

    # -- what it is ------------------------------------------------------------------------------
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See the class."""
        socket = self._socket
        tcb = socket.tcb
        if name == "socket":
            return TransportSocket(socket, self.fileno)
        if tcb is None:
            return default
        key = tcb.key
        if name == "peername":
            return socket.shown(*remote_end(key))
        if name == "sockname":
            return socket.shown(*local_end(key))
        if name == "tcp_info":
            return TcpInfo.of(socket)
        return default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give data and events to another protocol from now on.

        It is told of a pause in writing by the next write that calls for one, not of the end of a
        pause that it knows nothing of: asyncio's own leave that out (after `loop.sendfile`).
        A protocol over which TLS begins meanwhile (`loop.start_tls`) may go on: it writes to TLS.
        """
        if self._protocol_paused and isinstance(protocol, sslproto.SSLProtocol):
            self._protocol.resume_writing()
        if not isinstance(protocol, _SENDFILE):  # that one asks by itself
            self._protocol_paused = False
        self._gives_buffer = isinstance(protocol, asyncio.BufferedProtocol)
        self._protocol: Any = protocol

    # -- reading ---------------------------------------------------------------------------------
    def _look_soon(self) -> None:
        tcb = self._socket.tcb
        assert tcb is not None
        if tcb.recvbuf.held or tcb.fin_received or tcb.state == CLOSED:
            self._loop.call_soon(self._on_events, EVENT_CLOSED)

    def _on_events(self, events: int) -> None:
        """EVENT_… bits from the stack; EVENT_CLOSED makes it look at everything."""
        if self._conn_lost:
            return
        if not self._paused and not self._closing:
            self._read()
        if events & (EVENT_WRITABLE | EVENT_CLOSED):
            if self._buffered and not self._conn_lost:
                self._send_buffered()
            elif (self._eof or self._closing) and not (self._conn_lost or self._is_opening()):
                self._end_as_asked()
            if self._file is not None and not self._conn_lost:
                self._send_file(self._file)
            if events & EVENT_CLOSED and not self._conn_lost:
                self._look_for_error()
        if (self._ready is not None or self._user_socket is not None) and not self._conn_lost:
            self._show()

    def _look_for_error(self) -> None:
        """The connection may have failed: that is told when all received data has been taken."""
        socket = self._socket
        tcb = socket.tcb
        assert tcb is not None
        if tcb.state == CLOSED and not (tcb.recvbuf.held and self._paused):
            if tcp_errors.pending(socket):
                self._fatal_error(tcp_errors.take_os_error(socket, 0))

    def _read(self) -> None:
        socket = self._socket
        tcb = socket.tcb
        assert tcb is not None
        recvbuf = tcb.recvbuf
        had_data = recvbuf.held
        while recvbuf.held:
            if self._gives_buffer:
                self._fill_buffer()
            else:
                chunk = socket.take_chunk()
                if not chunk:
                    return  # an urgent octet stands before the rest
                if recvbuf.held and len(chunk) < _SMALL:
                    chunk = self._with_more(chunk)
                try:
                    self._protocol.data_received(chunk if type(chunk) is bytes else bytes(chunk))
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    self._fatal_error(error, "Fatal error: protocol.data_received() call failed.")
            if self._paused or self._closing:
                return
        if not self._eof_told and socket.at_eof:
            if had_data:  # as in asyncio, a turn passes: tasks see the data before the end
                self._loop.call_soon(self._on_events, EVENT_CLOSED)
            else:
                self._tell_eof()

    def _with_more(self, first: bytes | memoryview) -> bytes:
        """Small chunks that follow each other as one."""
        take = self._socket.take_chunk
        parts = [first]
        length = len(first)
        while length < _TOGETHER and (chunk := take()):
            parts.append(chunk)
            length += len(chunk)
        return b"".join(parts)

    def _fill_buffer(self) -> None:
        """Received data straight into a BufferedProtocol's buffer, as far as it reaches."""
        call = "get_buffer"
        try:
            buffer = self._protocol.get_buffer(-1)
            if not len(buffer):
                raise RuntimeError("get_buffer() returned an empty buffer")
            length = self._socket.recv_into(buffer)
            call = "buffer_updated"
            self._protocol.buffer_updated(length)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BlockingIOError:
            return
        except BaseException as error:
            self._fatal_error(error, f"Fatal error: protocol.{call}() call failed.")

    def _tell_eof(self) -> None:
        self._eof_told = True
        try:
            keep_open = self._protocol.eof_received()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fatal_error(error, "Fatal error: protocol.eof_received() call failed.")
            return
        if not keep_open:
            self.close()

    # -- writing ---------------------------------------------------------------------------------
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`, now or as soon as there is room; see `pause_writing` of protocols."""
        if get_ident() != self._driver.thread and not self._conn_lost:
            self._driver.refuse()
        if type(data) is not bytes and not isinstance(data, BYTES_LIKE):
            raise TypeError(
                f"data argument must be a bytes-like object, not {type(data).__name__!r}"
            )
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._file is not None:
            raise RuntimeError("unable to write; sendfile is in progress")
        if self._conn_lost:
            self._conn_lost += 1
            if self._conn_lost > constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES:
                _logger.warning("write() on a connection that is lost")
            return
        if type(data) is memoryview and data.itemsize != 1:
            data = data.cast("B")
        length = len(data)
        if not length:
            return
        taken = 0
        if not self._buffered:
            try:
                taken = self._socket.send(data)
            except BlockingIOError:
                pass
            except OSError as error:
                self._fatal_error(error, "Fatal write error on a pystack transport")
                return
            if taken == length:
                return
        self._keep(data, taken, length)

    def _keep(self, data: bytes | bytearray | memoryview, taken: int, length: int) -> None:
        """Put what the stack has not taken into our own buffer."""
        if self._buffer is None:
            self._buffer = deque()
        if type(data) is bytes:
            self._buffer.append(memoryview(data)[taken:] if taken else data)
        else:
            self._buffer.append(bytes(data[taken:]))
        self._buffered += length - taken
        self._maybe_pause_protocol()

    def _send_buffered(self) -> None:
        """The stack has room again."""
        buffer = self._buffer
        assert buffer is not None
        send = self._socket.send
        while buffer:
            data = buffer[0]
            try:
                taken = send(data)
            except BlockingIOError:
                break
            except OSError as error:
                self._fatal_error(error, "Fatal write error on a pystack transport")
                return
            self._buffered -= taken
            if taken < len(data):
                buffer[0] = memoryview(data)[taken:]
                break
            buffer.popleft()
        self._maybe_resume_protocol()  # which may write, or close
        if not self._buffered and not self._conn_lost:
            self._buffer = None
            self._end_as_asked()

    @property
    def _sendfile_compatible(self) -> constants._SendfileMode:
        """What asyncio's loop.sendfile asks: elsewhere than on our loops it copies, by `write`."""
        modes = constants._SendfileMode
        ours = getattr(self._loop, "sends_files_over_stacks", False)
        return modes.TRY_NATIVE if ours else modes.FALLBACK

    async def _send_whole_file(self, sending: FileSending) -> None:
        """Behind what was written."""
        self._check()
        if self._file is not None:
            raise RuntimeError("sendfile is in progress")
        self._file = sending
        self._send_file(sending)
        try:
            await sending.done
        finally:
            self._file = None  # `write` may be called again

    def _send_file(self, sending: FileSending) -> None:
        if self._buffered:
            return
        try:
            sending.go_on(self._socket.send)
        except OSError as error:
            self._fatal_error(error, "Fatal write error on a pystack transport")

    def can_write_eof(self) -> bool:
        """TCP can."""
        return True

    def write_eof(self) -> None:
        """Half-close: FIN follows what was written."""
        if self._closing or self._eof:
            return
        self._check()
        self._eof = True
        if not self._buffered and not self._is_opening():
            self._shutdown()

    def close(self) -> None:
        """See `TransportBase.close`."""
        if self._is_opening() and not self._closing:
            self._check()
            self._closing = True
        else:
            super().close()

    def _is_opening(self) -> bool:
        """Whether data is out with a SYN (TCP Fast Open): an end now would lose it."""
        tcb = self._socket.tcb
        return tcb is not None and tcb.state == SYN_SENT and len(tcb.sndbuf) > 0

    def _end_as_asked(self) -> None:
        if self._closing:
            self._finish(None)
        elif self._eof:
            self._shutdown()

    def _shutdown(self) -> None:
        try:
            self._socket.shutdown(SHUT_WR)
        except OSError as error:
            if error.errno != ENOTCONN:  # lost just now: connection_lost tells of it
                raise

    # -- the end ---------------------------------------------------------------------------------
    def _drop_buffer(self) -> None:
        self._buffer = None

    def _finish(self, error: BaseException | None) -> None:
        socket = self._socket
        tcb = socket.tcb
        if tcb is not None and tcb.recvbuf.held and len(tcb.sndbuf):
            while socket.take_chunk():  # closing over unread data would be a RST, and lose ours
                pass
        if self._file is not None:
            self._file.fail(error)
        super()._finish(error)


def begin(transport: Transport) -> None:
    """Tell the protocol that the connection is made; what has come is told a turn later.

    As in asyncio, a task that `connection_made` starts runs before the first data comes: it may
    still call `start_tls` or pause reading. One that raises is told to the loop's exception
    handler, and the connection goes on.
    """
    transport._begin()


def is_at_end(transport: object) -> bool:
    """Whether it is a transport of ours whose protocol was told that the peer sends no more."""
    return isinstance(transport, Transport) and transport._eof_told


async def send_file(transport: Transport, file: Any, offset: int, count: int | None) -> int:
    """Send a regular file from `offset` on, `count` octets or to its end; how many is returned.

    Its position is then behind the last one sent, after an error too. Raises
    SendfileNotAvailableError for what is no regular file, RuntimeError when another one is being
    sent, ConnectionError.
    """
    fd = regular_file(file)
    end = None if count is None else offset + count
    sending = FileSending(fd, offset, end, asyncio.get_running_loop().create_future())
    reading = transport.is_reading()
    transport.pause_reading()
    try:
        await transport._send_whole_file(sending)
    finally:
        if sending.at > offset:
            file.seek(sending.at)
        if reading:
            transport.resume_reading()
    return sending.at - offset
