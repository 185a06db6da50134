"""Delivery-rate samples (draft-ietf-ccwg-bbr, "Delivery Rate Samples"), reckoned by hand.

A segment is 1460 octets, RTT is 100 ms. Octets delivered are counted from our SYN, which is one.
"""

from __future__ import annotations

import socket
from typing import ClassVar, NamedTuple

import pytest

from pystack.cc import registry
from pystack.cc.base import AckSample
from pystack.cc.reno import Reno
from tests.kit.tcp import Tcp
from tests.tcp.runs import MSS, acked, at, run, segments, sent


class Rate(NamedTuple):
    """In bytes/s and µs."""

    rate: int
    interval: int
    app_limited: bool
    rtt: int
    prior: int  # delivered when the newest data of the ACK was sent
    pipe: int  # segments in flight then, with all that left at once
    lost: int = 0  # lost by then


class Watched(Reno):
    """Reno that keeps what it is told."""

    name = "watched"
    told: ClassVar[list[Rate]] = []

    def on_sample(self, sample: AckSample) -> None:
        self.told.append(
            Rate(
                sample.delivery_rate, sample.interval_us, sample.app_limited, sample.rtt_us,
                sample.prior_delivered, sample.tx_in_flight // self.mss, sample.prior_lost,
            )
        )  # fmt: skip


registry.register("watched", Watched)
pytestmark = pytest.mark.host(tcp_congestion_control="watched", tcp_early_retrans=0)


@pytest.fixture
def told() -> list[Rate]:
    Watched.told.clear()
    return Watched.told


def write(tcp: Tcp, sock: socket.socket, first: int, last: int) -> None:
    """The application writes these segments."""
    assert sock.send(tcp.data((last - first + 1) * MSS, (first - 1) * MSS))


def opened(tcp: Tcp, **offer: object) -> socket.socket:
    sock = tcp.established(**{"wscale": 7, "sack": True, **offer})
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 120 * MSS)
    return sock


def per_second(segs: int, ms: int) -> int:
    return segs * MSS * 1000 // ms


# -- the rate --------------------------------------------------------------------------------------


def test_the_first_flight(tcp: Tcp, told: list[Rate]) -> None:
    """ACKs come 1 ms apart: n segments in 99 + n ms. The application had written nothing before."""
    sock = opened(tcp)
    write(tcp, sock, 1, 10)
    tcp.play(sent(1, at(11)) + "+0.099 quiet")
    for number in range(1, 11):
        tcp.play(acked(number, wait="0.001") + "+0 quiet")
        took = 99 + number
        expected = Rate(per_second(number, took), took * 1000, True, took * 1000, 1, 10)
        assert told[-1] == expected
    info = sock.tcp_info()
    assert info.tcpi_delivered == 11
    assert (info.tcpi_delivery_rate, info.tcpi_delivery_rate_app_limited) == (told[-1].rate, 1)


def test_what_was_delivered_before_the_data_left_does_not_count(
    tcp: Tcp, told: list[Rate]
) -> None:
    """ACKs come 4 ms apart, each lets out two segments. When 11 and 12 left, one was delivered;
    when 13 and 14 left, 104 ms after what was the newest delivered by then, two were."""
    sock = opened(tcp)
    write(tcp, sock, 1, 60)
    tcp.play(run(1, 10) + "+0.096 quiet")
    for number in range(1, 11):
        tcp.play(acked(number, wait="0.004") + run(9 + 2 * number, 10 + 2 * number))
    tcp.play("+0.06 quiet")  # 100 ms after 11 left
    del told[:]
    tcp.play(acked(11, wait="0.004"))
    tcp.take()
    assert told[-1] == Rate(per_second(10, 100), 100_000, False, 100_000, 1 + MSS, 11)
    tcp.play(acked(12))
    tcp.take()
    assert told[-1] == Rate(per_second(11, 100), 100_000, False, 100_000, 1 + MSS, 11)
    tcp.play(acked(14, wait="0.004"))
    tcp.take()
    assert told[-1] == Rate(per_second(12, 104), 104_000, False, 100_000, 1 + 2 * MSS, 12)
    info = sock.tcp_info()
    assert (info.tcpi_delivery_rate, info.tcpi_delivery_rate_app_limited) == (told[-1].rate, 0)


