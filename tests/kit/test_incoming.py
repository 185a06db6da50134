"""The packets that the kit makes of the lines of the peer."""

from __future__ import annotations

import struct

import pytest

from tests.kit.driver import Driver
from tests.kit.fake import IRS, ISS, OURS, THEIRS, FakeHost, fails, ours
from tests.kit.flow import pattern
from tests.kit.packets import encode
from tests.kit.packets.decode import BadPacket, decode


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def kit(host: FakeHost) -> Driver:
    return Driver(host, iss=ISS, irs=IRS)


def incoming(script: str, version: int = 4, ports: bool = True) -> bytes:
    host = FakeHost()
    local, remote = ("192.0.2.1", "192.0.2.2") if version == 4 else ("2001:db8::1", "2001:db8::2")
    kit = Driver(host, local, remote, iss=ISS, irs=IRS)
    if ports:
        kit.flow("", local_port=40001, remote_port=80)
    kit.play(script)
    return host.received[-1][1][-1]


def test_the_first_segment_of_the_peer_goes_to_port_80() -> None:
    assert incoming("+0 < S 0:0(0) win 9", ports=False)[20:24] == struct.pack("!HH", 40000, 80)


def test_incoming_segments_are_built_as_written() -> None:
    packet = incoming('+0 < [tos 0x10, ttl 3, id 5, nodf] PU. 1:3(2) ack 1 win 7 urg 2 "hi"')
    expected = struct.pack("!HHIIHH", 80, 40001, (IRS + 1) & 0xFFFF_FFFF, ISS + 1, 0x5038, 7)
    assert packet[20:36] == expected
    assert packet[38:40] == b"\0\2"
    assert packet[40:] == b"hi"
    assert packet[1] == 0x10
    assert packet[8] == 3
    assert packet[4:8] == b"\0\5\0\0"
    decode(packet)


def test_raw_options_and_reserved_bits_are_sent_as_they_are() -> None:
    packet = incoming("+0 < [reserved 5] . 1:1(0) ack 1 <mss 5,raw 0xfd00,nop>")
    assert packet[40:48] == b"\2\4\0\5\xfd\0\1\0"
    assert packet[32] == 0x7A


def test_ip_options_and_extension_headers_surround_the_segment() -> None:
    packet = incoming("+0 < [ipopt 0x940400] . 1:1(0) ack 1")
    assert packet[0] == 0x46
    assert packet[20:24] == b"\x94\4\0\0"
    packet = incoming("+0 < [hbh 0x0502, dstopt 0x010b] . 1:1(0) ack 1", version=6)
    assert packet[6] == 0
    assert packet[40:56] == b"\x3c\0\5\2\0\0\0\0\x06\0\1\x0b\0\0\0\0"


def test_spoilt_checksums_are_wrong() -> None:
    with pytest.raises(BadPacket, match="TCP checksum"):
        decode(incoming("+0 < [badsum] . 1:1(0) ack 1"))
    with pytest.raises(BadPacket, match="header checksum"):
        decode(incoming("+0 < [badipsum] . 1:1(0) ack 1"))


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_put_together_are_the_packet(version: int) -> None:
    host = FakeHost()
    local, remote = ("192.0.2.1", "192.0.2.2") if version == 4 else ("2001:db8::1", "2001:db8::2")
    kit = Driver(host, local, remote, iss=ISS, irs=IRS)
    kit.play("+0 < . 1:31(30) ack 1\n+0 < [frag 24] . 1:31(30) ack 1")
    whole = decode(host.received[0][1][0])[0]
    parts = [decode(packet)[0] for packet in host.received[1][1]]
    assert [(part.offset, part.more) for part in parts] == [(0, True), (24, True), (48, False)]
    assert b"".join(part.upper for part in parts) == whole.upper


def test_an_icmp_error_quotes_the_last_segment(kit: Driver, host: FakeHost) -> None:
    sent = ours(1, 1, payload=b"hello")
    host.at(0, sent)
    kit.play("+0 > *\n+0 < icmp unreachable port\n+0 < icmp frag_needed mtu 1000 [7:17(10)]")
    first, second = host.received[0][1][0], host.received[1][1][0]
    assert first[20:22] == b"\3\3"
    assert first[28:] == sent[:28]
    assert second[20:22] == b"\3\4"
    assert second[26:28] == struct.pack("!H", 1000)
    assert second[52:56] == struct.pack("!I", (ISS + 7) & 0xFFFF_FFFF)
    assert encode.ones_sum(first[20:]) == 0xFFFF


def test_an_icmpv6_error_has_its_own_numbers() -> None:
    packet = incoming("+0 < icmp frag_needed mtu 1400 [1:11(10)]", version=6)
    assert packet[40:42] == b"\2\0"
    assert packet[44:48] == struct.pack("!I", 1400)
    assert packet[48 + 40 : 48 + 44] == struct.pack("!HH", 40001, 80)
    decode(packet)


def test_an_echo_is_compared(kit: Driver, host: FakeHost) -> None:
    reply = encode.icmp(OURS, THEIRS, 0, 0, struct.pack("!HH", 7, 1), pattern(0, 8))
    host.at(0, encode.ip(OURS, THEIRS, encode.ICMP, reply))
    kit.play("+0 > icmp echo_reply id 7 seq 1 (8)")
    host.at(0, encode.ip(OURS, THEIRS, encode.ICMP, reply))
    fails(kit, "+0 > icmp echo_reply id 8 seq 1 (9)", "id: script 8, actual 7", "length")


def test_an_error_of_ours_must_quote_what_came_in(kit: Driver, host: FakeHost) -> None:
    def unreachable(packet: bytes) -> bytes:
        message = encode.icmp(OURS, THEIRS, 3, 3, bytes(4), packet[:quoted] + padding)
        return encode.ip(OURS, THEIRS, encode.ICMP, message)

    host.answer = unreachable
    script = "+0 < udp 5:53(10)\n+0 > icmp unreachable port"
    quoted, padding = 28, b""
    kit.play(script)
    quoted = 27
    fails(kit, script, "quotes less")
    quoted, padding = 0, bytes(28)
    fails(kit, script, "does not quote")
