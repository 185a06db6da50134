"""RFC 6675: loss recovery by SACK blocks, as the detector "rfc6675" has it.

The window is halved at once, as there: proportional rate reduction has a file of its own. Segment n
is octets 1460 (n - 1) + 1 to 1460 n; where segments are of 100 octets, it says so.
"""

from __future__ import annotations

import socket

import pytest

from pystack.cc import registry
from pystack.cc.reno import Reno
from tests.kit.tcp import Tcp
from tests.tcp.runs import MSS, acked, at, run, segments, sent


class Halving(Reno):
    """Reno, led by cwnd - pipe alone."""

    name = "halving"
    uses_prr = False


registry.register("halving", Halving)
pytestmark = pytest.mark.host(tcp_loss_recovery="rfc6675", tcp_congestion_control="halving")


def windows(sock: socket.socket) -> tuple[int, int]:
    info = sock.tcp_info()
    return info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh


def pipe(sock: socket.socket) -> int:
    """In segments, by the formula that Linux' users know."""
    info = sock.tcp_info()
    return int(info.tcpi_unacked - info.tcpi_sacked - info.tcpi_lost + info.tcpi_retrans)


def out(tcp: Tcp, count: int = 10, more: int = 40) -> socket.socket:
    """So many segments are out, the window takes no more, and so many more wait."""
    sock = tcp.established(wscale=7, sack=True)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, (count + more) * MSS)
    sock.send(tcp.data((count + more) * MSS))
    tcp.play(run(1, count) if more else sent(1, at(count + 1)))
    tcp.quiet(0.1)
    return sock


def small_out(tcp: Tcp, count: int = 10, size: int = 100) -> socket.socket:
    """So many segments of that size are out, and that is all."""
    sock = tcp.established(wscale=7, sack=True)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for number in range(count):
        sock.send(tcp.data(size, size * number))
        tcp.play(f"+0 > P. {size * number + 1}:{size * number + size + 1}({size}) ack 1")
    tcp.quiet(0.1)
    return sock


def small(*numbers: int, size: int = 100) -> str:
    """Those segments leave again."""
    return "".join(f"+0 > . {size * (n - 1) + 1}:{size * n + 1}({size}) ack 1\n" for n in numbers)


def small_acked(
    last: int, *blocks: tuple[int, int], what: str = ".  1:1(0)", size: int = 100
) -> str:
    edges = " ".join(f"{size * (left - 1) + 1}:{size * right + 1}" for left, right in blocks)
    return f"+0 < {what} ack {size * last + 1} <nop,nop,sack {edges}>\n"


# -- §2: what a duplicate ACK is -----------------------------------------------------------------


@pytest.mark.requirement("RFC6675-S2-1")
def test_three_acks_with_news_begin_recovery_however_small_the_news(tcp: Tcp) -> None:
    """§5 step 1: so that small segments, that are no two of full size, can't prevent it. The window
    is never under two segments, so it takes the end of what is out too (§4 NextSeg, rule 4)."""
    small_out(tcp)
    tcp.play(
        small_acked(0, (2, 2)) + "+0 quiet\n"
        + small_acked(0, (2, 3)) + "+0 quiet\n"
        + small_acked(0, (2, 4)) + small(1) + "+0 > P. 401:1001(600) ack 1"
    )  # fmt: skip


@pytest.mark.requirement("RFC6675-S2-1")
def test_text_and_a_new_window_are_no_hindrance(tcp: Tcp) -> None:
    sock = small_out(tcp)
    tcp.play(
        small_acked(0, (2, 2), what="P. 1:11(10)")
        + "+0 > . 1001:1001(0) ack 11\n"
        + small_acked(0, (2, 3), what=".  11:11(0)").replace("<nop", "win 700 <nop")
        + "+0 quiet\n"
        + small_acked(0, (2, 4), what=".  11:11(0)").replace("<nop", "win 800 <nop")
        + "+0 > . 1:101(100) ack 11\n+0 > P. 401:1001(600) ack 11"
    )
    assert sock.recv(100) == tcp.data(10)


