"""The error queue of a socket (IP_RECVERR): its entries as `recvmsg` gives them."""

from __future__ import annotations

from struct import Struct
from typing import Final

from pystack.ip.reports import OF_NETWORK, ORIGIN_TIMESTAMPING, Report
from pystack.sockets import ancillary
from pystack.sockets.ancillary import Ancillary
from pystack.sockets.base import BaseSocket
from pystack.sockets.constants import (
    AF_INET,
    AF_INET6,
    AF_UNSPEC,
    IP_RECVERR,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_RECVERR,
    MSG_CTRUNC,
    MSG_ERRQUEUE,
    MSG_TRUNC,
)
from pystack.sockets.sockaddr import Address

_EXTENDED_ERR: Final = Struct("=IBBBBII")  # struct sock_extended_err (<linux/errqueue.h>)
_SOCKADDR_IN: Final = Struct("=HH4s8x")
_SOCKADDR_IN6: Final = Struct("=HHI16sI")

Message = tuple[bytes, list[Ancillary], int, Address]  # as recvmsg returns it


def error_after(taken: Report, left: Report | None, error: int) -> int:
    """The pending errno when `taken` has been read and `left` is next: a report from the network
    is the next call's error too, one of our own is not (Linux: sock_dequeue_err_skb)."""
    if left is not None and left[1] in OF_NETWORK:
        return left[0]
    return 0 if taken[1] in OF_NETWORK else error


def message(
    sock: BaseSocket, report: Report, remote: tuple[bytes, int], payload: bytes, size: int,
    ancillary_size: int,
) -> Message:  # fmt: skip
    """What `recvmsg` returns for an entry: up to `size` of the octets that it is about, the
    report as far as it fits `ancillary_size`, flags, and the destination of the octets."""
    items = [_ancillary(sock.family, report)]
    if report[1] == ORIGIN_TIMESTAMPING:
        items.insert(0, ancillary.timestamping(report[7] + sock.host.realtime_offset_us))
    flags = MSG_ERRQUEUE | (MSG_TRUNC if len(payload) > size else 0)
    fitting, is_cut = ancillary.fitting(items, ancillary_size)
    return payload[:size], fitting, flags | (MSG_CTRUNC if is_cut else 0), sock.shown(*remote)


def _ancillary(family: int, report: Report) -> Ancillary:
    """Level, type and data of the control message: what happened and who reports it."""
    error, origin, kind, code, info, offender, data, _ = report
    head = _EXTENDED_ERR.pack(error, origin, kind, code, 0, info, data)
    if family == AF_INET:
        shown = _SOCKADDR_IN.pack(AF_INET if offender else AF_UNSPEC, 0, offender[12:])
        return IPPROTO_IP, IP_RECVERR, head + shown
    shown = _SOCKADDR_IN6.pack(AF_INET6 if offender else AF_UNSPEC, 0, 0, offender, 0)
    return IPPROTO_IPV6, IPV6_RECVERR, head + shown
