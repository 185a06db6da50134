"""RFC 6582: NewReno, fast recovery with partial ACKs.

The connections have neither SACK nor timestamps, and Reno; a segment is 1460 octets; segment n is
octets 1460 (n - 1) + 1 to 1460 n.
"""

from __future__ import annotations

import socket

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno")

MSS = 1460


def at(segment: int) -> int:
    """The number of the first octet of a segment."""
    return MSS * (segment - 1) + 1


def segments(first: int, last: int, *, wait: str = "0") -> str:
    """Those segments leave, inclusive; none is the end of what was written."""
    return sent(at(first), at(last + 1), push=False, wait=wait)


def acked(last: int, wait: str = "0") -> str:
    """An ACK of all segments up to that one."""
    return f"+{wait} < . 1:1(0) ack {at(last + 1)}\n"


def windows(sock: socket.socket) -> tuple[int, int]:
    info = sock.tcp_info()
    return info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh


def ten_out(tcp: Tcp, more: int = 60) -> socket.socket:
    sock = tcp.established(wscale=7, win=65535)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, (10 + more) * MSS)
    sock.send(tcp.data((10 + more) * MSS))
    tcp.play(sent(1, at(11), push=not more))
    tcp.quiet(0.1)
    return sock


def in_recovery(tcp: Tcp, duplicates: int, more: int = 60) -> socket.socket:
    """The first segment was lost, and others; so many duplicate ACKs came. Ten (or twelve, with
    more to send) segments are out, the first has been repeated; recover is their end."""
    sock = ten_out(tcp, more)
    for number in range(1, duplicates + 1):
        tcp.play(acked(0))
        if number == 3:
            tcp.play(segments(1, 1))
        elif number < 3 and more:
            tcp.play(segments(10 + number, 10 + number))
    return sock


# -- steps 2 to 4: partial and full ACKs ---------------------------------------------------------


@pytest.mark.requirement("RFC6582-S3.2-2")
def test_one_hole_is_repaired_every_round_trip_without_a_timeout(tcp: Tcp) -> None:
    """Segments 1, 3 and 5 of ten are lost."""
    in_recovery(tcp, 7, more=0)
    tcp.play(acked(2, "0.1") + segments(3, 3))
    tcp.play(acked(4, "0.1") + segments(5, 5))
    tcp.play(acked(10, "0.1"))
    tcp.quiet(1000)


@pytest.mark.requirement("RFC6582-S3.2-2")
def test_a_partial_ack_deflates_by_what_it_covers_and_adds_one_segment(tcp: Tcp) -> None:
    """Segments 1 and 3 of ten are lost: ssthresh is 5. After d duplicates cwnd is 5 + d."""
    sock = in_recovery(tcp, 3)
    for _ in range(4, 8):  # 5 + 7 = 12: all that is out
        tcp.play(acked(0) + "+0 quiet")
    # the partial ACK takes off 2 and adds 1: cwnd 11, out are 10 with the next hole
    tcp.play(acked(2, "0.1") + segments(3, 3) + segments(13, 13))
    tcp.play("+0.01 quiet")
    # duplicates go on counting: each adds one
    tcp.play(acked(2) + segments(14, 14))
    tcp.play(acked(2) + segments(15, 15))
    # full ACK: 13, 14, 15 are out, so cwnd is min(5, 3 + 1)
    tcp.play(acked(12, "0.1") + segments(16, 16))
    tcp.quiet(0.05)
    assert windows(sock) == (4, 5)


@pytest.mark.requirement("RFC6582-S3.2-2")
def test_a_partial_ack_of_a_part_of_a_segment_repeats_from_there(tcp: Tcp) -> None:
    in_recovery(tcp, 3, more=0)
    tcp.play(
        """
        +0.1 < . 1:1(0) ack 731
        +0   > . 731:1461(730) ack 1
        """
    )


@pytest.mark.requirement("RFC6582-S3.2-2", "RFC5681-S3.2-4")
def test_during_recovery_no_ack_cuts_the_window_again(tcp: Tcp) -> None:
    sock = in_recovery(tcp, 9, more=0)
    assert windows(sock)[1] == 5
    tcp.play(acked(1, "0.1") + segments(2, 2))
    for _ in range(6):
        tcp.play(acked(1) + "+0 quiet")
    assert windows(sock)[1] == 5


@pytest.mark.requirement("RFC6582-S3.2-3")
def test_a_full_ack_with_nothing_else_out_leaves_two_segments_of_window(tcp: Tcp) -> None:
    """min(ssthresh, max(FlightSize, SMSS) + SMSS): no burst."""
    sock = in_recovery(tcp, 9, more=0)
    tcp.play(acked(10, "0.1") + "+0 quiet")
    assert windows(sock) == (2, 5)
    sock.send(tcp.data(6 * MSS, 10 * MSS))
    tcp.play(segments(11, 12))
    tcp.quiet(0.05)