@pytest.mark.requirement("RFC6675-S2-1")
@pytest.mark.parametrize("line", [acked(0), acked(0, (2, 3))])
def test_acks_without_news_are_none(tcp: Tcp, line: str) -> None:
    sock = out(tcp, more=0)
    tcp.play(acked(0, (2, 3)) + 8 * (line + "+0 quiet\n"))
    assert sock.tcp_info().tcpi_ca_state < 2


@pytest.mark.requirement("RFC6675-S2-1")
def test_reports_of_duplicates_alone_are_none(tcp: Tcp) -> None:
    small_out(tcp)
    for _ in range(3):
        tcp.play(small_acked(2, (1, 1)) + "+0 quiet")
    tcp.play(small_acked(2, (4, 4)) + "+0 quiet\n" + small_acked(2, (4, 5)) + "+0 quiet")
    tcp.play(small_acked(2, (4, 6)) + small(3) + "+0 > P. 601:1001(400) ack 1")


@pytest.mark.requirement("RFC6675-S2-1")
def test_what_moves_snd_una_begins_the_count_anew(tcp: Tcp) -> None:
    """§5: a cumulative acknowledgment sets DupAcks to zero, but counts as one if it has news."""
    small_out(tcp)
    tcp.play(
        small_acked(0, (3, 3)) + small_acked(0, (3, 4)) + "+0 quiet\n"
        + small_acked(1, (3, 5)) + "+0 quiet\n"  # 1
        + small_acked(1, (3, 6)) + "+0 quiet\n"  # 2
        + small_acked(1, (3, 7)) + small(2) + "+0 > P. 701:1001(300) ack 1"
    )  # fmt: skip


# -- §4: IsLost ----------------------------------------------------------------------------------


@pytest.mark.requirement("RFC6675-S4-1")
@pytest.mark.parametrize(("octets", "lost"), [(2 * MSS, False), (2 * MSS + 1, True)])
def test_more_than_two_segments_beyond_it_and_it_is_lost(
    tcp: Tcp, octets: int, lost: bool
) -> None:
    """§5 step 2: one ACK is enough."""
    sock = out(tcp, more=0)
    tcp.play(f"+0 < . 1:1(0) ack 1 <nop,nop,sack {at(2)}:{at(2) + octets}>")
    tcp.play(segments(1) if lost else "+0 quiet")
    assert windows(sock)[1] == (5 if lost else 0x7FFFFFFF)


@pytest.mark.requirement("RFC6675-S4-1")
def test_three_blocks_beyond_it_and_it_is_lost_however_small_they_are(tcp: Tcp) -> None:
    """Segments of 970 octets: three are less than two full ones. The window of 7300 then takes one
    that is not lost as well (rule 3 of NextSeg)."""
    size = 970
    sock = small_out(tcp, size=size)
    tcp.play(small_acked(0, (2, 2), (4, 4), size=size) + "+0 quiet")  # two are not enough
    tcp.play(small_acked(0, (6, 6), (2, 2), (4, 4), size=size) + small(1, size=size) + "+0 quiet")
    assert sock.tcp_info().tcpi_lost == 1  # 3 has two blocks beyond it
    tcp.play(small_acked(0, (8, 8), (6, 6), (4, 4), size=size) + small(3, 5, size=size))
    assert sock.tcp_info().tcpi_lost == 2


@pytest.mark.requirement("RFC6675-S4-1")
def test_all_that_is_lost_by_the_first_ack_is_repeated(tcp: Tcp) -> None:
    """1, 3 and 4 have three segments beyond them, 6 has two."""
    sock = out(tcp, more=0)
    tcp.play(acked(0, (7, 8), (5, 5), (2, 2)) + segments(1, 3) + "+0 quiet")
    assert pipe(sock) == 5  # 10 - 4 - 3 + 2
    tcp.play(acked(0, (7, 10), (5, 5), (2, 2)) + segments(4, 6) + "+0 quiet\n")
    assert pipe(sock) == 4


