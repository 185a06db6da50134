"""Packets with numbers in them, as a sender with and without offload would hand them over."""

from __future__ import annotations

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
