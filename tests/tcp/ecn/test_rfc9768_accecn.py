"""RFC 9768: accurate ECN feedback, negotiated, told in the ACE field and in the option.

The connections have neither timestamps nor SACK but where it says so. The flags of a segment after
the handshake are a number: A is 4, W is 2, E is 1.
"""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import pytest

from pystack.cc.reno import Reno
from pystack.path.faults import Cut, Loss
from pystack.path.link import Delay, Link
from pystack.sockets import Host
from tests.kit.builds import patches_the_core
from tests.kit.pair import Pair
from tests.kit.tcp import SECRET, Tcp

MSS = 1460
TOLD = {0: "W", 1: "EW", 2: "A", 3: "WA"}  # the ECN field that a SYN came with

pytestmark = pytest.mark.host(tcp_ecn=3, tcp_congestion_control="reno")


def ace(number: int) -> str:
    """The letters of the ACE field."""
    return "".join(letter for letter, bit in (("E", 1), ("W", 2), ("A", 4)) if number % 8 & bit)


def counters(ceb: int = 0, e0b: int = 1, e1b: int = 1) -> str:
    """The option with all three, as Linux writes it."""
    return f"raw 0xae0b{e1b:06x}{ceb:06x}{e0b:06x},nop"


def asked(tcp: Tcp, *, option: bool = False) -> Any:
    """The peer has opened and asked for accurate feedback; `option`: it uses the option."""
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < SEWA 0:0(0) win 65535 <mss 1460>
        +0   > S.W  0:0(0) ack 1 <mss 1460,{counters()}>
        +0.1 < .W   1:1(0) ack 1 <{counters() if option else ""}>
        +0   quiet
        """
    )
    return listener.accept()[0]


def asking(tcp: Tcp, *, field: int = 0, option: bool = False, answer: str = "W") -> Any:
    """We have opened, asked, and the peer has agreed in a SYN,ACK with that ECN field."""
    sock = tcp.connect()
    offer = f",{counters()}" if option else ""
    tcp.play(
        f"""
        +0   > SEWA 0:0(0) <...>
        +0.1 < [tos {field}] S.{answer} 0:0(0) ack 1 win 65535 <mss 1460{offer}>
        +0   > .{TOLD[field]} 1:1(0) ack 1 <{counters() if option else ""}>
        """
    )
    return sock


def ssthresh(sock: Any) -> int:
    """In segments; a large number while nothing has cut it."""
    return int(sock.tcp_info().tcpi_snd_ssthresh)


# -- the handshake, we answering (§3.1) ------------------------------------------------------------


@pytest.mark.requirement("RFC9768-S3.1.1-1")
@pytest.mark.parametrize("setting", [3, 4, 5])
@pytest.mark.parametrize("field", TOLD)
def test_the_syn_ack_tells_which_ecn_field_the_syn_had(tcp: Tcp, field: int, setting: int) -> None:
    tcp.host.sysctl("tcp_ecn", setting)
    tcp.listen()
    tcp.play(
        f"""
        +0 < [tos {field}] SEWA 0:0(0) win 65535 <mss 1460>
        +0 > S.{TOLD[field]} 0:0(0) ack 1 <mss 1460,{counters()}>
        """
    )


def test_the_option_of_the_syn_ack_comes_behind_timestamps(tcp: Tcp) -> None:
    tcp.listen()
    tcp.play(
        f"""
        +0 < SEWA 0:0(0) win 65535 <mss 1460,sackOK,TS val 7 ecr 0,nop,wscale 7>
        +0 > S.W 0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 7,{counters()},nop,wscale 7>
        """
    )


@pytest.mark.parametrize("flags", ["E", "W", "A", "EA", "WA"])
def test_a_request_of_a_later_version_is_answered_as_this_one(tcp: Tcp, flags: str) -> None:
    """§3.1.3: any other combination than none and RFC 3168's."""
    tcp.listen()
    tcp.play(
        f"""
        +0 < S{flags} 0:0(0) win 65535 <mss 1460>
        +0 > S.W 0:0(0) ack 1 <mss 1460,{counters()}>
        """
    )