@pytest.mark.requirement("RFC6582-S3.2-3")
def test_a_full_ack_with_much_out_leaves_ssthresh(tcp: Tcp) -> None:
    sock = in_recovery(tcp, 3)
    for number in range(4, 12):
        released = segments(9 + number - 4, 9 + number - 4) if number >= 8 else "+0 quiet"
        tcp.play(acked(0) + (released if number >= 8 else "+0 quiet"))
    tcp.play(acked(12, "0.1") + segments(17, 17))
    assert windows(sock) == (5, 5)


@pytest.mark.requirement("RFC6582-S3.2-3")
def test_an_ack_of_all_that_was_out_when_recovery_began_is_full(tcp: Tcp) -> None:
    in_recovery(tcp, 3)
    tcp.play(acked(11, "0.1") + segments(12, 12))  # partial: 12 was out then
    tcp.take()
    tcp.play(acked(12, "0.1"))
    tcp.take()
    tcp.play(acked(13, "0.1"))  # more than recover: a new recovery may begin
    tcp.take()
    for _ in range(2):
        tcp.play(acked(13))
        tcp.take()
    tcp.play(acked(13) + segments(14, 14))
    tcp.take()


# -- step 1: recover -----------------------------------------------------------------------------


@pytest.mark.requirement("RFC6582-S3.2-1")
def test_needless_repeats_after_a_timeout_start_no_recovery(tcp: Tcp) -> None:
    """All ten arrived but the ACKs were lost: the repeats draw duplicates of the last ACK."""
    sock = ten_out(tcp, more=0)
    tcp.play("+0.2 > . 1:1461(1460) ack 1")
    tcp.play(acked(1, "0.05") + segments(2, 3))
    assert windows(sock)[1] == 5
    for _ in range(6):
        tcp.play(acked(1) + "+0 quiet")  # duplicates below recover
    tcp.play("+0.05 quiet")
    assert windows(sock)[1] == 5


@pytest.mark.requirement("RFC6582-S3.2-1")
def test_after_a_timeout_duplicates_of_exactly_recover_start_none_either(tcp: Tcp) -> None:
    sock = ten_out(tcp)
    tcp.play("+0.2 > . 1:1461(1460) ack 1")
    tcp.play(acked(10, "0.05"))  # all that was out at the timeout: cwnd 2 and a bit
    released = tcp.take()
    assert released
    una = at(11)
    for _ in range(4):
        tcp.inject(tcp.segment(f". 1:1(0) ack {una}"))
        for packet in tcp.take():
            assert tcp.flow("").our_number(packet.seq) > una  # new text only, no repeat of 11
    assert windows(sock)[1] == 5


@pytest.mark.requirement("RFC6582-S3.2-1")
def test_duplicates_above_recover_start_a_new_recovery(tcp: Tcp) -> None:
    ten_out(tcp)
    tcp.play("+0.2 > . 1:1461(1460) ack 1")
    tcp.play(acked(10, "0.05"))
    tcp.take()
    tcp.play(acked(11, "0.1"))
    tcp.take()
    for _ in range(2):
        tcp.play(acked(11))
        tcp.take()
    tcp.play(acked(11) + segments(12, 12))
    tcp.take()


# -- the retransmission timer --------------------------------------------------------------------


@pytest.mark.deviation("RFC6582-S3.2-4")
def test_every_partial_ack_restarts_the_timer(tcp: Tcp) -> None:
    """Segments 1 to 4 of ten are lost. RTO is 300 ms."""
    in_recovery(tcp, 6, more=0)
    tcp.play(acked(1, "0.1") + segments(2, 2))
    tcp.play(acked(2, "0.1") + segments(3, 3))
    tcp.play(acked(3, "0.1") + segments(4, 4))
    tcp.play(segments(4, 4, wait="0.3"))


@pytest.mark.deviation("RFC6582-S3.2-4")
def test_a_timeout_ends_recovery(tcp: Tcp) -> None:
    sock = in_recovery(tcp, 6, more=0)
    tcp.play(segments(1, 1, wait="0.3"))
    assert windows(sock)[0] == 1
    tcp.play(acked(1, "0.1") + segments(2, 3))  # slow start from one segment, no more by one hole
    for _ in range(5):
        tcp.play(acked(1) + "+0 quiet")
    tcp.play(acked(3, "0.1") + segments(4, 7))
