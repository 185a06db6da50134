"""What the stages of a path read of a packet: its flow, and whether it only acknowledges.

As a router, they verify nothing; what they cannot read belongs to no flow.
"""

from __future__ import annotations

from typing import Final

from pystack.wire import consts
from pystack.wire.ip_fields import Buffer, version_of
from pystack.wire.ip_headers import read

_PORTS: Final = (consts.IPPROTO_TCP, consts.IPPROTO_UDP)
_FRAGMENT: Final = 0x3FFF  # more fragments, or an offset


def flow_of(buffer: Buffer) -> bytes:
    """Protocol, addresses and ports, the same for all packets of a flow, of one direction.

    For fragments, and protocols without ports, it is protocol and addresses; b"" for what is no IP
    packet.
    """
    size = len(buffer)
    if size >= 24 and buffer[0] == 0x45 and buffer[9] in _PORTS:
        if not (buffer[6] << 8 | buffer[7]) & _FRAGMENT:
            return bytes(buffer[9:10]) + bytes(buffer[12:24])
    elif size >= 44 and version_of(buffer) == 6 and buffer[6] in _PORTS:
        return bytes(buffer[6:7]) + bytes(buffer[8:44])
    headers = read(buffer, version_of(buffer)) if size else None
    if headers is None:
        return b""
    name = bytes((headers.protocol,)) + headers.source + headers.destination
    fragment = headers.offset or headers.more
    if headers.protocol in _PORTS and not fragment and size >= headers.upper + 4:
        name += bytes(buffer[headers.upper : headers.upper + 4])
    return name


def pure_ack(buffer: Buffer) -> int:
    """Where the TCP header of a segment begins that does nothing but acknowledge, else 0.

    It has no payload, no flag but ACK (and those of ECN), no SACK block: a later ACK of its
    connection replaces it.
    """
    size = len(buffer)
    if size >= 40 and version_of(buffer) == 4:
        upper, end = (buffer[0] & 15) * 4, buffer[2] << 8 | buffer[3]
        if buffer[9] != consts.IPPROTO_TCP or (buffer[6] << 8 | buffer[7]) & _FRAGMENT:
            return 0
    elif size >= 60 and version_of(buffer) == 6:
        upper, end = consts.IPV6_HEADER, consts.IPV6_HEADER + (buffer[4] << 8 | buffer[5])
        if buffer[6] != consts.IPPROTO_TCP:
            return 0
    else:
        return 0
    if end > size or upper + consts.TCP_HEADER > end:
        return 0
    header = (buffer[upper + 12] >> 4) * 4
    if upper + header != end or header < consts.TCP_HEADER:
        return 0
    if buffer[upper + 13] & 0x3F != consts.ACK:
        return 0
    return 0 if _has_sack(buffer, upper + consts.TCP_HEADER, end) else upper


def acknowledged(buffer: Buffer, upper: int) -> int:
    """SEG.ACK of a TCP segment whose header begins at `upper`."""
    return int.from_bytes(buffer[upper + 8 : upper + 12], "big")


def ecn_flags(buffer: Buffer, upper: int) -> int:
    """AE, CWR and ECE of a segment, as bits: dropping it must not lose what they say."""
    return (buffer[upper + 12] & 1) << 2 | buffer[upper + 13] >> 6


def _has_sack(buffer: Buffer, at: int, end: int) -> bool:
    while at < end and buffer[at] != consts.OPT_EOL:
        if buffer[at] == consts.OPT_NOP:
            at += 1
            continue
        if buffer[at] == consts.OPT_SACK or at + 1 >= end or buffer[at + 1] < 2:
            return True  # unreadable options are no reason to drop a segment
        at += buffer[at + 1]
    return False
