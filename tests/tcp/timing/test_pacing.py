"""Pacing: when each run leaves, to the microsecond (Linux: sch_fq, tcp_tso_autosize, the first ten
segments free).

A segment is 1460 octets, RTT is 100 ms. At 146 000 bytes/s two segments, the shortest run, take
20 ms. Late timers may be made up for by one millisecond, so what comes first after a pause does so.
"""

from __future__ import annotations

import socket

import pytest

from pystack.sockets.constants import SO_MAX_PACING_RATE
from tests.kit.tcp import Tcp
from tests.tcp.runs import MSS, acked, at, run, segments, sent

pytestmark = pytest.mark.host(
    tcp_congestion_control="reno", tcp_initial_cwnd=30, tcp_early_retrans=0
)

RATE = 146_000
UNLIMITED = b"\xff" * 8


def bounded(tcp: Tcp, rate: int = RATE, count: int = 30, **offer: object) -> socket.socket:
    """A connection that sends no faster than `rate`; so many segments wait."""
    sock = tcp.established(**{"wscale": 7, "sack": True, **offer})
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200 * MSS)
    sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, rate)
    sock.send(tcp.data(count * MSS))
    return sock


def paced(first: int, last: int, wait: str, size: int = 2) -> str:
    """Runs of so many segments, each so long after the one before."""
    lines = ""
    for number in range(first, last + 1, size):
        lines += run(number, number + size - 1, wait=wait)
    return lines


# -- SO_MAX_PACING_RATE ----------------------------------------------------------------------------


def test_the_first_ten_segments_leave_at_once_and_then_two_at_a_time(tcp: Tcp) -> None:
    bounded(tcp)
    tcp.play(run(1, 10) + paced(11, 12, "0.019") + paced(13, 18, "0.02") + "+0.0199 quiet\n")
    tcp.play(acked(10) + paced(19, 26, "0.02").replace("0.02", "0.0001", 1))


def test_acks_let_nothing_out_before_its_time(tcp: Tcp) -> None:
    sock = bounded(tcp)
    tcp.play(run(1, 10) + "+0.01 quiet\n")
    for number in range(1, 9):
        tcp.play(acked(number, wait="0.001") + "+0 quiet")
    tcp.play(paced(11, 12, "0.001") + paced(13, 14, "0.02"))
    assert sock.tcp_info().tcpi_snd_cwnd == 30  # a window that the rate leaves unused stays


@pytest.mark.parametrize(("late", "then"), [("0.0005", "0.0195"), ("0.005", "0.019")])
def test_a_run_that_was_held_back_is_made_up_for_by_a_millisecond(
    tcp: Tcp, late: str, then: str
) -> None:
    """The peer's window takes ten segments until then."""
    bounded(tcp, win=10 * MSS, wscale=None)
    tcp.play(run(1, 10) + "+0.019 quiet\n" + acked(10, wait=late) + run(11, 12))
    tcp.play(run(13, 14, wait=then) + run(15, 16, wait="0.02"))


def test_after_a_pause_a_millisecond_is_made_up_for_and_no_more(tcp: Tcp) -> None:
    sock = bounded(tcp, count=12)
    tcp.play(run(1, 10) + "+0.019 > . 14601:16061(1460) ack 1\n" + sent(at(12), at(13)))
    tcp.play(acked(12, wait="0.2") + "+0.1 quiet")  # less than an RTO
    sock.send(tcp.data(6 * MSS, 12 * MSS))
    tcp.play(run(13, 14) + run(15, 16, wait="0.019") + "+0.02 > . 23361:24821(1460) ack 1\n")
    tcp.play(sent(at(18), at(19)))


def test_a_lower_bound_holds_from_now_on(tcp: Tcp) -> None:
    sock = bounded(tcp)
    tcp.play(run(1, 10) + paced(11, 12, "0.019") + acked(1, wait="0.005") + "+0.005 quiet")
    assert sock.tcp_info().tcpi_pacing_rate == RATE
    sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, RATE // 2)
    tcp.play(paced(13, 14, "0.01") + paced(15, 18, "0.04"))  # what has left is paid for already


def test_without_a_bound_all_leaves_at_once_again(tcp: Tcp) -> None:
    sock = bounded(tcp)
    tcp.play(run(1, 10) + paced(11, 12, "0.019") + "+0.01 quiet")
    sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, UNLIMITED)
    tcp.play(run(13, 29) + sent(at(30), at(31)))


def test_acks_fin_and_resets_wait_for_nothing(tcp: Tcp) -> None:
    sock = bounded(tcp, count=12)
    tcp.play(run(1, 10) + "+0.001 < . 1:1461(1460) ack 1\n+0 > . 14601:14601(0) ack 1461")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    sock.close()
    tcp.play("+0 > R. 14601:14601(0) ack 1461")
    tcp.quiet(1)