# -- §4 SetPipe, §5: a whole recovery by hand ----------------------------------------------------


@pytest.mark.requirement("RFC6675-S4-2", "RFC6675-S5-1", "RFC6675-S5-2", "RFC6675-S4-5")
def test_one_lost_segment_of_ten(tcp: Tcp) -> None:
    sock = out(tcp)
    tcp.play(acked(0, (2, 2)) + segments(11))  # step 3: limited transmit
    tcp.play(acked(0, (2, 3)) + segments(12))
    assert (pipe(sock), windows(sock)) == (10, (10, 0x7FFFFFFF))
    tcp.play(acked(0, (2, 4)) + segments(1))  # step 4; what limited transmit sent isn't halved
    assert (pipe(sock), windows(sock)) == (9, (5, 5))
    for last, left in ((5, 8), (6, 7), (7, 6), (8, 5)):
        tcp.play(acked(0, (2, last)) + "+0 quiet")
        assert pipe(sock) == left
    for last in range(9, 13):  # step C: whenever pipe falls below cwnd
        tcp.play(acked(0, (2, last)) + segments(last + 4))
        assert pipe(sock) == 5
    tcp.play(acked(12, wait="0.05") + segments(17))
    assert windows(sock) == (5, 5)
    tcp.play(acked(17, wait="0.1") + run(18, 23))
    assert windows(sock) == (6, 5)


@pytest.mark.requirement(
    "RFC6675-S4-2", "RFC6675-S4-3", "RFC6675-S5-1",
    "RFC6675-S5-2", "RFC6675-S4-5",
)  # fmt: skip
def test_four_lost_segments_of_ten_are_repeated_upward_before_new_text(tcp: Tcp) -> None:
    """1, 2, 5 and 6 are lost; the window is cut once."""
    sock = out(tcp)
    tcp.play(acked(0, (3, 3)) + segments(11))
    tcp.play(acked(0, (3, 4)) + segments(12))
    # three beyond 1 and 2, one beyond 5 and 6; 12 out - 3 - 2 lost + 1
    tcp.play(acked(0, (7, 7), (3, 4)) + segments(1))
    assert (pipe(sock), windows(sock)) == (8, (5, 5))
    tcp.play(acked(0, (7, 8), (3, 4)) + "+0 quiet")
    assert pipe(sock) == 7
    tcp.play(acked(0, (7, 9), (3, 4)) + segments(2))  # 5 and 6 are lost too: 12 - 5 - 4 + 1
    assert pipe(sock) == 5
    tcp.play(acked(0, (7, 10), (3, 4)) + segments(5))
    tcp.play(acked(0, (7, 11), (3, 4)) + segments(6))
    tcp.play(acked(0, (7, 12), (3, 4)) + segments(13))
    assert pipe(sock) == 5
    tcp.play(acked(1, (7, 12), (3, 4), wait="0.1") + segments(14))
    tcp.play(acked(4, (7, 12)) + segments(15))
    tcp.play(acked(5, (7, 12)) + segments(16))
    assert (pipe(sock), windows(sock)) == (5, (5, 5))
    tcp.play(acked(12) + segments(17))  # over: 13 to 16 and 17 are out
    assert (pipe(sock), windows(sock)) == (5, (5, 5))


# -- §4: NextSeg ---------------------------------------------------------------------------------


@pytest.mark.requirement("RFC6675-S4-2", "RFC6675-S4-3", "RFC6675-S4-6")
def test_lost_holes_then_new_text_then_other_holes(tcp: Tcp) -> None:
    """1, 2 and 8 are lost of ten; there is one segment of new text."""
    sock = out(tcp, more=1)
    tcp.play(acked(0, (3, 7)) + segments(1, 2) + "+0 quiet")
    assert pipe(sock) == 5
    tcp.play(acked(0, (9, 9), (3, 7)) + sent(at(11), at(12)) + "+0 quiet")
    # rule 3: 8 has two segments beyond it. As it isn't judged lost, both copies of it count
    tcp.play(acked(0, (9, 10), (3, 7)) + segments(8) + "+0 quiet")
    assert pipe(sock) == 5  # 11 - 7 - 2 + 2, and 8 again
    tcp.play(acked(0, (9, 11), (3, 7)) + "+0 quiet")
    assert pipe(sock) == 3  # the first copy of 8 is lost; 1, 2, 8 are on their way
    tcp.play(acked(11, wait="0.1") + "+0 quiet")
    assert windows(sock) == (5, 5)
    tcp.quiet(1)


