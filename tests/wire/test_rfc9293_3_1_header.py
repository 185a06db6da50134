"""RFC 9293 §3.1 and §3.2, RFC 7323 §2 and §3, RFC 2018 §3: the TCP header and its options."""

from __future__ import annotations

import struct

import pytest

from pystack.wire import consts
from tests.wire import crafted
from tests.wire.codecs import Codec

MSS = bytes((2, 4, 0x05, 0xB4))
WSCALE = bytes((3, 3, 7))
SACK_OK = bytes((4, 2))
TS = bytes((8, 10)) + struct.pack("!II", 0xFFFFFFFE, 5)
NOP = b"\1"


def segment(options: bytes = b"", **fields: int) -> bytes:
    """A SYN with these options, filled up with zeros."""
    padded = options + bytes(-len(options) % 4)
    fields.setdefault("flags", consts.SYN)
    return crafted.ipv4(crafted.tcp(options=padded, text=b"text", **fields))  # type: ignore[arg-type]


def test_every_number_of_the_header_is_read(codec: Codec) -> None:
    seg = codec.parse(
        segment(seq=0xFFFFFFFF, ack=0x80000000, flags=0x1FF, wnd=0x8001, urgent=0xFFFE)
    )
    assert (seg.kind, seg.protocol) == (consts.KIND_TCP, consts.IPPROTO_TCP)
    assert (seg.seq, seg.ack, seg.flags) == (0xFFFFFFFF, 0x80000000, 0x1FF)
    assert (seg.wnd, seg.urgent, seg.length) == (0x8001, 0xFFFE, 4)
    assert seg.key == crafted.key(crafted.OURS4, crafted.PEER4, 80, 40000)
    assert (seg.local_port, seg.remote_port) == (80, 40000)
    assert bytes(seg.payload(0, 4)) == b"text"


@pytest.mark.requirement("RFC9293-S3.1-1")
def test_the_reserved_bits_are_ignored(codec: Codec) -> None:
    seg = codec.parse(segment(reserved=7, flags=consts.ACK))
    assert (seg.kind, seg.flags) == (consts.KIND_TCP, consts.ACK)


