"""Fragments of IPv4 put together (RFC 791, RFC 815), and what both versions share."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pystack.ip.fragments import fragment
from tests.kit.packets import decode, encode
from tests.stack.ip_family import (
    DATA,
    FAMILIES,
    NOW_US,
    SECOND_US,
    V4,
    V6,
    Family,
    Kit,
    datagram,
    piece,
)  # fmt: skip

both_versions = pytest.mark.parametrize("family", FAMILIES, ids=("IPv4", "IPv6"))


def without_ident(packet: bytes | None) -> decode.Packet | None:
    """A whole packet, checked, without what fragmenting changes (ID, DF)."""
    if packet is None:
        return None
    (whole,) = decode.decode(packet)
    return decode.replace(whole, octets=b"", ident=0, df=False)


@pytest.mark.requirement("RFC815-S3-1")
@both_versions
def test_fragments_in_every_order_make_the_same_datagram(family: Family) -> None:
    packet = datagram(family, 100)
    parts = encode.fragments(packet, 24)
    assert len(parts) == 5
    for order in itertools.permutations(parts):
        kit = Kit()
        results = [kit.add(part) for part in order]
        assert results[:-1] == [None] * 4
        assert without_ident(results[-1]) == without_ident(packet)
        assert kit.reassembly.memory == 0
        assert kit.reassembly.next_deadline() == 0
        assert kit.drops() == {}


@pytest.mark.requirement("RFC815-S3-1")
@given(st.data())
def test_any_cut_in_any_order_with_repeats_makes_the_same_datagram(data: st.DataObject) -> None:
    family = data.draw(st.sampled_from(FAMILIES))
    size = data.draw(st.integers(9, 4000))
    cuts = data.draw(st.lists(st.integers(1, (size - 1) // 8), unique=True, max_size=20))
    packet = datagram(family, size)
    edges = [0, *sorted(cut * 8 for cut in cuts if family is V4 or cut > 1), size]
    assume(len(edges) > 2)
    parts = [piece(packet, a, b, b < size) for a, b in itertools.pairwise(edges)]
    repeats = data.draw(st.lists(st.sampled_from(parts), max_size=10))
    order = data.draw(st.permutations(parts + repeats))
    kit = Kit()
    made: bytes | None = None
    left = set(parts)
    for part in order:
        left.discard(part)
        made = kit.add(part)
        assert (made is not None) == (not left)
        if made is not None:
            break
    assert without_ident(made) == without_ident(packet)
    assert kit.reassembly.memory == 0


@pytest.mark.requirement("RFC1122-S3.3.2-1")
@pytest.mark.requirement("RFC8200-S5-1")
@both_versions
@pytest.mark.parametrize("size", [576, 1500, 4028, 65515])
def test_datagrams_up_to_the_largest_are_put_together(family: Family, size: int) -> None:
    kit = Kit()
    packet = datagram(family, size)
    *first, last = (kit.add(part) for part in encode.fragments(packet, 1480 if size > 576 else 8))
    assert set(first) == {None}
    assert without_ident(last) == without_ident(packet)


def test_the_whole_ipv4_packet_has_a_valid_header_that_is_no_fragments() -> None:
    kit = Kit()
    packet = datagram(V4, 64)
    kit.add(piece(packet, 0, 32))
    whole = kit.add(piece(packet, 32, 64, False))
    assert whole is not None
    (checked,) = decode.decode(whole)
    assert (checked.more, checked.offset, checked.df) == (False, 0, False)
    assert whole[2:4] == packet[2:4]


def test_the_options_of_the_first_fragment_are_kept() -> None:
    kit = Kit()
    upper = encode.udp(V4.peer, V4.here, 1, 2, bytes(56))
    packet = encode.ip(V4.peer, V4.here, encode.UDP, upper, options=b"\x94\4\0\0", df=False)
    plain = encode.ip(V4.peer, V4.here, encode.UDP, upper, df=False)
    assert kit.add(piece(plain, 32, 64, False)) is None
    whole = kit.add(encode.fragment4(packet, 0, upper[:32], True, 7))
    assert whole is not None
    assert whole[20:24] == b"\x94\4\0\0"
    assert decode.decode(whole)[0].upper == upper


def test_octets_behind_the_total_length_are_no_data() -> None:
    kit = Kit()
    packet = datagram(V4, 64)
    kit.add(piece(packet, 0, 32) + b"padding!")
    assert without_ident(kit.add(piece(packet, 32, 64, False))) == without_ident(packet)


@both_versions
@pytest.mark.parametrize("what", ["ident", "source", "destination"])
def test_fragments_of_different_packets_are_not_mixed(family: Family, what: str) -> None:
    kit = Kit()
    packet = datagram(family, 64)
    kit.add(piece(packet, 0, 32))
    other = bytearray(packet)
    if what != "ident":
        ends = (15, 19) if family is V4 else (23, 39)
        other[ends[what == "destination"]] ^= 0x40
    ident = 8 if what == "ident" else 7
    assert kit.add(piece(bytes(other), 32, 64, False, ident=ident)) is None
    assert len(kit.reassembly) == 2


def test_ipv4_tells_packets_apart_by_protocol_too() -> None:
    kit = Kit()
    packet = datagram(V4, 64)
    kit.add(piece(packet, 0, 32))
    other = packet[:9] + bytes([encode.TCP]) + packet[10:]
    assert kit.add(piece(other, 32, 64, False)) is None
    assert kit.add(piece(packet, 32, 64, False)) is not None


@pytest.mark.requirement("RFC6864-S4.1-1")
def test_a_whole_packet_with_the_id_of_one_in_pieces_stands_for_itself() -> None:
    kit = Kit()
    packet = datagram(V4, 64)
    kit.add(piece(packet, 0, 32))
    assert without_ident(kit.add(piece(packet, 0, 64, False))) == without_ident(packet)
    assert without_ident(kit.add(piece(packet, 32, 64, False))) == without_ident(packet)


# -- repeats and overlaps -----------------------------------------------------------------------


@both_versions
def test_an_exact_repeat_is_ignored(family: Family) -> None:
    kit = Kit()
    packet = datagram(family, 64)
    for _ in range(3):
        assert kit.add(piece(packet, 0, 32)) is None
    assert without_ident(kit.add(piece(packet, 32, 64, False))) == without_ident(packet)
    assert kit.drops() == {}


@pytest.mark.requirement("RFC815-S3-1")
@pytest.mark.parametrize(("start", "end"), [(0, 16), (16, 32), (8, 40), (16, 48), (0, 48)])
def test_an_ipv4_fragment_within_what_came_is_ignored(start: int, end: int) -> None:
    kit = Kit()
    packet = datagram(V4, 72)
    kit.add(piece(packet, 0, 32))
    kit.add(piece(packet, 32, 48))
    assert kit.add(piece(b"E" + packet[1:20] + bytes(72), start, end)) is None
    assert without_ident(kit.add(piece(packet, 48, 72, False))) == without_ident(packet)


@both_versions
@pytest.mark.parametrize(("start", "end"), [(24, 40), (40, 56), (24, 72), (0, 40)])
def test_a_fragment_that_overlaps_in_part_condemns_the_whole_packet(
    family: Family, start: int, end: int
) -> None:
    kit = Kit()
    packet = datagram(family, 96)
    kit.add(piece(packet, 32, 48))
    kit.add(piece(packet, 72, 96, False))
    assert kit.add(piece(packet, start, end)) is None
    assert kit.drops() == {"bad_fragment": 1}
    assert kit.add(piece(packet, 0, 32)) is None
    assert kit.add(piece(packet, 48, 72)) is None
    assert kit.sent() == []


def test_an_ipv4_packet_sent_again_after_an_overlap_is_put_together() -> None:
    kit = Kit()
    packet = datagram(V4, 64)
    kit.add(piece(packet, 0, 32))
    kit.add(piece(packet, 16, 48))
    kit.add(piece(packet, 0, 32))
    assert without_ident(kit.add(piece(packet, 32, 64, False))) == without_ident(packet)


@both_versions
def test_two_different_ends_condemn_the_whole_packet(family: Family) -> None:
    packet = datagram(family, 96)
    first_then_second = [
        (piece(packet, 64, 72, False), piece(packet, 48, 56, False)),
        (piece(packet, 48, 56, False), piece(packet, 64, 72, False)),
        (piece(packet, 64, 72), piece(packet, 48, 56, False)),
        (piece(packet, 48, 56, False), piece(packet, 64, 72)),
    ]
    for one, two in first_then_second:
        kit = Kit()
        kit.add(one)
        assert kit.add(two) is None
        assert kit.drops() == {"bad_fragment": 1}


@both_versions
def test_an_empty_fragment_is_refused(family: Family) -> None:
    kit = Kit()
    packet = datagram(family, 64)
    assert kit.add(piece(packet, 32, 32)) is None
    assert kit.add(piece(packet, 32, 32, False)) is None
    assert kit.drops() == {"bad_fragment": 2}
    assert kit.reassembly.memory == 0


@pytest.mark.parametrize("end", [33, 36, 39])
def test_a_misaligned_ipv4_fragment_that_is_not_the_last_is_refused_in_silence(end: int) -> None:
    kit = Kit()
    assert kit.add(piece(datagram(V4, 100), 8, end)) is None
    assert kit.sent() == []
    assert kit.drops() == {"bad_fragment": 1}


def test_options_of_the_first_fragment_count_for_the_length() -> None:
    kit = Kit()
    packet = encode.ip(V4.peer, V4.here, encode.UDP, b"", options=b"\x94\4\0\0", df=False)
    plain = encode.ip(V4.peer, V4.here, encode.UDP, b"", df=False)
    for at in range(1000, 65515, 1000):
        end = min(at + 1000, 65515)
        kit.add(encode.fragment4(plain, at, DATA[at:end], end < 65515, 7))
    assert kit.drops() == {}
    assert kit.add(encode.fragment4(packet, 0, DATA[:1000], True, 7)) is None
    assert kit.drops() == {"bad_fragment": 1}


def test_an_ipv4_packet_above_65535_octets_is_refused() -> None:
    kit = Kit()
    packet = datagram(V4, 1000)[:20] + DATA
    assert kit.add(piece(packet, 65512, 65520, False)) is None
    assert kit.drops() == {"bad_fragment": 1}
    assert kit.reassembly.memory == 0


# -- time ------------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC1122-S3.3.2-1")
@pytest.mark.requirement("RFC8200-S4.5-1")
@both_versions
def test_after_60_seconds_time_exceeded_quotes_the_first_fragment(family: Family) -> None:
    kit = Kit()
    packet = datagram(family, 4000)
    first = piece(packet, 0, 480)
    kit.add(piece(packet, 960, 1440))
    kit.add(first, NOW_US + 5 * SECOND_US)
    due_us = NOW_US + 60 * SECOND_US
    assert kit.reassembly.next_deadline() == due_us
    kit.reassembly.on_time(due_us - 1)
    assert kit.sent() == []
    assert kit.drops() == {}
    kit.reassembly.on_time(due_us)
    (error,) = kit.sent()
    assert (error.kind, error.code) == ((11, 1) if family is V4 else (3, 1))
    assert error.payload == first
    assert (error.src, error.dst) == (family.here, family.peer)
    assert kit.drops() == {"fragment_limit": 1}
    assert kit.reassembly.memory == 0
    assert kit.reassembly.next_deadline() == 0


@pytest.mark.requirement("RFC1122-S3.3.2-1")
@pytest.mark.requirement("RFC8200-S4.5-1")
@both_versions
def test_without_the_first_fragment_nothing_is_said(family: Family) -> None:
    kit = Kit()
    packet = datagram(family, 4000)
    kit.add(piece(packet, 480, 960))
    kit.reassembly.on_time(NOW_US + 60 * SECOND_US)
    assert kit.sent() == []
    assert kit.drops() == {"fragment_limit": 1}


@both_versions
def test_a_late_fragment_does_not_join_what_has_expired(family: Family) -> None:
    kit = Kit()
    packet = datagram(family, 64)
    kit.add(piece(packet, 0, 32))
    assert kit.add(piece(packet, 32, 64, False), NOW_US + 60 * SECOND_US) is None


def test_the_deadline_is_the_oldest_packets() -> None:
    kit = Kit(ipfrag_time=10)
    packet = datagram(V4, 64)
    for i in range(3):
        kit.add(piece(packet, 8, 16, ident=i), NOW_US + i)
    assert kit.reassembly.next_deadline() == NOW_US + 10 * SECOND_US
    kit.reassembly.on_time(NOW_US + 10 * SECOND_US + 1)
    assert kit.reassembly.next_deadline() == NOW_US + 10 * SECOND_US + 2


# -- memory ----------------------------------------------------------------------------------------


def numbered(family: Family, count: int) -> tuple[Family, bytes]:
    """A version of the datagram from another source for each `count`."""
    src = family.peer[:-1] + bytes([10 + count])
    upper = encode.udp(src, family.here, 1, 2, bytes(3000))
    return family, encode.ip(src, family.here, encode.UDP, upper, df=False)


@both_versions
def test_memory_is_bounded_and_the_oldest_packet_makes_room(family: Family) -> None:
    kit = Kit(ipfrag_high_thresh=100_000)
    packets = [numbered(family, i)[1] for i in range(60)]
    for i, packet in enumerate(packets):
        kit.add(piece(packet, 0, 2008), NOW_US + i)
        assert kit.reassembly.memory <= 100_000
    kept = len(kit.reassembly)
    assert 25 < kept < 60
    assert kit.drops() == {"fragment_limit": 60 - kept}
    rest = [kit.add(piece(packet, 2008, 3008, False), NOW_US + 99) for packet in packets[-kept:]]
    assert None not in rest
    assert kit.reassembly.memory == 0


@both_versions
def test_one_source_may_hold_a_quarter_of_the_memory(family: Family) -> None:
    kit = Kit(ipfrag_high_thresh=100_000)
    others = numbered(family, 1)[1]
    kit.add(piece(others, 0, 2008), NOW_US)
    flood = datagram(family, 3008)
    for i in range(100):
        kit.add(piece(flood, 8, 1008, ident=i), NOW_US + i)
    assert kit.reassembly.memory <= 25_000 + 3_000
    assert kit.add(piece(others, 2008, 3008, False), NOW_US + 200) is not None


@both_versions
def test_a_thousand_tiny_fragments_cost_what_python_needs_for_them(family: Family) -> None:
    kit = Kit()
    packet = datagram(family, 65504)
    for at in range(16, 65504, 16):
        kit.add(piece(packet, at, at + 8))
    assert kit.reassembly.memory > 4093 * 100


# -- ECN -------------------------------------------------------------------------------------------

NOT_ECT, ECT_1, ECT_0, CE = range(4)


@pytest.mark.requirement("RFC3168-S5.3-1")
@both_versions
@pytest.mark.parametrize(
    ("marks", "result"),
    [
        ((NOT_ECT, NOT_ECT, NOT_ECT), NOT_ECT),
        ((ECT_0, ECT_0, ECT_0), ECT_0),
        ((ECT_1, ECT_1, ECT_1), ECT_1),
        ((ECT_0, CE, ECT_0), CE),
        ((ECT_1, ECT_1, CE), CE),
        ((CE, ECT_0, ECT_1), CE),
        ((CE, CE, CE), CE),
        ((ECT_0, ECT_1, ECT_1), ECT_0),
        ((NOT_ECT, CE, NOT_ECT), None),
        ((CE, NOT_ECT, CE), None),
        ((ECT_0, ECT_0, NOT_ECT), None),
    ],
)
def test_congestion_experienced_is_kept_and_a_mixture_is_dropped(
    family: Family, marks: tuple[int, int, int], result: int | None
) -> None:
    packet = datagram(family, 90)
    edges = ((0, 32), (32, 64), (64, 90))
    parts = [
        piece(packet, a, b, b < 90, tos=0xB8 | mark)
        for (a, b), mark in zip(edges, marks, strict=True)
    ]
    for order in itertools.permutations(parts):
        kit = Kit()
        whole = [made for made in map(kit.add, order) if made is not None]
        if result is None:
            assert whole == []
            assert kit.drops()["bad_fragment"] >= 1
        else:
            assert [decode.decode(made)[0].tos for made in whole] == [0xB8 | result]


# -- the sending side ----------------------------------------------------------------------------


@pytest.mark.requirement("RFC5722-S4-1")
@both_versions
@given(st.integers(1281, 9000), st.integers(1280, 9000), st.integers(0, 0xFFFF_FFFF))
def test_what_fits_is_left_whole(family: Family, size: int, mtu: int, ident: int) -> None:
    assume(size <= mtu)
    packet = datagram(family, size - (20 if family is V4 else 40))
    assert fragment(packet, mtu, ident) == [packet]


@pytest.mark.requirement("RFC5722-S4-1")
@both_versions
@given(st.integers(1281, 65535), st.integers(1280, 9000), st.integers(0, 0xFFFF_FFFF))
def test_what_we_cut_fits_touches_without_overlap_and_goes_together_again(
    family: Family, size: int, mtu: int, ident: int
) -> None:
    assume(size > mtu)
    head = 20 if family is V4 else 40
    packet = datagram(family, size - head)
    parts = fragment(packet, mtu, ident)
    assert all(len(part) <= mtu for part in parts)
    reached = 0
    for part in parts:
        (shown,) = decode.decode(part)
        assert shown.offset == reached
        assert shown.more == (part is not parts[-1])
        assert shown.ident == (ident & 0xFFFF if family is V4 else ident)
        reached += len(shown.upper)
    assert reached == size - head
    kit = Kit()
    whole = [made for made in map(kit.add, reversed(parts)) if made is not None]
    assert [without_ident(made) for made in whole] == [without_ident(packet)]


def test_the_smallest_ipv4_mtu_carries_48_octets_a_fragment() -> None:
    parts = fragment(datagram(V4, 100), 68, 1)
    assert [len(part) for part in parts] == [68, 68, 24]


def test_what_must_not_be_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="must not"):
        fragment(V4.udp(bytes(2000)), 1500, 1)  # DF
    with pytest.raises(ValueError, match="1280"):
        fragment(datagram(V6, 2000), 1279, 1)
    with pytest.raises(ValueError, match="68"):
        fragment(datagram(V4, 2000), 67, 1)


# -- any bytes -----------------------------------------------------------------------------------


@given(st.sampled_from((4, 6)), st.lists(st.binary(max_size=120), max_size=8))
def test_no_bytes_raise(version: int, packets: list[bytes]) -> None:
    kit = Kit(ipfrag_high_thresh=8000)
    for junk in packets:
        kit.reassembly.add(memoryview(junk), version, NOW_US)
        kit.reassembly.add(bytes([version << 4 | 5]) + junk, version, NOW_US)
    kit.reassembly.on_time(NOW_US + 60 * SECOND_US)
    assert kit.reassembly.memory == 0


fragments_of_anything = st.tuples(
    st.integers(0, 20), st.binary(max_size=40), st.booleans(), st.integers(0, 2), st.integers(0, 3)
)


@given(st.sampled_from(FAMILIES), st.lists(fragments_of_anything, max_size=40))
def test_hostile_fragments_never_raise_and_never_leak(
    family: Family, parts: list[tuple[int, bytes, bool, int, int]]
) -> None:
    kit = Kit(ipfrag_high_thresh=12_000, icmp_ratelimit=0)
    head = datagram(family, 64)
    cut = head[: 20 if family is V4 else 40]
    make = encode.fragment4 if family is V4 else encode.fragment6
    for offset, octets, more, ident, tos in parts:
        part = make(cut, offset * 8, octets, more, ident)
        if family is V4:
            part = part[:1] + bytes([tos]) + part[2:]
        whole = kit.add(part)
        assert kit.reassembly.memory <= 12_000
        if whole is not None and family is V4:
            decode.require(encode.ones_sum(whole[:20]) == 0xFFFF, "header checksum")
    kit.icmp.take_out()
    kit.reassembly.on_time(NOW_US + 60 * SECOND_US)
    assert kit.reassembly.memory == 0
    assert len(kit.reassembly) == 0
