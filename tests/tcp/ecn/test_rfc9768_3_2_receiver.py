"""RFC 9768 §3.2: marks are told in the ACE field and in an option, on paths that tamper too."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.ecn.accecn_peer import MSS, TOLD, ace, asked, asking, counters, ssthresh

pytestmark = pytest.mark.host(tcp_ecn=3, tcp_congestion_control="reno")


# -- a way that tampers (§3.2.2.3, §3.2.2.4, §3.2.3.2.4) -------------------------------------------


@pytest.mark.requirement("RFC9768-S3.2.2.3-1")
@pytest.mark.parametrize("field", [1, 2, 3])
def test_when_our_syn_comes_with_another_field_than_it_left_with_nothing_is_ect(
    tcp: Tcp, field: int
) -> None:
    sock = asking(tcp, answer=TOLD[field], ect=False)
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0   > P.EA 1:6(5) ack 1
        +0.1 < [ce] P.EA 1:11(10) ack 6
        +0   > .WA 6:6(0) ack 11
        """
    )


@pytest.mark.requirement("RFC9768-S3.2.2.3-1")
@pytest.mark.parametrize("flags", ["EW", "A", "WA"])
def test_when_our_syn_ack_comes_with_another_field_nothing_is_ect(tcp: Tcp, flags: str) -> None:
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < SEWA 0:0(0) win 65535 <mss 1460>
        +0   > S.W  0:0(0) ack 1 <...>
        +0.1 < .{flags} 1:1(0) ack 1
        """
    )
    listener.accept()[0].send(tcp.data(5))
    tcp.play("+0 > P.EA 1:6(5) ack 1")


@pytest.mark.parametrize("flags", ["E", "EA", "EWA"])
def test_codes_without_a_meaning_are_no_reason_for_distrust(tcp: Tcp, flags: str) -> None:
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < SEWA 0:0(0) win 65535 <mss 1460>
        +0   > S.W  0:0(0) ack 1 <...>
        +0.1 < .{flags} 1:1(0) ack 1
        """
    )
    sock = listener.accept()[0]
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0   > [ect0] P.EA 1:6(5) ack 1
        +0.1 < .EA 1:1(0) ack 6
        """
    )
    assert ssthresh(sock) > 10_000


@pytest.mark.requirement("RFC9768-S3.2.2.4-1")
def test_when_the_first_ack_has_no_flags_nothing_is_ect(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0   < SEWA 0:0(0) win 65535 <mss 1460>
        +0   > S.W  0:0(0) ack 1 <...>
        +0.1 < .    1:1(0) ack 1
        """
    )
    listener.accept()[0].send(tcp.data(5))
    tcp.play("+0 > P.EA 1:6(5) ack 1")


@pytest.mark.requirement("RFC9768-S3.2.2.4-1")
def test_when_the_first_segment_after_the_syn_ack_has_no_flags_nothing_is_ect(tcp: Tcp) -> None:
    sock = asking(tcp)
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0   > [ect0] P.EA 1:6(5) ack 1
        +0.1 < . 1:1(0) ack 6
        """
    )
    sock.send(tcp.data(5, 5))
    tcp.play("+0..1 > P.EA 6:11(5) ack 1")


@pytest.mark.requirement("RFC9768-S3.2.3.2.4-1")
def test_an_option_of_zeros_is_not_believed(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < SEWA 0:0(0) win 65535 <mss 1460>
        +0   > S.W  0:0(0) ack 1 <...>
        +0.1 < .W   1:1(0) ack 1 <{counters(0, 0, 0)}>
        """
    )
    sock = listener.accept()[0]
    sock.send(tcp.data(2 * MSS))
    tcp.play(
        f"""
        +0   > [ect0] .EA  1:1461(1460) ack 1
        +0   > [ect0] P.EA 1461:2921(1460) ack 1
        +0.1 < .EA 1:1(0) ack 2921 <{counters(2920, 0, 0)}>
        """
    )
    assert ssthresh(sock) > 10_000
    assert sock.tcp_info().tcpi_accecn_opt_seen == 3


@pytest.mark.requirement("RFC9768-S3.2.3.2.2-1")
def test_text_that_does_not_arrive_is_repeated_without_the_option(tcp: Tcp) -> None:
    """§3.2.3.2.2."""
    sock = asked(tcp, option=True)
    sock.send(tcp.data(5))
    tcp.play(
        f"""
        +0      > [ect0] P.EA 1:6(5) ack 1 <{counters()}>
        +0.2..2 > [ect0] P.EA 1:6(5) ack 1
        +0.1    < .EA 1:1(0) ack 6 <{counters(0, 6)}>
        """
    )
    sock.send(tcp.data(5, 5))
    tcp.play("+0 > [ect0] P.EA 6:11(5) ack 1")


