"""RFC 2018 §5 and §8: what the sender makes of SACK blocks, and of a receiver that takes them back.

Segment n is octets 1460 (n - 1) + 1 to 1460 n. RTT is 100 ms, RTO 300 ms.
"""

from __future__ import annotations

import socket

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import MSS, acked, at, run, segments, sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno", tcp_early_retrans=0)


def out(tcp: Tcp, count: int = 10, sack: bool = True) -> socket.socket:
    """So many segments are out, and that is all; a round trip has passed."""
    sock = tcp.established(wscale=7, sack=sack)
    sock.send(tcp.data(count * MSS))
    tcp.play(sent(1, at(count + 1)))
    tcp.quiet(0.1)
    return sock


# -- §8: reneging --------------------------------------------------------------------------------


@pytest.mark.requirement("RFC2018-S8-1", "RFC2018-S5-1")
@pytest.mark.parametrize("detector", [
    pytest.param("rack", marks=pytest.mark.host(tcp_loss_recovery="rack")),
    pytest.param("rfc6675", marks=pytest.mark.host(tcp_loss_recovery="rfc6675")),
])  # fmt: skip
def test_what_the_receiver_has_let_go_of_is_sent_again(tcp: Tcp, detector: str) -> None:
    """All but 1 had been reported; the ACK of the repeat covers nothing else. Half a round trip
    later (in case the next ACK was overtaken; Linux) everything counts as lost."""
    sock = out(tcp)
    tcp.play(acked(0, (2, 10)) + segments(1))
    tcp.play(acked(1, wait="0.1") + segments(2, wait="0.05"))
    info = sock.tcp_info()
    assert (info.tcpi_sacked, info.tcpi_lost, info.tcpi_ca_state) == (0, 9, 4)
    tcp.play(acked(2, wait="0.1") + run(3, 4) + acked(4, wait="0.1") + run(5, 8))
    tcp.play(acked(8, wait="0.1") + segments(9) + sent(at(10), at(11)))
    tcp.play(acked(10, wait="0.1") + "+0 quiet")
    assert sock.tcp_info().tcpi_ca_state == 0
    tcp.quiet(1)


@pytest.mark.requirement("RFC2018-S8-1", "RFC2018-S5-1")
def test_what_has_just_left_is_sent_again_as_well(tcp: Tcp) -> None:
    """As Linux: who knows what the receiver keeps."""
    sock = out(tcp)
    tcp.play(acked(0, (2, 10)) + segments(1) + acked(1, wait="0.1") + "+0.01 quiet")
    sock.send(tcp.data(MSS, 10 * MSS))
    tcp.play(sent(at(11), at(12)) + segments(2, wait="0.04"))
    info = sock.tcp_info()
    assert (info.tcpi_sacked, info.tcpi_lost, info.tcpi_retrans) == (0, 10, 1)


@pytest.mark.requirement("RFC2018-S8-1", "RFC2018-S5-1")
def test_it_is_not_waited_for_a_recovery(tcp: Tcp) -> None:
    """3 had been reported and nothing was lost yet."""
    sock = out(tcp, 4)
    tcp.play(acked(0, (3, 3)) + "+0 quiet\n" + acked(2) + segments(3, wait="0.05"))
    tcp.play(acked(4, wait="0.09") + "+0 quiet")
    assert sock.tcp_info().tcpi_ca_state == 0
    tcp.quiet(1)


@pytest.mark.requirement("RFC2018-S8-1")
def test_an_ack_that_comes_in_time_shows_that_it_was_no_reneging(tcp: Tcp) -> None:
    sock = out(tcp)
    tcp.play(acked(0, (2, 10)) + segments(1))
    tcp.play(acked(1, wait="0.1") + "+0.03 quiet\n" + acked(10) + "+0 quiet")
    assert sock.tcp_info().tcpi_ca_state == 0
    tcp.quiet(1)


# -- §5: the retransmission timer ------------------------------------------------------------------


@pytest.mark.requirement("RFC2018-S5-1", "RFC6675-S5.1-2")
def test_after_a_timeout_the_left_edge_goes_and_what_is_reported_does_not(tcp: Tcp) -> None:
    """RFC 6675 §5.1 lets the marks stay. 1 and 2 and 6 to 10 are lost, and the repeat of 1."""
    sock = out(tcp)
    tcp.play(acked(0, (3, 5)) + segments(1) + segments(1, wait="0.3"))
    assert sock.tcp_info().tcpi_sacked == 3
    tcp.play(acked(1, (3, 5), wait="0.1") + segments(2, 6))
    tcp.play(acked(6, wait="0.1") + segments(7, 8, 9) + sent(at(10), at(11)))


# -- §4 and §5: blocks ---------------------------------------------------------------------------


@pytest.mark.requirement("RFC2018-S8-1")
@pytest.mark.parametrize("edges", [
    f"{at(12)}:{at(14)}",  # never sent
    f"{at(8)}:{at(12)}",  # not all of it
    f"{at(6)}:{at(6)}",  # empty
    f"{at(8)}:{at(5)}",  # the wrong way round
])  # fmt: skip
def test_blocks_that_cannot_be_are_not_looked_at(tcp: Tcp, edges: str) -> None:
    sock = out(tcp)
    for _ in range(4):
        tcp.play(f"+0 < . 1:1(0) ack 1 <nop,nop,sack {edges}>\n+0.01 quiet")
    assert sock.tcp_info().tcpi_sacked == 0
    tcp.play(acked(0, (2, 4)) + segments(1))


@pytest.mark.requirement("RFC2018-S4-1")
def test_blocks_of_a_peer_that_has_not_agreed_on_sack_are_not_looked_at(tcp: Tcp) -> None:
    out(tcp, sack=False)
    tcp.play(acked(0, (2, 10)) + "+0.05 quiet")


def test_an_old_ack_brings_news_too(tcp: Tcp) -> None:
    """It was overtaken by the one of 2."""
    sock = out(tcp)
    tcp.play(acked(2) + "+0 quiet\n" + acked(0, (5, 8)) + segments(3, 4))
    assert sock.tcp_info().tcpi_sacked == 4


def test_a_block_across_snd_una_counts_from_there(tcp: Tcp) -> None:
    """The ACK was overtaken. (Linux looks at no block that begins below SND.UNA.)"""
    sock = out(tcp)
    tcp.play(acked(2) + "+0 quiet\n" + acked(0, (2, 4)) + "+0.01 quiet")
    assert sock.tcp_info().tcpi_sacked == 2


def test_a_segment_of_which_a_part_is_reported_is_cut_there(tcp: Tcp) -> None:
    """(Linux repeats all of it.)"""
    sock = out(tcp)
    tcp.play(
        f"""
        +0   < . 1:1(0) ack 1 <nop,nop,sack {at(2) + 400}:{at(9) + 100}>
        {segments(1)}
        +0   > . {at(2)}:{at(2) + 400}(400) ack 1
        +0.1 < . 1:1(0) ack {at(9) + 100}
        +0   > .  {at(9) + 100}:{at(10) + 100}(1460) ack 1
        +0   > P. {at(10) + 100}:{at(11)}(1360) ack 1
        """
    )  # what was sent before the repeats, and is still missing, is lost (RFC 8985)
    assert sock.tcp_info().tcpi_lost == sock.tcp_info().tcpi_retrans == 2
    tcp.play(acked(10))
