"""Packets made with `struct` alone, and a checksum that is added up word by word.

Nothing of the project is used, so that a fault in its codec cannot hide.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address

TCP, UDP, HOPOPTS, ROUTING, FRAGMENT, DSTOPTS, NO_NEXT = 6, 17, 0, 43, 44, 60, 59

OURS4, PEER4 = "198.18.0.2", "198.18.0.1"
OURS6, PEER6 = "fd00::2", "fd00::1"


def ones_sum(octets: bytes) -> int:
    """The folded one's complement sum, not complemented."""
    total = 0
    for at in range(0, len(octets), 2):
        total += int.from_bytes(octets[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


def mapped(address: str) -> bytes:
    packed = ip_address(address).packed
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


def key(local: str, remote: str, local_port: int, remote_port: int) -> bytes:
    return mapped(local) + mapped(remote) + struct.pack("!HH", local_port, remote_port)


def pseudo_header(source: str, target: str, protocol: int, length: int) -> bytes:
    addresses = ip_address(source).packed + ip_address(target).packed
    if len(addresses) == 8:
        return addresses + struct.pack("!BBH", 0, protocol, length)
    return addresses + struct.pack("!II", length, protocol)


def tcp(
    source: str = PEER4,
    target: str = OURS4,
    *,
    sport: int = 40000,
    dport: int = 80,
    seq: int = 1000,
    ack: int = 2000,
    flags: int = 0x10,
    wnd: int = 500,
    urgent: int = 0,
    options: bytes = b"",
    text: bytes = b"",
    offset: int | None = None,
    reserved: int = 0,
    checksum: int | None = None,
) -> bytes:
    """A TCP segment with a good checksum, unless told otherwise."""
    assert len(options) % 4 == 0
    words = 5 + len(options) // 4 if offset is None else offset
    bits = words << 12 | reserved << 9 | flags

    def segment(number: int) -> bytes:
        head = struct.pack("!HHIIHHHH", sport, dport, seq, ack, bits, wnd, number, urgent)
        return head + options + text

    if checksum is None:
        blank = segment(0)
        checksum = ones_sum(pseudo_header(source, target, TCP, len(blank)) + blank) ^ 0xFFFF
    return segment(checksum)


def udp(source: str, target: str, sport: int, dport: int, text: bytes) -> bytes:
    length = 8 + len(text)
    blank = struct.pack("!HHHH", sport, dport, length, 0) + text
    number = ones_sum(pseudo_header(source, target, UDP, length) + blank) ^ 0xFFFF
    return struct.pack("!HHHH", sport, dport, length, number or 0xFFFF) + text


def ipv4(
    upper: bytes,
    *,
    protocol: int = TCP,
    source: str = PEER4,
    target: str = OURS4,
    options: bytes = b"",
    tos: int = 0,
    ident: int = 7,
    fragment: int = 0x4000,
    ttl: int = 64,
    version: int = 4,
    ihl: int | None = None,
    total: int | None = None,
    checksum: int | None = None,
) -> bytes:
    """An IPv4 packet; `fragment` is the whole field of flags and offset."""
    assert len(options) % 4 == 0
    words = 5 + len(options) // 4 if ihl is None else ihl
    length = 20 + len(options) + len(upper) if total is None else total

    def header(number: int) -> bytes:
        return struct.pack(
            "!BBHHHBBH4s4s", version << 4 | words, tos, length, ident, fragment, ttl, protocol,
            number, ip_address(source).packed, ip_address(target).packed,
        ) + options  # fmt: skip

    number = ones_sum(header(0)[: words * 4]) ^ 0xFFFF if checksum is None else checksum
    return header(number) + upper


def ipv6(
    upper: bytes,
    *,
    protocol: int = TCP,
    source: str = PEER6,
    target: str = OURS6,
    tos: int = 0,
    label: int = 0,
    hop_limit: int = 64,
    length: int | None = None,
) -> bytes:
    """An IPv6 packet; extension headers are a part of `upper`."""
    size = len(upper) if length is None else length
    first = 6 << 28 | tos << 20 | label
    addresses = ip_address(source).packed + ip_address(target).packed
    return struct.pack("!IHBB", first, size, protocol, hop_limit) + addresses + upper


def extension(following: int, value: bytes, *, length: int | None = None) -> bytes:
    """Hop-by-hop, destination or routing header around `value` (8k - 2 octets)."""
    words = (len(value) + 2) // 8 - 1 if length is None else length
    return bytes((following, words)) + value


def fragment_header(following: int, offset: int, more: int, ident: int) -> bytes:
    return struct.pack("!BBHI", following, 0, offset | more, ident)


def checksums_hold(packet: bytes) -> bool:
    """Whether the IP header's and the TCP checksum of a packet without extensions are right."""
    if packet[0] >> 4 == 4:
        header = (packet[0] & 15) * 4
        if ones_sum(packet[:header]) != 0xFFFF:
            return False
        end = int.from_bytes(packet[2:4], "big")
        addresses, protocol = packet[12:20], packet[9]
    else:
        header = 40
        end = 40 + int.from_bytes(packet[4:6], "big")
        addresses, protocol = packet[8:40], packet[6]
    upper = packet[header:end]
    pseudo = addresses + struct.pack("!II", len(upper), protocol)
    return end == len(packet) and ones_sum(pseudo + upper) == 0xFFFF
