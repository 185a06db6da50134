"""RFC 5681 §2 and §3.2: duplicate ACKs, fast retransmit, fast recovery.

The connections have neither SACK nor timestamps, and Reno; a segment is 1460 octets. What RFC
6582 and RFC 3042 add is shown in their own files.
"""

from __future__ import annotations

import socket
from itertools import pairwise

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import repeated, sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno")

MSS = 1460
DUP = "+0 < . 1:1(0) ack 1"


def windows(sock: socket.socket) -> tuple[int, int]:
    """cwnd and ssthresh in segments."""
    info = sock.tcp_info()
    return info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh


def ten_out(tcp: Tcp, more: int = 40) -> socket.socket:
    """Ten segments are out, `more` wait; a round trip has passed."""
    sock = tcp.established(wscale=7, win=65535)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, (10 + more) * MSS)
    sock.send(tcp.data((10 + more) * MSS))
    tcp.play(sent(1, 10 * MSS + 1, push=not more))
    tcp.quiet(0.1)
    return sock


def duplicates(tcp: Tcp, count: int, ack: int = 1) -> None:
    """So many duplicate ACKs come; what they release is taken."""
    for _ in range(count):
        tcp.inject(tcp.segment(f". 1:1(0) ack {ack}"))
        tcp.take()


# -- what a duplicate ACK is -------------------------------------------------------------------


@pytest.mark.requirement("RFC5681-S3.2-3")
def test_the_third_duplicate_ack_and_not_the_second_repeats_the_segment(tcp: Tcp) -> None:
    ten_out(tcp, more=0)
    tcp.play(
        f"""
        {DUP}
        {DUP}
        +0.1 quiet
        {DUP}
        +0   > . 1:1461(1460) ack 1
        +0.1 quiet
        """
    )


@pytest.mark.requirement("RFC5681-S2-2")
def test_window_updates_are_no_duplicate_acks(tcp: Tcp) -> None:
    ten_out(tcp, more=0)
    tcp.play(
        """
        +0 < . 1:1(0) ack 1 win 1000
        +0 < . 1:1(0) ack 1 win 1001
        +0 < . 1:1(0) ack 1 win 1002
        +0 < . 1:1(0) ack 1 win 1003
        +0.1 quiet
        """
    )


@pytest.mark.requirement("RFC5681-S2-2")
def test_segments_with_text_are_no_duplicate_acks(tcp: Tcp) -> None:
    ten_out(tcp, more=0)
    for at in (1, 11, 21, 31):
        tcp.play(
            f"""
            +0 < P. {at}:{at + 10}(10) ack 1
            +0 > .  14601:14601(0) ack {at + 10}
            """
        )
    tcp.quiet(0.1)


@pytest.mark.requirement("RFC5681-S2-2")
def test_a_fin_is_no_duplicate_ack(tcp: Tcp) -> None:
    ten_out(tcp, more=0)
    tcp.play(
        f"""
        {DUP}
        {DUP}
        +0 < F. 1:1(0) ack 1
        +0 > .  14601:14601(0) ack 2
        +0.1 quiet
        """
    )


