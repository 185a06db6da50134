"""What only ICMPv6 has (RFC 4443); what it shares with ICMP is in test_rfc792_icmp."""

from __future__ import annotations

import struct

import pytest

from tests.kit.packets import encode
from tests.stack.ip_family import NOW_US, V6, Kit


@pytest.mark.requirement("RFC4443-S2.4-1", "RFC4443-S2.4-6")
@pytest.mark.parametrize("size", [0, 100, 1184, 1185, 3000])
def test_an_error_quotes_as_much_as_fits_in_1280_octets(size: int) -> None:
    kit = Kit()
    packet = V6.udp(bytes(i & 0xFF for i in range(size)))
    assert kit.icmp.port_unreachable(memoryview(packet), 6, NOW_US)
    (error,) = kit.sent()
    assert (error.kind, error.code) == (1, 4)
    assert (error.src, error.dst, error.ttl) == (V6.here, V6.peer, 64)
    assert error.payload == packet[: 1280 - 48]
    assert len(error.octets) == min(1280, 48 + len(packet))


@pytest.mark.requirement("RFC4443-S2.4-2")
@pytest.mark.parametrize("kind", [1, 2, 3, 4, 100, 127, 137])
def test_no_error_is_made_about_an_error_or_a_redirect(kind: int) -> None:
    kit = Kit()
    packet = V6.message(kind, body=V6.udp())
    assert not kit.icmp.parameter_problem(packet, 1, 6, NOW_US)
    assert kit.sent() == []
    assert kit.icmp.parameter_problem(V6.message(128), 1, 6, NOW_US)


@pytest.mark.requirement("RFC4443-S2.4-4")
@pytest.mark.parametrize("kind", [5, 99, 100, 127])
def test_an_error_of_unknown_type_goes_to_the_flow_that_it_quotes(kind: int) -> None:
    kit = Kit()
    error = kit.receive(V6.message(kind, 9, bytes(4), V6.sent_tcp(12)))
    assert error is not None
    assert (error.type, error.code, error.quoted_seq) == (kind, 9, 12)
    assert kit.sent() == []


@pytest.mark.requirement("RFC4443-S2.4-4")
@pytest.mark.parametrize("kind", [138, 160, 200, 255])
def test_an_informational_message_of_unknown_type_is_dropped_in_silence(kind: int) -> None:
    kit = Kit()
    assert kit.receive(V6.message(kind, body=V6.sent_tcp(12))) is None
    assert kit.sent() == []
    assert kit.drops() == {"bad_icmp": 1}


@pytest.mark.parametrize("kind", [129, 130, 133, 134, 135, 136, 137, 143])
def test_what_a_kernel_says_on_any_link_is_no_fault(kind: int) -> None:
    kit = Kit()
    assert kit.receive(V6.message(kind, body=bytes(16))) is None
    assert kit.sent() == []
    assert kit.drops() == {}


def test_packet_too_big_brings_the_whole_32_bits_of_the_mtu() -> None:
    error = Kit().receive(V6.message(2, 0, struct.pack("!I", 0x0001_0514), V6.sent_tcp(5)))
    assert error is not None
    assert error.mtu == 0x0001_0514


def test_only_packet_too_big_has_an_mtu() -> None:
    error = Kit().receive(V6.message(1, 0, struct.pack("!I", 1300), V6.sent_tcp(5)))
    assert error is not None
    assert error.mtu == 0


@pytest.mark.requirement("RFC8200-S4-1")
def test_a_quote_behind_extension_headers_is_found() -> None:
    chain = [(0, b""), (60, bytes(14)), (43, b""), (60, b"")]
    quote = encode.ip(V6.here, V6.peer, encode.TCP, V6.sent_tcp(31)[40:], extensions=chain)
    error = Kit().receive(V6.message(1, 0, bytes(4), quote))
    assert error is not None
    assert (error.quoted_protocol, error.quoted_seq) == (encode.TCP, 31)


def test_a_quote_cut_off_within_its_extension_headers_is_dropped() -> None:
    kit = Kit()
    quote = encode.ip(V6.here, V6.peer, encode.TCP, bytes(20), extensions=[(60, bytes(30))])
    assert kit.receive(V6.message(1, 0, bytes(4), quote[:50])) is None
    assert kit.drops() == {"bad_icmp": 1}


@pytest.mark.requirement("RFC8200-S4-2")
@pytest.mark.parametrize(
    ("chain", "pointer"),
    [([], 6), ([(60, b"")], 40), ([(0, b""), (60, bytes(14))], 48)],
)
def test_an_unknown_next_header_is_pointed_at(chain: list[tuple[int, bytes]], pointer: int) -> None:
    kit = Kit()
    packet = encode.ip(V6.peer, V6.here, 253, bytes(24), extensions=chain)
    assert kit.icmp.protocol_unreachable(packet, 6, NOW_US)
    (error,) = kit.sent()
    assert (error.kind, error.code) == (4, 1)
    assert int.from_bytes(error.rest, "big") == pointer
    assert packet[pointer] == 253
    assert error.payload == packet


def test_hop_by_hop_options_in_a_later_place_are_an_unknown_next_header() -> None:
    kit = Kit()
    packet = encode.ip(V6.peer, V6.here, encode.UDP, bytes(8), extensions=[(60, b""), (0, b"")])
    assert kit.icmp.protocol_unreachable(packet, 6, NOW_US)
    (error,) = kit.sent()
    assert int.from_bytes(error.rest, "big") == 40


def test_no_next_header_is_not_an_unknown_one() -> None:
    kit = Kit()
    assert not kit.icmp.protocol_unreachable(encode.ip(V6.peer, V6.here, 59, b""), 6, NOW_US)
    assert kit.sent() == []