@pytest.mark.host(tcp_ecn_fallback=0)
@pytest.mark.parametrize("field", [1, 2, 3])
def test_with_tcp_ecn_fallback_0_a_way_that_tampers_is_trusted(tcp: Tcp, field: int) -> None:
    sock = asking(tcp, answer=TOLD[field])
    sock.send(tcp.data(5))
    tcp.play("+0 > [ect0] P.EA 1:6(5) ack 1")


@pytest.mark.host(tcp_ecn_option=3)
def test_with_tcp_ecn_option_3_repeated_text_keeps_the_option(tcp: Tcp) -> None:
    sock = asked(tcp, option=True)
    sock.send(tcp.data(5))
    tcp.play(
        f"""
        +0      > [ect0] P.EA 1:6(5) ack 1 <{counters()}>
        +0.2..2 > [ect0] P.EA 1:6(5) ack 1 <{counters()}>
        """
    )


@pytest.mark.requirement("RFC9768-S3.2.3.2.2-1")
@pytest.mark.parametrize("setting", [2, 3])
def test_acks_with_the_option_that_do_not_arrive_twice_go_without(tcp: Tcp, setting: int) -> None:
    """§3.2.3.2.2: the same text comes a third time."""
    tcp.host.sysctl("tcp_ecn_option", setting)
    listener = tcp.listen()
    offer = "mss 1460,sackOK"
    option = f"{counters(0, 11)},nop,nop,sack 1:11"
    third = option if setting == 3 else "nop,nop,sack 1:11"
    tcp.play(
        f"""
        +0   < SEWA 0:0(0) win 65535 <{offer}>
        +0   > S.W  0:0(0) ack 1 <mss 1460,{counters()},nop,nop,sackOK>
        +0.1 < .W   1:1(0) ack 1 <{counters()}>
        +0   < [ect0] P.EA 1:11(10) ack 1
        +0   > [ect0] .EA 1:1(0) ack 11 <{counters(0, 11)}>
        +1   < P.EA 1:11(10) ack 1
        +0   > [ect0] .EA 1:1(0) ack 11 <{option}>
        +1   < P.EA 1:11(10) ack 1
        +0   > [ect0] .EA 1:1(0) ack 11 <{third}>
        """
    )
    sock = listener.accept()[0]
    sock.send(tcp.data(1460))  # its room is free again
    if setting == 2:
        tcp.play("+0 > [ect0] P.EA 1:1461(1460) ack 11")
    else:
        tcp.play(
            f"""
            +0 > [ect0] .EA  1:1449(1448) ack 11 <{counters(0, 11)}>
            +0 > [ect0] P.EA 1449:1461(12) ack 11 <{counters(0, 11)}>
            """
        )


# -- as receiver: the ACE field (§3.2.2) -----------------------------------------------------------


@pytest.mark.requirement("RFC9768-S3.2.2-1")
def test_the_field_counts_marks_from_five_on_and_goes_round(tcp: Tcp) -> None:
    _ = asked(tcp)
    at = 1
    for number in range(6, 16):
        tcp.play(
            f"""
            +0.1 < [ce] P.EA {at}:{at + 10}(10) ack 1
            +0   > [ect0] .{ace(number)} 1:1(0) ack {at + 10}
            """
        )
        at += 10
    tcp.play(
        f"""
        +0.1 < [ect0] P.EA {at}:{at + 10}(10) ack 1
        +0   > [ect0] .{ace(15)} 1:1(0) ack {at + 10}
        """
    )


@pytest.mark.requirement("RFC9768-S3.2.2-1")
def test_text_of_ours_tells_the_count_as_well(tcp: Tcp) -> None:
    sock = asked(tcp)
    tcp.play(
        """
        +0.1 < [ce] P.EA 1:11(10) ack 1
        +0   > [ect0] .WA 1:1(0) ack 11
        """
    )
    sock.send(tcp.data(5))
    tcp.play("+0 > [ect0] P.WA 1:6(5) ack 11")


def test_cwr_is_but_a_digit_and_does_not_end_anything(tcp: Tcp) -> None:
    _ = asked(tcp)
    tcp.play(
        """
        +0.1 < [ce]   P.EA  1:11(10) ack 1
        +0   > [ect0] .WA 1:1(0) ack 11
        +0.1 < [ect0] P.EWA 11:21(10) ack 1
        +0   > [ect0] .WA 1:1(0) ack 21
        """
    )


