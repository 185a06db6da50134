"""Batch read and write on a TUN descriptor: Python twin of csrc/batch.c.

The one file of the core that touches a descriptor, because its C twin parses as it reads. Only
devices call it; the core does not.
"""

from __future__ import annotations

import errno
import os
import sys
from struct import Struct
from typing import Any, Final

from pystack.wire import consts
from pystack.wire.arenas import SLOT_HEADROOM, TX_RECORD
from pystack.wire.codec.build import complete_checksum
from pystack.wire.codec.layout import Layout, locate, tcp_header
from pystack.wire.codec.parser import parse

ENOUGH: Final = 192 * 1024  # octets of one batch: about what a core's cache keeps until copied out

# struct virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
_VNET: Final = Struct("=BBHHHH")
_NEEDS_CSUM: Final = 1
_DATA_VALID: Final = 2
_GSO_TCPV4: Final = 1
_GSO_TCPV6: Final = 4
_GSO_ECN: Final = 0x80


def read_batch(fd: int, arena: Any, slot_size: int, slots: int, vnet: int, records: Any, /) -> int:
    if slot_size <= SLOT_HEADROOM:
        return -errno.EINVAL
    if sys.platform == "win32":
        raise NotImplementedError
    view = memoryview(arena)
    before = _VNET.size if vnet else 0
    total = 0
    for index in range(slots):
        if total >= ENOUGH:
            return index
        start = index * slot_size + SLOT_HEADROOM
        try:
            n = os.readv(fd, [view[start - before : (index + 1) * slot_size]])
        except BlockingIOError:
            return index
        except OSError as error:
            return index or -(error.errno or errno.EIO)
        if n == 0:
            return index
        _parse_slot(view, start, n, vnet, records, index)
        total += n
    return slots


def _parse_slot(view: memoryview, start: int, n: int, vnet: int, records: Any, index: int) -> None:
    state = consts.CHECKSUM_COMPLETE
    gso_size = 0
    if vnet and n < _VNET.size:
        n = 0
    elif vnet:
        n -= _VNET.size
        flags, gso_type, _, size, _, _ = _VNET.unpack_from(view, start - _VNET.size)
        if flags & _NEEDS_CSUM:
            state = consts.CHECKSUM_PARTIAL
        elif flags & _DATA_VALID:
            state = consts.CHECKSUM_VALID
        if gso_type & ~_GSO_ECN in (_GSO_TCPV4, _GSO_TCPV6):
            gso_size = size
    parse(view, start, n, state, gso_size, records, index)


def _vnet_header(ip: memoryview, gso_size: int, checksum_state: int) -> bytes:
    partial = checksum_state == consts.CHECKSUM_PARTIAL
    at = Layout()
    if (not partial and not gso_size) or locate(ip, at) or at.fragment:
        return bytes(_VNET.size)
    header = tcp_header(ip, at)
    flags = kind = hdr_len = size = csum_start = csum_offset = 0
    if partial and (header or at.protocol == consts.IPPROTO_UDP):
        flags = _NEEDS_CSUM
        csum_start = at.upper
        csum_offset = 16 if header else 6
    if header and gso_size and at.end - at.upper - header > gso_size:
        kind = _GSO_TCPV4 if at.version == 4 else _GSO_TCPV6
        if ip[at.upper + 13] & consts.CWR:
            kind |= _GSO_ECN  # CWR on the first piece only
        hdr_len = at.upper + header
        size = gso_size
    return _VNET.pack(flags, kind, hdr_len, size, csum_start, csum_offset)


def write_batch(fd: int, arena: Any, records: Any, first: int, count: int, vnet: int, /) -> int:
    if sys.platform == "win32":
        raise NotImplementedError
    view = memoryview(arena)
    for index in range(count):
        start, length, gso_size, state = TX_RECORD.unpack_from(
            records, (first + index) * TX_RECORD.size
        )
        packet = view[start : start + length]
        parts = [packet]
        if vnet:
            parts.insert(0, memoryview(_vnet_header(packet, gso_size, state)))
        elif state == consts.CHECKSUM_PARTIAL:
            complete_checksum(view, start, length)
        try:
            os.writev(fd, parts)
        except OSError as error:
            return index or -(error.errno or errno.EIO)
    return count
