"""The kit itself: it must notice every way in which an exchange differs from its script."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from ipaddress import ip_address

import pytest

from tests.kit import encode
from tests.kit.decode import CHECKSUM_PARTIAL, BadPacket, decode
from tests.kit.driver import START_US, Driver
from tests.kit.encode import ACK, FIN, PSH, RST, SYN, URG
from tests.kit.flow import pattern
from tests.kit.notation import ScriptError, parse
from tests.kit.report import ScriptMismatch

ISS, IRS = 0xFFFF_FFF0, 0xFFFF_FFFE
OURS, THEIRS = ip_address("192.0.2.1").packed, ip_address("192.0.2.2").packed
OURS6, THEIRS6 = ip_address("2001:db8::1").packed, ip_address("2001:db8::2").packed


class FakeHost:
    """Sends what a test has scheduled, and what its `answer` makes of each incoming packet."""

    def __init__(self) -> None:
        self.schedule: list[tuple[int, bytes, int, int]] = []
        self.received: list[tuple[int, list[bytes]]] = []
        self.answer: Callable[[bytes], bytes | None] = lambda packet: None
        self._now = START_US

    def at(self, seconds: float, packet: bytes, gso_size: int = 0, state: int = 0) -> None:
        self.schedule.append((START_US + round(seconds * 1e6), packet, gso_size, state))
        self.schedule.sort(key=lambda item: item[0])

    def receive(self, packets: Iterable[tuple[bytes, int, int]], now_us: int) -> None:
        came = [packet for packet, _gso, _state in packets]
        self.received.append((now_us, came))
        for packet in came:
            reply = self.answer(packet)
            if reply is not None:
                self.schedule.insert(0, (now_us, reply, 0, 0))

    def transmit(self, now_us: int) -> list[tuple[bytes, int, int]]:
        due = [item[1:] for item in self.schedule if item[0] <= now_us]
        self.schedule = [item for item in self.schedule if item[0] > now_us]
        return due

    def next_deadline(self) -> int:
        return self.schedule[0][0] if self.schedule else 0

    def on_time(self, now_us: int) -> None:
        assert now_us >= self._now
        self._now = now_us


def ours(
    seq: int, ack: int = 0, flags: int = ACK, window: int = 500, options: bytes = b"",
    payload: bytes = b"", urgent: int = 0, version: int = 4, **ip_fields: int,
) -> bytes:  # fmt: skip
    """A segment of ours: port 40001 to 80, numbers relative to ISS and IRS."""
    src, dst = (OURS, THEIRS) if version == 4 else (OURS6, THEIRS6)
    segment = encode.tcp(
        src, dst, 40001, 80, seq + ISS, ack + IRS if flags & ACK else 0, flags, window,
        options, payload, urgent=urgent,
    )  # fmt: skip
    return encode.ip(src, dst, encode.TCP, segment, **ip_fields)  # type: ignore[arg-type]


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def kit(host: FakeHost) -> Driver:
    return Driver(host, iss=ISS, irs=IRS)


SYN_OPTIONS = struct.pack("!BBH BB BBII B BBB", 2, 4, 1460, 4, 2, 8, 10, 777, 0, 1, 3, 3, 7)
SYN_LINE = "+0 > S 0:0(0) win 500 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>"


def test_an_exchange_as_in_the_script_passes(kit: Driver, host: FakeHost) -> None:
    host.at(0, ours(0, flags=SYN, options=SYN_OPTIONS))
    host.answer = lambda packet: ours(1, 1) if packet[33] & 2 else None
    host.at(0.25, ours(1, 1, ACK | PSH, payload=pattern(0, 10)))
    kit.play(
        f"""
        {SYN_LINE}
        +0.01   < S. 0:0(0) ack 1 win 65535 <mss 1460>   # a comment
        +0      > .  1:1(0) ack 1 win 500                // another
        +0.24   > P. 1:11(10) ack 1
        +0      < .  1:1(0) ack 11
        +5      quiet
        """
    )
    kit.finish()
    assert kit.now == pytest.approx(5.25)


def fails(kit: Driver, script: str, *words: str) -> str:
    with pytest.raises(ScriptMismatch) as failure:
        kit.play(script)
    text = str(failure.value)
    for word in words:
        assert word in text
    return text


def test_a_missing_segment_fails(kit: Driver) -> None:
    fails(kit, "+0 > . 1:1(0) ack 1", "line 1", "nothing was sent")


def test_an_extra_segment_fails(kit: Driver, host: FakeHost) -> None:
    host.at(0, ours(1, 1))
    host.at(0, ours(1, 1))
    fails(kit, "+0 > . 1:1(0) ack 1\n+1 quiet", "line 2", "nothing should be sent")


def test_a_segment_that_no_script_claimed_fails(kit: Driver, host: FakeHost) -> None:
    host.at(0, ours(1, 1))
    with pytest.raises(ScriptMismatch, match="nothing should be sent"):
        kit.finish()


def test_a_segment_between_two_lines_fails(kit: Driver, host: FakeHost) -> None:
    host.at(0.5, ours(1, 1))
    fails(kit, "+1 < . 1:1(0) ack 1", "nothing should be sent", "0.500000 > .  1:1(0) ack 1")


def test_a_segment_that_the_peer_did_not_wait_for_fails(kit: Driver, host: FakeHost) -> None:
    host.answer = lambda packet: ours(1, 1)
    fails(kit, "+0 < . 1:1(0) ack 1\n+0 < . 1:1(0) ack 1", "line 2", "nothing should be sent")


def test_unclaimed_segments_stop_a_raw_packet(kit: Driver, host: FakeHost) -> None:
    host.at(0, ours(1, 1))
    with pytest.raises(ScriptMismatch, match="unclaimed"):
        kit.inject(kit.segment(". 1:1(0) ack 1"))


def test_a_segment_too_early_fails(kit: Driver, host: FakeHost) -> None:
    host.at(0.199_999, ours(1, 1))
    fails(kit, "+0.2 > . 1:1(0) ack 1", "0.000001 s too early")


def test_a_segment_too_late_fails_and_is_shown(kit: Driver, host: FakeHost) -> None:
    host.at(0.200_001, ours(1, 1))
    fails(kit, "+0.2 > . 1:1(0) ack 1", "nothing was sent in time", "0.000001 s later")


@pytest.mark.parametrize("when", ["+0.2~0.01", "+0.19..0.21", "+200ms~10ms", "+.2~10000us"])
def test_a_tolerance_is_kept_at_both_ends(when: str) -> None:
    for sent, good in ((0.189_999, False), (0.19, True), (0.21, True), (0.210_001, False)):
        host = FakeHost()
        host.at(sent, ours(1, 1))
        kit = Driver(host, iss=ISS, irs=IRS)
        if good:
            kit.play(f"{when} > . 1:1(0) ack 1")
            assert kit.now == pytest.approx(sent)
        else:
            fails(kit, f"{when} > . 1:1(0) ack 1")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("P. 1:3(2) ack 1 win 500", "flags: script P., actual ."),
        (". 2:4(2) ack 1 win 500", "seq: script 2, actual 1"),
        (". 1:4(3) ack 1 win 500", "length: script 3, actual 2"),
        (". 1:3(2) ack 2 win 500", "ack: script 2, actual 1"),
        (". 1:3(2) ack 1 win 501", "win: script 501, actual 500"),
        (". 1:3(2) ack 1 win 501..600", "win: script 501..600, actual 500"),
        (". 1:3(2) ack 1 urg 1", "urg: script 1, actual 0"),
        (". 1:3(2) ack 1 <nop,nop>", "options: script nop,nop, actual none"),
        ('. 1:3(2) ack 1 "ab"', "data: script b'ab', actual b'hi'"),
        ("[tos 8] . 1:3(2) ack 1", "tos: script 8, actual 0"),
        ("[ce] . 1:3(2) ack 1", "tos: script 3, actual 0"),
        ("[ttl 63] . 1:3(2) ack 1", "ttl: script 63, actual 64"),
        ("[id 9] . 1:3(2) ack 1", "id: script 9, actual 0"),
        ("[nodf] . 1:3(2) ack 1", "df: script 0, actual 1"),
        ("[sport 7] . 1:3(2) ack 1", "sport: script 7, actual 40001"),
        ("icmp unreachable port", "protocol: script ICMP, actual 6"),
    ],
)
def test_each_field_is_compared(kit: Driver, host: FakeHost, line: str, what: str) -> None:
    host.at(0, ours(1, 1, payload=b"hi"))
    fails(kit, f"+0 > {line}", what)


@pytest.mark.parametrize(
    "line",
    [
        ". 1:3(2) ack 1",
        ". 1:3(2) ack 1 win *",
        ". 1:3(2) ack 1 win 400..500",
        ". 1:3(2) ack 1 win 500..",
        ". *:*(2) ack *",
        ". *:3(*) ack 1",
        ". =0xfffffff1:=0xfffffff3(2) ack =0xffffffff",
        '. 1:3(2) ack 1 "hi"',
        ". 1:3(2) ack 1 <...>",
        "[df, tos 0, ttl 64] . 1:3(2) ack 1",
        "*",
    ],
)
def test_what_may_vary_is_said_in_the_line(kit: Driver, host: FakeHost, line: str) -> None:
    host.at(0, ours(1, 1, payload=b"hi"))
    kit.play(f"+0 > {line}")


def test_tos_ttl_and_df_have_usual_values_unless_a_line_says_else(kit: Driver) -> None:
    for field in ({"tos": 4}, {"ttl": 63}, {"df": False}):
        host = FakeHost()
        host.at(0, ours(1, 1, **field))
        fails(Driver(host, iss=ISS, irs=IRS), "+0 > . 1:1(0) ack 1", next(iter(field)))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ("mss 1460,sackOK,TS val 100 ecr 1,nop,wscale 7", "TS: script 100 1, actual 100 0"),
        ("mss 1461,sackOK,TS val 100 ecr 0,nop,wscale 7", "mss: script 1461, actual 1460"),
        ("sackOK,mss 1460,TS val 100 ecr 0,nop,wscale 7", "options: script sackOK,mss"),
        ("mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 6", "wscale: script 6, actual 7"),
        ("mss 1460,sackOK,TS val 100 ecr 0,wscale 7", "options:"),
        ("mss 1460,sackOK", "options:"),
        ("mss 1460,TS val * ecr *,...", "options:"),
        ("", "options: script none"),
    ],
)
def test_options_are_compared_in_order(
    kit: Driver, host: FakeHost, options: str, what: str
) -> None:
    host.at(0, ours(0, flags=SYN, options=SYN_OPTIONS))
    fails(kit, f"+0 > S 0:0(0) <{options}>", what)


@pytest.mark.parametrize("options", ["mss 1460,...", "mss *,sackOK,TS val * ecr *,nop,wscale *"])
def test_options_may_be_left_open(kit: Driver, host: FakeHost, options: str) -> None:
    host.at(0, ours(0, flags=SYN, options=SYN_OPTIONS))
    kit.play(f"+0 > S 0:0(0) <{options}>")


def test_our_timestamps_count_from_the_first_that_a_line_named(kit: Driver, host: FakeHost) -> None:
    host.at(0, ours(0, flags=SYN, options=SYN_OPTIONS))
    stamp = struct.pack("!BBBBII", 1, 1, 8, 10, 777 + 250, 5)
    host.at(0.25, ours(1, 1, options=stamp))
    kit.play(
        f"""
        {SYN_LINE}
        +0     < S. 0:0(0) ack 1 <TS val 5 ecr 100>
        +0.25  > .  1:1(0) ack 1 <nop,nop,TS val 350 ecr 5>
        """
    )
    assert host.received[0][1][0].endswith(struct.pack("!BBII2x", 8, 10, 5, 777))


def test_sack_blocks_are_relative(kit: Driver, host: FakeHost) -> None:
    left, right = (IRS + 1001) & 0xFFFF_FFFF, (IRS + 2001) & 0xFFFF_FFFF
    host.at(0, ours(1, 1, options=struct.pack("!BBBBII", 1, 1, 5, 10, left, right)))
    kit.play(
        """
        +0 > . 1:1(0) ack 1 <nop,nop,sack 1001:2001>
        +0 < . 1:1(0) ack 1 <sack 5:9>
        """
    )
    came = host.received[0][1][0]
    assert came[42:50] == struct.pack("!II", (ISS + 5) & 0xFFFF_FFFF, (ISS + 9) & 0xFFFF_FFFF)


def test_a_segment_of_another_connection_fails(kit: Driver, host: FakeHost) -> None:
    host.at(0, ours(1, 1))
    segment = encode.tcp(OURS, THEIRS, 40002, 80, ISS + 1, IRS + 1, ACK, 500)
    host.at(0, encode.ip(OURS, THEIRS, encode.TCP, segment))
    fails(kit, "+0 > . 1:1(0) ack 1\n+0 > . 1:1(0) ack 1", "line 2", "4-tuple")


def test_connections_have_names(kit: Driver, host: FakeHost) -> None:
    kit.flow("b", remote_port=81)
    segment = encode.tcp(OURS, THEIRS, 40002, 81, ISS + 1, IRS + 1, ACK, 500)
    host.at(0, encode.ip(OURS, THEIRS, encode.TCP, segment))
    host.at(0, ours(1, 1))
    kit.play("+0 b> . 1:1(0) ack 1\n+0 > . 1:1(0) ack 1\n+0 b< . 1:1(0) ack 1")
    assert host.received[0][1][0][20:24] == struct.pack("!HH", 81, 40002)


def test_packets_marked_with_an_ampersand_come_in_together(kit: Driver, host: FakeHost) -> None:
    kit.play("+1 < . 1:11(10) ack 1\n& < . 11:21(10) ack 1\n+0 < . 21:31(10) ack 1")
    assert [len(batch) for _now, batch in host.received] == [2, 1]
    assert host.received[0][1][1].endswith(pattern(10, 10))


def test_functions_are_called_at_their_time(kit: Driver) -> None:
    seen = []
    kit.play("+0.5 call note\n+0.5 quiet", note=lambda: seen.append(kit.now))
    assert seen == [0.5]


def test_a_deadline_that_never_moves_is_reported(kit: Driver, host: FakeHost) -> None:
    host.next_deadline = lambda: START_US  # type: ignore[method-assign]
    fails(kit, "+1 quiet", "next_deadline() stays")


def test_a_transmit_that_never_ends_is_reported(kit: Driver, host: FakeHost) -> None:
    host.transmit = lambda now_us: [(ours(1, 1), 0, 0)]  # type: ignore[method-assign]
    fails(kit, "+0 > *", "never gets empty")


# -- what must never be sent ------------------------------------------------------------------


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


# -- what comes in ----------------------------------------------------------------------------


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


# -- scripts that make no sense -----------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        "0.1 > . 1:1(0) ack 1",
        "+0.1",
        "+0.0000001 quiet",
        "+0 > X 1:1(0)",
        "+0 > . 1:2(0) ack 1",
        "+0 > . 1:1(0)",
        "+0 > S 1:1(0) ack 1",
        "+0 > . 1:1(0) ack 1 <mss>",
        "+0 > . 1:1(0) ack 1 <foo 1>",
        "+0 > . 1:1(0) ack 1 <...,nop>",
        "+0 > [foo 1] . 1:1(0) ack 1",
        "+0..1 < . 1:1(0) ack 1",
        "& > . 1:1(0) ack 1",
        "+0 < icmp nonsense_of_some kind",
    ],
)
def test_nonsense_is_refused(script: str) -> None:
    with pytest.raises(ScriptError, match="line 1"):
        parse(script)


def test_the_peer_can_only_send_exact_numbers(kit: Driver) -> None:
    with pytest.raises(ScriptError):
        kit.play("+0 < . 1:1(0) ack *")
