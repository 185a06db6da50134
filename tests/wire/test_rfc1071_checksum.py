"""RFC 1071: the sum itself; RFC 9293 §3.1 and RFC 768: completing a partial one."""

from __future__ import annotations

import struct

import pytest

from tests.wire import crafted
from tests.wire.codecs import Codec

EXAMPLE = bytes.fromhex("0001f203f4f5f6f7")  # the numerical example of RFC 1071 §3


def test_the_example_of_the_rfc_sums_to_ddf2(codec: Codec) -> None:
    assert codec.checksum(EXAMPLE) == 0xDDF2


def test_a_well_known_ipv4_header_sums_to_all_ones(codec: Codec) -> None:
    header = bytes.fromhex("45000073000040004011b861c0a80001c0a800c7")
    assert codec.checksum(header) == 0xFFFF
    assert codec.checksum(header[:10] + b"\0\0" + header[12:]) == 0xB861 ^ 0xFFFF


def test_an_odd_octet_counts_as_the_high_half_of_a_word(codec: Codec) -> None:
    assert codec.checksum(b"\x12\x34\x56") == 0x1234 + 0x5600


def test_the_initial_sum_is_added_with_carry(codec: Codec) -> None:
    assert codec.checksum(EXAMPLE, 0xFFFF) == 0xDDF2
    assert codec.checksum(EXAMPLE, 0x2222) == 0x0015
    assert codec.checksum(b"", 0x12345) == 0x2346


@pytest.mark.parametrize("octets", [b"", bytes(9), bytes(64)])
def test_nothing_but_zeros_sums_to_zero(codec: Codec, octets: bytes) -> None:
    assert codec.checksum(octets) == 0


@pytest.mark.parametrize("length", [2, 33, 4096, 65535])
def test_all_ones_sum_to_all_ones_or_their_odd_rest(codec: Codec, length: int) -> None:
    assert codec.checksum(b"\xff" * length) == crafted.ones_sum(b"\xff" * length)


@pytest.mark.parametrize("off", range(9))
def test_every_length_and_alignment_agrees_with_a_plain_addition(codec: Codec, off: int) -> None:
    octets = bytes((i * 167 + 13) & 0xFF for i in range(140))
    for length in range(len(octets)):
        assert codec.checksum(octets[:length], off=off) == crafted.ones_sum(octets[:length])


def test_a_partial_tcp_checksum_is_completed(codec: Codec) -> None:
    good = crafted.ipv4(crafted.tcp(text=b"hello"))
    length = len(good) - 20
    partial = crafted.ones_sum(
        crafted.pseudo_header(crafted.PEER4, crafted.OURS4, crafted.TCP, length)
    )
    assert codec.complete(good[:36] + struct.pack("!H", partial) + good[38:]) == good


def test_a_udp_checksum_is_completed_behind_extension_headers(codec: Codec) -> None:
    datagram = crafted.udp(crafted.PEER6, crafted.OURS6, 5000, 53, b"abc")
    options = crafted.extension(crafted.UDP, bytes(6))
    good = crafted.ipv6(options + datagram, protocol=crafted.DSTOPTS)
    assert codec.complete(good[:54] + b"\x55\x55" + good[56:]) == good


def test_a_udp_checksum_that_comes_to_zero_is_sent_as_all_ones(codec: Codec) -> None:
    rest = crafted.ones_sum(
        crafted.pseudo_header(crafted.PEER4, crafted.OURS4, crafted.UDP, 10)
        + struct.pack("!HHH", 1, 2, 10)
    )
    text = struct.pack("!H", rest ^ 0xFFFF)
    blank = crafted.ipv4(struct.pack("!HHHH", 1, 2, 10, 0) + text, protocol=crafted.UDP)
    assert codec.complete(blank)[26:28] == b"\xff\xff"


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x45",
        crafted.ipv4(b"abcdefghij", protocol=1),
        crafted.ipv4(crafted.tcp()[:19]),
        crafted.ipv4(crafted.tcp(), fragment=0x2000),
        crafted.ipv4(crafted.tcp(), total=99),
        crafted.ipv6(b"1234567", protocol=crafted.UDP),
    ],
)
def test_what_is_no_whole_tcp_or_udp_packet_is_left_alone(codec: Codec, packet: bytes) -> None:
    assert codec.complete(packet) == packet
