"""IPv4 and IPv6 headers in one form (RFC 791 §3.1, RFC 8200 §4), for ICMP and fragments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystack.wire import codec, consts
from pystack.wire.address import pack
from pystack.wire.ip_headers import read, wrap
from pystack.wire.segment import RECORD_SIZE, Segment
from tests.kit.packets import encode
from tests.wire import crafted

V4_HERE, V4_PEER = pack("198.18.0.2"), pack("198.18.0.1")
HERE, PEER = pack("fd00::2"), pack("fd00::1")
FRAGMENT_7 = b"\0\0\0\0\0\7"  # offset 0, no more: what follows next header and reserved


def v6(protocol: int, payload: bytes, extensions: list[tuple[int, bytes]] | None = None) -> bytes:
    return encode.ip(PEER, HERE, protocol, payload, extensions=extensions or [])


@pytest.mark.parametrize("cut", range(20))
def test_an_ipv4_header_cut_short_is_none(cut: int) -> None:
    assert read(encode.ip(V4_PEER[12:], V4_HERE[12:], 17, b"")[:cut], 4) is None


@pytest.mark.parametrize("cut", range(40))
def test_an_ipv6_header_cut_short_is_none(cut: int) -> None:
    assert read(v6(17, b"")[:cut], 6) is None


def test_a_packet_of_the_other_version_is_none() -> None:
    assert read(v6(17, b""), 4) is None
    assert read(encode.ip(V4_PEER[12:], V4_HERE[12:], 17, bytes(40)), 6) is None


@pytest.mark.parametrize(("first", "total"), [(0x44, 40), (0x45, 19), (0x46, 20), (0x4F, 40)])
def test_an_ipv4_header_that_contradicts_itself_is_none(first: int, total: int) -> None:
    packet = bytearray(encode.ip(V4_PEER[12:], V4_HERE[12:], 17, bytes(20)))
    packet[0], packet[3] = first, total
    assert read(packet, 4) is None


def test_a_packet_of_which_only_the_beginning_is_there_is_read() -> None:
    headers = read(encode.ip(V4_HERE[12:], V4_PEER[12:], 6, bytes(1000))[:28], 4)
    assert headers is not None
    assert (headers.source, headers.destination) == (V4_HERE, V4_PEER)
    assert (headers.length, headers.protocol, headers.upper) == (1020, 6, 20)


@pytest.mark.parametrize(("fragment", "offset", "more"), [
    (0, 0, False), (0x2000, 0, True), (185, 1480, False), (0x2000 | 0x1FFF, 65528, True),
    (0x4000, 0, False),
])  # fmt: skip
def test_the_place_of_an_ipv4_fragment_is_read(fragment: int, offset: int, more: bool) -> None:
    found = read(crafted.ipv4(bytes(24), fragment=fragment), 4)
    assert found is not None
    assert (found.offset, found.more, found.ident) == (offset, more, 7)


def test_extension_headers_are_walked_in_order_of_appearance() -> None:
    headers = read(v6(6, bytes(20), [(0, b""), (60, bytes(14)), (43, b""), (60, b"")]), 6)
    assert headers is not None
    assert headers.complete
    assert (headers.protocol, headers.upper, headers.named_at) == (6, 80, 72)


@pytest.mark.parametrize("kept", [1, 7, 8, 15])
def test_a_chain_that_runs_past_the_end_is_incomplete(kept: int) -> None:
    headers = read(v6(6, bytes(20), [(60, bytes(14))])[: 40 + kept], 6)
    assert headers is not None
    assert not headers.complete
    assert (headers.protocol, headers.named_at, headers.upper) == (60, 6, 40)


def test_what_follows_a_later_fragments_header_is_not_read_as_headers() -> None:
    looks_like_an_extension_header = bytes([6, 200]) + bytes(30)
    packet = encode.fragment6(v6(60, b""), 64, looks_like_an_extension_header, True, 7)
    headers = read(packet, 6)
    assert headers is not None
    assert headers.complete
    assert (headers.protocol, headers.upper, headers.offset) == (60, 48, 64)
    assert (headers.fragment_at, headers.more, headers.ident) == (40, True, 7)


def test_only_the_first_fragment_header_counts() -> None:
    packet = v6(17, bytes(8), [(44, FRAGMENT_7), (44, b"\0\1\0\0\0\x09")])
    headers = read(packet, 6)
    assert headers is not None
    assert (headers.fragment_at, headers.ident, headers.more) == (40, 7, False)
    assert (headers.protocol, headers.upper) == (44, 48)


@given(
    st.lists(
        st.tuples(
            st.sampled_from((0, 43, 60)),
            st.integers(0, 3).map(
                lambda words: b"\1" + bytes([words * 8 + 3]) + bytes(40)[: words * 8 + 4]
            ),
        ),
        max_size=4,
    ),
    st.sampled_from((17, 58, 59, 253)),
    st.integers(0, 255),
)
def test_the_codec_finds_the_same_place(
    extensions: list[tuple[int, bytes]], protocol: int, tos: int
) -> None:
    # a routing header's second octet, segments left, has to be 0 for a host
    chain = [(n, b"\0\0" + octets[2:] if n == 43 else octets) for n, octets in extensions]
    packet = encode.ip(PEER, HERE, protocol, bytes(16), extensions=chain, tos=tos)
    arena, records = bytearray(packet), bytearray(RECORD_SIZE)
    kind = codec.parse(
        codec.pin(arena), 0, len(packet), consts.CHECKSUM_COMPLETE, 0, codec.pin(records), 0
    )
    assert kind == consts.KIND_OTHER
    seg = Segment()
    seg.load(memoryview(arena), records, 0)
    headers = read(packet, 6)
    assert headers is not None
    assert (headers.source, headers.destination) == (seg.remote, seg.local)
    assert (headers.protocol, headers.upper, headers.length, headers.tos) == (
        seg.protocol, seg.upper, seg.end, seg.tos,
    )  # fmt: skip
    assert packet[headers.named_at] == headers.protocol


@pytest.mark.parametrize(
    ("source", "destination"), [(V4_HERE, V4_PEER), (HERE, PEER)], ids=("IPv4", "IPv6")
)
def test_a_packet_wrapped_is_the_packet_that_a_peer_would_build(
    source: bytes, destination: bytes
) -> None:
    made = wrap(source, destination, 17, b"payload", tos=0x1B, ttl=9, ident=0x1_2345)
    cut = 12 if source is V4_HERE else 0
    assert made == encode.ip(
        source[cut:], destination[cut:], 17, b"payload", tos=0x1B, ttl=9, ident=0x2345, df=False
    )
