"""The error that waits for the next call on a TCP socket.

A connection that ends leaves its errno in `Tcb.error`. As Linux's `sk_err`, it is given once: to
the first call that asks, be it a read, a write, `connect` or SO_ERROR. An errno that comes
without an end (a report of the network, a RST of our own) waits in the socket's `error`.
"""

from __future__ import annotations

from errno import EAGAIN

from pystack.errors import os_error
from pystack.ip.reports import OF_NETWORK
from pystack.sockets import error_queue
from pystack.sockets.error_queue import Message
from pystack.sockets.tcp.tcp_state import TcpSocketState
from pystack.tcp import soft_errors
from pystack.tcp.state.states import CLOSED
from pystack.wire.flow_key import remote_end


def pending(sock: TcpSocketState) -> int:
    """The errno that the next call would meet, 0 for none; it stays."""
    if sock.error:
        return sock.error
    tcb = sock.tcb
    if tcb is not None and tcb.state == CLOSED and not sock.error_taken:
        return tcb.error
    return 0


def take(sock: TcpSocketState) -> int:
    """The pending errno, which is thereby forgotten; 0 for none."""
    if sock.error:
        code = sock.error
        sock.error = 0
        if sock.tcb is not None and sock.tcb.state == CLOSED:
            sock.error_taken = True  # one error was pending, not two
        return code
    code = pending(sock)
    if code:
        sock.error_taken = True
    return code


def take_os_error(sock: TcpSocketState, otherwise: int) -> OSError:
    """As `take`, as an OSError; one for `otherwise` where nothing is pending. When a replaceable
    part has ended the connection, the text says which one it was."""
    code = take(sock) or otherwise
    tcb = sock.tcb
    if tcb is not None and tcb.failure and code == tcb.error:
        return OSError(code, tcb.failure)
    return os_error(code)


def expect_connection(sock: TcpSocketState) -> None:
    """A connection is about to be made: errors of the one before are over."""
    sock.error = 0
    sock.error_taken = False


def keep_from_connection(sock: TcpSocketState) -> None:
    """The connection is about to be let go: what it leaves pending stays pending."""
    sock.error = pending(sock)
    sock.error_taken = False


def set_pending(sock: TcpSocketState, code: int) -> None:
    """The next call meets this errno."""
    sock.error = code


def on_soft_error(sock: TcpSocketState) -> None:
    """A report has come. One from the network is the next call's error too, as Linux has it
    with IP_RECVERR; one from ourselves (R1: many retransmissions) is in the queue only."""
    tcb = sock.tcb
    if tcb is not None and tcb.reports and tcb.state != CLOSED:
        error, origin = tcb.reports[-1][:2]
        if origin in OF_NETWORK:
            sock.error = error


def take_report(sock: TcpSocketState, size: int, ancillary_size: int) -> Message:
    """The oldest entry of the error queue, without octets. Raises EAGAIN when it is empty."""
    tcb = sock.tcb
    report = soft_errors.take_report(tcb) if tcb is not None else None
    if tcb is None or report is None:
        raise os_error(EAGAIN)
    left = tcb.reports[0] if tcb.reports else None
    sock.error = error_queue.error_after(report, left, sock.error)
    where = remote_end(tcb.key)
    return error_queue.message(sock, report, where, b"", size, ancillary_size)
