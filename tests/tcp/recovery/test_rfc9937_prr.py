"""RFC 9937: proportional rate reduction, by tables that were reckoned by hand.

Twenty segments are out, and nothing is held back by the peer's window. Segment n is octets
1460 (n - 1) + 1 to 1460 n. Each row of a table is an ACK, what it lets out, and the segments in
flight after that; the columns of the sums beside it are in segments too. Linux rounds what leaves
per ACK up to whole segments, so a row of one segment delivered may differ there by one.
"""

from __future__ import annotations

import socket

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import MSS, acked, at, run, segments, sent

pytestmark = pytest.mark.host(tcp_initial_cwnd=20, tcp_congestion_control="reno")

Blocks = list[tuple[int, int]]
Row = tuple[int, Blocks, list[int], int]

both_detectors = pytest.mark.parametrize(
    "detector",
    [
        pytest.param("rack", marks=pytest.mark.host(tcp_loss_recovery="rack")),
        pytest.param("rfc6675", marks=pytest.mark.host(tcp_loss_recovery="rfc6675")),
    ],
)


def out(tcp: Tcp, more: int = 60, rtt: float = 0.1) -> socket.socket:
    """Twenty segments are out and a round trip is over; so many more wait."""
    sock = tcp.established(wscale=7, sack=True, rtt=rtt)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 120 * MSS)
    sock.send(tcp.data((20 + more) * MSS))
    tcp.play(run(1, 20) if more else sent(1, at(21)))
    tcp.quiet(rtt)
    return sock


def windows(sock: socket.socket) -> tuple[int, int]:
    info = sock.tcp_info()
    return info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh


def pipe(sock: socket.socket) -> int:
    """RFC 9937 §6.2's inflight in segments, by the formula that Linux' users know."""
    info = sock.tcp_info()
    return int(info.tcpi_unacked - info.tcpi_sacked - info.tcpi_lost + info.tcpi_retrans)


def walk(tcp: Tcp, sock: socket.socket, rows: list[Row], wait: float = 0.1) -> None:
    """Play a table; its rows come 1 ms apart, the first after `wait` s. (Of what left at the very
    same time, RACK takes the higher number for sent later, and would be wrong about repeats.)"""
    __tracebackhide__ = True
    tcp.quiet(wait)
    for last, blocks, leaving, left in rows:
        what = segments(*leaving) if leaving else "+0 quiet"
        tcp.play(acked(last, *blocks, wait="0.001") + what)
        assert pipe(sock) == left, (last, blocks)


# -- the two examples of the RFC: one segment lost, and fifteen ------------------------------------


@pytest.mark.requirement(
    "RFC9937-S6.1-1", "RFC9937-S6.2-1", "RFC9937-S6.2-2", "RFC9937-S6.2-3", "RFC9937-S6.4-1"
)
@both_detectors
def test_one_lost_segment_of_twenty(tcp: Tcp, detector: str) -> None:
    sock = out(tcp)
    walk(tcp, sock, [
        (0, [(2, 2)], [21], 20),  # limited transmit
        (0, [(2, 3)], [22], 20),
        (0, [(2, 4)], [1], 19),  # RecoverFS = 22 - 3 + 1 = 20; 1/2 - 0, but the first one goes
        (0, [(2, 5)], [], 18),  # 2/2 - 1
        (0, [(2, 6)], [], 17),  # 3/2 - 1
        (0, [(2, 7)], [23], 17),  # 4/2 - 1
        (0, [(2, 8)], [], 16),
        (0, [(2, 9)], [24], 16),
        (0, [(2, 10)], [], 15),
        (0, [(2, 11)], [25], 15),
        (0, [(2, 12)], [], 14),
        (0, [(2, 13)], [26], 14),
        (0, [(2, 14)], [], 13),
        (0, [(2, 15)], [27], 13),
        (0, [(2, 16)], [], 12),
        (0, [(2, 17)], [28], 12),  # 14/2 - 6
        (0, [(2, 18)], [], 11),
        (0, [(2, 19)], [], 10),  # inflight is ssthresh: 10 - 10
        (0, [(2, 20)], [29], 10),  # 10 - 9
    ], 0)  # fmt: skip
    assert windows(sock)[1] == 10
    walk(tcp, sock, [
        (0, [(2, 21)], [30], 10),
        (0, [(2, 22)], [31], 10),
        (22, [], [32], 10),  # it is over: 23 to 31 were out, cwnd is 10
        (23, [], [33], 10),
    ])  # fmt: skip
    assert windows(sock) == (10, 10)