@pytest.mark.requirement("RFC9768-S3.1.2-1")
@pytest.mark.parametrize("setting", [3, 4, 5])
def test_a_request_of_rfc_3168_gets_its_answer(tcp: Tcp, setting: int) -> None:
    tcp.host.sysctl("tcp_ecn", setting)
    sock = tcp.established(ecn=True)
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0   > [ect0] P. 1:6(5) ack 1
        +0.1 < [ce] P. 1:11(10) ack 6
        +0   > .E 6:6(0) ack 11
        """
    )


@pytest.mark.parametrize("setting", [1, 2])
def test_who_does_not_know_it_answers_as_in_rfc_3168(tcp: Tcp, setting: int) -> None:
    tcp.host.sysctl("tcp_ecn", setting)
    tcp.listen()
    tcp.play(
        """
        +0 < SEWA 0:0(0) win 65535 <mss 1460>
        +0 > S.E 0:0(0) ack 1 <mss 1460>
        """
    )


@pytest.mark.host(tcp_ecn_option=0)
def test_without_the_option_the_flags_alone_answer(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < SEWA 0:0(0) win 65535 <mss 1460>
        +0   > S.W  0:0(0) ack 1 <mss 1460>
        +0.1 < .W   1:1(0) ack 1 <{counters()}>
        +0   < [ce] P.EA 1:11(10) ack 1 <{counters()}>
        +0   > .WA 1:1(0) ack 11
        """
    )
    assert listener.accept()[0].tcp_info().tcpi_received_ce == 1


def test_the_syn_ack_is_repeated_without_the_option_then_without_flags(tcp: Tcp) -> None:
    """§3.2.3.2.2: one of them may be what does not get through. Then nothing is ECT (§3.1.5)."""
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < SEWA 0:0(0) win 65535 <mss 1460>
        +0   > S.W  0:0(0) ack 1 <mss 1460,{counters()}>
        +1   > S.W  0:0(0) ack 1 <mss 1460>
        +2   > S.   0:0(0) ack 1 <mss 1460>
        +0.1 < .W   1:1(0) ack 1
        """
    )
    listener.accept()[0].send(tcp.data(5))
    tcp.play("+0 > P.EA 1:6(5) ack 1")


def test_a_repeat_of_the_syn_that_asks_for_nothing_gets_nothing(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < SEWA 0:0(0) win 65535 <mss 1460>
        +0   > S.W  0:0(0) ack 1 <mss 1460,{counters()}>
        +0.5 < S    0:0(0) win 65535 <mss 1460>
        +0   > S.   0:0(0) ack 1 <mss 1460>
        +0.1 < .    1:1(0) ack 1
        """
    )
    listener.accept()[0].send(tcp.data(5))
    tcp.play("+0 > P.EA 1:6(5) ack 1")  # the mode stays (§3.1.5)


def test_what_is_not_acceptable_before_the_handshake_ends_is_answered_with_the_first_count(
    tcp: Tcp,
) -> None:
    tcp.listen()
    tcp.play(
        f"""
        +0 < SEWA 0:0(0) win 65535 <mss 1460>
        +0 > S.W  0:0(0) ack 1 <mss 1460,{counters()}>
        +0 < .    900001:900001(0) ack 1
        +0 > .EA  1:1(0) ack 1
        """
    )


# -- the handshake, we asking ----------------------------------------------------------------------


@pytest.mark.requirement("RFC9768-S3.1.1-1", "RFC9768-S3.2.2-1")
@pytest.mark.parametrize("field", TOLD)
def test_our_syn_asks_with_three_flags_and_our_ack_tells_the_field_of_the_syn_ack(
    tcp: Tcp, field: int
) -> None:
    sock = asking(tcp, field=field)
    sock.send(tcp.data(5))
    count = 6 if field == 3 else 5  # §3.2.2.2: that mark is counted
    tcp.play(f"+0 > [ect0] P.{ace(count)} 1:6(5) ack 1")


