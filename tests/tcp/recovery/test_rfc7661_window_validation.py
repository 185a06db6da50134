"""RFC 7661: a congestion window that is not used does not grow.

The connections have Reno; a segment is 1460 octets.
"""

from __future__ import annotations

import socket

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import MSS, acked, at, run, segments, sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno")


def cwnd(sock: socket.socket) -> int:
    return int(sock.tcp_info().tcpi_snd_cwnd)


def write(tcp: Tcp, sock: socket.socket, first: int, last: int) -> None:
    """The application writes these segments."""
    sock.send(tcp.data((last - first + 1) * MSS, (first - 1) * MSS))


def out(tcp: Tcp, sock: socket.socket, first: int, last: int) -> None:
    """It writes them, and all leave at once."""
    write(tcp, sock, first, last)
    tcp.play(sent(at(first), at(last + 1)))


def in_avoidance(tcp: Tcp) -> socket.socket:
    """A connection whose window is five segments and in congestion avoidance: one of ten was lost,
    and repeated. Ten have been acknowledged."""
    sock = tcp.established(wscale=7, sack=True)
    out(tcp, sock, 1, 10)
    tcp.play("+0.1 quiet\n" + acked(0, (2, 10)) + segments(1) + acked(10, wait="0.1") + "+0 quiet")
    assert cwnd(sock) == 5
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 60 * MSS)
    return sock


# -- growth ------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC7661-S4.2-1")
@pytest.mark.parametrize(("used", "then"), [(10, 20), (6, 12), (5, 10), (3, 10)])
def test_slow_start_goes_on_while_more_than_half_of_the_window_is_used(
    tcp: Tcp, used: int, then: int
) -> None:
    """Acknowledged one by one, as many segments as were out grow it, up to twice what was out."""
    sock = tcp.established(wscale=7)
    out(tcp, sock, 1, used)
    tcp.quiet(0.1)
    for number in range(1, used + 1):
        tcp.play(acked(number) + "+0 quiet")
    assert cwnd(sock) == then


@pytest.mark.requirement("RFC7661-S4.2-1")
def test_in_congestion_avoidance_only_a_full_window_grows(tcp: Tcp) -> None:
    sock = in_avoidance(tcp)
    out(tcp, sock, 11, 15)  # just as much as goes
    tcp.play(acked(15, wait="0.1") + "+0 quiet")
    assert cwnd(sock) == 6
    out(tcp, sock, 16, 20)  # one segment less than goes
    tcp.play(acked(20, wait="0.1") + "+0 quiet")
    out(tcp, sock, 21, 25)
    tcp.play(acked(25, wait="0.1") + "+0 quiet")
    assert cwnd(sock) == 6


def test_a_window_that_was_full_counts_so_until_all_of_it_is_acknowledged(tcp: Tcp) -> None:
    """Five go, and two more as the first two are acknowledged; then nothing is left to send. A
    segment more does not undo that."""
    sock = in_avoidance(tcp)
    write(tcp, sock, 11, 17)
    tcp.play(run(11, 15) + "+0.1 quiet" + "\n" + acked(12) + sent(at(16), at(18)))
    tcp.play(acked(14) + "+0 quiet")
    out(tcp, sock, 18, 18)
    tcp.play(acked(15) + "+0 quiet")
    assert cwnd(sock) == 6
    tcp.play(acked(17) + "+0 quiet")
    out(tcp, sock, 19, 19)
    tcp.play(acked(18) + "+0.05 quiet\n" + acked(19) + "+0 quiet")
    assert cwnd(sock) == 6


def test_what_is_out_is_counted_at_its_most(tcp: Tcp) -> None:
    """Three and three segments make six, so that slow start goes on up to twelve."""
    sock = tcp.established(wscale=7)
    out(tcp, sock, 1, 3)
    out(tcp, sock, 4, 6)
    tcp.quiet(0.1)
    for number in range(1, 7):
        tcp.play(acked(number) + "+0 quiet")
    assert cwnd(sock) == 12


# -- what stays --------------------------------------------------------------------------------


@pytest.mark.requirement("RFC7661-S4.3-1")
def test_a_window_of_which_little_is_used_stays_while_acks_come(tcp: Tcp) -> None:
    """RTO is 300 ms. RFC 2861 would take it back, RFC 7661 and Linux don't."""
    sock = tcp.established(wscale=7)
    out(tcp, sock, 1, 10)
    tcp.play(acked(10, wait="0.1") + "+0 quiet")
    for number in range(11, 29, 2):
        out(tcp, sock, number, number + 1)
        tcp.play(acked(number + 1, wait="0.1") + "+0 quiet")
        assert cwnd(sock) == 20


def test_a_loss_in_a_batch_of_acks_cuts_what_the_window_would_have_taken(tcp: Tcp) -> None:
    """Ten are out and more waits; four are acknowledged, and before more can leave a loss is
    reported. The window is fourteen then, not six."""
    sock = tcp.established(wscale=7, sack=True)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 60 * MSS)
    write(tcp, sock, 1, 40)
    tcp.play(run(1, 10) + acked(4, wait="0.1") + acked(4, (6, 8)).replace("+0", "&"))
    tcp.take()
    assert sock.tcp_info().tcpi_snd_ssthresh == 7


def test_a_loss_in_a_window_that_was_not_used_halves_the_window(tcp: Tcp) -> None:
    """Eight of twenty are out: ten are left, as on Linux (by RFC 5681 (4) four)."""
    sock = tcp.established(wscale=7, sack=True)
    out(tcp, sock, 1, 10)
    tcp.play(acked(10, wait="0.1") + "+0 quiet")
    assert cwnd(sock) == 20
    out(tcp, sock, 11, 18)
    tcp.play("+0.1 quiet\n" + acked(10, (12, 14)) + segments(11) + "+0 quiet")
    assert sock.tcp_info().tcpi_snd_ssthresh == 10
