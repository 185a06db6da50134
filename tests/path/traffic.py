"""Packets with numbers in them, as a sender with and without offload would hand them over."""

from __future__ import annotations

from pystack.path.link import Stage
from pystack.wire import consts
from pystack.wire.batch import Packet
from tests.wire import crafted
from tests.wire.crafted import ones_sum, pseudo_header


def numbered(count: int) -> list[Packet]:
    """Whole packets; `number_of` tells which is which."""
    return [
        (crafted.ipv4(crafted.tcp(seq=n, text=b"0123456789")), 0, consts.CHECKSUM_COMPLETE)
        for n in range(count)
    ]


def number_of(packet: Packet) -> int:
    return int.from_bytes(packet[0][24:28], "big")


def numbers(packets: list[Packet]) -> list[int]:
    return [number_of(packet) for packet in packets]


def partial(text: bytes, gso_size: int = 0, *, version: int = 4) -> Packet:
    """A segment whose checksum field holds the pseudo-header's sum only."""
    ours, peer = (crafted.OURS4, crafted.PEER4) if version == 4 else (crafted.OURS6, crafted.PEER6)
    number = ones_sum(pseudo_header(peer, ours, crafted.TCP, 20 + len(text)))
    segment = crafted.tcp(peer, ours, text=text, checksum=number)
    whole = crafted.ipv4(segment) if version == 4 else crafted.ipv6(segment)
    return whole, gso_size, consts.CHECKSUM_PARTIAL


NOT_ECT, ECT1, ECT0, CE = range(4)


def sized(
    length: int, *, number: int = 0, port: int = 40000, ecn: int = NOT_ECT, version: int = 4
) -> Packet:
    """A whole TCP packet of so many octets; `number` is found again by `number_of` (IPv4)."""
    ours, peer = (crafted.OURS4, crafted.PEER4) if version == 4 else (crafted.OURS6, crafted.PEER6)
    headers = 40 if version == 4 else 60
    segment = crafted.tcp(peer, ours, sport=port, seq=number, text=bytes(length - headers))
    make = crafted.ipv4 if version == 4 else crafted.ipv6
    return make(segment, tos=ecn), 0, consts.CHECKSUM_COMPLETE


def ecn_of(packet: Packet) -> int:
    """The ECN field of an IP packet."""
    octets = packet[0]
    return (octets[1] if octets[0] >> 4 == 4 else octets[1] >> 4) & 3


def ack(number: int, *, port: int = 40000, version: int = 4, flags: int = 0x10,
        options: bytes = b"") -> Packet:  # fmt: skip
    """A pure acknowledgement of `number`."""
    ours, peer = (crafted.OURS4, crafted.PEER4) if version == 4 else (crafted.OURS6, crafted.PEER6)
    segment = crafted.tcp(peer, ours, sport=port, ack=number, flags=flags, options=options)
    make = crafted.ipv4 if version == 4 else crafted.ipv6
    return make(segment), 0, consts.CHECKSUM_COMPLETE


def acks(packets: list[Packet]) -> list[int]:
    """SEG.ACK of IPv4 packets without options."""
    return [int.from_bytes(packet[0][28:32], "big") for packet in packets]


def departures(stage: Stage, packets: list[tuple[int, Packet]]) -> list[tuple[int, int]]:
    """(when it comes out, number) of packets fed at their times, driven to the microsecond."""
    out: list[tuple[int, int]] = []

    def note(now_us: int, came: list[Packet]) -> None:
        out.extend((now_us, number_of(packet)) for packet in came)

    for at_us, packet in packets:
        while 0 < (deadline := stage.next_deadline()) <= at_us:
            note(deadline, stage.take(deadline))
        note(at_us, stage.feed(packet, at_us))
    while deadline := stage.next_deadline():
        note(deadline, stage.take(deadline))
    return out