def test_acks_that_come_closer_than_the_data_was_sent_show_no_higher_rate(
    tcp: Tcp, told: list[Rate]
) -> None:
    """1, 2, 3 leave at 0, 90 and 150 ms; the ACKs come at 100 and, of two, at 240 ms."""
    sock = opened(tcp)
    write(tcp, sock, 1, 1)
    tcp.play(sent(1, at(2)) + "+0.09 quiet")
    write(tcp, sock, 2, 2)
    tcp.play(sent(at(2), at(3)) + acked(1, wait="0.01") + "+0.05 quiet")
    write(tcp, sock, 3, 3)
    tcp.play(sent(at(3), at(4)) + acked(3, wait="0.09") + "+0 quiet")
    assert told[-1] == Rate(per_second(2, 150), 150_000, True, 90_000, 1 + MSS, 2)


def test_data_that_was_sent_closer_than_the_acks_come_shows_no_higher_rate(
    tcp: Tcp, told: list[Rate]
) -> None:
    """1 and 2 leave 30 ms apart; the second has been on its way for 100 ms, the interval began with
    the first."""
    sock = opened(tcp)
    write(tcp, sock, 1, 1)
    tcp.play(sent(1, at(2)) + "+0.03 quiet")
    write(tcp, sock, 2, 2)
    tcp.play(sent(at(2), at(3)) + acked(1, wait="0.07") + acked(2, wait="0.03") + "+0 quiet")
    assert told[-1] == Rate(per_second(2, 130), 130_000, True, 100_000, 1, 2)


def test_the_time_it_took_to_send_begins_with_what_was_delivered_last(
    tcp: Tcp, told: list[Rate]
) -> None:
    """1 to 4 leave at 0, 50, 110 and 160 ms. When 4 leaves, 2 is the last that was delivered."""
    sock = opened(tcp)
    write(tcp, sock, 1, 1)
    tcp.play(sent(1, at(2)) + "+0.05 quiet")
    write(tcp, sock, 2, 2)
    tcp.play(sent(at(2), at(3)) + acked(1, wait="0.05") + "+0.01 quiet")
    write(tcp, sock, 3, 3)
    tcp.play(sent(at(3), at(4)) + acked(2, wait="0.04") + "+0.01 quiet")
    write(tcp, sock, 4, 4)
    tcp.play(sent(at(4), at(5)) + acked(3, wait="0.05") + acked(4, wait="0.05") + "+0 quiet")
    assert told[-2:] == [
        Rate(per_second(2, 110), 110_000, True, 100_000, 1 + MSS, 2),
        Rate(per_second(2, 110), 110_000, True, 100_000, 1 + 2 * MSS, 2),
    ]


def test_what_sack_reports_is_delivered_once(tcp: Tcp, told: list[Rate]) -> None:
    sock = opened(tcp)
    write(tcp, sock, 1, 10)
    tcp.play(sent(1, at(11)) + "+0.1 quiet\n")
    tcp.play(acked(0, (5, 5)) + acked(0, (5, 6)) + "+0 quiet")
    assert [(each.rate, each.prior) for each in told] == [
        (per_second(1, 100), 1), (per_second(2, 100), 1),
    ]  # fmt: skip
    tcp.play(acked(7, wait="0.005") + "+0 quiet")
    assert (told[-1].rate, told[-1].interval) == (per_second(7, 105), 105_000)
    assert sock.tcp_info().tcpi_delivered == 8


# -- repeats ---------------------------------------------------------------------------------------


def test_a_repeat_counts_from_when_it_left_again(tcp: Tcp, told: list[Rate]) -> None:
    """Nine had been delivered by then; its RTT is not known."""
    sock = opened(tcp)
    write(tcp, sock, 1, 10)
    tcp.play(sent(1, at(11)) + "+0.1 quiet\n" + acked(0, (2, 10)) + segments(1))
    tcp.play(acked(10, wait="0.11") + "+0 quiet")
    assert told[-1] == Rate(per_second(1, 110), 110_000, False, -1, 1 + 9 * MSS, 1, MSS)


def test_no_rate_is_higher_than_a_round_trip_allows(tcp: Tcp, told: list[Rate]) -> None:
    """The ACK of the first copy comes 10 ms after the timer has sent another: no sample."""
    sock = opened(tcp)
    write(tcp, sock, 1, 1)
    tcp.play(sent(1, at(2)) + acked(1, wait="0.1") + "+0 quiet")
    write(tcp, sock, 2, 2)
    tcp.play(sent(at(2), at(3)) + "+0.3 > P. 1461:2921(1460) ack 1\n" + acked(2, wait="0.01"))
    tcp.quiet(0)
    assert (told[-1].rate, told[-1].interval, told[-1].rtt) == (0, 0, -1)
    assert sock.tcp_info().tcpi_delivery_rate == per_second(1, 100)


