"""The kit itself: it must notice every way in which an exchange differs from its script."""

from __future__ import annotations

import struct

import pytest

from tests.kit.driver import START_US, Driver
from tests.kit.fake import IRS, ISS, OURS, SYN_LINE, SYN_OPTIONS, THEIRS, FakeHost, fails, ours
from tests.kit.flow import pattern
from tests.kit.notation import ScriptError, parse
from tests.kit.packets import encode
from tests.kit.packets.encode import ACK, PSH, SYN
from tests.kit.report import ScriptMismatch


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def kit(host: FakeHost) -> Driver:
    return Driver(host, iss=ISS, irs=IRS)


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