@pytest.mark.requirement("RFC9768-S3.2.2.5.1-1")
def test_every_second_mark_is_told_at_once(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.setsockopt(6, 12, 0)  # TCP_QUICKACK: ACKs are delayed
    tcp.play(
        """
        +0    < [ce] P.EA 1:11(10) ack 1
        +0    > [ect0] .WA 1:1(0) ack 11
        +0    < [ce] P.EA 11:21(10) ack 1
        &     < [ce] P.EA 21:31(10) ack 1
        &     < [ce] P.EA 31:41(10) ack 1
        &     < [ce] P.EA 41:51(10) ack 1
        +0    > [ect0] .  1:1(0) ack 31
        +0    > [ect0] .W 1:1(0) ack 51
        """
    )


@pytest.mark.requirement("RFC9768-S3.2.2.5.1-1", "RFC9768-S3.2.3.3-1")
def test_the_first_mark_after_none_is_told_at_once(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.setsockopt(6, 12, 0)
    tcp.play(
        """
        +0    < [ect0] P.EA 1:11(10) ack 1
        +0.01 < [ce]   P.EA 11:21(10) ack 1
        +0    > [ect0] .WA 1:1(0) ack 21
        +0.01 < [ect0] P.EA 21:31(10) ack 1
        +0    > [ect0] .WA 1:1(0) ack 31
        +0.01 < [ect0] P.EA 31:41(10) ack 1
        +0.04 > [ect0] .WA 1:1(0) ack 41
        """
    )


@pytest.mark.requirement("RFC9768-S3.2.2.5.1-1")
def test_marks_on_pure_acks_count_and_are_told_after_three(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.send(tcp.data(3 * MSS))
    tcp.take()
    tcp.play(
        """
        +0.1 < [ce] .EA 1:1(0) ack 1461
        +0   < [ce] .EA 1:1(0) ack 2921
        +0.1 quiet
        +0   < [ce] .EA 1:1(0) ack 4381
        +0   > [ect0] . 4381:4381(0) ack 1
        """
    )


@pytest.mark.variants("ipv4-wrap-offload")
def test_a_run_that_offload_brings_counts_as_its_segments(tcp: Tcp) -> None:
    _ = asked(tcp, option=True)
    tcp.play(
        f"""
        +0 < [ce, gso 1460] .EA 1:4381(4380) ack 1
        +0 > [ect0] . 1:1(0) ack 4381 <{counters(4380)}>
        """
    )


def test_segments_with_the_digit_of_cwr_leave_one_by_one(tcp: Tcp) -> None:
    """A run's cutter would clear it on all but the first."""
    sock = asked(tcp)
    tcp.play(
        """
        +0 < [ce] P.EA 1:11(10) ack 1
        +0 > [ect0] .WA 1:1(0) ack 11
        """
    )
    sock.send(tcp.data(3 * MSS))
    tcp.play(
        """
        +0 > [ect0] .WA  1:1461(1460) ack 11
        +0 > [ect0] .WA  1461:2921(1460) ack 11
        +0 > [ect0] P.WA 2921:4381(1460) ack 11
        """
    )


# -- as receiver: the option (§3.2.3) --------------------------------------------------------------


@pytest.mark.requirement("RFC9768-S3.2.1-1", "RFC9768-S3.2.3-1")
def test_the_option_counts_the_text_of_each_codepoint(tcp: Tcp) -> None:
    _ = asked(tcp, option=True)
    tcp.play(
        f"""
        +0.1 < [ect0] P.EA 1:11(10) ack 1
        +0   > [ect0] .EA 1:1(0) ack 11 <{counters(0, 11)}>
        +0.1 < [ect1] P.EA 11:31(20) ack 1
        +0   > [ect0] .EA 1:1(0) ack 31 <{counters(0, 11, 21)}>
        +0.1 < [ce]   P.EA 31:61(30) ack 1
        +0   > [ect0] .WA 1:1(0) ack 61 <{counters(30, 11, 21)}>
        +0.1 < P.EA 61:101(40) ack 1
        +0   > [ect0] .WA 1:1(0) ack 101 <{counters(30, 11, 21)}>
        """
    )


def test_its_room_is_counted_in_the_segments_that_we_send(tcp: Tcp) -> None:
    sock = asked(tcp, option=True)
    sock.send(tcp.data(2000))
    tcp.play(
        f"""
        +0 > [ect0] .EA  1:1449(1448) ack 1 <{counters()}>
        +0 > [ect0] P.EA 1449:2001(552) ack 1 <{counters()}>
        """
    )


@pytest.mark.requirement("RFC9768-S3.2.3-1")
def test_sack_blocks_come_first_but_the_third_gives_way_to_news(tcp: Tcp) -> None:
    """As in Linux."""
    listener = tcp.listen()
    stamp = "nop,nop,TS val 200 ecr 107"
    tcp.play(
        f"""
        +0   < SEWA 0:0(0) win 65535 <mss 1460,sackOK,TS val 7 ecr 0>
        +0   > S.W  0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 7,{counters()}>
        +0.1 < .W   1:1(0) ack 1 <nop,nop,TS val 107 ecr 100,{counters()}>
        +0   < [ect0] P.EA 11:21(10) ack 1 <nop,nop,TS val 107 ecr 100>
        +0   > [ect0] .EA 1:1(0) ack 1 <{stamp},{counters(0, 11)},nop,nop,sack 11:21>
        +0   < [ect0] P.EA 31:41(10) ack 1 <nop,nop,TS val 107 ecr 100>
        +0   > [ect0] .EA 1:1(0) ack 1 <{stamp},raw 0xac08000015000000,nop,nop,sack 31:41 11:21>
        +0   < [ect0] P.EA 51:61(10) ack 1 <nop,nop,TS val 107 ecr 100>
        +0   > [ect0] .EA 1:1(0) ack 1 <{stamp},raw 0xac0800001f000000,nop,nop,sack 51:61 31:41>
        +0   < P.EA 71:81(10) ack 1 <nop,nop,TS val 107 ecr 100>
        +0   > [ect0] .EA 1:1(0) ack 1 <{stamp},nop,nop,sack 71:81 51:61 31:41>
        +0   < [ect1] P.EA 1:11(10) ack 1 <nop,nop,TS val 107 ecr 100>
        +0   > [ect0] .EA 1:1(0) ack 21 <{stamp},raw 0xae0800000b000000,nop,nop,sack 71:81 51:61>
        """
    )
    assert listener.accept()


@pytest.mark.host(tcp_ecn_option=1)
def test_with_tcp_ecn_option_1_the_option_comes_when_it_has_news(tcp: Tcp) -> None:
    sock = asked(tcp, option=True)
    sock.send(tcp.data(5))
    tcp.play(
        f"""
        +0    > [ect0] P.EA 1:6(5) ack 1 <{counters()}>
        +0.1  < .EA 1:1(0) ack 6
        +0    < [ect0] P.EA 1:11(10) ack 6
        +0    > [ect0] .EA 6:6(0) ack 11 <{counters(0, 11)}>
        +0.01 < [ect0] P.EA 11:21(10) ack 6
        +0    > [ect0] .EA 6:6(0) ack 21
        +0.01 < [ce] P.EA 21:31(10) ack 6
        +0    > [ect0] .WA 6:6(0) ack 31 <{counters(10, 21)}>
        +0.01 < [ce] P.EA 31:41(10) ack 6
        +0    > [ect0] .EWA 6:6(0) ack 41 <{counters(20, 21)}>
        """
    )


@pytest.mark.requirement("RFC9768-S3.2.3.3-1")
@pytest.mark.host(tcp_ecn_option=1)
@pytest.mark.parametrize(("beacon", "apart_s"), [(1, 0.11), (3, 0.04), (0, 60)])
def test_tcp_ecn_option_beacon_says_how_often_at_least(
    tcp: Tcp, beacon: int, apart_s: float
) -> None:
    """Per round trip, here of 0.1 s."""
    tcp.host.sysctl("tcp_ecn_option_beacon", beacon)
    sock = asked(tcp, option=True)
    sock.send(tcp.data(5))
    tcp.take()
    tcp.play(
        f"""
        +0.1  < .EA 1:1(0) ack 6
        +0    < [ect0] P.EA 1:11(10) ack 6
        +0    > [ect0] .EA 6:6(0) ack 11 <{counters(0, 11) if beacon else ""}>
        +0.02 < [ect0] P.EA 11:21(10) ack 6
        +0    > [ect0] .EA 6:6(0) ack 21
        """
    )
    tcp.play(
        f"""
        +{apart_s} < [ect0] P.EA 21:31(10) ack 6
        +0         > [ect0] .EA 6:6(0) ack 31 <{counters(0, 31) if beacon else ""}>
        """
    )


@pytest.mark.requirement("RFC9768-S3.2.3.3-2")
@pytest.mark.host(tcp_ecn_option=1, tcp_ecn_option_beacon=0)
@pytest.mark.variants("ipv4-wrap-offload")
def test_a_counter_that_moved_by_4_mib_is_told_at_any_rate(tcp: Tcp) -> None:
    """§3.2.3.3: so that none goes half round unseen."""
    sock = asked(tcp, option=True)
    told = at = 0
    while at < 3 << 22:
        text = f".EA {1 + at}:{58401 + at}(58400) ack 1"
        tcp.inject(tcp.segment(text, ecn=2), gso_size=1460)
        at += 58400
        sock.recv(1 << 16)
        told += sum(bool(packet.options) for packet in tcp.run(0.1))
    assert told == 3
