"""`Socket`: the BSD calls, non-blocking, as Linux answers them. A socket is made by `Host.socket`.

What a call does is in `tcp_connection_calls` (bind to close), `tcp_send_recv`, `tcp_poll` (with
ioctl) and `tcp_options`; what they act on is `tcp_state`. No call waits and none takes a time:
what needs a clock happens at the host's next `transmit`. A call that fails raises OSError with
Linux's errno, on a closed socket EBADF.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from errno import EBADF
from typing import Any, Final

from pystack.compiling import mypyc_attr
from pystack.errors import os_error
from pystack.events import EVENT_CLOSED, EVENT_READABLE, EVENT_SOFT_ERROR, EVENT_WRITABLE
from pystack.parts import variants
from pystack.sockets.constants import SOCK_STREAM
from pystack.sockets.sockaddr import Address
from pystack.sockets.tcp import (
    tcp_connection_calls,
    tcp_errors,
    tcp_messages,
    tcp_options,
    tcp_poll,
    tcp_send_recv,
)
from pystack.sockets.tcp.tcp_info import TcpInfo
from pystack.sockets.tcp.tcp_state import TcpSocketState
from pystack.tcp.recording import Observer
from pystack.tcp.tcb import Tcb
from pystack.tcp.user import user_calls


@mypyc_attr(allow_interpreted_subclasses=True)
class Socket(TcpSocketState):
    """A TCP socket of a `Host`.

    `on_events` is called with EVENT_… bits (of `pystack.events`) after each batch in
    which something happened; it may make socket calls. `tcb` is the connection, None before one is
    made, to be read only. `host`, `family`, `type` (SOCK_STREAM) and `closed` say what it is. The
    other attributes belong to this room, and `dir` leaves them out.
    """

    __slots__ = ()

    type: Final = SOCK_STREAM
    option_table = tcp_options.TABLE

    # -- from closed to closed ------------------------------------------------------------------
    def bind(self, address: Any) -> None:
        """Choose the local address and port; port 0 takes a free one at once.

        Raises EINVAL when bound already, EADDRINUSE, EADDRNOTAVAIL (none of the host's),
        EAFNOSUPPORT (an address of another family).
        """
        self.check()
        tcp_connection_calls.bind(self, address)

    def listen(self, backlog: int = 128) -> None:
        """Take connections (RFC 9293 §3.9.1.1, passive OPEN): `backlog` + 1 may wait to be
        accepted, at most `somaxconn`. Again on a listening socket: changes the backlog.

        Raises EINVAL on a connected socket, EADDRINUSE when somebody listens there.
        """
        self.check()
        tcp_connection_calls.listen(self, backlog)

    def accept(self) -> tuple[Socket, Address]:
        """The first waiting connection and its peer's address. Raises EAGAIN when none waits,
        EINVAL on a socket that does not listen."""
        self.check()
        return tcp_connection_calls.accept(self)

    def connect(self, address: Any) -> None:
        """Open a connection (RFC 9293 §3.9.1.1, active OPEN), or ask how far it has come.

        Raises EINPROGRESS when begun, EALREADY while it is being made, then returns None once
        and raises EISCONN, or raises the error it met once (ECONNREFUSED, ETIMEDOUT,
        EHOSTUNREACH, …), after which it may be tried again. ENETUNREACH for a multicast or
        broadcast address (MUST-46), EADDRNOTAVAIL when the connection exists or no port is
        left. `None` stands for AF_UNSPEC: the connection, or the listening, is dissolved, with a
        RST where there is a peer.
        """
        self.check()
        tcp_connection_calls.connect(self, address)

    def shutdown(self, how: int) -> None:
        """SHUT_WR: FIN follows what was written. SHUT_RD: readers get the end of the stream
        when nothing is left to read. While connecting, and on a listener (SHUT_RD): dissolves.

        Raises ENOTCONN without a connection, EINVAL for another `how`.
        """
        self.check()
        tcp_connection_calls.shutdown(self, how)

    def close(self) -> None:
        """Release the socket. What was written is still delivered, followed by FIN; with data
        left unread, and with SO_LINGER of 0 s, the peer gets a RST (RFC 9293 SHLD-3, RFC 2525
        §2.17). A longer SO_LINGER makes no difference: nothing waits here, closing goes on by
        itself."""
        if self.begin_close():
            tcp_connection_calls.close(self)

    # -- data -----------------------------------------------------------------------------------
    def send(self, data: Any, flags: int = 0) -> int:
        """Queue as much of `data` (bytes-like) as there is room for; returns how many bytes.

        MSG_MORE holds back a last partial segment, MSG_EOR lets no segment run across the end,
        MSG_OOB makes the last octet urgent (RFC 6093: not for new protocols). With MSG_ZEROCOPY and
        SO_ZEROCOPY the error queue says that the octets were copied. MSG_DONTWAIT and MSG_NOSIGNAL
        change nothing. Raises EAGAIN when there is no room or the connection is
        still being made, EPIPE after shutdown or without connection, EBADF when closed, and the
        pending error.
        """
        if self.closed:
            raise os_error(EBADF)
        return tcp_send_recv.send(self, data, flags)

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Iterable[tuple[int, int, Any]] = (), flags: int = 0,
        address: Any = None,
    ) -> int:  # fmt: skip
        """As `sendto`, of all buffers together. Of `ancdata` items
        (level, type, data) SO_TIMESTAMPING asks for timestamps of these octets.

        Raises as `send`, and EINVAL for another item of SOL_SOCKET.
        """
        self.check()
        return tcp_send_recv.sendmsg(self, buffers, ancdata, flags, address)

    def sendto(self, data: Any, address: Any, flags: int = 0) -> int:
        """As `send`; `address` counts with MSG_FASTOPEN alone, on a socket that is not connected.

        That connects, with as much of `data` on the SYN as there is room for, if a cookie of the
        peer is known (RFC 7413); returns how many bytes. Without one they are still to be sent:
        raises EINPROGRESS, and the SYN asks for a cookie. EOPNOTSUPP where `tcp_fastopen` has it
        off, EALREADY while connecting, EISCONN when connected, and the errors of `connect`.
        """
        self.check()
        return tcp_send_recv.sendto(self, data, flags, address)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Up to `size` received octets; b"" at the end of the stream.

        MSG_PEEK leaves them there, MSG_TRUNC discards them (zero octets are returned in their
        place), MSG_OOB reads the urgent octet (EINVAL when there is none or SO_OOBINLINE is set);
        MSG_WAITALL and MSG_DONTWAIT change nothing. Reading stops at the urgent mark. Raises EAGAIN
        when nothing is there, ENOTCONN, EBADF when closed, and the pending error (ECONNRESET,
        ETIMEDOUT).
        """
        if self.closed:
            raise os_error(EBADF)
        return tcp_send_recv.recv(self, size, flags)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As `recv`, into a writable buffer; returns how many octets. With MSG_TRUNC the
        buffer stays as it is."""
        self.check()
        return tcp_send_recv.recv_into(self, buffer, nbytes, flags)

    def recvmsg(
        self, size: int, ancillary_size: int = 0, flags: int = 0
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, Address | None]:
        """As `recv`: data, ancillary items, flags (MSG_CTRUNC when items were lost) and address,
        which is None. Items are those that options ask for: TCP_INQ, SO_TIMESTAMP,
        SO_TIMESTAMPING.

        With MSG_ERRQUEUE the oldest entry of the error queue (IP_RECVERR, SO_TIMESTAMPING,
        MSG_ZEROCOPY): `struct sock_extended_err` and the address of who reported it as an item.
        Raises EAGAIN when the queue is empty.
        """
        self.check()
        return tcp_send_recv.recvmsg(self, size, ancillary_size, flags)

    def take_chunk(self) -> bytes | memoryview:
        """The next received chunk, without a copy; b"" when nothing is there. `at_eof` tells
        whether that is the end of the stream. Never raises."""
        return tcp_send_recv.take_chunk(self)

    def skip(self) -> int:
        """Discard all that has come; returns how many octets that was. Never raises."""
        return tcp_send_recv.skip(self)

    @property
    def at_eof(self) -> bool:
        """Whether `recv` would return b"": all has been read and no more will come."""
        return tcp_send_recv.at_eof(self)

    # -- readiness ------------------------------------------------------------------------------
    def poll(self) -> int:
        """POLL… bits that are set now, as Linux's poll gives them for POLLIN to POLLRDHUP."""
        return tcp_poll.poll(self)

    def ioctl(self, request: int) -> int:
        """SIOCINQ (unread octets), SIOCOUTQ (written and not acknowledged), SIOCOUTQNSD (not
        yet sent), SIOCATMARK. Raises EINVAL on a listener, ENOTTY for another request."""
        self.check()
        return tcp_poll.ioctl(self, request)

    # -- what is known, and who watches ---------------------------------------------------------
    def tcp_info(self) -> TcpInfo:
        """What is known of the connection, by the names of Linux's `struct tcp_info`."""
        self.check()
        return TcpInfo.of(self)

    def attach_recorder(self, recorder: Callable[[int, Tcb], Observer] | None) -> None:
        """Have the connection, the one to be made, or those a listener takes, watched by what
        `recorder` makes for each, of the index of the host's interface and the connection (see
        `pystack.tcp.recording`); None: no longer."""
        self.check()
        tcp_options.set_recorder(self, recorder)

    def variant(self, kind: str) -> Any:
        """The connection's part of that kind, a key of `parts.variants.KINDS`; its class explains
        it. None without a connection, and for no experimental option.
        Raises OSError ENOENT for an unknown kind."""
        self.check()
        return variants.of(self.tcb, kind)

    # -- events ---------------------------------------------------------------------------------
    def notify(self, events: int) -> None:
        """The stack tells of EVENT_… bits; the user's `on_events` is called."""
        tcb = self.tcb
        if tcb is not None:
            if events & EVENT_WRITABLE:
                user_calls.stop_waiting_to_write(tcb)
            if events & EVENT_READABLE and self.settings.tells:
                tcp_messages.note_arrival(self, tcb)
            if events & EVENT_SOFT_ERROR:
                tcp_errors.on_soft_error(self)
            if events & EVENT_CLOSED and not self.port_locked:
                tcp_connection_calls.release_port(self)
        if self.on_events is not None:
            self.on_events(events)
