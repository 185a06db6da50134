"""Packets as the peer would send them, built with `struct` alone.

Nothing here comes from `pystack`: a mistake in the project's own builder or parser must not be
able to cancel out. Addresses are packed (4 or 16 bytes); the length of the address says which
IP version a packet has. Every field can be given a wrong value on purpose.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, AE = (1 << bit for bit in range(9))

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS = 0, 43, 44, 60


def ones_sum(data: bytes) -> int:
    """The folded one's complement sum of RFC 1071, not complemented."""
    if len(data) & 1:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) >> 1}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def internet_checksum(data: bytes) -> int:
    return ones_sum(data) ^ 0xFFFF


def pseudo_header(src: bytes, dst: bytes, protocol: int, length: int) -> bytes:
    """RFC 9293 §3.1 for IPv4, RFC 8200 §8.1 for IPv6."""
    if len(src) == 4:
        return src + dst + struct.pack("!BBH", 0, protocol, length)
    return src + dst + struct.pack("!I3xB", length, protocol)


def with_checksum(src: bytes, dst: bytes, protocol: int, upper: bytes, at: int) -> bytes:
    """`upper` with the 16-bit field at offset `at`, now zero, filled in."""
    value = internet_checksum(pseudo_header(src, dst, protocol, len(upper)) + upper)
    if protocol == UDP and value == 0:
        value = 0xFFFF
    return upper[:at] + struct.pack("!H", value) + upper[at + 2 :]


def tcp(
    src: bytes,
    dst: bytes,
    src_port: int,
    dst_port: int,
    seq: int,
    ack: int,
    flags: int,
    window: int,
    options: bytes = b"",
    payload: bytes = b"",
    *,
    urgent: int = 0,
    reserved: int = 0,
    data_offset: int | None = None,
    spoil_checksum: bool = False,
) -> bytes:
    """A TCP segment. `options` is padded with zeros (EOL) to a multiple of four.

    `reserved` are the three bits below the data offset that no RFC has given a meaning yet
    (the fourth is AE, a flag); `data_offset` counts 32-bit words.
    """
    options += bytes(-len(options) % 4)
    words = 5 + len(options) // 4 if data_offset is None else data_offset
    head = struct.pack(
        "!HHIIHHHH",
        src_port,
        dst_port,
        seq & 0xFFFF_FFFF,
        ack & 0xFFFF_FFFF,
        (words & 15) << 12 | (reserved & 7) << 9 | flags,
        window,
        0,
        urgent,
    )
    segment = with_checksum(src, dst, TCP, head + options + payload, 16)
    if spoil_checksum:
        segment = segment[:16] + bytes([segment[16] ^ 0x5A]) + segment[17:]
    return segment


def udp(src: bytes, dst: bytes, src_port: int, dst_port: int, payload: bytes) -> bytes:
    head = struct.pack("!HHHH", src_port, dst_port, 8 + len(payload), 0)
    return with_checksum(src, dst, UDP, head + payload, 6)


def icmp(src: bytes, dst: bytes, kind: int, code: int, rest: bytes, body: bytes) -> bytes:
    """ICMP or ICMPv6; `rest` is the second 32-bit word (identifier, MTU, pointer, …)."""
    message = struct.pack("!BBH4s", kind, code, 0, rest) + body
    if len(src) == 16:
        return with_checksum(src, dst, ICMPV6, message, 2)
    return message[:2] + struct.pack("!H", internet_checksum(message)) + message[4:]


def ip(
    src: bytes,
    dst: bytes,
    protocol: int,
    payload: bytes,
    *,
    tos: int = 0,
    ttl: int = 64,
    ident: int = 0,
    df: bool = True,
    options: bytes = b"",
    extensions: Iterable[tuple[int, bytes]] = (),
    label: int = 0,
    version: int | None = None,
    spoil_checksum: bool = False,
    extra_length: int = 0,
) -> bytes:
    """An IP packet around `payload`.

    `options` are IPv4 options (padded to four with zeros), `extensions` IPv6 extension headers
    as (header number, its octets behind the length octet; padded to eight), in order.
    `extra_length` is added to the length field, to make it lie.
    """
    if len(src) == 4:
        return _ip4(
            src, dst, protocol, payload, tos, ttl, ident, df, options,
            4 if version is None else version, spoil_checksum, extra_length,
        )  # fmt: skip
    headers = list(extensions)
    body = payload
    following = protocol
    for number, octets in reversed(headers):
        size = -(-(len(octets) + 2) // 8)
        body = bytes([following, size - 1]) + octets.ljust(size * 8 - 2, b"\0") + body
        following = number
    word = (6 if version is None else version) << 28 | tos << 20 | label
    return struct.pack("!IHBB", word, len(body) + extra_length, following, ttl) + src + dst + body


def _ip4(
    src: bytes, dst: bytes, protocol: int, payload: bytes, tos: int, ttl: int, ident: int,
    df: bool, options: bytes, version: int, spoil_checksum: bool, extra_length: int,
) -> bytes:  # fmt: skip
    options += bytes(-len(options) % 4)
    length = 20 + len(options)
    head = struct.pack(
        "!BBHHHBBH4s4s",
        version << 4 | length // 4,
        tos,
        length + len(payload) + extra_length,
        ident,
        0x4000 if df else 0,
        ttl,
        protocol,
        0,
        src,
        dst,
    )
    value = internet_checksum(head + options) ^ (0x5A5A if spoil_checksum else 0)
    return head[:10] + struct.pack("!H", value) + head[12:] + options + payload


def fragments(packet: bytes, size: int, ident: int = 0x4242) -> list[bytes]:
    """`packet` cut into fragments carrying `size` octets (a multiple of 8) of its payload each.

    For IPv6 the packet must have no extension headers. Returned in order.
    """
    if packet[0] >> 4 == 4:
        head_length = (packet[0] & 15) * 4
        body = packet[head_length:]
        return [
            fragment4(packet, at, body[at : at + size], at + size < len(body), ident)
            for at in range(0, len(body), size)
        ]
    body = packet[40:]
    return [
        fragment6(packet, at, body[at : at + size], at + size < len(body), ident)
        for at in range(0, len(body), size)
    ]


def fragment4(packet: bytes, offset: int, octets: bytes, more: bool, ident: int) -> bytes:
    """One IPv4 fragment with the header of `packet` and `octets` at `offset` of its payload."""
    length = (packet[0] & 15) * 4
    head = bytearray(packet[:length])
    struct.pack_into("!HHH", head, 2, length + len(octets), ident, more << 13 | offset >> 3)
    struct.pack_into("!H", head, 10, 0)
    struct.pack_into("!H", head, 10, internet_checksum(bytes(head)))
    return bytes(head) + octets


def fragment6(packet: bytes, offset: int, octets: bytes, more: bool, ident: int) -> bytes:
    """One IPv6 fragment with the header of `packet` and `octets` at `offset` of its payload."""
    head = bytearray(packet[:40])
    struct.pack_into("!H", head, 4, 8 + len(octets))
    following, head[6] = head[6], FRAGMENT
    return bytes(head) + struct.pack("!BBHI", following, 0, offset | more, ident) + octets
