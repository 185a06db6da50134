"""What a TCP socket's `sendmsg` and `recvmsg` say beside the octets: TCP_INQ, timestamps, and that
octets given with MSG_ZEROCOPY were copied.

Timestamps of what leaves and is acknowledged are an observer's (`tcp.recording`), of what comes
they are noted when the socket is notified: neither costs a socket that asks for none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from errno import EINVAL, ENOMSG
from typing import Any, Final

from pystack.errors import os_error
from pystack.ip.reports import (
    COPIED,
    ORIGIN_TIMESTAMPING,
    ORIGIN_ZEROCOPY,
    STAMP_ACKED,
    STAMP_SCHEDULED,
    STAMP_SENT,
    TX_ACK,
    TX_SCHED,
    TX_SOFTWARE,
    Report,
)
from pystack.sockets import constants as c
from pystack.sockets.ancillary import Ancillary, stamps, stamps_asked
from pystack.sockets.options import INT, Option, keep
from pystack.sockets.socket_level import (
    TIMESTAMPING_OPT_ID,
    TIMESTAMPING_OPT_ID_TCP,
    TIMESTAMPING_SOFTWARE,
    check_timestamping,
    get_timestamping,
)
from pystack.sockets.tcp.tcp_settings import Settings
from pystack.sockets.tcp.tcp_state import TcpSocketState
from pystack.tcp import recording, soft_errors
from pystack.tcp.state.states import CLOSED
from pystack.tcp.tcb import Tcb

_TX: Final = TX_SOFTWARE | TX_SCHED | TX_ACK
_NAMES: Final = 0xFFFF_FFFF


# -- sending --------------------------------------------------------------------------------------
def asked(sock: TcpSocketState, items: Iterable[tuple[int, int, Any]]) -> int:
    """Which timestamps the ancillary data of a `sendmsg` ask for. Items of other levels than
    SOL_SOCKET are passed over. Raises EINVAL for what Linux does not take."""
    wanted = 0
    for level, kind, data in items:
        if level == c.SOL_SOCKET:
            wanted |= stamps_asked(kind, bytes(data), sock.settings.kept)
    return wanted


def note_sent(sock: TcpSocketState, tcb: Tcb, flags: int, wanted: int) -> None:
    """A call has queued octets: tell of their copy, and when they will have left."""
    kept = sock.settings.kept
    if flags & c.MSG_ZEROCOPY and kept.get("SO_ZEROCOPY"):
        _tell_copied(sock, tcb)
    options = int(kept.get("SO_TIMESTAMPING", 0))
    wanted = (wanted | options) & _TX
    if wanted and options & TIMESTAMPING_SOFTWARE:
        end_seq = tcb.sndbuf.end_seq
        name = end_seq - 1 - sock.stamp_base & _NAMES if options & TIMESTAMPING_OPT_ID else 0
        _stamper(tcb).add(end_seq, wanted, name)


def _tell_copied(sock: TcpSocketState, tcb: Tcb) -> None:
    """One more call with MSG_ZEROCOPY is done with; those in a row are one entry of the queue
    (Linux: __msg_zerocopy_callback)."""
    name = sock.take_copy_id()
    reports = tcb.reports
    if reports:
        _, origin, _, code, low, _, high, _ = reports[-1]
        if (origin, code) == (ORIGIN_ZEROCOPY, COPIED) and high + 1 == name:
            soft_errors.replace_last(tcb, _copied(low, name))
            return
    soft_errors.tell(tcb, _copied(name, name))


def _copied(low: int, high: int) -> Report:
    return 0, ORIGIN_ZEROCOPY, 0, COPIED, low, b"", high, 0


def set_timestamping(sock: TcpSocketState, settings: Settings, value: int) -> None:
    """SO_TIMESTAMPING. With SOF_TIMESTAMPING_OPT_ID octets are named by their distance from here,
    so that takes a connection."""
    flags = check_timestamping(value)
    before = int(settings.kept.get("SO_TIMESTAMPING", 0))
    if flags & ~before & TIMESTAMPING_OPT_ID:
        tcb = sock.tcb
        if tcb is None or sock.state == CLOSED:
            raise os_error(EINVAL)
        sock.begin_stamps(
            tcb.sndbuf.end_seq if flags & TIMESTAMPING_OPT_ID_TCP else tcb.sndbuf.start_seq
        )
    keep(settings, "SO_TIMESTAMPING", flags)


TIMESTAMPING: Final = Option(get_timestamping, set_timestamping)


class SendStamps:
    """Watches a connection for octets whose timestamps are wanted (a `recording.Observer`). Who
    watched before watches on."""

    __slots__ = ("name", "before", "unsent", "unacked")

    def __init__(self, before: Any) -> None:
        self.name = "SO_TIMESTAMPING" if before is None else before.name
        self.before = before
        self.unsent: deque[tuple[int, int, int]] = deque()  # end, what is wanted, name
        self.unacked: deque[tuple[int, int, int]] = deque()

    def add(self, end_seq: int, wanted: int, name: int) -> None:
        """Tell when the octet before `end_seq` leaves, and is acknowledged."""
        if wanted & (TX_SOFTWARE | TX_SCHED):
            self.unsent.append((end_seq, wanted, name))
        if wanted & TX_ACK:
            self.unacked.append((end_seq, wanted, name))

    def note(self, tcb: Tcb, event: int, now_us: int) -> None:
        """See `recording.Observer`."""
        if self.before is not None:
            self.before.note(tcb, event, now_us)
        while self.unsent and self.unsent[0][0] <= tcb.snd_nxt:
            _, wanted, name = self.unsent.popleft()
            if wanted & TX_SCHED:
                _tell(tcb, STAMP_SCHEDULED, name, now_us)
            if wanted & TX_SOFTWARE:
                _tell(tcb, STAMP_SENT, name, now_us)
        while self.unacked and self.unacked[0][0] <= tcb.snd_una:
            _tell(tcb, STAMP_ACKED, self.unacked.popleft()[2], now_us)
        if not self.unsent and not self.unacked:
            recording.attach(tcb, self.before)


def _tell(tcb: Tcb, what: int, name: int, now_us: int) -> None:
    soft_errors.tell(tcb, (ENOMSG, ORIGIN_TIMESTAMPING, 0, 0, what, b"", name, now_us))


def _stamper(tcb: Tcb) -> SendStamps:
    watching = tcb.recorder
    if not isinstance(watching, SendStamps):
        watching = SendStamps(watching)
        recording.attach(tcb, watching)
    return watching


# -- receiving ------------------------------------------------------------------------------------
def note_arrival(sock: TcpSocketState, tcb: Tcb) -> None:
    """The socket is notified: what has come with this batch came now."""
    kept = sock.settings.kept
    if kept.get("SO_TIMESTAMP") or kept.get("SO_TIMESTAMPING"):
        sock.note_arrivals()
        arrivals = sock.arrivals
        while arrivals and arrivals[0][0] < tcb.recvbuf.read_seq:
            arrivals.popleft()  # read by a call that tells no times
        if not arrivals or arrivals[-1][0] < tcb.rcv_nxt:
            arrivals.append((tcb.rcv_nxt, sock.host.now_us))


def beside_text(sock: TcpSocketState, tcb: Tcb, peeked: int) -> list[Ancillary]:
    """What `recvmsg` says of the octets that it has just read, or `peeked` at."""
    kept = sock.settings.kept
    items: list[Ancillary] = []
    if kept.get("SO_TIMESTAMP") or kept.get("SO_TIMESTAMPING"):
        at_us = _arrived_us(sock, tcb, peeked)
        if at_us:
            items = stamps(kept, at_us + sock.host.realtime_offset_us)
    if kept.get("TCP_INQ"):
        left = tcb.recvbuf.held
        if not left and tcb.fin_received:
            left = 1  # Linux: reading on tells of the end
        items.append((c.IPPROTO_TCP, c.TCP_INQ, INT.pack(left)))
    return items


def _arrived_us(sock: TcpSocketState, tcb: Tcb, peeked: int) -> int:
    """When the last octet that was read came."""
    seq = tcb.recvbuf.read_seq + peeked
    arrivals = sock.arrivals
    while arrivals and arrivals[0][0] < seq - peeked:
        arrivals.popleft()
    for end_seq, at_us in arrivals:
        if end_seq >= seq:
            return at_us
    return tcb.last_data_us