# -- the application -------------------------------------------------------------------------------


def test_after_an_idle_time_the_interval_begins_anew(tcp: Tcp, told: list[Rate]) -> None:
    sock = opened(tcp)
    write(tcp, sock, 1, 10)
    tcp.play(sent(1, at(11)) + acked(10, wait="0.1") + "+5 quiet")
    write(tcp, sock, 11, 12)
    tcp.play(sent(at(11), at(13)) + acked(12, wait="0.1") + "+0 quiet")
    assert told[-1] == Rate(per_second(2, 100), 100_000, True, 100_000, 1 + 10 * MSS, 2)
    info = sock.tcp_info()  # the highest one is told while all are limited by the application
    assert (info.tcpi_delivery_rate, info.tcpi_delivery_rate_app_limited) == (
        per_second(10, 100), 1,
    )  # fmt: skip


def test_what_is_sent_until_all_from_before_the_pause_is_delivered_is_marked(
    tcp: Tcp, told: list[Rate]
) -> None:
    """Three segments, and 50 ms later many: the three keep the mark until one more is delivered."""
    sock = opened(tcp)
    write(tcp, sock, 1, 3)
    tcp.play(sent(1, at(4)) + "+0.05 quiet")
    write(tcp, sock, 4, 60)
    tcp.play(run(4, 10))
    tcp.play(acked(3, wait="0.05") + run(11, 16) + acked(4, wait="0.05") + run(17, 18))
    tcp.play(acked(10) + run(19, 30))
    tcp.play(acked(16, wait="0.05") + run(31, 42))
    tcp.play(acked(17, wait="0.05") + run(43, 44))
    assert [each.app_limited for each in told] == [True, True, True, True, False]
    info = sock.tcp_info()
    assert (info.tcpi_delivery_rate, info.tcpi_delivery_rate_app_limited) == (told[-1].rate, 0)


def test_what_is_written_while_the_window_is_full_is_not_marked(
    tcp: Tcp, told: list[Rate]
) -> None:
    """Ten segments fill the window; ten more are written behind them."""
    sock = opened(tcp)
    write(tcp, sock, 1, 10)
    tcp.play(sent(1, at(11)))
    write(tcp, sock, 11, 20)
    tcp.play(acked(5, wait="0.1") + sent(at(11), at(21)) + acked(10) + "+0.1 quiet")
    tcp.play(acked(20) + "+0 quiet")
    assert [each.app_limited for each in told] == [True, True, False]


def test_what_is_written_when_the_window_is_no_longer_full_is_marked(
    tcp: Tcp, told: list[Rate]
) -> None:
    sock = opened(tcp)
    write(tcp, sock, 1, 10)
    tcp.play(sent(1, at(11)) + acked(5, wait="0.1") + "+0 quiet")
    write(tcp, sock, 11, 12)
    tcp.play(sent(at(11), at(13)) + acked(10) + "+0 quiet\n" + acked(12, wait="0.1") + "+0 quiet")
    assert [each.app_limited for each in told] == [True, True, True]


def test_what_is_written_while_losses_are_to_be_repeated_is_not_marked(
    tcp: Tcp, told: list[Rate]
) -> None:
    """1 to 6 are lost of ten; five repeats may leave."""
    sock = opened(tcp)
    write(tcp, sock, 1, 10)
    tcp.play(sent(1, at(11)) + "+0.1 quiet\n" + acked(0, (7, 9)) + segments(1, 2, 3) + "+0 quiet")
    write(tcp, sock, 11, 11)
    tcp.play(acked(0, (7, 10)) + segments(4) + acked(4, (7, 10), wait="0.1"))
    tcp.take()
    assert [each.app_limited for each in told] == [True, True, False]


def test_small_writes_that_wait_for_a_segment_are_marked_too(tcp: Tcp, told: list[Rate]) -> None:
    """Less than a segment waits, by Nagle's rule, as more is written."""
    sock = opened(tcp)
    sock.send(tcp.data(100))
    tcp.play("+0 > P. 1:101(100) ack 1\n+0 quiet")
    sock.send(tcp.data(100, 100))
    tcp.play("+0.05 quiet")
    sock.send(tcp.data(2 * MSS - 100, 200))
    tcp.play(sent(101, 101 + 2 * MSS) + "+0.05 < . 1:1(0) ack 101\n+0 quiet")
    tcp.play(f"+0.05 < . 1:1(0) ack {101 + 2 * MSS}\n+0 quiet")
    assert [each.app_limited for each in told] == [True, True]
