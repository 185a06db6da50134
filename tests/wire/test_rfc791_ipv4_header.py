"""RFC 791 §3.1 and RFC 1122 §3.2.1: what of an IPv4 packet is taken, and what is dropped."""

from __future__ import annotations

import pytest

from pystack.wire import consts
from tests.wire import crafted
from tests.wire.codecs import Codec


def test_every_field_of_the_record_is_filled(codec: Codec) -> None:
    packet = crafted.ipv4(b"abcde", protocol=17, tos=0xB9, ttl=3)
    seg = codec.parse(packet)
    assert seg.kind == consts.KIND_OTHER
    assert (seg.version, seg.protocol, seg.tos, seg.ttl, seg.reason) == (4, 17, 0xB9, 3, 0)
    assert (seg.start, seg.end, seg.upper, seg.payload_offset, seg.length) == (16, 41, 36, 36, 5)
    assert seg.key == crafted.key(crafted.OURS4, crafted.PEER4, 0, 0)
    assert bytes(seg.payload(1, 3)) == b"bcd"
    assert (seg.seq, seg.ack, seg.flags, seg.wnd, seg.mss, seg.wscale) == (0, 0, 0, 0, 0, -1)


def test_octets_behind_the_total_length_are_ignored(codec: Codec) -> None:
    packet = crafted.ipv4(crafted.tcp(text=b"hello"))
    seg = codec.parse(packet + b"padding of a link")
    assert seg.kind == consts.KIND_TCP
    assert (seg.end, seg.length) == (16 + len(packet), 5)


@pytest.mark.requirement("RFC1122-S3.2.1.7-1")
@pytest.mark.parametrize("ttl", [0, 1])
def test_a_packet_for_us_may_have_used_up_its_ttl(codec: Codec, ttl: int) -> None:
    assert codec.parse(crafted.ipv4(crafted.tcp(), ttl=ttl)).kind == consts.KIND_TCP


@pytest.mark.requirement("RFC9293-MUST-50", "RFC1122-S3.2.1.8-1")
@pytest.mark.parametrize(
    "options",
    [
        bytes((0x94, 4, 0, 0)),  # router alert
        bytes((1, 1, 1, 0)),
        bytes((1, 30, 3, 9)),  # of no known type, ending with the header
        bytes((0, 9, 9, 9)),  # nothing counts behind the end of options
        bytes((7, 39, 4)) + bytes(36) + b"\0",  # record route over all of the room
        bytes((0x44, 4, 5, 0)),  # timestamp
    ],
)
def test_an_option_that_tcp_does_not_understand_is_ignored(codec: Codec, options: bytes) -> None:
    seg = codec.parse(crafted.ipv4(crafted.tcp(text=b"x"), options=options))
    assert (seg.kind, seg.length) == (consts.KIND_TCP, 1)
    assert seg.upper == 16 + 20 + len(options)


@pytest.mark.requirement("RFC1122-S3.2.1.8-1")
@pytest.mark.parametrize(
    "options",
    [bytes((30, 0, 0, 0)), bytes((30, 1, 0, 0)), bytes((30, 5, 0, 0)), bytes((1, 1, 1, 30))],
)
def test_an_option_of_impossible_length_condemns_the_packet(codec: Codec, options: bytes) -> None:
    seg = codec.parse(crafted.ipv4(crafted.tcp(), options=options))
    assert (seg.kind, seg.reason) == (consts.KIND_BAD, consts.DROP_BAD_IP_OPTION)


@pytest.mark.requirement("RFC1122-S3.2.1.1-1")
@pytest.mark.parametrize("version", [0, 3, 5, 7, 15])
def test_no_other_version_is_taken(codec: Codec, version: int) -> None:
    seg = codec.parse(crafted.ipv4(crafted.tcp(), version=version))
    assert (seg.kind, seg.reason) == (consts.KIND_BAD, consts.DROP_BAD_VERSION)


@pytest.mark.requirement("RFC1122-S3.2.1.2-1")
def test_every_flipped_bit_of_the_header_is_found(codec: Codec) -> None:
    packet = crafted.ipv4(crafted.tcp(text=b"hello"))
    for bit in range(160):
        broken = bytearray(packet)
        broken[bit // 8] ^= 1 << bit % 8
        assert codec.parse(bytes(broken), consts.CHECKSUM_PARTIAL).kind == consts.KIND_BAD


@pytest.mark.requirement("RFC1122-S3.2.1.2-1")
@pytest.mark.parametrize("state", [0, 1, 2])
def test_the_header_checksum_is_verified_whatever_is_known_of_tcp(codec: Codec, state: int) -> None:
    seg = codec.parse(crafted.ipv4(crafted.tcp(), checksum=0x1234), state)
    assert seg.reason == consts.DROP_BAD_IP_CHECKSUM


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", consts.DROP_TRUNCATED),
        (b"\x45", consts.DROP_TRUNCATED),
        (crafted.ipv4(b"")[:19], consts.DROP_TRUNCATED),
        (crafted.ipv4(crafted.tcp())[:-1], consts.DROP_TRUNCATED),
        (crafted.ipv4(crafted.tcp(), ihl=4), consts.DROP_BAD_IP_HEADER),
        (crafted.ipv4(crafted.tcp(), ihl=0), consts.DROP_BAD_IP_HEADER),
        (crafted.ipv4(crafted.tcp(), total=19), consts.DROP_BAD_IP_HEADER),
        (crafted.ipv4(crafted.tcp(), total=0), consts.DROP_BAD_IP_HEADER),
        (crafted.ipv4(crafted.tcp(), total=65535), consts.DROP_TRUNCATED),
        (crafted.ipv4(b"", ihl=15), consts.DROP_BAD_IP_HEADER),
    ],
)
def test_impossible_lengths_are_told_apart(codec: Codec, packet: bytes, reason: int) -> None:
    assert codec.parse(packet).reason == reason


def test_a_dropped_packet_leaves_its_place_and_nothing_else(codec: Codec) -> None:
    seg = codec.parse(crafted.ipv4(crafted.tcp(checksum=1)), gso_size=1400)
    assert (seg.kind, seg.reason) == (consts.KIND_BAD, consts.DROP_BAD_TCP_CHECKSUM)
    assert (seg.start, seg.end, seg.gso_size, seg.wscale) == (16, 56, 1400, -1)
    assert seg.key == bytes(36)
    assert (seg.length, seg.seq, seg.flags, seg.version, seg.tos, seg.ttl) == (0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("field", [0x2000, 0x0001, 0x3FFF])
def test_a_fragment_is_left_to_be_put_together(codec: Codec, field: int) -> None:
    seg = codec.parse(crafted.ipv4(b"\xff" * 16, fragment=field))
    assert (seg.kind, seg.protocol) == (consts.KIND_FRAGMENT, consts.IPPROTO_TCP)
    assert (seg.upper, seg.payload_offset, seg.length) == (36, 36, 16)
    assert seg.key == crafted.key(crafted.OURS4, crafted.PEER4, 0, 0)


@pytest.mark.requirement("RFC6864-S4.1-1")
@pytest.mark.parametrize("field", [0x0000, 0x4000, 0x8000])
def test_a_packet_without_offset_and_more_is_whole(codec: Codec, field: int) -> None:
    packet = crafted.ipv4(crafted.tcp(), fragment=field, ident=0)
    assert codec.parse(packet).kind == consts.KIND_TCP
