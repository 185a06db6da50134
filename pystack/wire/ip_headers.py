"""IPv4 and IPv6 headers in one form, for the paths where a few microseconds don't matter.

ICMP quotes, fragments and the packets that ICMP makes are read and built here; segments of
TCP go through the codec. Implements RFC 791 §3.1 and the chain of extension headers of
RFC 8200 §4 (hop-by-hop, destination options, routing, fragment). No policy: nothing here
decides what to do with a packet.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from pystack.compiling import mypyc_attr
from pystack.wire import codec
from pystack.wire.address import V4_PREFIX, is_v4
from pystack.wire.consts import IPPROTO_FRAGMENT, IPV4_HEADER, IPV6_HEADER
from pystack.wire.ip_fields import Buffer

HOP_BY_HOP: Final = 0
ROUTING: Final = 43
DESTINATION_OPTIONS: Final = 60
NO_NEXT_HEADER: Final = 59
FRAGMENT_HEADER: Final = 8  # octets of IPv6's fragment header
MAX_PACKET: Final = 65535  # octets: IPv4's total length, IPv6's payload length

V4_HEADER: Final = Struct("!BBHHHBBH4s4s")  # RFC 791 §3.1, without options
V6_HEADER: Final = Struct("!IHBB16s16s")  # RFC 8200 §3
V6_FRAGMENT: Final = Struct("!BBHI")  # RFC 8200 §4.5
PSEUDO_HEADER: Final = Struct("!16s16sII")  # RFC 8200 §8.1

MF: Final = 0x2000  # more fragments, in IPv4's flags and offset
DF: Final = 0x4000  # don't fragment


@mypyc_attr(native_class=False)  # mypyc does not know slots=True
@dataclass(slots=True)
class IpHeaders:
    """The fields of one packet's headers; offsets count from the packet's first octet.

    `length` is the whole packet's as its header claims. `named_at` is where the octet lies
    that names `protocol`, `upper` where that protocol's header begins. `complete` is False
    where an extension header runs past the end. `fragment_at` is the place of IPv6's fragment
    header, or 0; `offset` (octets), `more` and `ident` are the fragment's, zero without one.
    """

    version: int
    source: bytes
    destination: bytes
    tos: int
    length: int
    protocol: int
    named_at: int
    upper: int
    complete: bool = True
    fragment_at: int = 0
    offset: int = 0
    more: bool = False
    ident: int = 0


def read(packet: Buffer, version: int) -> IpHeaders | None:
    """Read the headers of an IP packet, whole or the beginning of one, as in an ICMP quote.

    None when the fixed header is cut short, is of another version or contradicts itself.
    Checksums are not looked at.
    """
    if version == 4:
        return _read_v4(packet)
    return _read_v6(packet)


def _read_v4(packet: Buffer) -> IpHeaders | None:
    if len(packet) < IPV4_HEADER or packet[0] >> 4 != 4:
        return None
    first, tos, length, ident, fragment, _, protocol, _, source, destination = (
        V4_HEADER.unpack_from(packet)
    )
    upper = (first & 15) * 4
    if not IPV4_HEADER <= upper <= min(length, len(packet)):
        return None
    return IpHeaders(
        4,
        V4_PREFIX + source,
        V4_PREFIX + destination,
        tos,
        length,
        protocol,
        named_at=9,
        upper=upper,
        offset=(fragment & 0x1FFF) * 8,
        more=bool(fragment & MF),
        ident=ident,
    )


def _read_v6(packet: Buffer) -> IpHeaders | None:
    if len(packet) < IPV6_HEADER or packet[0] >> 4 != 6:
        return None
    first, payload, protocol, _, source, destination = V6_HEADER.unpack_from(packet)
    headers = IpHeaders(
        6,
        source,
        destination,
        first >> 20 & 0xFF,
        IPV6_HEADER + payload,
        protocol,
        named_at=6,
        upper=IPV6_HEADER,
    )
    while _is_extension(headers):
        at = headers.upper
        if at + 8 > len(packet):
            headers.complete = False
            break
        if headers.protocol == IPPROTO_FRAGMENT:
            protocol, _, fragment, headers.ident = V6_FRAGMENT.unpack_from(packet, at)
            headers.fragment_at = at
            headers.offset = fragment & 0xFFF8
            headers.more = bool(fragment & 1)
            size = FRAGMENT_HEADER
        else:
            protocol = packet[at]
            size = (packet[at + 1] + 1) * 8
            if at + size > len(packet):
                headers.complete = False
                break
        headers.protocol, headers.named_at, headers.upper = protocol, at, at + size
        if headers.offset:
            break  # what follows is the middle of something, not a header
    return headers


def _is_extension(headers: IpHeaders) -> bool:
    """Whether `protocol` is an extension header, in a place where it may stand."""
    if headers.protocol == HOP_BY_HOP:
        return headers.named_at == 6  # only right after the IPv6 header (RFC 8200 §4.1)
    if headers.protocol == IPPROTO_FRAGMENT:
        return headers.fragment_at == 0
    return headers.protocol in (ROUTING, DESTINATION_OPTIONS)


def internet_checksum(data: Buffer, initial: int = 0) -> int:
    """RFC 1071: the folded one's complement sum of `data` and `initial`, not complemented."""
    octets = data if isinstance(data, bytearray) else bytearray(data)
    return codec.checksum(codec.pin(octets), 0, len(octets), initial)


def upper_checksum(source: bytes, destination: bytes, protocol: int, message: Buffer) -> int:
    """As `internet_checksum` of what is above IP, together with IPv6's pseudo-header (RFC 8200
    §8.1). It is right for UDP and TCP over IPv4 too (RFC 768): what makes an IPv4 address one of 16
    octets adds nothing to a one's complement sum."""
    octets = bytearray(PSEUDO_HEADER.pack(source, destination, len(message), protocol))
    octets += message
    return internet_checksum(octets)


def v4_header(
    source: bytes, destination: bytes, protocol: int, length: int, tos: int, ttl: int, ident: int,
    df: bool = False,
) -> bytes:  # fmt: skip
    """An IPv4 header without options for a packet of `length` octets, checksum set."""
    flags = DF if df else 0
    header = bytearray(
        V4_HEADER.pack(
            0x45, tos, length, ident & 0xFFFF, flags, ttl, protocol, 0, source[12:],
            destination[12:],
        )
    )  # fmt: skip
    set_v4_checksum(header)
    return bytes(header)


def set_v4_checksum(packet: bytearray) -> None:
    """Fill in the checksum of the IPv4 header that `packet` begins with."""
    packet[10:12] = b"\0\0"
    header = packet[: (packet[0] & 15) * 4]
    packet[10:12] = (0xFFFF ^ internet_checksum(header)).to_bytes(2, "big")


def wrap(
    source: bytes,
    destination: bytes,
    protocol: int,
    payload: Buffer,
    tos: int,
    ttl: int,
    ident: int,
    df: bool = False,
) -> bytes:
    """A whole packet of either version around `payload`; `ident` goes into IPv4's ID only.

    IPv4 packets may be fragmented, but with `df`; the flow label of IPv6 is zero.
    """
    if is_v4(source):
        length = IPV4_HEADER + len(payload)
        head = v4_header(source, destination, protocol, length, tos, ttl, ident, df)
    else:
        first = 6 << 28 | tos << 20
        head = V6_HEADER.pack(first, len(payload), protocol, ttl, source, destination)
    return head + payload
