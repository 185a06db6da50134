"""Sending and receiving, with the out-of-band octet.

The order in which a read finds data, end of stream, error and shutdown is Linux's
(`tcp_recvmsg_locked`), as is that of a write (`tcp_sendmsg_locked`).
"""

from __future__ import annotations

from collections.abc import Iterable
from errno import EAGAIN, EINVAL, ENOTCONN, EPIPE
from typing import Any, Final

from pystack.errors import os_error
from pystack.sockets.ancillary import Ancillary, fitting
from pystack.sockets.base import RCV_SHUTDOWN, SEND_SHUTDOWN, size_to_read
from pystack.sockets.constants import (
    MSG_CTRUNC,
    MSG_EOR,
    MSG_ERRQUEUE,
    MSG_FASTOPEN,
    MSG_MORE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
)
from pystack.sockets.sockaddr import Address
from pystack.sockets.tcp import tcp_connection_calls, tcp_errors, tcp_messages
from pystack.sockets.tcp.tcp_state import TcpSocketState
from pystack.tcp.fastopen import active, passive
from pystack.tcp.input import urgent
from pystack.tcp.state.states import (
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    LISTEN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
)
from pystack.tcp.tcb import Tcb
from pystack.tcp.user import user_calls

_MAY_SEND: Final = (ESTABLISHED, CLOSE_WAIT)


# -- sending ------------------------------------------------------------------------------------
def sendmsg(
    sock: TcpSocketState, buffers: Iterable[Any], items: Iterable[tuple[int, int, Any]],
    flags: int, where: Any,
) -> int:  # fmt: skip
    """See `Socket.sendmsg`."""
    wanted = tcp_messages.asked(sock, items)
    data = b"".join(buffers)
    sent = sendto(sock, data, flags, where)
    if wanted and sent and sock.tcb is not None:
        tcp_messages.note_sent(sock, sock.tcb, 0, wanted)
    return sent


def send(sock: TcpSocketState, data: Any, flags: int) -> int:
    """See `Socket.send`."""
    tcb = sock.tcb
    if tcb is None or tcb.state not in _MAY_SEND or sock.shut & SEND_SHUTDOWN or sock.error:
        if flags & MSG_FASTOPEN or (tcb is not None and active.waits_for_data(tcb)):
            return sendto(sock, data, flags | MSG_FASTOPEN, None)
        if tcb is None or not passive.is_open(tcb) or sock.shut & SEND_SHUTDOWN or sock.error:
            raise _why_not(sock)
    if type(data) is not bytes and type(data) is not bytearray:
        data = memoryview(data).cast("B")
    if not flags:
        sent = user_calls.send(tcb, data)
    elif flags & MSG_FASTOPEN:
        return sendto(sock, data, flags, None)
    else:
        sent = user_calls.send(
            tcb, data,
            more=bool(flags & MSG_MORE), eor=bool(flags & MSG_EOR), oob=bool(flags & MSG_OOB),
        )  # fmt: skip
    if sent:
        sock.host.mark(tcb)
        if sock.settings.tells:
            tcp_messages.note_sent(sock, tcb, flags, 0)
    elif len(data):
        raise os_error(EAGAIN)
    return sent


def sendto(sock: TcpSocketState, data: Any, flags: int, where: Any) -> int:
    """See `Socket.sendto`."""
    if flags & MSG_FASTOPEN:
        with memoryview(data).cast("B") as view:
            taken = tcp_connection_calls.connect_with(sock, view, where)
        if taken:
            return taken
    return send(sock, data, flags & ~MSG_FASTOPEN)


def _why_not(sock: TcpSocketState) -> OSError:
    if sock.state in (SYN_SENT, SYN_RECEIVED):
        return tcp_errors.take_os_error(sock, EAGAIN)
    return tcp_errors.take_os_error(sock, EPIPE)


# -- receiving ----------------------------------------------------------------------------------
def recv(sock: TcpSocketState, size: int, flags: int) -> bytes:
    """See `Socket.recv`."""
    tcb = sock.tcb
    if not flags and size > 0 and tcb is not None and tcb.urgent_byte == urgent.NONE:
        text = tcb.recvbuf.take(size)
        if text:
            user_calls.after_read(tcb)
            if tcb.state != CLOSED:
                sock.host.mark(tcb)
            return text
    if size < 0:
        raise ValueError("negative size in recv")
    if flags & MSG_ERRQUEUE:
        return tcp_errors.take_report(sock, size, 0)[0]
    if flags & MSG_OOB:
        return _recv_oob(sock, size, flags)
    if not size:
        return b""
    ready = _ready(sock, tcb, flags) if tcb is not None else 0
    if tcb is None or not ready:
        _meet_end(sock)
        return b""
    size = min(size, ready)
    if flags & MSG_PEEK:
        return bytes(size) if flags & MSG_TRUNC else tcb.recvbuf.peek(size, _hole(tcb))
    text = tcb.recvbuf.take(size)
    _after_read(sock, tcb)
    return bytes(size) if flags & MSG_TRUNC else text


