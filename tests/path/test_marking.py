"""Congestion Experienced on packets of both versions (RFC 3168 §5, RFC 1624)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystack.path.marking import marked
from tests.path.traffic import CE, ECT0, ECT1, NOT_ECT, ecn_of, sized
from tests.wire import crafted


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("ecn", [ECT0, ECT1])
def test_an_ecn_capable_packet_is_marked_and_keeps_good_checksums(version: int, ecn: int) -> None:
    packet = sized(200, ecn=ecn, version=version)
    mark = marked(packet)
    assert mark is not None
    assert ecn_of(mark) == CE
    assert crafted.checksums_hold(bytes(mark[0]))
    assert mark[0] == sized(200, ecn=CE, version=version)[0]
    assert mark[1:] == packet[1:]


@pytest.mark.parametrize("version", [4, 6])
def test_a_packet_that_has_the_mark_comes_back_as_it_is(version: int) -> None:
    packet = sized(200, ecn=CE, version=version)
    assert marked(packet) == packet


@pytest.mark.parametrize("version", [4, 6])
def test_a_packet_of_another_sender_cannot_be_marked(version: int) -> None:
    assert marked(sized(200, ecn=NOT_ECT, version=version)) is None


def test_what_is_no_ip_packet_cannot_be_marked() -> None:
    for octets in (b"", b"\x45", bytes(100), b"\xff" * 100):
        assert marked((octets, 0, 0)) is None


@given(
    tos=st.integers(0, 63), ident=st.integers(0, 0xFFFF), ttl=st.integers(0, 255),
    ecn=st.sampled_from([ECT0, ECT1]),
)  # fmt: skip
def test_the_checksum_of_any_header_follows(tos: int, ident: int, ttl: int, ecn: int) -> None:
    packet = crafted.ipv4(bytes(8), protocol=200, tos=tos << 2 | ecn, ident=ident, ttl=ttl)
    mark = marked((packet, 0, 0))
    assert mark is not None
    assert mark[0] == crafted.ipv4(bytes(8), protocol=200, tos=tos << 2 | CE, ident=ident, ttl=ttl)


@pytest.mark.parametrize("checksum", [0, 1, 2, 3, 4, 0xFFFE])
def test_a_checksum_near_its_end_wraps_as_ones_complement_does(checksum: int) -> None:
    with_0 = 0xFFFF ^ crafted.ones_sum(crafted.ipv4(bytes(8), tos=ECT0, ident=0, checksum=0)[:20])
    ident = (with_0 - checksum) % 0xFFFF
    packet = crafted.ipv4(bytes(8), tos=ECT0, ident=ident)
    assert int.from_bytes(packet[10:12], "big") % 0xFFFF == checksum % 0xFFFF
    mark = marked((packet, 0, 0))
    assert mark is not None
    assert mark[0][1] == CE
    assert crafted.ones_sum(bytes(mark[0][:20])) == 0xFFFF


def test_the_buffer_that_was_given_is_left_alone() -> None:
    arena = bytearray(sized(100, ecn=ECT0)[0])
    before = bytes(arena)
    marked((memoryview(arena), 0, 0))
    assert arena == before