def test_repeats_are_paced_too(tcp: Tcp) -> None:
    """1 to 6 are lost of ten; the window of seven would let more go than the rate."""
    bounded(tcp, count=10)
    tcp.play(run(1, 9) + sent(at(10), at(11)) + "+0.1 quiet\n")
    tcp.play(acked(0, (7, 10)) + run(1, 2) + run(3, 4, wait="0.019"))
    tcp.quiet(0.05)


# -- the rate by the window ------------------------------------------------------------------------


@pytest.mark.host(tcp_pacing=1, tcp_initial_cwnd=10)
def test_in_slow_start_the_window_leaves_within_half_a_round_trip(tcp: Tcp) -> None:
    """There is no rate before the first ACK. Then it is 2 cwnd/SRTT, 584 000 bytes/s: two segments
    take 5 ms."""
    sock = tcp.established(wscale=7)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200 * MSS)
    sock.send(tcp.data(60 * MSS))
    tcp.play(run(1, 10) + "+0.1 quiet\n" + acked(10) + run(11, 12))
    assert sock.tcp_info().tcpi_pacing_rate == 2 * 20 * MSS * 10
    tcp.play(paced(13, 14, "0.004") + paced(15, 30, "0.005") + "+0.05 quiet")


@pytest.mark.host(tcp_pacing=1, tcp_initial_cwnd=10)
def test_in_congestion_avoidance_it_is_a_fifth_faster_than_the_window_needs(tcp: Tcp) -> None:
    """cwnd is ssthresh, five: 87 600 bytes/s. Two segments take 33.333 ms."""
    sock = tcp.established(wscale=7, sack=True)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200 * MSS)
    sock.send(tcp.data(10 * MSS))
    tcp.play(run(1, 9) + sent(at(10), at(11)) + "+0.1 quiet\n")
    tcp.play(acked(0, (2, 10)) + segments(1) + acked(10, wait="0.1") + "+0.1 quiet")
    assert sock.tcp_info().tcpi_pacing_rate == 5 * MSS * 12
    sock.send(tcp.data(20 * MSS, 10 * MSS))
    tcp.play(run(11, 12) + run(13, 14, wait="0.032333") + run(15, 15, wait="0.033333"))
    tcp.quiet(0.03)


@pytest.mark.host(tcp_pacing=1, tcp_initial_cwnd=10, tcp_frto=0)
def test_from_half_of_ssthresh_on_it_is_the_slower_one(tcp: Tcp) -> None:
    """After a timeout ssthresh is five: two is less than half of it, four is more."""
    sock = tcp.established(wscale=7, sack=True)
    sock.send(tcp.data(10 * MSS))
    tcp.play(run(1, 9) + sent(at(10), at(11)) + segments(1, wait="0.3"))
    tcp.play(acked(1, wait="0.1") + segments(2, 3))
    assert sock.tcp_info().tcpi_pacing_rate == 2 * MSS * 20
    tcp.play(acked(3, wait="0.1"))
    tcp.take()
    assert sock.tcp_info().tcpi_pacing_rate == 4 * MSS * 12


@pytest.mark.host(tcp_pacing=1, tcp_initial_cwnd=10, tcp_pacing_ss_ratio=400)
def test_the_ratios_can_be_set(tcp: Tcp) -> None:
    sock = tcp.established(wscale=7)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200 * MSS)
    sock.send(tcp.data(60 * MSS))
    tcp.play(run(1, 10) + "+0.1 quiet\n" + acked(10) + run(11, 12) + run(13, 14, wait="0.0015"))
    tcp.play(paced(15, 30, "0.0025"))


# -- runs ------------------------------------------------------------------------------------------


@pytest.mark.host(tcp_initial_cwnd=90)
@pytest.mark.parametrize(("rtt", "size", "wait"), [
    (0.1, 2, "0.001"),  # 2851 octets are less than two segments
    (0.001, 24, "0.012"),  # and half of 64 KB, as the path is short
])  # fmt: skip
def test_runs_are_longer_on_short_paths(tcp: Tcp, rtt: float, size: int, wait: str) -> None:
    bounded(tcp, rate=2_920_000, count=100, rtt=rtt)
    first = -(-10 // size) * size
    charged = 0.0 if size == 2 else 0.011
    tcp.play(run(1, first) + paced(first + 1, first + size, f"{charged:.3f}", size))
    tcp.play(paced(first + size + 1, first + 2 * size, wait, size))
    tcp.take()


@pytest.mark.host(tcp_initial_cwnd=30, tcp_min_tso_segs=5)
def test_the_shortest_run_can_be_set(tcp: Tcp) -> None:
    bounded(tcp)
    tcp.play(run(1, 10) + paced(11, 15, "0.049", 5) + paced(16, 25, "0.05", 5))
    tcp.quiet(0.04)