@pytest.mark.requirement("RFC9293-MUST-3")
def test_every_flipped_bit_of_the_segment_is_found(codec: Codec) -> None:
    packet = segment(MSS)
    for bit in range(160, len(packet) * 8):
        broken = bytearray(packet)
        broken[bit // 8] ^= 1 << bit % 8
        assert codec.parse(bytes(broken)).kind == consts.KIND_BAD


@pytest.mark.parametrize("state", [consts.CHECKSUM_VALID, consts.CHECKSUM_PARTIAL])
def test_a_checksum_that_somebody_vouches_for_is_not_verified(codec: Codec, state: int) -> None:
    packet = crafted.ipv4(crafted.tcp(checksum=1))
    assert codec.parse(packet).reason == consts.DROP_BAD_TCP_CHECKSUM
    assert codec.parse(packet, state).kind == consts.KIND_TCP


@pytest.mark.parametrize(("size", "kind"), [(19, consts.KIND_BAD), (20, consts.KIND_TCP)])
def test_a_segment_has_at_least_twenty_octets(codec: Codec, size: int, kind: int) -> None:
    seg = codec.parse(crafted.ipv4(crafted.tcp()[:size]))
    assert seg.kind == kind
    assert seg.reason == (0 if kind else consts.DROP_TRUNCATED)


@pytest.mark.parametrize("offset", [0, 4, 7, 15])
def test_an_impossible_data_offset_condemns_the_segment(codec: Codec, offset: int) -> None:
    seg = codec.parse(crafted.ipv4(crafted.tcp(offset=offset, text=b"text")))
    assert (seg.kind, seg.reason) == (consts.KIND_BAD, consts.DROP_BAD_TCP_HEADER)


@pytest.mark.requirement("RFC9293-MUST-4", "RFC9293-MUST-64")
@pytest.mark.parametrize(
    "options",
    [
        MSS + SACK_OK + TS + NOP + WSCALE,
        MSS + SACK_OK + TS + WSCALE,  # no option begins at a word
        NOP + MSS + NOP + NOP + NOP + WSCALE + SACK_OK + TS,
        TS + WSCALE + SACK_OK + MSS + b"\0",
    ],
)
def test_the_options_of_a_syn_are_read_in_any_layout(codec: Codec, options: bytes) -> None:
    seg = codec.parse(segment(options))
    assert (seg.mss, seg.wscale) == (1460, 7)
    assert seg.options == consts.HAS_SACK_PERMITTED | consts.HAS_TIMESTAMPS
    assert (seg.tsval, seg.tsecr) == (0xFFFFFFFE, 5)


@pytest.mark.requirement("RFC9293-MUST-5")
@pytest.mark.parametrize("flags", [consts.ACK, consts.FIN | consts.ACK, consts.RST])
def test_options_are_read_in_any_kind_of_segment(codec: Codec, flags: int) -> None:
    seg = codec.parse(segment(NOP + NOP + TS, flags=flags))
    assert seg.options == consts.HAS_TIMESTAMPS
    assert (seg.tsval, seg.length) == (0xFFFFFFFE, 4)


def test_a_segment_without_options_says_so(codec: Codec) -> None:
    seg = codec.parse(segment())
    assert (seg.mss, seg.wscale, seg.options, seg.n_sack) == (0, -1, 0, 0)
    assert (seg.tsval, seg.tsecr) == (0, 0)


@pytest.mark.requirement("RFC9293-MUST-6")
def test_an_unknown_option_is_skipped_by_its_length(codec: Codec) -> None:
    seg = codec.parse(segment(bytes((77, 5, 2, 4, 9)) + MSS + bytes((78, 2)) + WSCALE))
    assert (seg.mss, seg.wscale, seg.options) == (1460, 7, 0)


@pytest.mark.requirement("RFC9293-MUST-7")
@pytest.mark.parametrize(
    "broken",
    [
        bytes((77, 0)) + WSCALE + bytes(3),
        bytes((77, 1)) + WSCALE + bytes(3),
        bytes((77, 9)) + WSCALE + bytes(3),
        bytes((2, 255)) + WSCALE + bytes(3),
        bytes((1, 1, 1, 8)),  # no room for a length
        bytes((3, 0, 0, 0)),
    ],
)
def test_an_option_of_impossible_length_ends_the_list(codec: Codec, broken: bytes) -> None:
    """As Linux: what stands before it counts, and the segment is taken."""
    seg = codec.parse(segment(MSS + broken))
    assert (seg.kind, seg.mss, seg.wscale, seg.options) == (consts.KIND_TCP, 1460, -1, 0)
    assert seg.length == 4
    assert seg.option_octets() == MSS + broken[: broken.index(8) if broken[0] == 1 else 0]


@pytest.mark.requirement("RFC9293-MUST-4")
def test_nothing_counts_behind_the_end_of_options(codec: Codec) -> None:
    seg = codec.parse(segment(MSS + b"\0" + bytes((3, 0, 99))))
    assert (seg.kind, seg.mss, seg.wscale) == (consts.KIND_TCP, 1460, -1)


@pytest.mark.parametrize(
    "option",
    [
        bytes((2, 3, 5)),
        bytes((2, 5, 5, 180, 0)),
        bytes((3, 2)),
        bytes((3, 4, 7, 7)),
        bytes((4, 3, 1)),
        bytes((8, 9)) + bytes(range(7)),
        bytes((8, 11)) + bytes(range(9)),
        bytes((5, 2)),
        bytes((5, 9)) + bytes(range(7)),
        bytes((5, 11)) + bytes(range(9)),
    ],
)
def test_a_known_option_of_another_length_than_its_own_is_skipped(
    codec: Codec, option: bytes
) -> None:
    for behind, options in (SACK_OK, consts.HAS_SACK_PERMITTED), (b"", 0):
        seg = codec.parse(segment(option + behind))
        assert seg.kind == consts.KIND_TCP
        assert (seg.mss, seg.wscale, seg.options, seg.n_sack) == (0, -1, options, 0)


def test_of_a_repeated_option_the_last_one_counts(codec: Codec) -> None:
    seg = codec.parse(segment(MSS + bytes((2, 4, 2, 0)) + WSCALE + bytes((3, 3, 1))))
    assert (seg.mss, seg.wscale) == (512, 1)


@pytest.mark.parametrize(("sent", "read"), [(0, 0), (14, 14), (15, 15), (127, 127), (255, 127)])
def test_the_window_scale_is_read_as_it_was_sent(codec: Codec, sent: int, read: int) -> None:
    assert codec.parse(segment(bytes((3, 3, sent)))).wscale == read


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_sack_blocks_keep_their_order(codec: Codec, count: int) -> None:
    edges = [(0xFFFFFF00 + 16 * i & 0xFFFFFFFF, 1000 + i) for i in range(count)]
    octets = b"".join(struct.pack("!II", *edge) for edge in edges)
    seg = codec.parse(segment(NOP + NOP + bytes((5, 2 + 8 * count)) + octets))
    assert seg.n_sack == count
    assert seg.sack_blocks() == edges


def test_a_shorter_sack_option_leaves_nothing_of_the_one_before(codec: Codec) -> None:
    options = bytes((5, 18)) + b"\xff" * 16 + bytes((5, 10)) + b"\1" * 8
    record = codec.record(segment(options))
    assert record[96:] == bytes.fromhex("01" * 8) + bytes(24)


@pytest.mark.parametrize("kind", [253, 254])
def test_experimental_options_are_noticed(codec: Codec, kind: int) -> None:
    assert codec.parse(segment(bytes((kind, 4, 0xF9, 0x89)))).options == consts.HAS_EXPERIMENT


def test_a_run_counts_as_so_many_segments(codec: Codec) -> None:
    packet = crafted.ipv4(crafted.tcp(text=bytes(2921)))
    assert codec.parse(packet, gso_size=1460).segs == 3
    assert codec.parse(packet, gso_size=0).segs == 1


@pytest.mark.parametrize("state", [0, 1, 2])
def test_the_record_keeps_the_checksum_state(codec: Codec, state: int) -> None:
    assert codec.record(segment(), state)[91] == state
