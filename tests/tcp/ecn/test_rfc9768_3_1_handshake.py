"""RFC 9768 §3.1: accurate ECN feedback is agreed on in the SYNs, from either side."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.ecn.accecn_peer import TOLD, ace, asking, counters, ssthresh

pytestmark = pytest.mark.host(tcp_ecn=3, tcp_congestion_control="reno")


# -- the handshake, we answering (§3.1) ------------------------------------------------------------


@pytest.mark.requirement("RFC9768-S3.1.1-1", "RFC9768-S3.2.1-1")
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


@pytest.mark.parametrize(
    ("asks", "answers"),
    [
        ("sackOK", "ACC,nop,nop,sackOK"),
        ("sackOK,nop,wscale 7", "ACC,nop,nop,sackOK,nop,wscale 7"),
        ("nop,wscale 7", "ACC,nop,wscale 7"),
        ("nop,nop,TS val 7 ecr 0", "nop,nop,TS val 100 ecr 7,ACC"),
    ],
)
def test_it_stands_before_sack_permitted_and_the_window_scale(
    tcp: Tcp, asks: str, answers: str
) -> None:
    """As Linux has them, where no timestamps share their word with SACK-permitted."""
    tcp.listen()
    tcp.play(
        f"""
        +0 < SEWA 0:0(0) win 65535 <mss 1460,{asks}>
        +0 > S.W 0:0(0) ack 1 <mss 1460,{answers.replace("ACC", counters())}>
        """
    )


@pytest.mark.requirement("RFC9768-S3.1.3-1")
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


@pytest.mark.requirement("RFC9768-S3.1.2-1", "RFC9768-S3.1.2-2")
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
        +0   > [ect0] .WA 1:1(0) ack 11
        """
    )
    assert listener.accept()[0].tcp_info().tcpi_received_ce == 1


@pytest.mark.requirement("RFC9768-S3.1.4-2")
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


@pytest.mark.requirement("RFC9768-S3.1.5-1")
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


@pytest.mark.requirement(
    "RFC9768-S3.1.1-1", "RFC9768-S3.2.2-1", "RFC9768-S3.2.2.1-2",
    "RFC9768-S3.2.3.2-1",
)  # fmt: skip
@pytest.mark.parametrize("field", TOLD)
def test_our_syn_asks_with_three_flags_and_our_ack_tells_the_field_of_the_syn_ack(
    tcp: Tcp, field: int
) -> None:
    sock = asking(tcp, field=field)
    sock.send(tcp.data(5))
    count = 6 if field == 3 else 5  # §3.2.2.2: that mark is counted
    tcp.play(f"+0 > [ect0] P.{ace(count)} 1:6(5) ack 1")


@pytest.mark.requirement("RFC9768-S3.1.2-1")
def test_an_answer_of_rfc_3168_leads_to_classic_ecn(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        """
        +0   > SEWA 0:0(0) <...>
        +0.1 < S.E 0:0(0) ack 1 win 65535 <mss 1460>
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


@pytest.mark.requirement("RFC9768-S3.1.3-2")
def test_an_answer_that_is_still_reserved_agrees_and_tells_of_no_change(tcp: Tcp) -> None:
    sock = asking(tcp, answer="EA")
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0   > [ect0] P.EA 1:6(5) ack 1
        +0.1 < [ce] P.EA 1:11(10) ack 6
        +0   > [ect0] .WA 6:6(0) ack 11
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


@pytest.mark.requirement("RFC9768-S3.1.4-1", "RFC9768-S3.1.5-1")
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


@pytest.mark.requirement("RFC9768-S3.2.2.1-2")
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
        +0   > [ect0] .W 1:1(0) ack 1
        +0   > [ect0] P.EA 1:6(5) ack 1
        """
    )


@pytest.mark.requirement("RFC9768-S3.2.2.2-1")
def test_a_syn_ack_that_comes_again_is_told_of_again(tcp: Tcp) -> None:
    sock = asking(tcp, field=0)
    tcp.play(
        """
        +1   < [ce] S.W 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > [ect0] .WA 1:1(0) ack 1
        +1   < [ce] S.W 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > [ect0] .WA 1:1(0) ack 1
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
        +0   > [ect0] .W 1:1(0) ack 1
        +0   < S.W 0:0(0) ack 1 win 65535 <mss 1460>
        +0.1 quiet
        """
    )
    if what == "fin":
        sock.shutdown(1)
        tcp.play("+0 > [ect0] F.EA 1:1(0) ack 1")
    else:
        start = 1 if what == "text" else 11
        tcp.play(
            f"""
            +0   < P.EA {start}:{start + 10}(10) ack 1
            +0   > [ect0] .EA 1:1(0) ack {11 if what == "text" else 1}
            """
        )


@pytest.mark.requirement("RFC9768-S3.1.5-1")
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
        +0   > {"." if setting == 1 else "[ect0] .W"} 1:1(0) ack 1
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
        +0   > [ect0] .A   1:1(0) ack 1
        +0   < .W   1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play("+0 > [ect0] P.EA 1:6(5) ack 1")
    assert ssthresh(sock) > 10_000
