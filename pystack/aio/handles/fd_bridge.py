"""A connection as a real descriptor, for code that blocks and for other processes.

    descriptor = stack.bridge_fd(writer)
    process = subprocess.Popen(["sha256sum"], stdin=descriptor, stdout=descriptor)
    descriptor.close()

One end of a socket pair is the user's; the loop carries data between the other end and the
connection. Each octet is copied into the kernel and out of it once more.

Only Linux tells at once that a descriptor which had ended is closed altogether (epoll). Elsewhere
that is noticed when the connection has data for it, or ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import sys
from typing import Any, Final

from pystack.aio.handles.asyncio_own import taken_from
from pystack.aio.handles.known_fds import KernelSocket
from pystack.aio.handles.stream import is_at_end
from pystack.printed import printed

NO_READERS: Final = (
    "this event loop waits for no descriptors, as Windows' own one: run the program on "
    "asyncio.SelectorEventLoop or pystack.aio.EventLoop"
)
_MSG_NOSIGNAL: Final[int] = getattr(socket, "MSG_NOSIGNAL", 0)  # Python ignores SIGPIPE anyway
_PIECE: Final = 262_144  # octets taken from the descriptor at a time


class Bridge(asyncio.Protocol):
    """Carries data between a connection and `user_socket`, the user's end of a socket pair.

    It takes the place of the connection's protocol, which still hears of the end. Where one side
    has no room, the other is not read.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connection: asyncio.Transport | asyncio.StreamWriter,
        bridges: dict[Bridge, None], family: int | None = None,
    ) -> None:  # fmt: skip
        """Is one of `bridges` as long as it has a descriptor open. `family`: see `pair_of`. Raises
        ConnectionError for a connection that is closed."""
        transport: Any = connection
        first: Any = b""
        if isinstance(connection, asyncio.StreamWriter):
            transport = connection.transport
        if transport.is_closing():
            raise ConnectionError("the connection is closed, and cannot be given a descriptor")
        if isinstance(connection, asyncio.StreamWriter):
            first = taken_from(connection)
        self._loop = loop
        self._transport: asyncio.Transport = transport
        self._bridges = bridges
        self._before = transport.get_protocol()
        self._kept_alive: Any = connection  # a writer that is collected closes its connection
        self._at_end = is_at_end(transport)
        self._kept = memoryview(first)  # for the descriptor, which has no room
        self._is_deaf = False  # the descriptor will not be read any more
        self._is_lost = False
        self._has_ended = False  # its user writes no more
        self._hung_up: Any = None  # an epoll, then
        self.user_socket, self._inner = pair_of(family)
        self._inner.setblocking(False)
        self._fd = self._inner.fileno()
        bridges[self] = None

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        state = "closed" if self._fd < 0 else f"fd {self._fd}"
        return f"{state}, kept {len(self._kept)}, {self._transport!r}"

    def begin(self) -> None:
        """Take over. Raises NotImplementedError on a loop that waits for no descriptors."""
        try:
            self._loop.add_reader(self._fd, self._readable)
        except BaseException as error:
            self._inner.close()
            self.user_socket.close()
            del self._bridges[self]
            if isinstance(error, NotImplementedError) and not error.args:
                raise NotImplementedError(NO_READERS) from None
            raise
        self._transport.set_protocol(self)
        self._transport.resume_reading()
        self.data_received(b"")

    # -- from the connection to the descriptor -----------------------------------------------------
    def data_received(self, data: bytes) -> None:
        """Text for the descriptor; the connection is not read while there is no room for it."""
        self._kept = memoryview(b"".join((self._kept, data)) if self._kept else data)
        self._send()
        if self._kept:
            self._transport.pause_reading()
            self._loop.add_writer(self._fd, self._writable)
        elif self._at_end:
            self._tell_end()

    def _send(self) -> None:
        if self._is_deaf or self._fd < 0:
            self._kept = memoryview(b"")
        while self._kept:
            try:
                sent = self._inner.send(self._kept, _MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:  # closed, or only no longer read: that tells the other direction
                self._is_deaf = True
                if self._has_ended:
                    self._loop.call_soon(self._user_closed)
                sent = len(self._kept)
            self._kept = self._kept[sent:]

    def _writable(self) -> None:
        self._send()
        if self._kept:
            return
        self._loop.remove_writer(self._fd)
        if self._is_lost:
            self.end()
        elif self._at_end:
            self._tell_end()
        else:
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        """The peer's end, for the descriptor when it has all data. With TLS it is that of the
        connection."""
        self._at_end = True
        if not self._kept:
            self._tell_end()
        return self._transport.can_write_eof()

    def _tell_end(self) -> None:
        if self._fd >= 0:
            self._inner.shutdown(socket.SHUT_WR)

    # -- from the descriptor to the connection -----------------------------------------------------
    def _readable(self) -> None:
        data = self._received()
        if data:
            self._transport.write(data)
            # a TLS transport says so to the protocol that it had at that time only
            if self._transport.get_write_buffer_size() > self._limit():
                self.pause_writing()
        elif data is not None:
            self._loop.remove_reader(self._fd)
            self._user_ended()

    def _received(self) -> bytes | None:
        """What there is, nothing at the end, None if there may be more later."""
        try:
            return self._inner.recv(_PIECE)
        except BlockingIOError:
            return None
        except OSError:  # closed over data that was not read
            return b""

    def _limit(self) -> int:
        return self._transport.get_write_buffer_limits()[1]

    def pause_writing(self) -> None:
        """The connection has no room: the descriptor is not read."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)

    def resume_writing(self) -> None:
        """The connection has room again."""
        if self._fd >= 0 and not self._has_ended and not self._is_lost:
            self._loop.add_reader(self._fd, self._readable)

    def _user_ended(self) -> None:
        """The descriptor's user writes no more, and may have closed it."""
        self._has_ended = True
        if sys.platform == "linux":
            # asked for nothing, epoll tells of hang-ups and errors; asked for data it would now
            # always tell of the end
            self._hung_up = select.epoll()
            self._hung_up.register(self._fd, 0)
            if self._hung_up.poll(0):
                self._user_closed()
                return
            self._loop.add_reader(self._hung_up.fileno(), self._user_closed)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _user_closed(self) -> None:
        """Nobody has the descriptor open any more, or both directions have ended."""
        self.end()
        self._transport.close()

    # -- the end -----------------------------------------------------------------------------------
    def connection_lost(self, error: Exception | None) -> None:
        """The descriptor's user reads what has come, then an end; writing fails with EPIPE."""
        self._is_lost = True
        self._kept_alive = None
        if self._fd >= 0 and self._kept:
            self._stop_reading()
            self._inner.shutdown(socket.SHUT_RD)
        else:
            self.end()
        if self._before is not None:
            self._before.connection_lost(error)

    def take_rest(self) -> None:
        """What the user has written up to now goes to the connection, room or not."""
        while self._fd >= 0 and (data := self._received()):
            self._transport.write(data)

    def _stop_reading(self) -> None:
        self._loop.remove_reader(self._fd)
        if self._hung_up is not None:
            self._loop.remove_reader(self._hung_up.fileno())
            self._hung_up.close()
            self._hung_up = None

    def end(self) -> None:
        """Close our end of the socket pair; may be called again."""
        if self._fd < 0:
            return
        self._stop_reading()
        self._loop.remove_writer(self._fd)
        self._fd = -1
        self._inner.close()
        del self._bridges[self]


def pair_of(family: int | None) -> tuple[socket.socket, socket.socket]:
    """Two sockets that are joined: a socket pair, or for AF_INET or AF_INET6 a connection over the
    loopback, which takes the options of TCP as well; where there is none, a pair again."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        return socket.socketpair()
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with contextlib.suppress(OSError), KernelSocket(family, socket.SOCK_STREAM) as listening:
        listening.bind((host, 0))
        listening.listen(1)
        near = KernelSocket(family, socket.SOCK_STREAM)
        try:
            near.connect(listening.getsockname())
            while True:
                far, peer = KernelSocket.accept(listening)
                if peer == near.getsockname():  # another process may have been quicker
                    break
                far.close()
        except BaseException:
            near.close()
            raise
        for end in near, far:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return near, far
    return socket.socketpair()
