"""A host's ICMP, reassembly and their counters without the host, for either IP version."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from pystack.config import Config
from pystack.ip.fragments import Reassembly
from pystack.ip.icmp import Icmp
from pystack.ip.icmp_messages import IcmpError
from pystack.wire import codec, consts
from pystack.wire.address import pack
from pystack.wire.segment import RECORD_SIZE, Segment
from tests.kit.packets import decode, encode

NOW_US = 1_000_000
SECOND_US = 1_000_000


@dataclass(frozen=True)
class Family:
    """The addresses of one version, packed as they stand in a packet of it."""

    version: int
    here: bytes
    peer: bytes
    router: bytes
    stranger: bytes  # an address that is not ours
    multicast: bytes
    icmp: int

    def message(
        self, kind: int, code: int = 0, rest: bytes = bytes(4), body: bytes = b"", *,
        src: bytes = b"", dst: bytes = b"", tos: int = 0,
    ) -> bytes:  # fmt: skip
        """An ICMP message, from the peer to us unless said otherwise."""
        src, dst = src or self.peer, dst or self.here
        upper = encode.icmp(src, dst, kind, code, rest, body)
        return encode.ip(src, dst, self.icmp, upper, tos=tos)

    def udp(self, payload: bytes = b"", *, src: bytes = b"", dst: bytes = b"") -> bytes:
        """A datagram, from the peer to us unless said otherwise."""
        src, dst = src or self.peer, dst or self.here
        return encode.ip(src, dst, encode.UDP, encode.udp(src, dst, 4000, 5000, payload))

    def sent_tcp(self, seq: int, payload: bytes = bytes(1000), src: bytes = b"") -> bytes:
        """A segment of ours to the peer, as a router would quote it."""
        src = src or self.here
        upper = encode.tcp(src, self.peer, 80, 4321, seq, 77, encode.ACK, 100, payload=payload)
        return encode.ip(src, self.peer, encode.TCP, upper)


def _family(version: int, here: str, peer: str, router: str, stranger: str, many: str) -> Family:
    packed = [ipaddress.ip_address(text).packed for text in (here, peer, router, stranger, many)]
    return Family(version, *packed, encode.ICMP if version == 4 else encode.ICMPV6)


V4 = _family(4, "198.18.0.2", "198.18.0.1", "203.0.113.9", "198.18.0.77", "224.0.0.1")
V6 = _family(6, "fd00::2", "fd00::1", "2001:db8::9", "fd00::77", "ff02::1")
FAMILIES = (V4, V6)
BROADCAST = "198.18.0.255"
DATA = bytes(i * 31 + (i >> 8) & 0xFF for i in range(65536))


def sixteen(address: bytes) -> bytes:
    """The stack's own form of a packed address."""
    return pack(str(ipaddress.ip_address(address)))


def datagram(family: Family, size: int) -> bytes:
    """A UDP datagram from the peer with `size` octets behind the IP header, not yet cut."""
    upper = encode.udp(family.peer, family.here, 4000, 5000, DATA[: size - 8])
    return encode.ip(family.peer, family.here, encode.UDP, upper, df=False)


def piece(
    packet: bytes, offset: int, end: int, more: bool = True, *, ident: int = 7, tos: int = 0
) -> bytes:
    """The fragment of `packet` from `offset` to `end` of its payload."""
    if packet[0] >> 4 == 4:
        head = packet[:1] + bytes([tos]) + packet[2:20]
        return encode.fragment4(head, offset, packet[20 + offset : 20 + end], more, ident)
    head = bytes([0x60 | tos >> 4, tos << 4 & 0xF0]) + packet[2:40]
    return encode.fragment6(head, offset, packet[40 + offset : 40 + end], more, ident)


class Kit:
    """ICMP and reassembly wired as a host wires them."""

    def __init__(self, **settings: int) -> None:
        self.config = Config(**settings)
        self.dropped = [0] * len(consts.DROP_NAMES)
        self.local = {sixteen(V4.here), sixteen(V6.here)}
        self.idents = iter(range(0x5000, 0x1_0000))
        self.icmp = Icmp(
            self.config,
            self.local,
            self.dropped,
            lambda _destination: next(self.idents),
            {pack(BROADCAST)},
        )
        self.reassembly = Reassembly(self.config, self.icmp, self.dropped)

    def receive(self, packet: bytes) -> IcmpError | None:
        """One packet through the parser, to ICMP."""
        return self.icmp.receive(parsed(packet))

    def add(self, packet: bytes, now_us: int = NOW_US) -> bytes | None:
        """One packet to reassembly."""
        return self.reassembly.add(memoryview(packet), packet[0] >> 4, now_us)

    def sent(self) -> list[decode.Packet]:
        """The packets made since the last call; that each is well-formed is checked here."""
        return [piece for packet in self.icmp.take_out() for piece in decode.decode(packet)]

    def drops(self) -> dict[str, int]:
        """The reasons counted so far."""
        return {
            name: count
            for name, count in zip(consts.DROP_NAMES, self.dropped, strict=True)
            if count
        }


def parsed(packet: bytes) -> Segment:
    """The record that the codec makes of a packet that is neither TCP nor a fragment."""
    arena = bytearray(16) + packet
    records = bytearray(RECORD_SIZE)
    kind = codec.parse(
        codec.pin(arena), 16, len(packet), consts.CHECKSUM_COMPLETE, 0, codec.pin(records), 0
    )
    assert kind == consts.KIND_OTHER
    seg = Segment()
    seg.load(memoryview(arena), records, 0)
    return seg
