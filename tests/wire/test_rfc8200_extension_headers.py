"""RFC 8200 §3, §4 and §8.1: the IPv6 header, and the way through its extension headers."""

from __future__ import annotations

import pytest

from pystack.wire import consts
from tests.wire import crafted
from tests.wire.codecs import Codec
from tests.wire.crafted import DSTOPTS, FRAGMENT, HOPOPTS, ROUTING, TCP, extension

SEGMENT = crafted.tcp(crafted.PEER6, crafted.OURS6, text=b"hello")
PADN = bytes((1, 4, 0, 0, 0, 0))
ROUTER_ALERT = bytes((5, 2, 0, 0, 0, 0))
DONE_ROUTE = bytes((0, 0, 0, 0, 0, 0))  # type 0, no segments left


def test_every_field_of_the_record_is_filled(codec: Codec) -> None:
    packet = crafted.ipv6(SEGMENT, tos=0xB9, label=0xABCDE, hop_limit=3)
    seg = codec.parse(packet)
    assert seg.kind == consts.KIND_TCP
    assert (seg.version, seg.protocol, seg.tos, seg.ttl, seg.reason) == (6, 6, 0xB9, 3, 0)
    assert (seg.start, seg.end, seg.upper, seg.payload_offset, seg.length) == (16, 81, 56, 76, 5)
    assert seg.key == crafted.key(crafted.OURS6, crafted.PEER6, 80, 40000)


@pytest.mark.requirement("RFC8200-S4-1", "RFC8200-S8.1-1")
@pytest.mark.parametrize(
    "chain",
    [
        [(HOPOPTS, extension(TCP, PADN))],
        [(DSTOPTS, extension(TCP, bytes(6)))],
        [(ROUTING, extension(TCP, DONE_ROUTE))],
        [(FRAGMENT, crafted.fragment_header(TCP, 0, 0, 9))],
        [
            (HOPOPTS, extension(DSTOPTS, ROUTER_ALERT)),
            (DSTOPTS, extension(ROUTING, PADN + bytes(8))),
            (ROUTING, extension(FRAGMENT, DONE_ROUTE + bytes(16))),
            (FRAGMENT, crafted.fragment_header(DSTOPTS, 0, 0, 9)),
            (DSTOPTS, extension(TCP, bytes(6))),
        ],
        [(DSTOPTS, extension(DSTOPTS, bytes(6))), (DSTOPTS, extension(TCP, bytes(6)))],
    ],
)
def test_tcp_is_found_behind_extension_headers(
    codec: Codec, chain: list[tuple[int, bytes]]
) -> None:
    octets = b"".join(header for _, header in chain)
    seg = codec.parse(crafted.ipv6(octets + SEGMENT, protocol=chain[0][0]))
    assert (seg.kind, seg.length) == (consts.KIND_TCP, 5)
    assert seg.upper == 16 + 40 + len(octets)
    assert bytes(seg.payload(0, 5)) == b"hello"


@pytest.mark.parametrize(
    ("protocol", "octets", "reason"),
    [
        (HOPOPTS, extension(TCP, bytes((30, 5, 0, 0, 0, 0))), consts.DROP_BAD_IP_OPTION),
        (DSTOPTS, extension(TCP, bytes((0, 0, 0, 0, 0, 1))), consts.DROP_BAD_IP_OPTION),
        (DSTOPTS, extension(TCP, bytes((0x45, 4, 0, 0, 0, 0))), consts.DROP_BAD_IP_OPTION),
        (DSTOPTS, extension(TCP, bytes((0x85, 4, 0, 0, 0, 0))), consts.DROP_BAD_IP_OPTION),
        (HOPOPTS, extension(TCP, bytes((0xC2, 4, 0, 1, 0, 0))), consts.DROP_BAD_IP_OPTION),
        (ROUTING, extension(TCP, bytes((0, 1, 0, 0, 0, 0))), consts.DROP_BAD_IP_OPTION),
        (DSTOPTS, extension(TCP, PADN, length=99), consts.DROP_BAD_IP_OPTION),
    ],
)
def test_a_header_that_may_not_be_skipped_condemns_the_packet(
    codec: Codec, protocol: int, octets: bytes, reason: int
) -> None:
    seg = codec.parse(crafted.ipv6(octets + SEGMENT, protocol=protocol))
    assert (seg.kind, seg.reason) == (consts.KIND_BAD, reason)


@pytest.mark.parametrize("protocol", [HOPOPTS, DSTOPTS, ROUTING, FRAGMENT])
@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_header_cut_short_is_truncated(codec: Codec, protocol: int, size: int) -> None:
    seg = codec.parse(crafted.ipv6(bytes(size), protocol=protocol))
    assert (seg.kind, seg.reason) == (consts.KIND_BAD, consts.DROP_TRUNCATED)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (crafted.ipv6(SEGMENT)[:39], consts.DROP_TRUNCATED),
        (crafted.ipv6(SEGMENT)[:-1], consts.DROP_TRUNCATED),
        (crafted.ipv6(SEGMENT, length=65535), consts.DROP_TRUNCATED),
        (crafted.ipv6(SEGMENT, length=19), consts.DROP_TRUNCATED),
        (crafted.ipv6(b""), consts.DROP_TRUNCATED),
    ],
)
def test_impossible_lengths_are_dropped(codec: Codec, packet: bytes, reason: int) -> None:
    assert codec.parse(packet).reason == reason


def test_hop_by_hop_options_stand_first_or_are_an_unknown_protocol(codec: Codec) -> None:
    octets = extension(HOPOPTS, PADN) + extension(TCP, PADN)
    seg = codec.parse(crafted.ipv6(octets + SEGMENT, protocol=DSTOPTS))
    assert (seg.kind, seg.protocol, seg.upper) == (consts.KIND_OTHER, HOPOPTS, 16 + 48)


@pytest.mark.parametrize("protocol", [1, 17, 50, 51, 58, 59, 255])
def test_other_protocols_are_handed_on_as_they_are(codec: Codec, protocol: int) -> None:
    octets = extension(protocol, PADN) + b"payload"
    seg = codec.parse(crafted.ipv6(octets, protocol=DSTOPTS))
    assert (seg.kind, seg.protocol, seg.length) == (consts.KIND_OTHER, protocol, 7)
    assert bytes(seg.payload(0, 7)) == b"payload"


@pytest.mark.parametrize(("offset", "more"), [(0, 1), (8, 0), (8, 1), (0xFFF8, 0)])
def test_a_fragment_is_left_to_be_put_together(codec: Codec, offset: int, more: int) -> None:
    octets = extension(FRAGMENT, PADN) + crafted.fragment_header(DSTOPTS, offset, more, 9)
    seg = codec.parse(crafted.ipv6(octets + b"x" * 16, protocol=HOPOPTS))
    assert (seg.kind, seg.protocol) == (consts.KIND_FRAGMENT, DSTOPTS)
    assert (seg.upper, seg.payload_offset, seg.length) == (16 + 56, 16 + 56, 16)


@pytest.mark.requirement("RFC8200-S4.5-4")
def test_an_atomic_fragment_is_a_whole_packet(codec: Codec) -> None:
    octets = crafted.fragment_header(TCP, 0, 0, 9)
    reserved = bytes((octets[0], 0xFF)) + (0x0006).to_bytes(2, "big") + octets[4:]
    seg = codec.parse(crafted.ipv6(reserved + SEGMENT, protocol=FRAGMENT))
    assert (seg.kind, seg.length) == (consts.KIND_TCP, 5)