@pytest.mark.requirement("RFC6675-S4-4")
def test_the_end_of_what_is_out_is_repeated_once_so_that_no_timeout_is_needed(tcp: Tcp) -> None:
    """1, 9 and 10 are lost of ten, and there is nothing new to send."""
    sock = out(tcp, more=0)
    tcp.play(acked(0, (2, 8)) + segments(1) + sent(at(10), at(11)) + "+0 quiet")
    assert pipe(sock) == 4  # 1, 9, and 10 twice
    tcp.play(acked(8, (10, 10), wait="0.1") + segments(9) + "+0 quiet")
    tcp.play(acked(10, wait="0.1") + "+0 quiet")
    assert windows(sock) == (5, 5)
    tcp.quiet(1)


@pytest.mark.requirement("RFC6675-S4-4")
def test_a_second_end_is_repeated_in_the_next_recovery_only(tcp: Tcp) -> None:
    sock = out(tcp, more=0)
    tcp.play(acked(0, (2, 8)) + segments(1) + sent(at(10), at(11)))
    sock.send(tcp.data(MSS, 10 * MSS))
    tcp.play(sent(at(11), at(12)))  # 1, 9, twice 10, and 11 are out
    tcp.play(acked(8, wait="0.1") + "+0 quiet")  # room for one more, but 11 is not repeated
    assert pipe(sock) == 4
    tcp.play(acked(10) + "+0 quiet")
    assert sock.tcp_info().tcpi_ca_state == 0
    sock.send(tcp.data(4 * MSS, 11 * MSS))
    tcp.play(sent(at(12), at(16)))
    tcp.play(acked(10, (12, 14), wait="0.1") + segments(11) + "+0 quiet")
    tcp.play(acked(14, wait="0.1") + sent(at(15), at(16)))
    tcp.quiet(0.1)


@pytest.mark.requirement("RFC6675-S4-4", "RFC6675-S4-6")
def test_an_end_that_was_repeated_already_is_not_repeated_again(tcp: Tcp) -> None:
    """Only the first is lost. The letter of rule 4 would have it sent twice at once."""
    out(tcp, more=0)
    tcp.play(acked(0, (2, 10)) + segments(1) + "+0.05 quiet\n" + acked(10) + "+1 quiet")


@pytest.mark.requirement("RFC6675-S4-3")
def test_nothing_is_sent_beyond_the_peers_window(tcp: Tcp) -> None:
    sock = tcp.established(sack=True, win=10 * MSS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 40 * MSS)
    sock.send(tcp.data(20 * MSS))
    tcp.play(run(1, 10) + "+0.1 quiet\n")
    tcp.play(acked(0, (2, 4)) + segments(1) + "+0 quiet\n")
    tcp.play(acked(0, (2, 9)) + segments(10))  # rule 4 in place of rule 2
    tcp.play(acked(9, wait="0.05") + run(11, 13))  # 10 twice: the window of 5 is full
    assert pipe(sock) == 5


@pytest.mark.requirement("RFC6675-S4-4")
def test_an_end_beyond_a_window_that_has_shrunk_is_not_repeated(tcp: Tcp) -> None:
    sock = tcp.established(sack=True, win=10 * MSS)
    sock.send(tcp.data(10 * MSS))
    tcp.play(sent(1, at(11)) + "+0.1 quiet\n")
    line = acked(0, (2, 9)).replace("ack 1 ", f"ack 1 win {9 * MSS} ")
    tcp.play(line + segments(1) + "+0.05 quiet")


