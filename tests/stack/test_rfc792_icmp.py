"""ICMP for both versions: echo, errors read, errors made (RFC 792, RFC 1122 §3.2.2)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystack.ip.icmp_messages import IcmpError
from pystack.wire.address import pack
from pystack.wire.ip_headers import read
from tests.kit.packets import encode
from tests.stack.ip_family import (
    BROADCAST,
    FAMILIES,
    NOW_US,
    SECOND_US,
    V4,
    V6,
    Family,
    Kit,
    parsed,
    sixteen,
)  # fmt: skip

both_versions = pytest.mark.parametrize("family", FAMILIES, ids=("IPv4", "IPv6"))
ECHO = {4: (8, 0), 6: (128, 129)}
UNREACHABLE = {4: 3, 6: 1}


@pytest.mark.requirement("RFC792-Echo-1")
@pytest.mark.requirement("RFC1122-S3.2.2.6-1")
@pytest.mark.requirement("RFC4443-S4.2-1")
@both_versions
@pytest.mark.parametrize("size", [0, 1, 56, 1472, 4000, 65507])
def test_an_echo_request_is_answered_with_its_data_from_the_address_asked(
    family: Family, size: int
) -> None:
    kit = Kit()
    body = bytes(i * 7 & 0xFF for i in range(size))
    request, reply = ECHO[family.version]
    assert kit.receive(family.message(request, 0, b"\x12\x34\0\x09", body, tos=0xB8)) is None
    (answer,) = kit.sent()
    assert (answer.kind, answer.code, answer.rest) == (reply, 0, b"\x12\x34\0\x09")
    assert answer.payload == body
    assert (answer.src, answer.dst) == (family.here, family.peer)
    assert (answer.ttl, answer.tos) == (64, 0xB8)
    assert kit.drops() == {}


@pytest.mark.requirement("RFC6864-S4.3-1")
def test_echo_replies_may_be_fragmented_and_so_have_an_identification_of_their_own() -> None:
    kit = Kit()
    for _ in range(2):
        kit.receive(V4.message(8))
    first, second = kit.sent()
    assert not first.df
    assert (first.ident, second.ident) == (0x5000, 0x5001)


@both_versions
def test_an_echo_request_with_a_wrong_checksum_is_dropped_and_counted(family: Family) -> None:
    kit = Kit()
    packet = bytearray(family.message(ECHO[family.version][0], body=b"ping"))
    packet[-1] ^= 1
    assert kit.receive(bytes(packet)) is None
    assert kit.sent() == []
    assert kit.drops() == {"bad_icmp": 1}


@pytest.mark.requirement("RFC8200-S8.1-1")
def test_the_icmpv6_checksum_covers_the_pseudo_header() -> None:
    kit = Kit()
    message = encode.icmp(V6.peer, V6.stranger, 128, 0, bytes(4), b"ping")
    kit.receive(encode.ip(V6.peer, V6.here, encode.ICMPV6, message))
    assert kit.sent() == []
    assert kit.drops() == {"bad_icmp": 1}


@both_versions
@pytest.mark.parametrize("length", range(8))
def test_a_message_shorter_than_its_header_is_dropped(family: Family, length: int) -> None:
    kit = Kit()
    message = family.message(ECHO[family.version][0])[-8:][:length]
    kit.receive(encode.ip(family.peer, family.here, family.icmp, message))
    assert kit.sent() == []
    assert kit.drops() == {"bad_icmp": 1}


@both_versions
def test_an_echo_request_to_a_multicast_address_stays_unanswered(family: Family) -> None:
    kit = Kit()
    kit.receive(family.message(ECHO[family.version][0], dst=family.multicast))
    assert kit.sent() == []


@pytest.mark.parametrize("to", [BROADCAST, "255.255.255.255"])
def test_an_echo_request_to_a_broadcast_address_stays_unanswered(to: str) -> None:
    kit = Kit()
    kit.receive(V4.message(8, dst=pack(to)[12:]))
    assert kit.sent() == []


ODD_SOURCES = ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", BROADCAST, "198.18.0.2",
               "::", "::1", "ff02::1", "fd00::2"]  # fmt: skip


def from_to(source: str) -> tuple[Family, bytes]:
    family = V6 if ":" in source else V4
    return family, pack(source)[-len(family.here) :]


@pytest.mark.parametrize("source", ODD_SOURCES)
def test_an_echo_request_from_no_single_other_node_stays_unanswered(source: str) -> None:
    kit = Kit()
    family, src = from_to(source)
    kit.receive(family.message(ECHO[family.version][0], src=src))
    assert kit.sent() == []


@both_versions
def test_echo_can_be_switched_off(family: Family) -> None:
    kit = Kit(icmp_echo_ignore_all=1)
    kit.receive(family.message(ECHO[family.version][0]))
    assert kit.sent() == []


@pytest.mark.requirement("RFC1122-S3.2.2-1")
@pytest.mark.parametrize("kind", [1, 2, 6, 7, 13, 15, 17, 19, 41, 253, 255])
def test_an_unknown_type_is_dropped_in_silence(kind: int) -> None:
    kit = Kit()
    assert kit.receive(V4.message(kind, body=V4.sent_tcp(1))) is None
    assert kit.sent() == []
    assert kit.drops() == {"bad_icmp": 1}


@pytest.mark.requirement("RFC9293-MUST-55")
@pytest.mark.parametrize("kind", [0, 4, 5])
def test_source_quench_redirect_and_echo_reply_mean_nothing(kind: int) -> None:
    kit = Kit()
    assert kit.receive(V4.message(kind, body=V4.sent_tcp(1))) is None
    assert kit.sent() == []
    assert kit.drops() == {}


# -- errors that come ---------------------------------------------------------------------------


def read_error(kit: Kit, family: Family, kind: int, code: int, quote: bytes) -> IcmpError | None:
    return kit.receive(family.message(kind, code, bytes(4), quote, src=family.router))


@pytest.mark.requirement("RFC9293-MUST-54")
@both_versions
@pytest.mark.parametrize("code", range(16))
def test_unreachable_names_the_flow_that_it_quotes(family: Family, code: int) -> None:
    quote = family.sent_tcp(0xFFFF_FFF0)
    error = read_error(Kit(), family, UNREACHABLE[family.version], code, quote[:100])
    assert error == IcmpError(
        version=family.version,
        type=UNREACHABLE[family.version],
        code=code,
        mtu=0,
        quoted_key=sixteen(family.here) + sixteen(family.peer) + struct.pack("!HH", 80, 4321),
        quoted_seq=0xFFFF_FFF0,
        quoted_protocol=encode.TCP,
        offender=sixteen(family.router),
        quoted_length=len(quote),
        quoted_upper=quote[20 if family.version == 4 else 40 : 100],
    )


@both_versions
def test_eight_octets_of_the_transport_header_are_enough(family: Family) -> None:
    head = 20 if family.version == 4 else 40
    quote = family.sent_tcp(99)
    kind = UNREACHABLE[family.version]
    error = read_error(Kit(), family, kind, 0, quote[: head + 8])
    assert error is not None
    assert error.quoted_seq == 99
    kit = Kit()
    assert read_error(kit, family, kind, 0, quote[: head + 7]) is None
    assert kit.drops() == {"bad_icmp": 1}


@both_versions
def test_an_error_about_a_packet_that_was_not_ours_is_dropped(family: Family) -> None:
    kit = Kit()
    quote = family.sent_tcp(99, src=family.stranger)
    assert read_error(kit, family, UNREACHABLE[family.version], 1, quote) is None
    assert kit.drops() == {"icmp_quote": 1}


def test_fragmentation_needed_brings_the_next_hops_mtu() -> None:
    message = V4.message(3, 4, struct.pack("!HH", 0xABCD, 1400), V4.sent_tcp(5))
    error = Kit().receive(message)
    assert error is not None
    assert error.mtu == 1400


@pytest.mark.parametrize("kind", [11, 12])
@pytest.mark.parametrize("code", [0, 1])
def test_time_exceeded_and_parameter_problem_are_read(kind: int, code: int) -> None:
    error = read_error(Kit(), V4, kind, code, V4.sent_tcp(5))
    assert error is not None
    assert (error.type, error.code, error.mtu) == (kind, code, 0)


def test_an_unreachable_code_that_nobody_has_defined_is_dropped() -> None:
    kit = Kit()
    assert read_error(kit, V4, 3, 16, V4.sent_tcp(5)) is None
    assert kit.drops() == {"bad_icmp": 1}


def test_a_quote_behind_ip_options_is_found() -> None:
    upper = V4.sent_tcp(31)[20:]
    quote = encode.ip(V4.here, V4.peer, encode.TCP, upper, options=b"\x07\x07\x04abcd")
    error = read_error(Kit(), V4, 3, 1, quote)
    assert error is not None
    assert error.quoted_seq == 31


def test_the_quote_of_a_later_fragment_names_no_flow() -> None:
    kit = Kit()
    quote = encode.fragment4(V4.sent_tcp(1), 8, bytes(64), True, 1)
    assert read_error(kit, V4, 11, 1, quote) is None
    assert kit.drops() == {"bad_icmp": 1}


@both_versions
def test_a_quoted_echo_reply_is_told_without_ports(family: Family) -> None:
    reply = ECHO[family.version][1]
    quote = family.message(reply, src=family.here, dst=family.peer, body=bytes(2000))
    error = read_error(Kit(), family, UNREACHABLE[family.version], 4, quote[:500])
    assert error is not None
    assert error.quoted_protocol == family.icmp
    assert error.quoted_key == sixteen(family.here) + sixteen(family.peer) + bytes(4)
    assert (error.quoted_seq, error.quoted_length) == (0, len(quote))


# -- errors that are made -------------------------------------------------------------------------


@pytest.mark.requirement("RFC1122-S3.2.2-3")
@pytest.mark.parametrize("size", [0, 5, 100, 519, 520, 521, 3000])
def test_port_unreachable_quotes_the_packet_unchanged_within_576_octets(size: int) -> None:
    kit = Kit()
    packet = V4.udp(bytes(i & 0xFF for i in range(size)))
    assert kit.icmp.port_unreachable(memoryview(packet), 4, NOW_US)
    (error,) = kit.sent()
    assert (error.kind, error.code, error.rest) == (3, 3, bytes(4))
    assert (error.src, error.dst, error.ttl, error.tos) == (V4.here, V4.peer, 64, 0xC0)
    assert error.payload == packet[: 576 - 28]
    assert len(error.octets) == min(576, 28 + len(packet))


@both_versions
def test_octets_behind_the_packet_are_not_quoted(family: Family) -> None:
    kit = Kit()
    packet = family.udp(b"hello")
    assert kit.icmp.port_unreachable(packet + b"padding", family.version, NOW_US)
    (error,) = kit.sent()
    assert error.payload == packet


def test_an_unknown_protocol_is_reported_with_code_2() -> None:
    kit = Kit()
    assert kit.icmp.protocol_unreachable(encode.ip(V4.peer, V4.here, 132, bytes(20)), 4, NOW_US)
    (error,) = kit.sent()
    assert (error.kind, error.code) == (3, 2)


@pytest.mark.requirement("RFC1122-S3.2.2-2")
@pytest.mark.parametrize("kind", [3, 4, 5, 11, 12])
def test_no_error_is_made_about_an_error(kind: int) -> None:
    kit = Kit()
    packet = V4.message(kind, body=V4.udp())
    assert not kit.icmp.protocol_unreachable(packet, 4, NOW_US)
    assert kit.sent() == []
    about_an_echo = V4.message(8)
    assert kit.icmp.protocol_unreachable(about_an_echo, 4, NOW_US)


@pytest.mark.requirement("RFC1122-S3.2.2-2")
@pytest.mark.requirement("RFC4443-S2.4-2")
@pytest.mark.parametrize("source", ODD_SOURCES)
def test_no_error_goes_to_an_odd_source(source: str) -> None:
    kit = Kit()
    family, src = from_to(source)
    assert not kit.icmp.port_unreachable(family.udp(src=src), family.version, NOW_US)
    assert kit.sent() == []


@pytest.mark.requirement("RFC1122-S3.2.2-2", "RFC4443-S2.4-5")
@pytest.mark.requirement("RFC4443-S2.4-2")
@pytest.mark.parametrize("to", ["224.0.0.1", "255.255.255.255", BROADCAST, "ff02::1"])
def test_no_error_is_made_about_broadcast_or_multicast(to: str) -> None:
    kit = Kit()
    family, dst = from_to(to)
    assert not kit.icmp.port_unreachable(family.udp(dst=dst), family.version, NOW_US)
    assert kit.sent() == []


@pytest.mark.requirement("RFC1122-S3.2.2-2")
def test_no_error_is_made_about_a_later_fragment() -> None:
    kit = Kit()
    first, second = encode.fragments(V4.udp(bytes(32)), 24)
    assert not kit.icmp.time_exceeded(second, 4, NOW_US)
    assert kit.icmp.time_exceeded(first, 4, NOW_US)
    (error,) = kit.sent()
    assert (error.kind, error.code, error.payload) == (11, 1, first)


# -- how many ----------------------------------------------------------------------------------


def flood(kit: Kit, family: Family, count: int, now_us: int, spread: int = 1) -> int:
    """How many of `count` datagrams at one moment, from `spread` sources, are answered."""
    for i in range(count):
        src = family.peer[:-1] + bytes([100 + i % spread])
        kit.icmp.port_unreachable(family.udp(src=src), family.version, now_us)
    return len(kit.sent())


@pytest.mark.requirement("RFC4443-S2.4-3")
@both_versions
def test_one_target_gets_six_errors_at_once_and_then_one_each_second(family: Family) -> None:
    kit = Kit()
    assert flood(kit, family, 100, NOW_US) == 6
    assert kit.icmp.errors_withheld == 94
    assert flood(kit, family, 100, NOW_US + SECOND_US - 1) == 0
    assert flood(kit, family, 100, NOW_US + SECOND_US) == 1
    assert flood(kit, family, 100, NOW_US + 60 * SECOND_US) == 6


@pytest.mark.requirement("RFC4443-S2.4-3")
@both_versions
def test_all_targets_together_get_a_burst_of_fifty_and_a_thousand_a_second(family: Family) -> None:
    kit = Kit()
    assert flood(kit, family, 150, NOW_US, spread=150) == 50
    assert flood(kit, family, 150, NOW_US + 10_000, spread=150) == 10
    assert flood(kit, family, 150, NOW_US + 10_999, spread=150) == 0
    assert flood(kit, family, 150, NOW_US + 11_000, spread=150) == 1
    assert flood(kit, family, 150, NOW_US + 60 * SECOND_US, spread=150) == 50


def test_no_more_than_1024_targets_are_remembered() -> None:
    kit = Kit(icmp_msgs_burst=10_000)
    assert flood(kit, V4, 7, NOW_US) == 6
    for i in range(1023):
        src = b"\xc0\xa8" + i.to_bytes(2, "big")
        kit.icmp.port_unreachable(V4.udp(src=src), 4, NOW_US)
    assert len(kit.sent()) == 1023
    assert flood(kit, V4, 7, NOW_US) == 0
    for i in range(1024):
        src = b"\xac\x10" + i.to_bytes(2, "big")
        kit.icmp.port_unreachable(V4.udp(src=src), 4, NOW_US)
    assert len(kit.sent()) == 1024
    assert flood(kit, V4, 7, NOW_US) == 6


def test_the_limit_per_target_can_be_switched_off() -> None:
    assert flood(Kit(icmp_ratelimit=0), V4, 100, NOW_US) == 50


@both_versions
def test_echo_replies_are_not_limited(family: Family) -> None:
    kit = Kit()
    for _ in range(1000):
        kit.receive(family.message(ECHO[family.version][0]))
    assert len(kit.sent()) == 1000


# -- any bytes -----------------------------------------------------------------------------------


@given(
    st.sampled_from(FAMILIES),
    st.integers(0, 255),
    st.integers(0, 255),
    st.binary(min_size=4, max_size=4),
    st.binary(max_size=120),
    st.integers(0, 60),
    st.booleans(),
)
def test_no_message_raises_whatever_it_says(
    family: Family, kind: int, code: int, rest: bytes, junk: bytes, cut: int, plausible: bool
) -> None:
    kit = Kit()
    body = family.sent_tcp(7, b"")[:cut] + junk if plausible else junk
    kit.receive(family.message(kind, code, rest, body))
    kit.sent()


@given(st.binary(max_size=200), st.sampled_from((4, 6)), st.integers(0, 255))
def test_no_packet_that_an_error_is_asked_about_raises(
    junk: bytes, version: int, code: int
) -> None:
    kit = Kit(icmp_ratelimit=0)
    family = V4 if version == 4 else V6
    for packet in (junk, family.udp()[: 20 * (version - 3)] + junk, bytes([version << 4]) + junk):
        read(packet, version)
        kit.icmp.unreachable(packet, version, code, NOW_US)
        kit.icmp.protocol_unreachable(packet, version, NOW_US)
        kit.icmp.time_exceeded(packet, version, NOW_US)
        kit.icmp.parameter_problem(packet, 0, code, NOW_US)
    kit.icmp.take_out()


def test_a_packet_of_the_other_versions_icmp_is_not_taken_for_a_message() -> None:
    kit = Kit()
    packet = encode.ip(V6.peer, V6.here, encode.ICMP, V4.message(8)[20:])
    assert kit.icmp.receive(parsed(packet)) is None
    assert kit.sent() == []
    assert kit.drops() == {"unknown_protocol": 1}
