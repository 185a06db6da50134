"""Software segmentation: RFC 9293 §3.1 for each piece, RFC 3168 §6.1 for CWR, RFC 6093 for URG."""

from __future__ import annotations

import pytest

from pystack.wire import consts
from tests.wire import crafted
from tests.wire.codecs import Codec

KEY4 = crafted.key(crafted.OURS4, crafted.PEER4, 80, 40000)
KEY6 = crafted.key(crafted.OURS6, crafted.PEER6, 80, 40000)
TEXT = bytes(i * 31 & 0xFF for i in range(2500))
ALL = consts.FIN | consts.PSH | consts.ACK | consts.CWR | consts.ECE


@pytest.mark.parametrize("key", [KEY4, KEY6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("state", [consts.CHECKSUM_COMPLETE, consts.CHECKSUM_PARTIAL])
def test_a_run_becomes_segments_that_stand_for_themselves(
    codec: Codec, key: bytes, state: int
) -> None:
    run = codec.build(
        key, seq=0xFFFFFC00, ack=9, flags=ALL, wnd=77, tos=2, ident=0xFFFF, timestamps=(1, 2),
        text=TEXT, state=state,
    )  # fmt: skip
    pieces = codec.cut(run, 1000)
    found = [codec.parse(piece) for piece in pieces]
    assert all(crafted.checksums_hold(piece) for piece in pieces)
    assert [seg.seq for seg in found] == [0xFFFFFC00, 0xFFFFFC00 + 1000, 976]
    assert b"".join(bytes(seg.payload(0, seg.length)) for seg in found) == TEXT
    assert [seg.length for seg in found] == [1000, 1000, 500]
    middle = consts.ACK | consts.ECE
    assert [seg.flags for seg in found] == [
        middle | consts.CWR, middle, middle | consts.FIN | consts.PSH,
    ]  # fmt: skip
    assert {(seg.ack, seg.wnd, seg.tos, seg.tsval, seg.tsecr) for seg in found} == {
        (9, 77, 2, 1, 2)
    }
    if key is KEY4:
        assert [piece[4:6] for piece in pieces] == [b"\xff\xff", b"\0\0", b"\0\1"]


@pytest.mark.parametrize(
    ("size", "lengths"), [(2500, [2500]), (2501, [2500]), (1250, [1250, 1250]), (2499, [2499, 1])]
)
def test_pieces_are_full_but_for_the_last(codec: Codec, size: int, lengths: list[int]) -> None:
    pieces = codec.cut(codec.build(KEY4, text=TEXT), size)
    assert [codec.parse(piece).length for piece in pieces] == lengths


def test_a_segment_without_text_comes_out_whole(codec: Codec) -> None:
    assert codec.cut(codec.build(KEY4, state=consts.CHECKSUM_PARTIAL), 1000) == [codec.build(KEY4)]


@pytest.mark.parametrize(
    ("urgent", "kept"),
    [
        (0, [0, 0, 0]),
        (1000, [1000, 0, 0]),
        (1001, [1001, 1, 0]),
        (2500, [2500, 1500, 500]),
        (65535, [65535, 64535, 63535]),
    ],
)
def test_urgent_stays_where_its_pointer_lies_ahead(
    codec: Codec, urgent: int, kept: list[int]
) -> None:
    run = codec.build(KEY4, flags=consts.ACK | consts.URG, urgent=urgent, text=TEXT)
    found = [codec.parse(piece) for piece in codec.cut(run, 1000)]
    assert [seg.urgent for seg in found] == kept
    assert [bool(seg.flags & consts.URG) for seg in found] == [bool(number) for number in kept]


def test_ip_options_and_extension_headers_go_with_every_piece(codec: Codec) -> None:
    options = bytes((0x94, 4, 0, 0))
    run4 = crafted.ipv4(crafted.tcp(text=TEXT), options=options)
    for piece in codec.cut(run4, 1000):
        assert piece[20:24] == options
        assert crafted.checksums_hold(piece)
    segment = crafted.tcp(crafted.PEER6, crafted.OURS6, text=TEXT)
    run6 = crafted.ipv6(crafted.extension(crafted.TCP, bytes(6)) + segment, protocol=60)
    found = [codec.parse(piece) for piece in codec.cut(run6, 1000)]
    assert [(seg.kind, seg.length) for seg in found] == [(1, 1000), (1, 1000), (1, 500)]


@pytest.mark.parametrize(
    ("packet", "size"),
    [
        (b"", 1000),
        (crafted.ipv4(b"x" * 2000, protocol=17), 1000),
        (crafted.ipv4(crafted.tcp(text=TEXT), fragment=0x2000), 1000),
        (crafted.ipv4(crafted.tcp(offset=4, text=TEXT)), 1000),
        (crafted.ipv4(crafted.tcp(text=TEXT), checksum=1), 1000),
        (crafted.ipv4(crafted.tcp(text=TEXT))[:-1], 1000),
        (crafted.ipv4(crafted.tcp(text=TEXT)), 0),
    ],
)
def test_what_is_no_tcp_packet_is_not_cut(codec: Codec, packet: bytes, size: int) -> None:
    assert codec.cut(packet, size) == []
