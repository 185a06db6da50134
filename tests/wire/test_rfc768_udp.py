"""RFC 768: datagrams read and built, against builders and checksums of the tests' own."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pystack.wire import consts, udp
from pystack.wire.address import V4_PREFIX
from pystack.wire.batch import RxBatch
from pystack.wire.segment import Segment
from tests.kit.packets import decode, encode

V4 = (bytes((198, 18, 0, 1)), bytes((198, 18, 0, 2)))
V6 = (bytes.fromhex("fd00" + "00" * 13 + "01"), bytes.fromhex("fd00" + "00" * 13 + "02"))
PARTIAL, VALID, COMPLETE = (
    consts.CHECKSUM_PARTIAL, consts.CHECKSUM_VALID, consts.CHECKSUM_COMPLETE
)  # fmt: skip


def sixteen(address: bytes) -> bytes:
    return V4_PREFIX + address if len(address) == 4 else address


def read(packet: bytes, state: int = COMPLETE) -> udp.Datagram | int:
    """What the parser makes of a packet."""
    rx = RxBatch(1)
    assert rx.add(packet, 0, state) == consts.KIND_OTHER
    seg = Segment()
    seg.load(rx.view, rx.records, 0)
    return udp.read(seg)


def packet_of(ends: tuple[bytes, bytes], upper: bytes) -> bytes:
    return encode.ip(*ends, encode.UDP, upper)


ports = st.integers(0, 0xFFFF)
octets = st.integers(0, 0xFF)


@pytest.mark.requirement("RFC768-Format-1")
@given(
    ends=st.sampled_from((V4, V6)), source=ports, target=ports, payload=st.binary(max_size=3000),
    tos=octets, ttl=st.integers(1, 255), ident=ports, df=st.booleans(),
)  # fmt: skip
def test_what_is_built_is_read_again(
    ends: tuple[bytes, bytes], source: int, target: int, payload: bytes, tos: int, ttl: int,
    ident: int, df: bool,
) -> None:  # fmt: skip
    datagram = udp.Datagram(sixteen(ends[0]), source, sixteen(ends[1]), target, payload)
    packet = udp.build(datagram, tos=tos, ttl=ttl, ident=ident, df=df)
    assert read(packet) == replace(datagram, tos=tos, ttl=ttl)
    (seen,) = decode.decode(packet)  # which looks at lengths and checksums by itself
    assert (seen.src, seen.dst, seen.src_port, seen.dst_port) == (*ends, source, target)
    assert (seen.payload, seen.tos, seen.ttl) == (payload, tos, ttl)
    if len(ends[0]) == 4:
        assert (seen.ident, seen.df) == (ident, df)


def test_a_datagram_is_read_in_any_slot_of_a_batch() -> None:
    """What is known of a checksum is known of one packet, not of its neighbour."""
    wrong = bytearray(encode.udp(*V4, 4000, 5000, b"hello"))
    wrong[6] ^= 1
    rx = RxBatch(3)
    for state in (COMPLETE, VALID, COMPLETE):
        rx.add(packet_of(V4, bytes(wrong)), 0, state)
    found = []
    for index in range(3):
        seg = Segment()
        seg.load(rx.view, rx.records, index)
        found.append(udp.read(seg))
    datagram = udp.Datagram(sixteen(V4[0]), 4000, sixteen(V4[1]), 5000, b"hello", ttl=64)
    refused = consts.DROP_BAD_UDP_CHECKSUM
    assert found == [refused, datagram, refused]


@pytest.mark.requirement("RFC1122-S4.1.3.4-1")
@given(ends=st.sampled_from((V4, V6)), payload=st.binary(max_size=200), bit=st.integers(0, 63))
def test_any_flipped_bit_of_the_header_or_text_is_found(
    ends: tuple[bytes, bytes], payload: bytes, bit: int
) -> None:
    upper = bytearray(encode.udp(*ends, 4000, 5000, payload))
    at = bit % (8 * len(upper))
    upper[at // 8] ^= 1 << at % 8
    assume(upper[6:8] != b"\0\0")  # it would say that there is no checksum
    assert isinstance(read(packet_of(ends, bytes(upper))), int)


@pytest.mark.requirement("RFC768-Checksum-1")
@pytest.mark.parametrize("ends", [V4, V6], ids=["IPv4", "IPv6"])
def test_a_sum_of_zero_is_sent_as_all_ones(ends: tuple[bytes, bytes]) -> None:
    for filler in range(0x10000):
        upper = struct.pack("!HHHHH", 1, 2, 10, 0, filler)
        covered = encode.pseudo_header(*ends, encode.UDP, 10) + upper
        if encode.ones_sum(covered) == 0xFFFF:
            break
    datagram = udp.Datagram(
        sixteen(ends[0]), 1, sixteen(ends[1]), 2, filler.to_bytes(2, "big")
    )  # fmt: skip
    packet = udp.build(datagram, tos=0, ttl=64, ident=0, df=True)
    assert packet[-4:-2] == b"\xff\xff"
    assert read(packet) == replace(datagram, ttl=64)


def test_a_datagram_without_a_checksum_says_so() -> None:
    for ends in (V4, V6):
        upper = struct.pack("!HHHH", 1, 2, 13, 0) + b"hello"
        found = read(packet_of(ends, upper))
        if ends is V4:
            assert isinstance(found, udp.Datagram)
            assert found.payload == b"hello"
            assert not found.checked
        else:  # for those alone who have said that they take it (RFC 6935)
            assert isinstance(found, udp.Datagram)
            assert not found.checked


@pytest.mark.parametrize("state", [PARTIAL, VALID])
def test_a_checksum_that_somebody_vouches_for_is_not_looked_at(state: int) -> None:
    upper = struct.pack("!HHHH", 1, 2, 13, 0x1234) + b"hello"
    assert read(packet_of(V4, upper)) == consts.DROP_BAD_UDP_CHECKSUM
    assert isinstance(read(packet_of(V4, upper), state), udp.Datagram)


@pytest.mark.parametrize("ends", [V4, V6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    "upper",
    [
        b"", bytes(7), struct.pack("!HHHH", 1, 2, 7, 0), struct.pack("!HHHH", 1, 2, 0, 0),
        struct.pack("!HHHH", 1, 2, 9, 0),
    ],
    ids=["nothing", "seven octets", "length 7", "length 0", "length past the end"],
)  # fmt: skip
def test_a_header_that_lies_is_no_datagram(ends: tuple[bytes, bytes], upper: bytes) -> None:
    assert read(packet_of(ends, upper)) == consts.DROP_BAD_UDP_HEADER


@pytest.mark.parametrize("ends", [V4, V6], ids=["IPv4", "IPv6"])
def test_octets_behind_the_length_are_no_part_of_it(ends: tuple[bytes, bytes]) -> None:
    upper = encode.udp(*ends, 1, 2, b"hello") + b"trailer"
    found = read(packet_of(ends, upper))
    assert isinstance(found, udp.Datagram)
    assert found.payload == b"hello"
