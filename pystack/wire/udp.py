"""UDP's header (RFC 768): datagrams read and built, over IPv4 and IPv6. No policy.

The checksum is optional in IPv4, where 0 says that there is none. In IPv6 it is not (RFC 8200
§8.1), but for tunnels that agree on it (RFC 6935). We send one unless a user wants none.
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
    """A datagram; addresses are 16 bytes. Of one that came `tos` and `ttl` are what its IP header
    said, and `checked` is False where it had no checksum."""

    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    payload: bytes
    tos: int = 0
    ttl: int = 0
    checked: bool = True


def read(seg: Segment) -> Datagram | int:
    """The datagram in a packet of protocol 17, or the DROP_… reason why it is none.

    Octets behind the length of UDP's header are ignored. One of IPv6 without a checksum is for
    those alone who take it (RFC 6935): see `Datagram.checked`.
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
    if checksum and state == CHECKSUM_COMPLETE:
        if upper_checksum(source, destination, IPPROTO_UDP, octets) != 0xFFFF:
            return DROP_BAD_UDP_CHECKSUM
    return Datagram(
        source, source_port, destination, destination_port, octets[UDP_HEADER:], seg.tos, seg.ttl,
        checksum != 0,
    )  # fmt: skip


def build(
    datagram: Datagram, *, tos: int, ttl: int, ident: int, df: bool, checksum: bool = True
) -> bytes:
    """A whole packet, which may be larger than any MTU; without `checksum` that is 0.

    `tos` is the TOS octet or the traffic class; `ident` and `df` are IPv4's. The payload has at
    most MAX_PAYLOAD_V4 or MAX_PAYLOAD_V6 octets.
    """
    source, destination = datagram.source, datagram.destination
    length = UDP_HEADER + len(datagram.payload)
    upper = bytearray(length)
    HEADER.pack_into(upper, 0, datagram.source_port, datagram.destination_port, length, 0)
    upper[UDP_HEADER:] = datagram.payload
    if checksum:
        summed = 0xFFFF ^ upper_checksum(source, destination, IPPROTO_UDP, upper)
        upper[6:8] = (summed or 0xFFFF).to_bytes(2, "big")  # RFC 768: 0 would be none
    return wrap(source, destination, IPPROTO_UDP, upper, tos, ttl, ident, df)