@pytest.mark.requirement("RFC9937-S6.1-1", "RFC9937-S6.2-1", "RFC9937-S6.4-1")
@both_detectors
def test_one_lost_segment_of_twenty_and_acks_of_two(tcp: Tcp, detector: str) -> None:
    sock = out(tcp)
    walk(tcp, sock, [
        (0, [(2, 3)], [21, 22], 20),
        (0, [(2, 5)], [1], 18),  # 2/2 - 0
        (0, [(2, 7)], [23], 17),  # 4/2 - 1
        (0, [(2, 9)], [24], 16),
        (0, [(2, 11)], [25], 15),
        (0, [(2, 13)], [26], 14),
        (0, [(2, 15)], [27], 13),
        (0, [(2, 17)], [28], 12),  # 14/2 - 6
        (0, [(2, 19)], [], 10),
        (0, [(2, 20)], [29], 10),
    ], 0)  # fmt: skip
    walk(tcp, sock, [
        (0, [(2, 22)], [30, 31], 10),
        (22, [], [32], 10),
    ])  # fmt: skip
    assert windows(sock) == (10, 10)


@pytest.mark.requirement("RFC9937-S6.1-1", "RFC9937-S6.2-2", "RFC9937-S6.2-4", "RFC9937-S6.4-1")
@both_detectors
def test_fifteen_lost_segments_of_twenty(tcp: Tcp, detector: str) -> None:
    sock = out(tcp)
    walk(tcp, sock, [
        (0, [(16, 16)], [21], 20),
        (0, [(16, 17)], [22], 20),
        (0, [(16, 18)], [1], 5),  # 22 - 3 - 15 = 4 in flight; max(1 - 0, 1)
        (0, [(16, 19)], [2], 5),
        (0, [(16, 20)], [3], 5),  # max(3 - 2, 1)
    ], 0)  # fmt: skip
    walk(tcp, sock, [
        (0, [(16, 21)], [4], 5),
        (0, [(16, 22)], [5], 5),
        (1, [(16, 22)], [6, 7], 6),  # SND.UNA moves: one more than is delivered
        (2, [(16, 22)], [8, 9], 7),
        (3, [(16, 22)], [10, 11], 8),
    ])  # fmt: skip
    walk(tcp, sock, [
        (4, [(16, 22)], [12, 13], 9),
        (5, [(16, 22)], [14, 15], 10),
        (6, [(16, 22)], [23], 10),  # ssthresh - inflight = 10 - 9
        (7, [(16, 22)], [24], 10),
        (8, [(16, 22)], [25], 10),
        (9, [(16, 22)], [26], 10),
        (10, [(16, 22)], [27], 10),
        (11, [(16, 22)], [28], 10),
    ])  # fmt: skip
    walk(tcp, sock, [
        (12, [(16, 22)], [29], 10),
        (13, [(16, 22)], [30], 10),
        (14, [(16, 22)], [31], 10),
        (22, [], [32], 10),
    ])  # fmt: skip
    assert windows(sock) == (10, 10)


@pytest.mark.requirement("RFC9937-S6.1-1", "RFC9937-S6.2-1", "RFC9937-S6.4-1")
@pytest.mark.host(tcp_congestion_control="cubic")
@both_detectors
def test_with_cubic_seven_leave_for_every_ten_delivered(tcp: Tcp, detector: str) -> None:
    """ssthresh is 14; 2044 octets leave for each 2920."""
    sock = out(tcp)
    walk(tcp, sock, [
        (0, [(2, 3)], [21, 22], 20),
        (0, [(2, 5)], [1], 18),  # 1.4 - 0
        (0, [(2, 7)], [23], 17),  # 2.8 - 1
        (0, [(2, 9)], [24, 25], 17),  # 4.2 - 2
        (0, [(2, 11)], [26], 16),  # 5.6 - 4
        (0, [(2, 13)], [], 14),  # inflight is ssthresh
        (0, [(2, 15)], [27, 28], 14),  # 14 - 12
        (0, [(2, 17)], [29, 30], 14),
        (0, [(2, 19)], [31, 32], 14),
        (0, [(2, 20)], [33], 14),
    ], 0)  # fmt: skip
    walk(tcp, sock, [(22, [], [34, 35, 36], 14)])
    assert windows(sock) == (14, 14)


# -- the beginning ---------------------------------------------------------------------------------


@pytest.mark.requirement("RFC9937-S6.1-1")
def test_recoverfs_is_what_was_out_before_the_ack_that_begins_it(tcp: Tcp) -> None:
    """Its ACK also moves SND.UNA: 19 out - 5 + 5 reported + 1 acknowledged = 20."""
    sock = out(tcp)
    walk(tcp, sock, [(1, [(3, 7)], [2, 21, 22], 16)], 0)  # 6/2


