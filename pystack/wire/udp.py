"""UDP's header (RFC 768): datagrams read and built, over IPv4 and IPv6. No policy.

The checksum is optional in IPv4, where 0 says that there is none, and not in IPv6 (RFC 8200
§8.1; the exception of RFC 6935 is for tunnels). We always send one.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from pystack.compiling import mypyc_attr
from pystack.wire.consts import (
    CHECKSUM_COMPLETE,
    DROP_BAD_UDP_CHECKSUM,
    DROP_BAD_UDP_HEADER,
    IPPROTO_UDP,
    UDP_HEADER,
)
from pystack.wire.ip_headers import upper_checksum, wrap
from pystack.wire.segment import CHECKSUM_STATE_OFFSET, RECORD_SIZE, Segment

HEADER: Final = Struct("!HHHH")  # source port, destination port, length, checksum
MAX_PAYLOAD_V4: Final = 0xFFFF - 20 - UDP_HEADER  # octets
MAX_PAYLOAD_V6: Final = 0xFFFF - UDP_HEADER


@mypyc_attr(native_class=False)  # mypyc does not know slots=True
@dataclass(slots=True)
class Datagram:
    """A datagram that came; addresses are 16 bytes."""

    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    payload: bytes


def read(seg: Segment) -> Datagram | int:
    """The datagram in a packet of protocol 17, or the DROP_… reason why it is none.

    Octets behind the length of UDP's header are ignored.
    """
    room = seg.end - seg.upper
    if room < UDP_HEADER:
        return DROP_BAD_UDP_HEADER
    source_port, destination_port, length, checksum = HEADER.unpack_from(seg.arena, seg.upper)
    if not UDP_HEADER <= length <= room:
        return DROP_BAD_UDP_HEADER
    source, destination = seg.remote, seg.local
    octets = bytes(seg.arena[seg.upper : seg.upper + length])
    state = seg.records[seg.index * RECORD_SIZE + CHECKSUM_STATE_OFFSET]
    if not checksum:
        if seg.version == 6:
            return DROP_BAD_UDP_CHECKSUM
    elif state == CHECKSUM_COMPLETE:
        if upper_checksum(source, destination, IPPROTO_UDP, octets) != 0xFFFF:
            return DROP_BAD_UDP_CHECKSUM
    return Datagram(source, source_port, destination, destination_port, octets[UDP_HEADER:])


def build(datagram: Datagram, *, tos: int, ttl: int, ident: int, df: bool) -> bytes:
    """A whole packet, checksum and all, which may be larger than any MTU.

    `tos` is the TOS octet or the traffic class; `ident` and `df` are IPv4's. The payload has at
    most MAX_PAYLOAD_V4 or MAX_PAYLOAD_V6 octets.
    """
    source, destination = datagram.source, datagram.destination
    length = UDP_HEADER + len(datagram.payload)
    upper = bytearray(length)
    HEADER.pack_into(upper, 0, datagram.source_port, datagram.destination_port, length, 0)
    upper[UDP_HEADER:] = datagram.payload
    checksum = 0xFFFF ^ upper_checksum(source, destination, IPPROTO_UDP, upper)
    upper[6:8] = (checksum or 0xFFFF).to_bytes(2, "big")  # RFC 768: 0 would be none
    return wrap(source, destination, IPPROTO_UDP, upper, tos, ttl, ident, df)