@pytest.mark.requirement("RFC6675-S4-4")
def test_an_end_that_the_window_did_not_take_is_repeated_when_it_does(tcp: Tcp) -> None:
    sock = tcp.established(sack=True, win=10 * MSS)
    sock.send(tcp.data(10 * MSS))
    tcp.play(sent(1, at(11)) + "+0.1 quiet\n")
    line = acked(0, (2, 9)).replace("ack 1 ", f"ack 1 win {9 * MSS} ")
    tcp.play(line + segments(1) + "+0.05 quiet")
    line = line.replace(f"{9 * MSS}", f"{10 * MSS}")
    tcp.play(line + sent(at(10), at(11)) + "+0.05 quiet")


@pytest.mark.requirement("RFC6675-S5-1")
def test_what_limited_transmit_has_sent_is_not_halved_though_nothing_else_waits(tcp: Tcp) -> None:
    sock = out(tcp, more=2)
    tcp.play(acked(0, (2, 2)) + segments(11) + acked(0, (2, 3)) + sent(at(12), at(13)))
    tcp.play(acked(0, (2, 4)) + segments(1))
    assert windows(sock) == (5, 5)


# -- §5 and §5.1: one reduction --------------------------------------------------------------------


@pytest.mark.requirement("RFC6675-S5-1")
def test_losses_of_the_flight_that_began_it_are_repaired_in_the_same_recovery(tcp: Tcp) -> None:
    """1, 5 and 8 are lost. Up to 12 was out when it began, so an ACK of 12 ends it."""
    sock = out(tcp)
    tcp.play(acked(0, (2, 2)) + segments(11) + acked(0, (2, 3)) + segments(12))
    tcp.play(acked(0, (2, 4)) + segments(1))
    tcp.play(acked(0, (6, 7), (2, 4)) + "+0 quiet")
    tcp.play(acked(0, (9, 11), (6, 7), (2, 4)) + segments(5, 8, 13) + "+0 quiet")
    tcp.play(acked(4, (9, 11), (6, 7), wait="0.1") + segments(14))
    tcp.play(acked(7, (9, 11)) + segments(15))
    tcp.play(acked(11) + segments(16))
    assert (pipe(sock), windows(sock), sock.tcp_info().tcpi_ca_state) == (5, (5, 5), 3)
    tcp.play(acked(12) + segments(17))
    assert (pipe(sock), windows(sock), sock.tcp_info().tcpi_ca_state) == (5, (5, 5), 0)


@pytest.mark.requirement("RFC6675-S5.1-1")
@pytest.mark.host(tcp_frto=0)
def test_after_a_timeout_no_recovery_begins_before_all_that_was_out_is_acknowledged(
    tcp: Tcp,
) -> None:
    sock = out(tcp)
    tcp.play(segments(1, wait="0.2"))
    assert windows(sock) == (1, 5)
    tcp.play(acked(0, (2, 4)) + "+0 quiet")
    assert windows(sock) == (1, 5)
    tcp.play(acked(4) + run(5, 6))  # one is news: the blocks have told of the others
    tcp.play(acked(6) + run(7, 10))
    tcp.play(acked(6, (8, 10)) + run(11, 13) + "+0 quiet")
    assert (windows(sock), sock.tcp_info().tcpi_ca_state) == ((4, 5), 4)
    tcp.play(acked(10, wait="0.1"))
    tcp.take()
    assert sock.tcp_info().tcpi_ca_state == 0
    tcp.play(acked(10, (12, 14)) + segments(11))
    tcp.take()
    assert sock.tcp_info().tcpi_ca_state == 3


def test_what_is_still_missing_after_an_undo_is_found_lost_anew(tcp: Tcp) -> None:
    """1, 2 and 3 were judged lost, and 1 was needless."""
    sock = out(tcp)
    tcp.play(acked(0, (4, 6)) + segments(1) + "+0 quiet")
    tcp.play(acked(1, (1, 1), (4, 6)) + segments(2) + "+0 quiet")
    assert sock.tcp_info().tcpi_ca_state == 3