@pytest.mark.requirement("RFC9937-S6.1-1")
def test_what_was_reported_before_is_neither_in_recoverfs_nor_delivered(tcp: Tcp) -> None:
    """Two blocks of one segment come first. Nothing new waits to be sent."""
    sock = out(tcp, more=0)
    walk(tcp, sock, [
        (0, [(2, 2)], [], 19),
        (0, [(4, 4), (2, 2)], [], 18),
        # RecoverFS = 20 - 4 + 2 = 18; 1 and 3 are lost: 14 in flight; ssthresh is 10: 20/18 - 0
        (0, [(4, 6), (2, 2)], [1], 15),
        (0, [(4, 7), (2, 2)], [], 14),  # 30/18 - 1
        (0, [(4, 8), (2, 2)], [3], 14),  # 40/18 - 1
    ], 0)  # fmt: skip


@pytest.mark.requirement("RFC9937-S6.2-3")
def test_the_first_repeat_goes_though_the_flight_is_as_large_as_ssthresh(tcp: Tcp) -> None:
    sock = out(tcp)
    walk(tcp, sock, [(0, [(2, 10)], [1], 11), (0, [(2, 11)], [], 10)], 0)


@pytest.mark.requirement("RFC9937-S6.1-1")
def test_a_second_recovery_begins_from_nothing(tcp: Tcp) -> None:
    """After the one of twenty and a round trip of ten."""
    sock = out(tcp)
    walk(tcp, sock, [
        (0, [(2, 5)], [1, 21], 17),  # 4/2: 15 in flight
        (0, [(2, 9)], [22, 23], 15),
        (0, [(2, 13)], [24, 25], 13),
        (0, [(2, 17)], [26], 10),  # 9 in flight, of 10
        (0, [(2, 20)], [27, 28, 29], 10),
    ], 0)  # fmt: skip
    walk(tcp, sock, [
        (20, [], [30], 10),
        (29, [], [31, 32, 33, 34, 35, 36, 37, 38, 39], 10),
    ])  # fmt: skip
    walk(tcp, sock, [
        (30, [], [40, 41], 11),
        (30, [(32, 32)], [42], 11),
        (30, [(32, 33)], [43], 11),
        (30, [(32, 34)], [31], 10),  # RecoverFS = 13 - 3 + 1 = 11, ssthresh 5.5
        (30, [(32, 35)], [], 9),  # 2/2 - 1
        (30, [(32, 36)], [], 8),
        (30, [(32, 37)], [44], 8),  # 4/2 - 1
        (30, [(32, 38)], [], 7),
        (30, [(32, 39)], [45], 7),
    ])  # fmt: skip


@pytest.mark.host(tcp_initial_cwnd=19)
@pytest.mark.requirement("RFC9937-S6.2-1")
def test_what_may_leave_is_rounded_up_to_octets(tcp: Tcp) -> None:
    """Segments of 1459 octets. Of 19, 27 721 octets, half is 13 860: of 5836 delivered it takes
    2917.9, and two are 2918."""
    sock = tcp.established(wscale=7, sack=True, mss=1459)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 120 * MSS)
    sock.send(tcp.data(40 * 1459))
    edge = [1 + 1459 * number for number in range(41)]
    tcp.play(sent(1, edge[19], 1459, push=False) + "+0.1 quiet\n")
    tcp.play(
        f"""
        +0 < . 1:1(0) ack 1 <nop,nop,sack {edge[1]}:{edge[3]}>
        {sent(edge[19], edge[21], 1459, push=False)}
        +0 < . 1:1(0) ack 1 <nop,nop,sack {edge[1]}:{edge[5]}>
        {sent(1, edge[1], 1459, push=False)}
        +0 < . 1:1(0) ack 1 <nop,nop,sack {edge[1]}:{edge[7]}>
        {sent(edge[21], edge[22], 1459, push=False)}
        """
    )


# -- marks and second losses -----------------------------------------------------------------------


@pytest.mark.requirement("RFC9937-S6.2-3")
@pytest.mark.host(tcp_ecn=1)
def test_a_mark_lets_one_segment_out_at_first_and_then_in_proportion(tcp: Tcp) -> None:
    """ssthresh is 10 of 20 (RFC 8511 would have 16). A loss found meanwhile does not cut again."""
    sock = tcp.established(wscale=7, sack=True, ecn=True)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 120 * MSS)
    sock.send(tcp.data(80 * MSS))

    def leaves(*numbers: int, flags: str = ".") -> str:
        lines = (f"+0 > [ect0] {flags} {at(n)}:{at(n + 1)}(1460) ack 1\n" for n in numbers)
        return "".join(lines)

    tcp.play(leaves(*range(1, 21)) + "+0.1 quiet\n")
    tcp.play("+0 < .E 1:1(0) ack 1461\n" + leaves(21, flags="W."))
    for last, leaving in ((2, []), (3, []), (4, [22]), (5, []), (6, [23])):
        tcp.play(acked(last, wait="0.001") + (leaves(*leaving) if leaving else "+0 quiet"))
    # 12 in flight
    tcp.play(acked(6, (8, 11), wait="0.001") + segments(7) + leaves(24))
    assert (windows(sock)[1], sock.tcp_info().tcpi_ca_state) == (10, 3)


