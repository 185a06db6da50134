"""RFC 3168 §6.1.1: ECN is agreed on in the SYNs, from either side."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.ecn.classic_peer import asked, asking

pytestmark = pytest.mark.host(tcp_ecn=1, tcp_congestion_control="reno")


# -- the handshake, we answering ---------------------------------------------------------------


@pytest.mark.requirement("RFC3168-S6.1.1-1", "RFC9293-SHLD-8")
@pytest.mark.parametrize("setting", [1, 2])
def test_a_syn_that_asks_is_answered_with_ece_alone(tcp: Tcp, setting: int) -> None:
    tcp.host.sysctl("tcp_ecn", setting)
    sock = asked(tcp)
    sock.send(tcp.data(5))
    tcp.play("+0 > [ect0] P. 1:6(5) ack 1")


@pytest.mark.requirement("RFC3168-S6.1.1-1")
@pytest.mark.parametrize("flags", ["S", "SE", "SW"])
def test_a_syn_that_does_not_ask_gets_no_ecn(tcp: Tcp, flags: str) -> None:
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < {flags} 0:0(0) win 65535 <mss 1460>
        +0   > S. 0:0(0) ack 1 <mss 1460>
        +0.1 < .  1:1(0) ack 1
        """
    )
    listener.accept()[0].send(tcp.data(5))
    tcp.play("+0 > P. 1:6(5) ack 1")


@pytest.mark.host(tcp_ecn=0)
def test_with_tcp_ecn_0_there_is_none(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0   < SEW 0:0(0) win 65535 <mss 1460>
        +0   > S.  0:0(0) ack 1 <mss 1460>
        +0.1 <     . 1:1(0) ack 1
        +0   < [ce] P. 1:11(10) ack 1
        +0   > .   1:1(0) ack 11
        """
    )
    listener.accept()[0].send(tcp.data(5))
    tcp.play("+0 > P. 1:6(5) ack 11")


@pytest.mark.parametrize("field", ["ect0", "ect1", "ce"])
def test_a_syn_that_is_ect_itself_is_not_believed(tcp: Tcp, field: str) -> None:
    tcp.listen()
    tcp.play(
        f"""
        +0 < [{field}] SEW 0:0(0) win 65535 <mss 1460>
        +0 > S. 0:0(0) ack 1 <mss 1460>
        """
    )


@pytest.mark.requirement("RFC3168-S6.1.1-1")
@pytest.mark.host(tcp_ecn=2)
def test_a_syn_that_asks_for_more_gets_the_classic_answer(tcp: Tcp) -> None:
    tcp.listen()
    tcp.play(
        """
        +0 < SEWA 0:0(0) win 65535 <mss 1460>
        +0 > S.E 0:0(0) ack 1 <mss 1460>
        """
    )


@pytest.mark.requirement("RFC3168-S6.1.1-2")
def test_the_syn_ack_that_is_repeated_says_the_same(tcp: Tcp) -> None:
    tcp.listen()
    tcp.play(
        """
        +0 < SEW 0:0(0) win 65535 <mss 1460>
        +0 > S.E 0:0(0) ack 1 <mss 1460>
        +1 > S.E 0:0(0) ack 1 <mss 1460>
        """
    )


@pytest.mark.requirement("RFC3168-S6.1.1-2")
def test_after_a_repeat_of_the_syn_that_does_not_ask_nothing_is_ect(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0   < SEW 0:0(0) win 65535 <mss 1460>
        +0   > S.E 0:0(0) ack 1 <mss 1460>
        +0.5 < S   0:0(0) win 65535 <mss 1460>
        +0   > S.E 0:0(0) ack 1 <mss 1460>
        +0.1 < .   1:1(0) ack 1
        """
    )
    listener.accept()[0].send(tcp.data(5))
    tcp.play("+0 > P. 1:6(5) ack 1")


# -- the handshake, we asking ----------------------------------------------------------------------


@pytest.mark.requirement("RFC3168-S6.1.1-1", "RFC3168-S6.1.1-2", "RFC8311-S4.2-1")
def test_our_syn_asks_with_ece_and_cwr_and_is_not_ect(tcp: Tcp) -> None:
    sock = asking(tcp)
    sock.send(tcp.data(5))
    tcp.play("+0 > [ect0] P. 1:6(5) ack 1")


@pytest.mark.requirement("RFC3168-S6.1.1-2")
@pytest.mark.parametrize("flags", ["S.", "S.W", "S.EW"])
def test_without_an_agreeing_syn_ack_nothing_is_ect(tcp: Tcp, flags: str) -> None:
    sock = tcp.connect()
    tcp.play(
        f"""
        +0   > SEW 0:0(0) <...>
        +0.1 < {flags} 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .   1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0 > P. 1:6(5) ack 1
        +0 < [ce] P. 1:11(10) ack 6
        +0 > .  6:6(0) ack 11
        """
    )


@pytest.mark.host(tcp_ecn=2)
def test_by_default_we_do_not_ask(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play("+0 > S 0:0(0) <...>")


@pytest.mark.requirement("RFC3168-S6.1.1.1-1")
def test_a_syn_that_is_not_answered_is_repeated_without(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        """
        +0   > SEW 0:0(0) <...>
        +1   > S   0:0(0) <...>
        +0.1 < S.  0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .   1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play("+0 > P. 1:6(5) ack 1")


@pytest.mark.host(tcp_ecn_fallback=0)
def test_without_the_fallback_it_asks_again(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        """
        +0   > SEW 0:0(0) <...>
        +1   > SEW 0:0(0) <...>
        +0.1 < S.E 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .   1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play("+0 > [ect0] P. 1:6(5) ack 1")


@pytest.mark.requirement("RFC3168-S6.1.1-2")
def test_who_has_sent_a_syn_that_does_not_ask_sends_nothing_ect_but_echoes(tcp: Tcp) -> None:
    """The first SYN was answered, late: the peer may mark its data (RFC 3168 §6.1.1)."""
    sock = tcp.connect()
    tcp.play(
        """
        +0   > SEW 0:0(0) <...>
        +1   > S   0:0(0) <...>
        +0.1 < S.E 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .   1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0 > P. 1:6(5) ack 1
        +0 < [ce] P. 1:11(10) ack 6
        +0 > .E 6:6(0) ack 11
        """
    )


@pytest.mark.requirement("RFC3168-S6.1.1-1")
@pytest.mark.parametrize(("flags", "answer", "field"), [("SEW", "S.E", 2), ("S", "S.", 0)])
def test_two_that_open_at_the_same_time(tcp: Tcp, flags: str, answer: str, field: int) -> None:
    sock = tcp.connect()
    tcp.play(
        f"""
        +0   > SEW 0:0(0) <...>
        +0   < {flags} 0:0(0) win 65535 <mss 1460>
        +0   > {answer} 0:0(0) ack 1 <...>
        +0.1 < {answer} 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .   1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play(f"+0 > [tos {field}] P. 1:6(5) ack 1")