@pytest.mark.requirement("RFC9768-S3.1.2-1")
@pytest.mark.parametrize("flags", ["S.E", "S.EA"])
def test_an_answer_of_rfc_3168_or_of_the_nonce_leads_to_classic_ecn(tcp: Tcp, flags: str) -> None:
    sock = tcp.connect()
    tcp.play(
        f"""
        +0   > SEWA 0:0(0) <...>
        +0.1 < {flags} 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .  1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0   > [ect0] P. 1:6(5) ack 1
        +0.1 < [ce] P. 1:11(10) ack 6
        +0   > .E 6:6(0) ack 11
        +0.1 < P.W 11:21(10) ack 6
        +0   > . 6:6(0) ack 21
        """
    )


@pytest.mark.requirement("RFC9768-S3.1.2-1")
@pytest.mark.parametrize("flags", ["S.", "S.EWA"])
def test_no_answer_or_an_echo_of_the_request_leads_to_none(tcp: Tcp, flags: str) -> None:
    sock = tcp.connect()
    tcp.play(
        f"""
        +0   > SEWA 0:0(0) <...>
        +0.1 < {flags} 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .  1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0   > P. 1:6(5) ack 1
        +0.1 < [ce] P. 1:11(10) ack 6
        +0   > . 6:6(0) ack 11
        """
    )


