"""RFC 3042: the first two duplicate ACKs let a new segment out each."""

from __future__ import annotations

import socket

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno")

MSS = 1460
DUP = "+0 < . 1:1(0) ack 1"


def full_window(tcp: Tcp, segments: int, **offer: object) -> socket.socket:
    """As many segments are out as cwnd lets; more wait."""
    sock = tcp.established(**offer)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 40 * MSS)
    sock.send(tcp.data(40 * MSS))
    tcp.play(sent(1, segments * MSS + 1, push=False))
    tcp.quiet(0.1)
    return sock


@pytest.mark.requirement("RFC3042-S2-1")
@pytest.mark.host(tcp_initial_cwnd=3)
def test_a_small_window_gets_its_third_duplicate_ack_and_needs_no_timeout(tcp: Tcp) -> None:
    """Of three segments the first is lost: only two duplicates, were it not for the new ones."""
    full_window(tcp, 3)
    tcp.play(
        f"""
        {DUP}                                 # of segment 2
        {sent(4381, 5841, push=False)}
        {DUP}                                 # 3
        {sent(5841, 7301, push=False)}
        +0.1 < . 1:1(0) ack 1                 # 4, the first of the new ones
        +0   > . 1:1461(1460) ack 1
        """
    )


@pytest.mark.requirement("RFC3042-S2-2")
def test_the_window_itself_stays_as_it_is(tcp: Tcp) -> None:
    sock = full_window(tcp, 10)
    tcp.play(
        f"""
        {DUP}
        {sent(14601, 16061, push=False)}
        {DUP}
        {sent(16061, 17521, push=False)}
        +0 quiet
        """
    )
    assert sock.tcp_info().tcpi_snd_cwnd == 10
    # it was reordering only: 12 are out, of which 2 are acknowledged; cwnd is 12 then
    tcp.play("+0.05 < . 1:1(0) ack 2921\n" + sent(17521, 20441, push=False))
    assert sock.tcp_info().tcpi_snd_cwnd == 12


@pytest.mark.requirement("RFC3042-S2-1")
def test_never_more_than_two_segments_above_the_window_go(tcp: Tcp) -> None:
    full_window(tcp, 10)
    tcp.play(
        f"""
        {DUP}
        {sent(14601, 16061, push=False)}
        {DUP}
        {sent(16061, 17521, push=False)}
        {DUP}
        +0 > . 1:1461(1460) ack 1
        +0.05 quiet
        """
    )


@pytest.mark.requirement("RFC3042-S2-1")
def test_the_peers_window_is_not_exceeded(tcp: Tcp) -> None:
    full_window(tcp, 10, win=11 * MSS)
    tcp.play(
        f"""
        {DUP}
        {sent(14601, 16061, push=False)}
        {DUP}
        +0 quiet
        {DUP}
        +0 > . 1:1461(1460) ack 1
        """
    )


@pytest.mark.requirement("RFC3042-S2-1")
def test_with_nothing_new_to_send_nothing_goes(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(10 * MSS))
    tcp.play(sent(1, 10 * MSS + 1))
    tcp.play(
        f"""
        {DUP}
        {DUP}
        +0.05 quiet
        """
    )


@pytest.mark.requirement("RFC3042-S2-2")
@pytest.mark.parametrize("news", [True, False])
def test_under_sack_a_duplicate_ack_without_news_releases_nothing(tcp: Tcp, news: bool) -> None:
    full_window(tcp, 10, sack=True)
    blocks = ("1461:2921", "1461:4381") if news else ("1461:2921", "1461:2921")
    tcp.play(
        f"""
        +0 < . 1:1(0) ack 1 <nop,nop,sack {blocks[0]}>
        {sent(14601, 16061, push=False)}
        +0 < . 1:1(0) ack 1 <nop,nop,sack {blocks[1]}>
        {sent(16061, 17521, push=False) if news else ""}
        +0.01 quiet
        """
    )


@pytest.mark.requirement("RFC3042-S2-2")
def test_under_sack_a_duplicate_ack_without_blocks_releases_nothing(tcp: Tcp) -> None:
    full_window(tcp, 10, sack=True)
    tcp.play(
        f"""
        {DUP}
        {DUP}
        +0.05 quiet
        """
    )