@pytest.mark.requirement("RFC9937-S6.1-1")
def test_the_loss_of_a_repeat_begins_anew_with_half_of_the_window(tcp: Tcp) -> None:
    """RFC 5681 §4.3. 21 left right behind the repeat of 1, and is reported before it. (Linux goes
    on as it was.)"""
    sock = out(tcp)
    walk(tcp, sock, [
        (0, [(2, 5)], [1, 21], 17),
        (0, [(2, 9)], [22, 23], 15),
        (0, [(2, 20)], [24, 25, 26, 27, 28, 29], 10),
    ], 0)  # fmt: skip
    assert windows(sock)[1] == 10
    walk(tcp, sock, [
        (0, [(2, 21)], [1], 9),  # RecoverFS = 29 - 20 + 1 = 10, ssthresh 5; 8 in flight
        (0, [(2, 22)], [], 8),  # 2/2 - 1
        (0, [(2, 23)], [], 7),
        (0, [(2, 24)], [30], 7),  # 4/2 - 1
    ])  # fmt: skip
    assert windows(sock) == (5, 5)


# -- rebuilding ------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC9937-S6.2-2")
def test_no_extra_segment_goes_for_an_ack_that_brings_a_loss(tcp: Tcp) -> None:
    """1 to 10 and 15 are lost. The ACK of 1 comes with the report of 16, so 15 is lost too."""
    sock = out(tcp)
    walk(tcp, sock, [(0, [(11, 14)], [1, 2, 3, 4], 10)], 0)
    walk(tcp, sock, [
        (1, [(16, 20), (11, 14)], [5, 6, 7, 8, 9, 10], 9),  # 3 in flight; max(10 - 4, 6)
        (2, [(16, 20), (11, 14)], [15, 21], 10),  # 8 in flight; max(11 - 10, 1) and one more
    ])  # fmt: skip


@pytest.mark.requirement("RFC9937-S6.2-2")
def test_what_was_not_used_when_there_was_nothing_to_send_is_used_later(tcp: Tcp) -> None:
    """There is no new text while eight ACKs come; then there is."""
    sock = out(tcp, more=0)
    walk(tcp, sock, [
        (0, [(2, 13)], [1], 8),  # 7 in flight; 12 would go, at most 10 - 7
        (0, [(2, 14)], [], 7),
    ], 0)  # fmt: skip
    sock.send(tcp.data(20 * MSS, 20 * MSS))
    tcp.play(run(21, 23))  # 10 - 7
    assert pipe(sock) == 10
    walk(tcp, sock, [(0, [(2, 15)], [24], 10)], 0)


# -- the end ---------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC9937-S6.4-1")
@both_detectors
def test_cwnd_is_ssthresh_at_the_end_though_little_is_out(tcp: Tcp, detector: str) -> None:
    sock = out(tcp, more=0)
    tcp.play(acked(0, (2, 20)) + segments(1) + "+0.09 quiet\n" + acked(20) + "+0 quiet")
    assert windows(sock) == (10, 10)
    sock.send(tcp.data(20 * MSS, 20 * MSS))
    tcp.play(run(21, 30))


# -- losses found by time --------------------------------------------------------------------------


@pytest.mark.requirement("RFC9937-S6.2-4")
def test_what_is_found_lost_without_an_ack_may_go_in_place_of_what_was_lost(tcp: Tcp) -> None:
    """There was reordering, so RACK waits 100 ms more, a quarter of the RTT. Of ten and ten
    segments the last ones arrive. cwnd stays what it is between two ACKs: 9 lost make room for
    9. (Linux looks once, when all are due.)"""
    sock = tcp.established(wscale=7, sack=True, rtt=0.4)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 120 * MSS)
    sock.send(tcp.data(3 * MSS))
    tcp.play(sent(1, at(4)) + acked(0, (2, 2), wait="0.4") + acked(3) + "+0 quiet")
    sock.send(tcp.data(10 * MSS, 3 * MSS))
    tcp.play(sent(at(4), at(14)) + "+0.08 quiet\n")
    sock.send(tcp.data(10 * MSS, 13 * MSS))
    tcp.play(sent(at(14), at(24)))
    tcp.play(acked(3, (13, 13), wait="0.32") + acked(3, (23, 23), (13, 13), wait="0.08"))
    tcp.play(segments(4, wait="0.02"))  # 500 ms after they left: 9 of 20 are lost
    assert (pipe(sock), windows(sock)[1]) == (10, 10)
    tcp.play(segments(5, 6, 7, 8, 9, 10, 11, 12, 14, wait="0.08"))
    assert pipe(sock) == 10
    tcp.play(acked(4, (23, 23), (13, 13), wait="0.3") + segments(15) + "+0 quiet")
