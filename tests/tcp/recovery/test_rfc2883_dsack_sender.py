"""RFC 2883 §4 and §5: what the sender makes of D-SACK blocks.

The examples of §4 are played with their own numbers: segments have 500 octets, and what they
presuppose was sent and acknowledged before. RTT is 100 ms, RTO 300 ms.
"""

from __future__ import annotations

import socket

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno", tcp_early_retrans=0)


def up_to(tcp: Tcp, nxt: int) -> socket.socket:
    """A connection on which all octets below `nxt` have been sent and acknowledged."""
    sock = tcp.established(wscale=7, sack=True, mss=500)
    write(tcp, sock, 1, nxt)
    tcp.play(f"+0.1 < . 1:1(0) ack {nxt}\n+0 quiet")
    return sock


def write(tcp: Tcp, sock: socket.socket, start: int, end: int) -> None:
    sock.send(tcp.data(end - start, start - 1))
    tcp.play(sent(start, end, 500))


def cwnd(sock: socket.socket) -> int:
    return int(sock.tcp_info().tcpi_snd_cwnd)


def told(sock: socket.socket) -> int:
    return int(sock.tcp_info().tcpi_dsack_dups)


# -- §4 ------------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC2883-S5-1")
def test_a_full_duplicate(tcp: Tcp) -> None:
    """§4.1, example 1: two ACKs were lost, and 3000-3499 was repeated for nothing. The timeout is
    taken back."""
    sock = up_to(tcp, 3000)
    before = cwnd(sock)
    write(tcp, sock, 3000, 4000)
    tcp.play("+0.3 > . 3000:3500(500) ack 1\n+0.09 quiet")
    assert cwnd(sock) == 1
    tcp.play("+0 < . 1:1(0) ack 4000 <nop,nop,sack 3000:3500>\n+0 quiet")
    assert told(sock) == 1
    assert cwnd(sock) >= before
    assert sock.tcp_info().tcpi_ca_state == 0


@pytest.mark.requirement("RFC2883-S5-1")
def test_a_full_duplicate_beyond_the_hole(tcp: Tcp) -> None:
    """§4.1, example 3: the network has made 5000-5499 two. Its block lies in the second one."""
    sock = up_to(tcp, 3000)
    write(tcp, sock, 3000, 6000)
    tcp.play(
        """
        +0.1 < . 1:1(0) ack 4000 <nop,nop,sack 4500:5000>
        +0   < . 1:1(0) ack 4000 <nop,nop,sack 4500:5500>
        +0.01 quiet
        """
    )
    assert told(sock) == 0
    tcp.play("+0 < . 1:1(0) ack 4000 <nop,nop,sack 5000:5500 4500:5500>\n+0.005 quiet")
    assert told(sock) == 1
    assert sock.tcp_info().tcpi_sacked == 2
    tcp.play("+0 < . 1:1(0) ack 4000 <nop,nop,sack 4500:6000>\n+0 > . 4000:4500(500) ack 1")


@pytest.mark.requirement("RFC2883-S5-1")
def test_a_duplicate_of_a_part(tcp: Tcp) -> None:
    """§4.2: of a repeat, only the first half had come before. It was needed then."""
    sock = up_to(tcp, 3000)
    write(tcp, sock, 3000, 3500)
    tcp.play("+0.3 > P. 3000:3500(500) ack 1\n+0.09 quiet")
    tcp.play("+0 < . 1:1(0) ack 3500 <nop,nop,sack 3000:3250>\n+0 quiet")
    assert told(sock) == 1
    assert cwnd(sock) <= 3


# -- §5 ------------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC2883-S5-1")
def test_an_ack_that_was_overtaken_is_no_report_of_a_duplicate(tcp: Tcp) -> None:
    """Its block lies below SND.UNA, but above its own ACK number."""
    sock = up_to(tcp, 3000)
    write(tcp, sock, 3000, 6000)
    tcp.play(
        """
        +0.1 < . 1:1(0) ack 6000
        +0   < . 1:1(0) ack 3000 <nop,nop,sack 3500:4000>
        +0   < . 1:1(0) ack 3000 <nop,nop,sack 4500:5000 3500:4000>
        +0   quiet
        """
    )
    assert told(sock) == 0
    write(tcp, sock, 6000, 6500)
    tcp.play("+0.1 < . 1:1(0) ack 4500 <nop,nop,sack 3500:4000>\n+0 quiet")
    assert told(sock) == 1  # this one lies below its own


@pytest.mark.requirement("RFC2883-S5-1")
def test_a_report_moves_nothing_and_is_no_duplicate_ack(tcp: Tcp) -> None:
    sock = up_to(tcp, 3000)
    write(tcp, sock, 3000, 6000)
    for number in range(4):
        tcp.play("+0 < . 1:1(0) ack 3000 <nop,nop,sack 2500:3000>\n+0.01 quiet")
        assert told(sock) == number + 1
    info = sock.tcp_info()
    assert (info.tcpi_ca_state, info.tcpi_sacked) == (0, 0)


@pytest.mark.requirement("RFC2883-S5-1")
@pytest.mark.parametrize("edges", ["7000:7500", "3000:2500"])
def test_a_report_of_what_was_never_sent_does_not_count(tcp: Tcp, edges: str) -> None:
    """(Linux counts the first one.)"""
    sock = up_to(tcp, 3000)
    write(tcp, sock, 3000, 6000)
    tcp.play(f"+0 < . 1:1(0) ack 3000 <nop,nop,sack {edges} 6500:8000>\n+0.01 quiet")
    assert told(sock) == 0


@pytest.mark.requirement("RFC2883-S5-1")
def test_such_a_report_makes_nobody_wait_longer(tcp: Tcp) -> None:
    """For what is late RACK waits 25 ms, and more when repeats are found needless."""
    sock = up_to(tcp, 3000)
    write(tcp, sock, 3000, 6000)
    tcp.play(
        """
        +0.1   < . 1:1(0) ack 3000 <nop,nop,sack 7000:7500 6500:8000>
        +0     < . 1:1(0) ack 3000 <nop,nop,sack 3500:4000>
        +0.025 > . 3000:3500(500) ack 1
        """
    )


@pytest.mark.requirement("RFC2883-S5-1")
def test_a_fast_retransmit_that_reordering_has_caused_is_taken_back(tcp: Tcp) -> None:
    """§5.2: 3000-3499 was late, and not lost."""
    sock = up_to(tcp, 3000)
    before = cwnd(sock)
    write(tcp, sock, 3000, 6000)
    tcp.play(
        """
        +0.1  < . 1:1(0) ack 3000 <nop,nop,sack 3500:5000>
        +0    > . 3000:3500(500) ack 1
        +0.01 < . 1:1(0) ack 5000
        +0    quiet
        """
    )
    assert sock.tcp_info().tcpi_ca_state == 3
    assert cwnd(sock) < before
    tcp.play("+0.09 < . 1:1(0) ack 6000 <nop,nop,sack 3000:3500>\n+0 quiet")
    assert sock.tcp_info().tcpi_ca_state == 0
    assert (cwnd(sock), told(sock)) == (before, 1)