@pytest.mark.host(tcp_ecn=4)
def test_tcp_ecn_4_asks_as_in_rfc_3168(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play("+0 > SEW 0:0(0) <...>")


@pytest.mark.host(tcp_ecn=5)
def test_tcp_ecn_5_does_not_ask(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play("+0 > S 0:0(0) <...>")


def test_who_is_silent_is_asked_twice(tcp: Tcp) -> None:
    """§3.1.4.1. Having sent a SYN without, we send nothing ECT though the peer agrees (§3.1.5)."""
    sock = tcp.connect()
    tcp.play(
        """
        +0   > SEWA 0:0(0) <...>
        +1   > SEWA 0:0(0) <...>
        +1   > S    0:0(0) <...>
        +0.1 < S.W  0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .W   1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0   > P.EA 1:6(5) ack 1
        +0.1 < [ce] P.EA 1:11(10) ack 6
        +0   > .WA 6:6(0) ack 11
        """
    )


def test_the_ack_that_tells_of_the_syn_ack_does_not_ride_on_text(tcp: Tcp) -> None:
    """§3.2.2.1: it is a pure ACK."""
    sock = tcp.connect()
    tcp.play(
        """
        +0   > SEWA 0:0(0) <...>
        +0.1 < S.W  0:0(0) ack 1 win 65535 <mss 1460>
        """
    )
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0   > .W 1:1(0) ack 1
        +0   > [ect0] P.EA 1:6(5) ack 1
        """
    )


def test_a_syn_ack_that_comes_again_is_told_of_again(tcp: Tcp) -> None:
    sock = asking(tcp, field=0)
    tcp.play(
        """
        +1   < [ce] S.W 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .WA 1:1(0) ack 1
        +1   < [ce] S.W 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .WA 1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play("+0 > [ect0] P.WA 1:6(5) ack 1")  # one mark is counted


@pytest.mark.parametrize("what", ["text", "text ahead", "fin"])
def test_when_its_ack_is_held_back_no_other_segment_tells_of_a_syn_ack(tcp: Tcp, what: str) -> None:
    sock = asking(tcp)
    tcp.play(
        """
        +0   < S.W 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .W 1:1(0) ack 1
        +0   < S.W 0:0(0) ack 1 win 65535 <mss 1460>
        +0.1 quiet
        """
    )
    if what == "fin":
        sock.shutdown(1)
        tcp.play("+0 > F.EA 1:1(0) ack 1")
    else:
        start = 1 if what == "text" else 11
        tcp.play(
            f"""
            +0   < P.EA {start}:{start + 10}(10) ack 1
            +0   > .EA 1:1(0) ack {11 if what == "text" else 1}
            """
        )


@pytest.mark.parametrize(("setting", "first"), [(1, "S.E"), (3, "S.W")])
def test_a_syn_ack_that_comes_again_and_does_not_agree_ends_ect(
    tcp: Tcp, setting: int, first: str
) -> None:
    tcp.host.sysctl("tcp_ecn", setting)
    sock = tcp.connect()
    tcp.play(
        f"""
        +0   > {"SEW" if setting == 1 else "SEWA"} 0:0(0) <...>
        +0.1 < {first} 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > {"." if setting == 1 else ".W"} 1:1(0) ack 1
        +1   < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > {"." if setting == 1 else ".W"} 1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play(f"+0 > {'P.' if setting == 1 else 'P.EA'} 1:6(5) ack 1")


def test_two_that_open_at_the_same_time_agree_on_it(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        f"""
        +0   > SEWA 0:0(0) <...>
        +0   < [ect0] SEWA 0:0(0) win 65535 <mss 1460>
        +0   > S.A  0:0(0) ack 1 <mss 1460,{counters()}>
        +0.1 < [ect0] S.W 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .A   1:1(0) ack 1
        +0   < .W   1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play("+0 > [ect0] P.EA 1:6(5) ack 1")
    assert ssthresh(sock) > 10_000


# -- a way that tampers (§3.2.2.3, §3.2.2.4, §3.2.3.2.4) -------------------------------------------


@pytest.mark.parametrize("field", [1, 2, 3])
def test_when_our_syn_comes_with_another_field_than_it_left_with_nothing_is_ect(
    tcp: Tcp, field: int
) -> None:
    sock = asking(tcp, answer=TOLD[field])
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0   > P.EA 1:6(5) ack 1
        +0.1 < [ce] P.EA 1:11(10) ack 6
        +0   > .WA 6:6(0) ack 11
        """
    )


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


def test_text_that_does_not_arrive_is_repeated_without_the_option(tcp: Tcp) -> None:
    """§3.2.3.2.2."""
    sock = asked(tcp, option=True)
    sock.send(tcp.data(5))
    tcp.play(
        f"""
        +0      > [ect0] P.EA 1:6(5) ack 1 <{counters()}>
        +0.2..2 > P.EA 1:6(5) ack 1
        +0.1    < .EA 1:1(0) ack 6 <{counters(0, 6)}>
        """
    )
    sock.send(tcp.data(5, 5))
    tcp.play("+0 > [ect0] P.EA 6:11(5) ack 1")


# -- as receiver: the ACE field (§3.2.2) -----------------------------------------------------------


@pytest.mark.requirement("RFC9768-S3.2.2-1")
def test_the_field_counts_marks_from_five_on_and_goes_round(tcp: Tcp) -> None:
    _ = asked(tcp)
    at = 1
    for number in range(6, 16):
        tcp.play(
            f"""
            +0.1 < [ce] P.EA {at}:{at + 10}(10) ack 1
            +0   > .{ace(number)} 1:1(0) ack {at + 10}
            """
        )
        at += 10
    tcp.play(
        f"""
        +0.1 < [ect0] P.EA {at}:{at + 10}(10) ack 1
        +0   > .{ace(15)} 1:1(0) ack {at + 10}
        """
    )


@pytest.mark.requirement("RFC9768-S3.2.2-1")
def test_text_of_ours_tells_the_count_as_well(tcp: Tcp) -> None:
    sock = asked(tcp)
    tcp.play(
        """
        +0.1 < [ce] P.EA 1:11(10) ack 1
        +0   > .WA 1:1(0) ack 11
        """
    )
    sock.send(tcp.data(5))
    tcp.play("+0 > [ect0] P.WA 1:6(5) ack 11")


def test_cwr_is_but_a_digit_and_does_not_end_anything(tcp: Tcp) -> None:
    _ = asked(tcp)
    tcp.play(
        """
        +0.1 < [ce]   P.EA  1:11(10) ack 1
        +0   > .WA 1:1(0) ack 11
        +0.1 < [ect0] P.EWA 11:21(10) ack 1
        +0   > .WA 1:1(0) ack 21
        """
    )


@pytest.mark.requirement("RFC9768-S3.2.2.5.1-1")
def test_every_second_mark_is_told_at_once(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.setsockopt(6, 12, 0)  # TCP_QUICKACK: ACKs are delayed
    tcp.play(
        """
        +0    < [ce] P.EA 1:11(10) ack 1
        +0    > .WA 1:1(0) ack 11
        +0    < [ce] P.EA 11:21(10) ack 1
        &     < [ce] P.EA 21:31(10) ack 1
        &     < [ce] P.EA 31:41(10) ack 1
        &     < [ce] P.EA 41:51(10) ack 1
        +0    > .  1:1(0) ack 31
        +0    > .W 1:1(0) ack 51
        """
    )


@pytest.mark.requirement("RFC9768-S3.2.2.5.1-1")
def test_the_first_mark_after_none_is_told_at_once(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.setsockopt(6, 12, 0)
    tcp.play(
        """
        +0    < [ect0] P.EA 1:11(10) ack 1
        +0.01 < [ce]   P.EA 11:21(10) ack 1
        +0    > .WA 1:1(0) ack 21
        +0.01 < [ect0] P.EA 21:31(10) ack 1
        +0    > .WA 1:1(0) ack 31
        +0.01 < [ect0] P.EA 31:41(10) ack 1
        +0.04 > .WA 1:1(0) ack 41
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
        +0   > . 4381:4381(0) ack 1
        """
    )


@pytest.mark.variants("ipv4-wrap-offload")
def test_a_run_that_offload_brings_counts_as_its_segments(tcp: Tcp) -> None:
    _ = asked(tcp, option=True)
    tcp.play(
        f"""
        +0 < [ce, gso 1460] .EA 1:4381(4380) ack 1
        +0 > . 1:1(0) ack 4381 <{counters(4380)}>
        """
    )


def test_segments_with_the_digit_of_cwr_leave_one_by_one(tcp: Tcp) -> None:
    """A run's cutter would clear it on all but the first."""
    sock = asked(tcp)
    tcp.play(
        """
        +0 < [ce] P.EA 1:11(10) ack 1
        +0 > .WA 1:1(0) ack 11
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


def test_the_option_counts_the_text_of_each_codepoint(tcp: Tcp) -> None:
    _ = asked(tcp, option=True)
    tcp.play(
        f"""
        +0.1 < [ect0] P.EA 1:11(10) ack 1
        +0   > .EA 1:1(0) ack 11 <{counters(0, 11)}>
        +0.1 < [ect1] P.EA 11:31(20) ack 1
        +0   > .EA 1:1(0) ack 31 <{counters(0, 11, 21)}>
        +0.1 < [ce]   P.EA 31:61(30) ack 1
        +0   > .WA 1:1(0) ack 61 <{counters(30, 11, 21)}>
        +0.1 < P.EA 61:101(40) ack 1
        +0   > .WA 1:1(0) ack 101 <{counters(30, 11, 21)}>
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


def test_sack_blocks_come_first_and_the_option_has_what_is_left(tcp: Tcp) -> None:
    listener = tcp.listen()
    stamp = "nop,nop,TS val 200 ecr 107"
    tcp.play(
        f"""
        +0   < SEWA 0:0(0) win 65535 <mss 1460,sackOK,TS val 7 ecr 0>
        +0   > S.W  0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 7,{counters()}>
        +0.1 < .W   1:1(0) ack 1 <nop,nop,TS val 107 ecr 100,{counters()}>
        +0   < [ect0] P.EA 11:21(10) ack 1 <nop,nop,TS val 107 ecr 100>
        +0   > .EA 1:1(0) ack 1 <{stamp},{counters(0, 11)},nop,nop,sack 11:21>
        +0   < [ect0] P.EA 31:41(10) ack 1 <nop,nop,TS val 107 ecr 100>
        +0   > .EA 1:1(0) ack 1 <{stamp},raw 0xac08000015000000,nop,nop,sack 31:41 11:21>
        +0   < [ect0] P.EA 51:61(10) ack 1 <nop,nop,TS val 107 ecr 100>
        +0   > .EA 1:1(0) ack 1 <{stamp},nop,nop,sack 51:61 31:41 11:21>
        +0   < [ect1] P.EA 1:11(10) ack 1 <nop,nop,TS val 107 ecr 100>
        +0   > .EA 1:1(0) ack 21 <{stamp},raw 0xae0800000b000000,nop,nop,sack 51:61 31:41>
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
        +0    > .EA 6:6(0) ack 11 <{counters(0, 11)}>
        +0.01 < [ect0] P.EA 11:21(10) ack 6
        +0    > .EA 6:6(0) ack 21
        +0.01 < [ce] P.EA 21:31(10) ack 6
        +0    > .WA 6:6(0) ack 31 <{counters(10, 21)}>
        +0.01 < [ce] P.EA 31:41(10) ack 6
        +0    > .EWA 6:6(0) ack 41 <{counters(20, 21)}>
        """
    )


# -- as sender -------------------------------------------------------------------------------------


def test_a_mark_that_is_told_cuts_the_window_and_no_cwr_is_sent(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.send(tcp.data(10 * MSS))
    tcp.take()
    tcp.play("+0.1 < .EA 1:1(0) ack 2921")
    assert ssthresh(sock) > 10_000
    tcp.play("+0   < .WA 1:1(0) ack 5841")
    cut = ssthresh(sock)
    assert 4 <= cut <= 8
    assert sock.tcp_info().tcpi_delivered_ce == 1
    tcp.play("+0   < .EWA 1:1(0) ack 14601")
    assert ssthresh(sock) == cut  # once per round trip
    assert sock.tcp_info().tcpi_delivered_ce == 2
    sock.send(tcp.data(5, 10 * MSS))
    tcp.play("+0 > [ect0] P.EA 14601:14606(5) ack 1")


def test_an_older_ack_that_comes_late_tells_nothing(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.send(tcp.data(4 * MSS))
    tcp.take()
    tcp.play(
        """
        +0.1 < .WA 1:1(0) ack 5841
        +0   < .EA 1:1(0) ack 2921
        +0   < .EA 1:1(0) ack 5841
        """
    )
    assert sock.tcp_info().tcpi_delivered_ce == 1


def test_text_with_a_newer_timestamp_tells_though_it_acknowledges_nothing(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0   < SEWA 0:0(0) win 65535 <mss 1460,TS val 7 ecr 0>
        +0   > S.W  0:0(0) ack 1 <...>
        +0.1 < .W   1:1(0) ack 1 <nop,nop,TS val 107 ecr 100>
        """
    )
    sock = listener.accept()[0]
    sock.send(tcp.data(5))
    tcp.take()
    tcp.inject(tcp.segment("P.WA 1:11(10) ack 1 <nop,nop,TS val 108 ecr 100>"))
    tcp.take()
    assert sock.tcp_info().tcpi_delivered_ce == 1


@pytest.mark.parametrize(
    ("acked", "flags", "marks"), [(7, 4, 7), (8, 5, 8), (9, 5, 8), (9, 6, 9), (9, 7, 2)]
)
def test_an_ack_for_more_than_seven_segments_may_have_gone_round(
    tcp: Tcp, acked: int, flags: int, marks: int
) -> None:
    """§3.2.2.5.2: without the option, and where such ACKs are rare, the worst is assumed."""
    sock = asked(tcp)
    sock.send(tcp.data(MSS))
    tcp.take()
    tcp.play("+0.1 < .EA 1:1(0) ack 1461")
    sock.send(tcp.data(9 * MSS, MSS))
    tcp.take()
    tcp.play(f"+0.1 < .{ace(flags)} 1:1(0) ack {(acked + 1) * MSS + 1}")
    assert sock.tcp_info().tcpi_delivered_ce == marks


@pytest.mark.parametrize(("octets", "marks"), [(0, 0), (8 * 1448, 8)])
def test_the_option_tells_whether_it_has(tcp: Tcp, octets: int, marks: int) -> None:
    sock = asked(tcp, option=True)
    sock.send(tcp.data(9 * 1448))
    tcp.take()
    left = 9 * 1448 + 1 - octets
    tcp.play(f"+0.1 < .EA 1:1(0) ack {9 * 1448 + 1} <{counters(octets, left)}>")
    info = sock.tcp_info()
    assert info.tcpi_delivered_ce == marks
    assert info.tcpi_delivered_ce_bytes == octets
    assert info.tcpi_delivered_e0_bytes == left - 1
    assert (ssthresh(sock) < 10) == (marks > 0)


def test_counters_never_go_back(tcp: Tcp) -> None:
    sock = asked(tcp, option=True)
    sock.send(tcp.data(3 * 1448))
    tcp.take()
    tcp.play(
        f"""
        +0.1 < .WA 1:1(0) ack 2897 <{counters(1448, 1449)}>
        +0   < .WA 1:1(0) ack 4345 <{counters(1000, 1449)}>
        """
    )
    assert sock.tcp_info().tcpi_delivered_ce_bytes == 1448


@pytest.mark.parametrize("order", ["ac", "ae"])
@pytest.mark.parametrize("fields", [1, 2, 3])
def test_the_option_is_read_in_both_orders_and_in_every_length(
    tcp: Tcp, order: str, fields: int
) -> None:
    sock = asked(tcp, option=True)
    sock.send(tcp.data(3000))
    tcp.take()
    values = {"ac": (1000, 500, 200), "ae": (200, 500, 1000)}[order][:fields]
    body = "".join(f"{value:06x}" for value in values)
    tcp.play(f"+0.1 < .EA 1:1(0) ack 3001 <raw 0x{order}{2 + 3 * fields:02x}{body}>")
    info = sock.tcp_info()
    told = (
        info.tcpi_delivered_e0_bytes,
        info.tcpi_delivered_ce_bytes,
        info.tcpi_delivered_e1_bytes,
    )
    wanted = [0, 0, 0]
    for place, value in zip((0, 1, 2) if order == "ac" else (2, 1, 0), values, strict=False):
        wanted[place] = value if place == 1 else value - 1
    assert told == tuple(wanted)


# -- algorithms that count marks -------------------------------------------------------------------


@pytest.fixture
def counting(tcp: Tcp, monkeypatch: pytest.MonkeyPatch) -> Tcp:
    """Reno says that it counts marks itself, and wants ECN with ECT(1)."""
    for name, value in (("wants_ecn", True), ("scalable", True), ("ect", 1)):
        monkeypatch.setattr(Reno, name, value)
    tcp.host.sysctl("tcp_ecn", 0)
    return tcp


def test_who_uses_ect_1_asks_for_accurate_feedback_and_all_its_packets_are_ect(
    counting: Tcp,
) -> None:
    tcp = counting
    sock = tcp.connect()
    tcp.play(
        """
        +0      > [ect1] SEWA 0:0(0) <...>
        +0.1    < [ect1] S.EW 0:0(0) ack 1 win 65535 <mss 1460>
        +0      > [ect1] .EW  1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0      > [ect1] P.EA 1:6(5) ack 1
        +0..1   > [ect1] P.EA 1:6(5) ack 1
        +0.01   < .EA 1:1(0) ack 6
        """
    )


def test_with_a_peer_that_knows_only_rfc_3168_its_data_is_ect_0(counting: Tcp) -> None:
    tcp = counting
    sock = tcp.connect()
    tcp.play(
        """
        +0      > [ect1] SEWA 0:0(0) <...>
        +0.1    < S.E 0:0(0) ack 1 win 65535 <mss 1460>
        +0      > [ect0] . 1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play("+0 > [ect0] P. 1:6(5) ack 1")


@patches_the_core
def test_it_is_told_of_the_octets_that_were_marked(
    counting: Tcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    tcp = counting
    told: list[int] = []
    monkeypatch.setattr(Reno, "on_sample", lambda cc, sample: told.append(sample.ce_bytes))
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < [ect1] SEWA 0:0(0) win 65535 <mss 1460>
        +0   > [ect1] S.EW 0:0(0) ack 1 <mss 1460,{counters()}>
        +0.1 < [ect1] .WA  1:1(0) ack 1 <{counters()}>
        """
    )
    sock = listener.accept()[0]
    sock.send(tcp.data(6 * 1448))
    tcp.take()
    told.clear()
    tcp.play(
        f"""
        +0.1 < .WA  1:1(0) ack {2 * 1448 + 1} <{counters(0, 1, 2 * 1448 + 1)}>
        +0   < .EWA 1:1(0) ack {4 * 1448 + 1} <{counters(1000, 1, 4 * 1448 - 999)}>
        +0   < .    1:1(0) ack {5 * 1448 + 1}
        +0   < .    1:1(0) ack {6 * 1448 + 1} <{counters(2448, 1, 6 * 1448 - 2447)}>
        """
    )
    assert told == [0, 1000, 1448, 0]
    assert sock.tcp_info().tcpi_delivered_ce == 2


# -- both ends -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_both_ends_agree_on_what_was_marked(seed: int) -> None:
    """Whatever is marked and lost on the way, in either direction."""
    random = Random(seed)
    option = seed % 3
    hosts = []
    for number in (1, 2):
        host = Host((f"192.0.2.{number}/24",), secret=SECRET, gso=seed % 2 == 0)
        host.sysctl("tcp_ecn", 3)
        host.sysctl("tcp_ecn_option", option)
        hosts.append(host)
    lost = 0.02 if seed > 5 else 0
    ways = [
        Link(Cut(), Loss(0.05, random, ecn=True), Loss(lost, random), Delay(5_000)) for _ in hosts
    ]
    pair = Pair(*hosts, there=ways[0], back=ways[1])
    listener = hosts[0].socket(2, 1)
    listener.bind(("192.0.2.1", 80))
    listener.listen(1)
    near = hosts[1].socket(2, 1)
    with suppress(BlockingIOError):
        near.connect(("192.0.2.1", 80))
    accepted: list[Any] = []

    def is_accepted() -> bool:
        with suppress(BlockingIOError):
            accepted.append(listener.accept()[0])
        return bool(accepted)

    assert pair.run(is_accepted, within_s=60)
    ends = (near, accepted[0])
    sent = [bytes(random.randbytes(random.choice((30_000, 300_000)))) for _ in ends]
    left = list(sent)
    come = [bytearray(), bytearray()]

    def is_over() -> bool:
        for index, end in enumerate(ends):
            with suppress(BlockingIOError):
                left[index] = left[index][end.send(left[index]) :]
            with suppress(BlockingIOError):
                come[index] += end.recv(1 << 20)
        return come[0] == sent[1] and come[1] == sent[0]

    assert pair.run(is_over, within_s=60)
    pair.run(lambda: False, within_s=3)
    infos = [end.tcp_info() for end in ends]
    assert sum(info.tcpi_received_ce for info in infos)
    for ours, theirs in (infos, infos[::-1]):
        assert (ours.tcpi_delivered_ce - theirs.tcpi_received_ce) % 8 == 0
        if option:
            assert ours.tcpi_delivered_ce == theirs.tcpi_received_ce
            assert ours.tcpi_delivered_ce_bytes == theirs.tcpi_received_ce_bytes
        if option == 2:
            assert ours.tcpi_delivered_e0_bytes == theirs.tcpi_received_e0_bytes > 0


@pytest.mark.variants("ipv4")
@pytest.mark.parametrize("seed", range(8))
def test_whatever_flags_marks_and_options_come_nothing_breaks(tcp: Tcp, seed: int) -> None:
    random = Random(seed)
    tcp.host.sysctl("tcp_ecn_option", 1 + seed % 2)
    sock = asked(tcp, option=seed < 4) if seed < 6 else asking(tcp, option=True)
    at = 1
    for _ in range(400):
        flags = "." + "".join(random.sample("PEWA", random.randrange(5)))
        kind, size = random.choice((172, 174, 173)), random.choice((2, 3, 5, 8, 11, 14, 38))
        option = f"<raw 0x{kind:02x}{size:02x}{random.randbytes(size - 2).hex()}>"
        length = random.choice((0, 0, 10, 1460))
        start = at + random.choice((0, 0, 0, 10, -10))
        ack = 1 + random.randint(0, len(tcp.default.sent))
        text = f"{flags} {start}:{start + length}({length}) ack {ack} {random.choice(('', option))}"
        tcp.inject(tcp.segment(text, ecn=random.randrange(4)))
        with suppress(BlockingIOError):
            sock.send(tcp.data(random.choice((1, 1460, 9000)), len(tcp.default.sent)))
        for packet in tcp.run(random.choice((0, 0.001, 0.3))):
            at = max(at, tcp.default.their_number(packet.ack))
        with suppress(BlockingIOError):
            sock.recv(100_000)
    assert tcp.state() == "ESTABLISHED"
