"""What the stack sent, taken apart with `struct` alone, every checksum recomputed.

`decode` raises `BadPacket` for anything that no receiver should ever see from us: a wrong
checksum or length, an option that runs past the header, non-zero padding or reserved bits, an
MSS option without SYN. So every exact-segment test also shows that these never happen.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from tests.kit.packets.encode import (
    ACK,
    CWR,
    FIN,
    FRAGMENT,
    ICMP,
    ICMPV6,
    PSH,
    RST,
    SYN,
    TCP,
    UDP,
    URG,
    ones_sum,
    pseudo_header,
)  # fmt: skip

CHECKSUM_COMPLETE, CHECKSUM_VALID, CHECKSUM_PARTIAL = 0, 1, 2

Option = tuple[str, tuple[int, ...]]
"""(name, numbers): ("mss", (1460,)), ("TS", (val, ecr)), ("sack", (left, right, …)),
("wscale", (7,)), ("sackOK", ()), ("nop", ()), ("eol", ()), ("raw", every octet)."""


class BadPacket(AssertionError):
    """The stack sent what must never be sent."""


@dataclass(frozen=True)
class Packet:
    """One packet of the stack. Numbers as on the wire; TCP fields are 0 in other protocols."""

    octets: bytes
    src: bytes
    dst: bytes
    protocol: int
    tos: int
    ttl: int
    ident: int
    df: bool
    label: int
    upper: bytes
    src_port: int = 0
    dst_port: int = 0
    seq: int = 0
    ack: int = 0
    flags: int = 0
    window: int = 0
    urgent: int = 0
    options: tuple[Option, ...] = ()
    payload: bytes = b""
    gso_size: int = 0
    kind: int = 0
    code: int = 0
    rest: bytes = b""
    more: bool = False
    offset: int = 0

    @property
    def version(self) -> int:
        return 4 if len(self.src) == 4 else 6

    def option(self, name: str) -> tuple[int, ...] | None:
        """The numbers of the first option of that name, or None."""
        for known, numbers in self.options:
            if known == name:
                return numbers
        return None


def require(condition: bool, complaint: str) -> None:
    if not condition:
        raise BadPacket(complaint)


def decode(octets: bytes, gso_size: int = 0, checksum_state: int = 0) -> list[Packet]:
    """The packets that a receiver sees: one, or the pieces of a super-segment, in order."""
    require(len(octets) >= 20, f"{len(octets)} octets are no IP packet")
    version = octets[0] >> 4
    if version == 4:
        packet = _decode4(octets)
    else:
        require(version == 6, f"IP version {version}")
        packet = _decode6(octets)
    if packet.offset or packet.more:
        return [packet]
    if packet.protocol == TCP:
        return _pieces(_decode_tcp(packet, checksum_state), gso_size)
    require(gso_size == 0, "only TCP may be sent as a super-segment")
    require(checksum_state == CHECKSUM_COMPLETE, "only TCP may leave its checksum to others")
    if packet.protocol in (ICMP, ICMPV6):
        return [_decode_icmp(packet)]
    require(packet.protocol == UDP, f"a packet of protocol {packet.protocol}")
    return [_decode_udp(packet)]


def _decode4(octets: bytes) -> Packet:
    (first, tos, total, ident, flags, ttl, protocol, _sum, src, dst) = struct.unpack_from(
        "!BBHHHBBH4s4s", octets
    )
    head = (first & 15) * 4
    require(head >= 20 and total >= head, f"IPv4 header length {head}, total length {total}")
    require(total == len(octets), f"IPv4 total length {total} in a packet of {len(octets)}")
    require(ones_sum(octets[:head]) == 0xFFFF, "wrong IPv4 header checksum")
    require(ttl > 0, "TTL 0")
    require(not flags & 0x8000, "the reserved IPv4 flag is set")
    return Packet(
        octets, src, dst, protocol, tos, ttl, ident, bool(flags & 0x4000), 0, octets[head:],
        more=bool(flags & 0x2000), offset=(flags & 0x1FFF) * 8,
    )  # fmt: skip


def _decode6(octets: bytes) -> Packet:
    require(len(octets) >= 40, f"{len(octets)} octets are no IPv6 packet")
    word, length, following, ttl = struct.unpack_from("!IHBB", octets)
    require(length == len(octets) - 40, f"IPv6 length {length}, but {len(octets) - 40} octets")
    require(ttl > 0, "hop limit 0")
    packet = Packet(
        octets, octets[8:24], octets[24:40], following, word >> 20 & 0xFF, ttl, 0, True,
        word & 0xFFFFF, octets[40:],
    )  # fmt: skip
    if following == FRAGMENT:
        following, _zero, where, ident = struct.unpack_from("!BBHI", octets, 40)
        packet = replace(
            packet, protocol=following, ident=ident, df=False, upper=octets[48:],
            offset=where & 0xFFF8, more=bool(where & 1),
        )  # fmt: skip
    return packet


def _decode_tcp(packet: Packet, checksum_state: int) -> Packet:
    upper = packet.upper
    require(len(upper) >= 20, f"a TCP segment of {len(upper)} octets")
    (src_port, dst_port, seq, ack, bits, window, checksum, urgent) = struct.unpack_from(
        "!HHIIHHHH", upper
    )
    pseudo = ones_sum(pseudo_header(packet.src, packet.dst, TCP, len(upper)))
    if checksum_state == CHECKSUM_PARTIAL:
        require(checksum == pseudo, f"pseudo-header sum {checksum:#06x}, should be {pseudo:#06x}")
    else:
        require(checksum_state == CHECKSUM_COMPLETE, f"checksum state {checksum_state}")
        require(ones_sum(struct.pack("!H", pseudo) + upper) == 0xFFFF, "wrong TCP checksum")
    head = (bits >> 12) * 4
    require(20 <= head <= len(upper), f"TCP data offset {head} in {len(upper)} octets")
    flags = bits & 0x1FF
    require(not bits & 0xE00, "reserved bits of the TCP header are set")
    require(bool(flags & ACK) or ack == 0, "an ACK number without the ACK bit")
    require(bool(flags & URG) or urgent == 0, "an urgent pointer without the URG bit")
    require((flags & (SYN | FIN | RST)).bit_count() <= 1, "more than one of SYN, FIN and RST")
    options = decode_options(upper[20:head])
    require(bool(flags & SYN) or all(name != "mss" for name, _ in options), "MSS without SYN")
    return replace(
        packet, src_port=src_port, dst_port=dst_port, seq=seq, ack=ack, flags=flags,
        window=window, urgent=urgent, options=options, payload=upper[head:],
    )  # fmt: skip


def _decode_udp(packet: Packet) -> Packet:
    upper = packet.upper
    require(len(upper) >= 8, f"a datagram of {len(upper)} octets")
    src_port, dst_port, length, checksum = struct.unpack_from("!HHHH", upper)
    require(length == len(upper), f"UDP length {length}, but {len(upper)} octets")
    require(checksum != 0, "a datagram without checksum")
    covered = pseudo_header(packet.src, packet.dst, UDP, len(upper)) + upper
    require(ones_sum(covered) == 0xFFFF, "wrong UDP checksum")
    return replace(packet, src_port=src_port, dst_port=dst_port, payload=upper[8:])


def decode_options(octets: bytes) -> tuple[Option, ...]:
    """Every option in order; a malformed one raises `BadPacket`."""
    found: list[Option] = []
    at = 0
    while at < len(octets):
        kind = octets[at]
        if kind == 0:
            require(not any(octets[at:]), "octets behind EOL are not zero")
            found.append(("eol", ()))
            break
        if kind == 1:
            found.append(("nop", ()))
            at += 1
            continue
        require(at + 1 < len(octets), f"option kind {kind} without a length")
        length = octets[at + 1]
        require(2 <= length <= len(octets) - at, f"option kind {kind} with length {length}")
        found.append(_option(kind, octets[at : at + length]))
        at += length
    return tuple(found)


def _option(kind: int, octets: bytes) -> Option:
    body = octets[2:]
    if kind == 2 and len(body) == 2:
        return "mss", struct.unpack("!H", body)
    if kind == 3 and len(body) == 1:
        return "wscale", (body[0],)
    if kind == 4 and not body:
        return "sackOK", ()
    if kind == 5 and body and len(body) % 8 == 0:
        return "sack", struct.unpack(f"!{len(body) // 4}I", body)
    if kind == 8 and len(body) == 8:
        return "TS", struct.unpack("!II", body)
    return "raw", tuple(octets)


def _pieces(packet: Packet, gso_size: int) -> list[Packet]:
    """Cut a super-segment as a network card would."""
    payload = packet.payload
    if not gso_size or len(payload) <= gso_size:
        return [replace(packet, gso_size=gso_size)]
    # who cuts it repeats the urgent pointer in every piece, where it means something else
    require(not packet.flags & URG, "a super-segment with URG")
    pieces: list[Packet] = []
    for at in range(0, len(payload), gso_size):
        part = payload[at : at + gso_size]
        flags = packet.flags
        if at + len(part) < len(payload):
            flags &= ~(PSH | FIN)
        if at:
            flags &= ~CWR
        seq = (packet.seq + at) & 0xFFFF_FFFF
        ident = (packet.ident + len(pieces)) & 0xFFFF
        piece = replace(packet, seq=seq, ident=ident, flags=flags, payload=part, gso_size=gso_size)
        pieces.append(piece)
    return pieces


def _decode_icmp(packet: Packet) -> Packet:
    upper = packet.upper
    require(len(upper) >= 8, f"an ICMP message of {len(upper)} octets")
    if packet.protocol == ICMPV6:
        require(packet.version == 6, "ICMPv6 in an IPv4 packet")
        covered = pseudo_header(packet.src, packet.dst, ICMPV6, len(upper)) + upper
        require(len(packet.octets) <= 1280 or upper[0] >= 128, "an ICMPv6 error above 1280")
    else:
        require(packet.version == 4, "ICMP in an IPv6 packet")
        covered = upper
    require(ones_sum(covered) == 0xFFFF, "wrong ICMP checksum")
    return replace(packet, kind=upper[0], code=upper[1], rest=upper[4:8], payload=upper[8:])
