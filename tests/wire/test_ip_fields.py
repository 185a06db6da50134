"""Single fields of a packet, read in place or changed in a copy (RFC 791 §3.1, RFC 8200 §3)."""

from __future__ import annotations

import pytest

from pystack.wire import ip_fields
from tests.wire import crafted

SEGMENT = crafted.tcp(text=b"text")
SEGMENT6 = crafted.tcp(crafted.PEER6, crafted.OURS6, text=b"text")


def ipv6(upper: bytes = SEGMENT6, **fields: int) -> bytes:
    return crafted.ipv6(upper, **fields)


@pytest.mark.parametrize("options", [b"", b"\1\1\1\1"])
def test_what_an_ipv4_packet_says(options: bytes) -> None:
    packet = crafted.ipv4(SEGMENT, options=options, tos=0xB9, ident=0xABCD, ttl=63)
    assert ip_fields.version_of(packet) == 4
    assert ip_fields.destination_of(packet) == crafted.mapped(crafted.OURS4)
    assert ip_fields.least_mtu(packet) == 68
    assert ip_fields.hop_limit(packet) == 63
    assert ip_fields.ident_of(packet) == 0xABCD
    assert ip_fields.tcp_headers(packet) == len(packet) - 4
    assert ip_fields.ecn_field(packet) == 1


def test_what_an_ipv6_packet_says() -> None:
    packet = ipv6(tos=0xB9, hop_limit=63)
    assert ip_fields.version_of(packet) == 6
    assert ip_fields.destination_of(packet) == crafted.mapped(crafted.OURS6)
    assert ip_fields.least_mtu(packet) == 1280
    assert ip_fields.hop_limit(packet) == 63
    assert ip_fields.tcp_headers(packet) == len(packet) - 4
    assert ip_fields.ecn_field(packet) == 1


def test_of_tcp_options_count_as_headers_and_other_protocols_have_none() -> None:
    header = SEGMENT[:12] + b"\x60" + SEGMENT[13:20] + b"\1\1\1\1"
    assert ip_fields.tcp_headers(crafted.ipv4(header + b"text")) == 44
    assert ip_fields.tcp_headers(ipv6(header + b"text")) == 64
    datagram = crafted.udp(crafted.PEER4, crafted.OURS4, 1, 2, b"sixteen octets..")
    assert ip_fields.tcp_headers(crafted.ipv4(datagram, protocol=crafted.UDP)) == 0
    assert ip_fields.tcp_headers(ipv6(datagram, protocol=crafted.UDP)) == 0


@pytest.mark.parametrize("ttl", [1, 2, 64, 255])
@pytest.mark.parametrize("ident", [*range(0, 0x10000, 0xFFF), 0xFEFF, 0xFFFF])
def test_a_hop_takes_one_off_the_ttl_and_the_checksum_still_holds(ttl: int, ident: int) -> None:
    packet = crafted.ipv4(SEGMENT, ident=ident, ttl=ttl)
    after = ip_fields.with_lower_hop_limit(packet)
    assert after[8] == ttl - 1
    assert crafted.ones_sum(bytes(after[:20])) == 0xFFFF
    assert (after[:8], after[9:10], after[12:]) == (packet[:8], packet[9:10], packet[12:])


def test_a_hop_takes_one_off_the_hop_limit_and_changes_nothing_else() -> None:
    packet = ipv6(hop_limit=64)
    assert ip_fields.with_lower_hop_limit(packet) == packet[:7] + b"\x3f" + packet[8:]


def test_a_router_may_cut_what_is_whole_without_options_and_allows_it() -> None:
    def may(bits: int, first: int = 0x45) -> bool:
        packet = crafted.ipv4(SEGMENT)
        return ip_fields.may_be_cut(bytes((first,)) + packet[1:6] + bits.to_bytes(2) + packet[8:])

    assert may(0)
    assert may(0x8000)  # the reserved bit says nothing
    assert not may(0x4000)  # DF
    assert not may(0x2000)  # more fragments
    assert not may(1)  # an offset
    assert not may(0x1000)
    assert not may(0, 0x46)


@pytest.mark.parametrize("ecn", range(4))
def test_the_ecn_field_is_read_and_set_in_both_versions(ecn: int) -> None:
    four, six = crafted.ipv4(SEGMENT, tos=0xB8 | ecn), ipv6(tos=0xB8 | ecn)
    assert ip_fields.ecn_field(four) == ip_fields.ecn_field(six) == ecn
    assert ip_fields.with_ce(four) == crafted.ipv4(SEGMENT, tos=0xBB)
    assert ip_fields.with_ce(six) == ipv6(tos=0xBB)
    assert ip_fields.ecn_field(b"\x5f" + four[1:]) == 0  # no IP
