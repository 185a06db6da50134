"""The kit must notice what no stack may ever send, whatever the script says."""

from __future__ import annotations

import struct

import pytest

from tests.kit.driver import Driver
from tests.kit.fake import IRS, ISS, OURS, SYN_LINE, SYN_OPTIONS, THEIRS, FakeHost, fails, ours
from tests.kit.flow import pattern
from tests.kit.packets import encode
from tests.kit.packets.decode import CHECKSUM_PARTIAL
from tests.kit.packets.encode import ACK, FIN, PSH, RST, SYN, URG


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def kit(host: FakeHost) -> Driver:
    return Driver(host, iss=ISS, irs=IRS)


def spoilt(at: int, value: int, packet: bytes | None = None) -> bytes:
    octets = bytearray(packet or ours(1, 1, payload=b"hello"))
    octets[at] ^= value
    return bytes(octets)


def summed(packet: bytes) -> bytes:
    """An IPv4 packet of ours with the TCP checksum made right again."""
    upper = packet[20:36] + b"\0\0" + packet[38:]
    return packet[:20] + encode.with_checksum(OURS, THEIRS, encode.TCP, upper, 16)


@pytest.mark.parametrize(
    ("packet", "complaint"),
    [
        (spoilt(40, 1), "wrong TCP checksum"),
        (spoilt(10, 1), "wrong IPv4 header checksum"),
        (spoilt(3, 1), "IPv4 total length"),
        (ours(1, 1) + b"\0", "IPv4 total length"),
        (spoilt(0, 0x20), "IPv6 length"),
        (spoilt(0, 0x10), "IP version 5"),
        (ours(1, 1, ttl=0), "TTL 0"),
        (summed(spoilt(32, 0x04)), "reserved bits"),
        (summed(spoilt(33, ACK)), "an ACK number without the ACK bit"),
        (summed(spoilt(39, 1)), "an urgent pointer without"),
        (ours(1, 1, options=b"\2\4\5\xb4"), "MSS without SYN"),
        (ours(1, 1, options=b"\x08\x0a\0\0"), "option kind 8 with length 10"),
        (ours(1, 1, options=b"\xfe\0\1\1"), "option kind 254 with length 0"),
        (ours(1, 1, options=b"\1\1\1\5"), "without a length"),
        (ours(1, 1, options=b"\1\0\0\1"), "behind EOL"),
        (ours(0, 0, FIN | SYN), "more than one of"),
        (ours(0, 0, RST | SYN), "more than one of"),
    ],
)
def test_a_faulty_packet_of_ours_fails(
    kit: Driver, host: FakeHost, packet: bytes, complaint: str
) -> None:
    host.at(0, packet)
    fails(kit, "+0 > *", complaint)


def test_octets_sent_again_must_be_the_same(kit: Driver, host: FakeHost) -> None:
    host.at(0, ours(1, 1, payload=b"hello"))
    host.at(0, ours(3, 1, payload=b"lLo"))
    fails(kit, "+0 > *\n+0 > *", "not the same octets")


def test_no_octet_may_be_skipped(kit: Driver, host: FakeHost) -> None:
    host.at(0, ours(1, 1, payload=b"hello"))
    host.at(0, ours(7, 1, payload=b"x"))
    fails(kit, "+0 > *\n+0 > *", "octets 6..6 were never sent")


def test_the_right_edge_must_not_move_left(kit: Driver, host: FakeHost) -> None:
    host.at(0, ours(1, 1, window=500))
    host.at(0, ours(1, 101, window=399))
    fails(kit, "+0 > *\n+0 > *", "right edge of the window moved left: 501 to 500")


def test_windows_are_scaled_only_when_both_offered_it() -> None:
    for offer, good in (("wscale 2", True), ("mss 1000", False)):
        host = FakeHost()
        kit = Driver(host, iss=ISS, irs=IRS)
        host.at(0, ours(0, flags=SYN, options=SYN_OPTIONS, window=500))
        host.answer = lambda packet: ours(1, 1, window=4)
        kit.play(f"{SYN_LINE}\n+0 < S. 0:0(0) ack 1 <{offer}>\n+0 > . 1:1(0) ack 1 win 4")
        host.answer = lambda packet: ours(1, 201, window=3)
        kit.play("+0 < . 1:201(200) ack 1")
        if good:
            kit.play("+0 > . 1:1(0) ack 201 win 3")  # 1 + 4 * 128 to 201 + 3 * 128
        else:
            kit.play("+0 > . 1:1(0) ack 201")


def test_a_super_segment_counts_as_its_pieces(kit: Driver, host: FakeHost) -> None:
    packet = bytearray(ours(1, 1, ACK | PSH, payload=pattern(0, 25), ident=7))
    pseudo = encode.pseudo_header(OURS, THEIRS, encode.TCP, len(packet) - 20)
    packet[36:38] = struct.pack("!H", encode.ones_sum(pseudo))
    host.at(0, bytes(packet), 10, CHECKSUM_PARTIAL)
    kit.play(
        """
        +0 > [id 7] .  1:11(10) ack 1
        +0 > [id 8] .  11:21(10) ack 1
        +0 > [id 9] P. 21:26(5) ack 1
        """
    )
    assert kit.default.sent == pattern(0, 25)


def test_a_wrong_pseudo_header_sum_fails(kit: Driver, host: FakeHost) -> None:
    host.at(0, ours(1, 1), 0, CHECKSUM_PARTIAL)
    fails(kit, "+0 > *", "pseudo-header sum")


def test_urgent_data_must_not_be_left_to_offload(kit: Driver, host: FakeHost) -> None:
    host.at(0, ours(1, 1, ACK | URG, payload=bytes(20), urgent=5), 10, 0)
    fails(kit, "+0 > *", "super-segment with URG")
