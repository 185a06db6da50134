"""Ancillary data: what `recvmsg` gives beside the octets, and what `sendmsg` takes beside them.

An item is (level, type, data), as with Python's `socket`. What a socket wants to be told is in the
options that its record keeps (`options.Shared.kept`). Order and sizes are Linux's (put_cmsg,
sock_recv_timestamp). Datagrams have more: `udp.udp_ancillary`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from errno import EINVAL
from struct import Struct
from typing import Any, Final

from pystack.errors import os_error
from pystack.ip.reports import TX_ACK, TX_SCHED, TX_SOFTWARE
from pystack.sockets import constants as c
from pystack.sockets.options import INT
from pystack.sockets.socket_level import (
    TIMESTAMPING_RX_SOFTWARE,
    TIMESTAMPING_SOFTWARE,
    TIMEVAL,
)

Ancillary = tuple[int, int, bytes]  # level, type, data

_HEADER: Final = 16  # bytes of struct cmsghdr
_ALIGNMENT: Final = 8
_THREE_STAMPS: Final = Struct("=qqqqqq")  # struct scm_timestamping: software, unused, hardware
_TX_STAMPS: Final = TX_SOFTWARE | TX_SCHED | TX_ACK
_OF_UNIX: Final = (1, 2)  # SCM_RIGHTS, SCM_CREDENTIALS, which TCP and UDP pass over


# -- as recvmsg gives them ------------------------------------------------------------------------
def fitting(items: Iterable[Ancillary], size: int) -> tuple[list[Ancillary], bool]:
    """Those that fit a buffer of `size` bytes, the last one perhaps cut, and whether something was
    left out (MSG_CTRUNC)."""
    found: list[Ancillary] = []
    is_cut = False
    for level, kind, data in items:
        if size < _HEADER:
            is_cut = True
            continue
        room = size - _HEADER
        is_cut = is_cut or len(data) > room
        found.append((level, kind, data[:room]))
        size -= min(_HEADER + -(-len(data) // _ALIGNMENT) * _ALIGNMENT, size)
    return found, is_cut


def timestamping(at_us: int) -> Ancillary:
    """SCM_TIMESTAMPING with a software timestamp, µs since 1970."""
    seconds, micros = divmod(at_us, 1_000_000)
    data = _THREE_STAMPS.pack(seconds, micros * 1000, 0, 0, 0, 0)
    return c.SOL_SOCKET, c.SO_TIMESTAMPING, data


def stamps(kept: Mapping[str, Any], at_us: int) -> list[Ancillary]:
    """The timestamps that a socket wants of octets that came at `at_us`, µs since 1970."""
    found: list[Ancillary] = []
    number = kept.get("SO_TIMESTAMP", 0)
    if number:
        seconds, micros = divmod(at_us, 1_000_000)
        is_nano = number in (c.SO_TIMESTAMPNS, c.SO_TIMESTAMPNS_NEW)
        data = TIMEVAL.pack(seconds, micros * 1000 if is_nano else micros)
        found.append((c.SOL_SOCKET, number, data))
    flags = kept.get("SO_TIMESTAMPING", 0)
    if flags & TIMESTAMPING_SOFTWARE and flags & TIMESTAMPING_RX_SOFTWARE:
        found.append(timestamping(at_us))
    return found


# -- as sendmsg takes them ------------------------------------------------------------------------
def stamps_asked(kind: int, data: bytes, kept: Mapping[str, Any]) -> int:
    """An item of SOL_SOCKET: which timestamps it asks for, 0 for those that ask for none.

    Raises EINVAL for what Linux does not take.
    """
    if kind in (c.SO_MARK, c.SO_PRIORITY):
        if len(data) != INT.size:
            raise os_error(EINVAL)
    elif kind in (c.SO_TIMESTAMPING, c.SO_TIMESTAMPING_NEW):
        if len(data) != INT.size:
            raise os_error(EINVAL)
        flags: int = INT.unpack(data)[0]
        if flags & ~_TX_STAMPS:
            raise os_error(EINVAL)
        return flags
    elif kind == c.SO_TXTIME:  # SCM_TXTIME: no queue here waits for it
        if len(data) != 8 or not kept.get("SO_TXTIME"):
            raise os_error(EINVAL)
    elif kind not in _OF_UNIX:
        raise os_error(EINVAL)
    return 0
