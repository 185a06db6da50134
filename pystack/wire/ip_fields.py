"""Single fields of a packet, read in place or changed in a copy, without an object for the packet.

A packet is whole and begins at the first octet of its buffer; nothing is verified. `ip_headers` has
all fields in one object, `parse` what the core needs of a segment.
"""

from __future__ import annotations

from typing import Final

from pystack.wire.address import V4_PREFIX
from pystack.wire.consts import (
    IPPROTO_TCP,
    IPV4_MIN_MTU,
    IPV6_HEADER,
    IPV6_MIN_MTU,
)

Buffer = bytes | bytearray | memoryview

CE: Final = 3  # congestion experienced, in the ECN field (RFC 3168 §5)
_TTL: Final = 8  # where IPv4 has it, and IPv6 its hop limit
_HOP_LIMIT: Final = 7
_WITHOUT_OPTIONS: Final = 0x45  # IPv4's first octet
_FRAGMENT: Final = 0x3FFF  # IPv4: more fragments, or an offset
_DF: Final = 0x4000


def version_of(packet: Buffer) -> int:
    """The IP version: 4, 6, or whatever the first octet says."""
    return packet[0] >> 4


def destination_of(packet: Buffer) -> bytes:
    """The destination address, 16 bytes."""
    if packet[0] >> 4 == 4:
        return V4_PREFIX + bytes(packet[16:20])
    return bytes(packet[24:40])


def least_mtu(packet: Buffer) -> int:
    """The smallest MTU, in bytes, that a link for a packet of this version may have (RFC 791
    §3.2, RFC 8200 §5)."""
    return IPV4_MIN_MTU if packet[0] >> 4 == 4 else IPV6_MIN_MTU


def hop_limit(packet: Buffer) -> int:
    """IPv4's TTL, IPv6's hop limit."""
    return packet[_TTL if packet[0] >> 4 == 4 else _HOP_LIMIT]


def may_be_cut(packet: Buffer) -> bool:
    """Whether a router may fragment it: whole, of IPv4 without options, and DF clear."""
    bits = packet[6] << 8 | packet[7]
    return packet[0] == _WITHOUT_OPTIONS and not bits & (_FRAGMENT | _DF)


def ident_of(packet: Buffer) -> int:
    """IPv4's identification."""
    return packet[4] << 8 | packet[5]


def tcp_headers(packet: Buffer) -> int:
    """How many octets of headers a TCP segment has; 0 for anything else. Extension headers of IPv6
    are not looked through."""
    if packet[0] >> 4 == 4:
        ip, protocol = (packet[0] & 15) * 4, packet[9]
    else:
        ip, protocol = IPV6_HEADER, packet[6]
    return ip + (packet[ip + 12] >> 4) * 4 if protocol == IPPROTO_TCP else 0


def with_lower_hop_limit(packet: Buffer) -> bytearray:
    """A copy with TTL or hop limit decremented, IPv4's checksum updated (RFC 1624)."""
    copy = bytearray(packet)
    if copy[0] >> 4 == 6:
        copy[_HOP_LIMIT] -= 1
        return copy
    copy[_TTL] -= 1
    total = (copy[10] << 8 | copy[11]) + 0x100  # the TTL is the upper octet of its word
    copy[10:12] = ((total & 0xFFFF) + (total >> 16)).to_bytes(2, "big")
    return copy


def ecn_field(packet: Buffer) -> int:
    """The two bits of the ECN field, 0 for what is no IP packet."""
    version = packet[0] >> 4
    if version == 4:
        return packet[1] & CE
    return packet[1] >> 4 & CE if version == 6 else 0


def with_ce(packet: Buffer) -> bytes:
    """A copy with congestion experienced, IPv4's checksum updated (RFC 1624)."""
    copy = bytearray(packet)
    if copy[0] >> 4 == 6:
        copy[1] |= CE << 4
        return bytes(copy)
    more = CE - (copy[1] & CE)
    copy[1] |= CE
    # HC' = ~(~HC + ~m + m'), where the word m has become larger by `more`
    total = ((copy[10] << 8 | copy[11]) ^ 0xFFFF) + more
    total = (total & 0xFFFF) + (total >> 16)
    copy[10:12] = (total ^ 0xFFFF).to_bytes(2, "big")
    return bytes(copy)