@pytest.mark.requirement("RFC5681-S2-2")
def test_with_nothing_out_there_are_no_duplicate_acks(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play(repeated(DUP, 5))
    sock.send(tcp.data(3 * MSS))
    tcp.play(sent(1, 3 * MSS + 1))
    tcp.play(
        f"""
        {DUP}
        {DUP}
        +0.1 quiet
        """
    )


@pytest.mark.requirement("RFC5681-S2-2")
def test_older_acks_are_no_duplicate_acks(tcp: Tcp) -> None:
    ten_out(tcp, more=0)
    tcp.play(
        """
        +0 < . 1:1(0) ack 2921
        +0 < . 1:1(0) ack 1461
        +0 < . 1:1(0) ack 1461
        +0 < . 1:1(0) ack 1461
        +0 < . 1:1(0) ack 1461
        +0.1 quiet
        """
    )


@pytest.mark.requirement("RFC5681-S2-2")
def test_an_ack_of_new_text_starts_the_count_anew(tcp: Tcp) -> None:
    ten_out(tcp, more=0)
    tcp.play(
        f"""
        {DUP}
        {DUP}
        +0 < . 1:1(0) ack 1461
        +0 < . 1:1(0) ack 1461
        +0 < . 1:1(0) ack 1461
        +0.1 quiet
        +0 < . 1:1(0) ack 1461
        +0 > . 1461:2921(1460) ack 1
        """
    )


# -- fast recovery -------------------------------------------------------------------------------


@pytest.mark.requirement("RFC5681-S3.2-4", "RFC5681-S2-1")
def test_fast_recovery_step_by_step(tcp: Tcp) -> None:
    """The first of ten segments is lost. Two more go by limited transmit, ssthresh becomes 5,
    cwnd 5 + 3; every further duplicate adds one, and above 12 out there is room for new text."""
    sock = ten_out(tcp)
    tcp.play(
        f"""
        {DUP}                                # of segment 2
        {sent(14601, 16061, push=False)}
        {DUP}                                # 3
        {sent(16061, 17521, push=False)}
        {DUP}                                # 4: 12 segments are out, cwnd 8
        +0 > . 1:1461(1460) ack 1
        {DUP}                                # 5: 9
        {DUP}                                # 6: 10
        {DUP}                                # 7: 11
        {DUP}                                # 8: 12
        +0.01 quiet
        {DUP}                                # 9: 13
        {sent(17521, 18981, push=False)}
        {DUP}                                # 10: 14
        {sent(18981, 20441, push=False)}
        +0.05 < . 1:1(0) ack 1               # 11
        {sent(20441, 21901, push=False)}
        {DUP}                                # 12
        {sent(21901, 23361, push=False)}
        +0.05 < . 1:1(0) ack 17521           # 1, repeated: all of 1 to 12
        """
    )
    # four are out, 17521:23361: cwnd is ssthresh again, 5
    tcp.play(sent(23361, 24821, push=False))
    tcp.quiet(0.05)
    assert windows(sock) == (5, 5)


@pytest.mark.requirement("RFC5681-S3.2-4")
def test_after_fast_recovery_the_window_grows_by_one_segment_every_round_trip(tcp: Tcp) -> None:
    sock = ten_out(tcp)
    duplicates(tcp, 2)
    tcp.play(f"{DUP}\n+0 > . 1:1461(1460) ack 1")
    tcp.play("+0.1 < . 1:1(0) ack 17521\n+0 > . 17521:18981(1460) ack 1\n+0 > *")
    una, nxt = 17521, 20441
    seen = []
    for _ in range(5):
        tcp.quiet(0.1)
        end = nxt
        for ack in range(una + MSS, end + MSS, MSS):
            tcp.inject(tcp.segment(f". 1:1(0) ack {ack}"))
            nxt += sum(len(packet.payload) for packet in tcp.take())
        una = end
        seen.append((nxt - una) // MSS)
    assert windows(sock)[1] == 5
    assert {after - before for before, after in pairwise(seen)} <= {0, 1}


@pytest.mark.requirement("RFC5681-S4.3-1")
def test_when_the_repeat_is_lost_too_both_windows_are_cut_again(tcp: Tcp) -> None:
    sock = ten_out(tcp)
    tcp.play(
        f"""
        {DUP}
        {sent(14601, 16061, push=False)}
        {DUP}
        {sent(16061, 17521, push=False)}
        {DUP}
        +0    > . 1:1461(1460) ack 1
        """
    )
    assert windows(sock)[1] == 5
    tcp.play("+0.3 > . 1:1461(1460) ack 1")
    cwnd, ssthresh = windows(sock)
    assert cwnd == 1
    assert 2 <= ssthresh <= 6  # half of the 12 that are out at most


@pytest.mark.requirement("RFC5681-S4.3-1")
def test_losses_in_two_windows_in_a_row_cut_twice(tcp: Tcp) -> None:
    sock = ten_out(tcp)
    duplicates(tcp, 3)
    assert windows(sock)[1] == 5
    tcp.play("+0.1 < . 1:1(0) ack 17521")  # recovered; what is out from now on is the next window
    tcp.take()
    tcp.play("+0.1 < . 1:1(0) ack 18981")
    tcp.take()
    duplicates(tcp, 2, ack=18981)
    tcp.play("+0 < . 1:1(0) ack 18981\n+0 > . 18981:20441(1460) ack 1")
    assert windows(sock)[1] == 2


# -- under SACK ---------------------------------------------------------------------------------


def test_under_sack_three_acks_with_news_repeat_the_segment(tcp: Tcp) -> None:
    sock = tcp.established(sack=True)
    sock.send(tcp.data(6 * MSS))
    tcp.play(sent(1, 6 * MSS + 1))
    tcp.play(
        """
        +0.1 < . 1:1(0) ack 1 <nop,nop,sack 1461:2921>
        +0   < . 1:1(0) ack 1 <nop,nop,sack 1461:4381>
        +0   < . 1:1(0) ack 1 <nop,nop,sack 1461:5841>
        +0   > . 1:1461(1460) ack 1
        """
    )


@pytest.mark.requirement("RFC3042-S2-2")
def test_under_sack_reports_of_duplicates_are_no_duplicate_acks(tcp: Tcp) -> None:
    """RFC 2883: what we sent twice has come twice; nothing is known to be lost."""
    sock = tcp.established(sack=True)
    sock.send(tcp.data(6 * MSS))
    tcp.play(sent(1, 6 * MSS + 1))
    tcp.play(
        """
        +0.1 < . 1:1(0) ack 4381 <nop,nop,sack 1:1461>
        +0   < . 1:1(0) ack 4381 <nop,nop,sack 1:1461>
        +0   < . 1:1(0) ack 4381 <nop,nop,sack 1461:2921>
        +0   < . 1:1(0) ack 4381 <nop,nop,sack 2921:4381>
        +0.1 quiet
        """
    )