def recv_into(sock: TcpSocketState, buffer: Any, nbytes: int, flags: int) -> int:
    """See `Socket.recv_into`."""
    with memoryview(buffer).cast("B") as view:
        text = recv(sock, size_to_read(view, nbytes, "recv_into"), flags)
        if not flags & MSG_TRUNC:
            view[: len(text)] = text
    return len(text)


def _ready(sock: TcpSocketState, tcb: Tcb, flags: int) -> int:
    """How many octets one call may read now. An urgent octet that is next and out of band is
    skipped; a peek leaves it where it is."""
    held = tcb.recvbuf.held
    if tcb.urgent_byte == urgent.NONE:
        return held
    if not flags & MSG_PEEK:
        ready = urgent.readable_before_mark(tcb, tcb.user.oob_inline)
        if tcb.recvbuf.held < held:
            _after_read(sock, tcb)
        return ready
    before = tcb.rcv_up - tcb.recvbuf.read_seq
    return min(held, before) if before > 0 else held - _hole(tcb)


def _hole(tcb: Tcb) -> int:
    """1 when the next octet is the urgent one and not part of the stream."""
    return int(
        tcb.urgent_byte != urgent.NONE
        and not tcb.user.oob_inline
        and tcb.recvbuf.held > 0
        and tcb.rcv_up == tcb.recvbuf.read_seq
    )


def _after_read(sock: TcpSocketState, tcb: Tcb) -> None:
    user_calls.after_read(tcb)
    if tcb.state != CLOSED:
        sock.host.mark(tcb)


def _meet_end(sock: TcpSocketState) -> None:
    """Nothing to read: return at the end of the stream, else raise the reason."""
    tcb = sock.tcb
    state = sock.state
    if state == LISTEN:
        raise os_error(ENOTCONN)
    if tcb is not None and tcb.fin_received:
        return  # before any error, as in Linux: all that the peer sent has come
    if tcp_errors.pending(sock):
        raise tcp_errors.take_os_error(sock, 0)
    if sock.shutdowns & RCV_SHUTDOWN:
        return
    raise os_error(ENOTCONN if state == CLOSED else EAGAIN)


def recvmsg(
    sock: TcpSocketState, size: int, ancillary_size: int, flags: int
) -> tuple[bytes, list[Ancillary], int, Address | None]:
    """See `Socket.recvmsg`."""
    if flags & MSG_ERRQUEUE:
        return tcp_errors.take_report(sock, size, ancillary_size)
    text = recv(sock, size, flags)
    told = flags & MSG_OOB if text else 0
    tcb = sock.tcb
    if not sock.settings.tells or tcb is None or told:
        return text, [], told, None
    wanted = tcp_messages.beside_text(sock, tcb, len(text) if flags & MSG_PEEK else 0)
    items, is_cut = fitting(wanted, ancillary_size)
    return text, items, MSG_CTRUNC if is_cut else 0, None


def take_chunk(sock: TcpSocketState) -> bytes | memoryview:
    """See `Socket.take_chunk`."""
    tcb = sock.tcb
    if tcb is None:
        return b""
    if tcb.urgent_byte == urgent.NONE:
        chunk = tcb.recvbuf.take_chunk()
        if chunk:
            user_calls.after_read(tcb)
            if tcb.state != CLOSED:
                sock.host.mark(tcb)
        return chunk
    ready = _ready(sock, tcb, 0)
    if not ready:
        return b""
    chunk = tcb.recvbuf.take(ready)
    _after_read(sock, tcb)
    return chunk


def skip(sock: TcpSocketState) -> int:
    """See `Socket.skip`."""
    tcb = sock.tcb
    if tcb is None:
        return 0
    if tcb.urgent_byte == urgent.NONE:
        skipped = tcb.recvbuf.skip()
        if skipped:
            user_calls.after_read(tcb)
            if tcb.state != CLOSED:
                sock.host.mark(tcb)
        return skipped
    skipped = 0
    while chunk := take_chunk(sock):
        skipped += len(chunk)
    return skipped


def at_eof(sock: TcpSocketState) -> bool:
    """See `Socket.at_eof`."""
    tcb = sock.tcb
    if tcb is not None:
        if tcb.recvbuf.held:
            return False
        if tcb.fin_received:
            return True
    return bool(sock.shutdowns & RCV_SHUTDOWN) and not tcp_errors.pending(sock)


# -- out of band ----------------------------------------------------------------------------------
def _recv_oob(sock: TcpSocketState, size: int, flags: int) -> bytes:
    tcb = sock.tcb
    if sock.state == LISTEN:
        raise os_error(ENOTCONN)
    if tcb is None or tcb.user.oob_inline or tcb.urgent_byte in (urgent.NONE, urgent.WAS_READ):
        raise os_error(EINVAL)
    ended = tcb.state in (CLOSED, TIME_WAIT)
    if ended and not tcb.fin_received:
        raise os_error(ENOTCONN)
    byte = urgent.take_byte(tcb, bool(flags & MSG_PEEK))
    if byte >= 0:
        return bytes((byte,))[:size]
    if ended or sock.shutdowns & RCV_SHUTDOWN:
        return b""
    raise os_error(EAGAIN)
