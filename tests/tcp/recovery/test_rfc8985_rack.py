"""RFC 8985 §6: RACK, losses found by time.

The connections have SACK, no timestamps unless a test says so, and Reno. All round trips take
100 ms, so a quarter of the least one is 25 ms. Segment n is octets 1460 (n - 1) + 1 to 1460 n.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno")

MSS = 1460


def at(segment: int) -> int:
    """The number of the first octet of a segment."""
    return MSS * (segment - 1) + 1


def segment(number: int, wait: str = "0", flags: str = ". ") -> str:
    """One full segment leaves."""
    return f"+{wait} > {flags} {at(number)}:{at(number + 1)}({MSS}) ack 1\n"


def acked(last: int, wait: str = "0", sack: str = "", rest: str = "") -> str:
    """An ACK of all segments up to that one; `sack` has segments, as "3-4 6-6"."""
    blocks = [block.split("-") for block in sack.split()]
    edges = " ".join(f"{at(int(left))}:{at(int(right) + 1)}" for left, right in blocks)
    options = f" <nop,nop,sack {edges}>" if sack else ""
    return f"+{wait} < . 1:1(0) ack {at(last + 1)} {rest}{options}\n"


def windows(sock: Any) -> tuple[int, int]:
    info = sock.tcp_info()
    return info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh


class Sender:
    """A connection that sends whole segments, each write at once."""

    def __init__(self, tcp: Tcp, rtt: float = 0.1, win: int = 65535) -> None:
        self.tcp = tcp
        wscale = 7 if win == 65535 else None
        self.sock = tcp.established(sack=True, wscale=wscale, win=win, rtt=rtt)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100 * MSS)
        self.last = 0

    def send(self, count: int, more: int = 0) -> None:
        """So many segments leave now; more are written and wait."""
        first = self.last + 1
        self.last += count
        self.sock.send(self.tcp.data((count + more) * MSS, (first - 1) * MSS))
        self.tcp.play(sent(at(first), at(self.last + 1), push=not more))

    def play(self, script: str) -> None:
        self.tcp.play(script)


# -- §6.2 step 5: what is overdue --------------------------------


@pytest.mark.requirement("RFC8985-S6.2-1", "RFC8985-S6.2-6")
def test_one_sack_is_enough_once_a_round_trip_and_a_quarter_have_passed(tcp: Tcp) -> None:
    """No further ACK is needed: the reordering timer expires."""
    sender = Sender(tcp)
    sender.send(10)
    sender.play(acked(0, "0.1", "2-2"))
    sender.play(segment(1, "0.025"))
    tcp.quiet(0.05)
    assert windows(sender.sock)[1] == 5


@pytest.mark.requirement("RFC8985-S6.2-6")
def test_what_comes_before_it_is_due_is_not_repeated(tcp: Tcp) -> None:
    sender = Sender(tcp)
    sender.send(10)
    before = windows(sender.sock)
    sender.play(acked(0, "0.1", "2-2"))
    sender.play(acked(2, "0.02"))
    sender.play(acked(10, "0.01"))
    tcp.quiet(1)
    assert windows(sender.sock)[0] >= before[0]


@pytest.mark.requirement("RFC8985-S6.2-1")
def test_whatever_left_well_before_a_delivered_segment_is_lost_at_once(tcp: Tcp) -> None:
    """Segments 1 to 3 left 50 ms before 4, so when it is delivered they are overdue by 25 ms."""
    sender = Sender(tcp)
    sender.send(3)
    tcp.quiet(0.05)
    sender.send(3)
    sender.play(acked(0, "0.1", "4-4") + segment(1))
    sender.play(acked(0, "0", "4-5") + segment(2))
    sender.play(acked(0, "0", "4-6") + segment(3))


@pytest.mark.requirement("RFC8985-S6.2-1")
def test_what_left_after_a_delivered_segment_is_not_lost(tcp: Tcp) -> None:
    sender = Sender(tcp)
    sender.send(3)
    tcp.quiet(0.05)
    sender.send(3)
    sender.play(acked(0, "0.05", "2-3"))
    sender.play(segment(1, "0.025"))
    sender.play(acked(0, "0.025", "2-6"))
    sender.play(acked(6, "0.075") + "+0 quiet")


@pytest.mark.requirement("RFC8985-S4-2", "RFC8985-S6.2-6")
def test_on_a_short_path_times_are_kept_to_the_microsecond(tcp: Tcp) -> None:
    sender = Sender(tcp, rtt=0.001)
    sender.send(5)
    sender.play(acked(0, "0.001", "2-2"))
    sender.play(segment(1, "0.00025"))


@pytest.mark.requirement("RFC8985-S4-2")
@pytest.mark.parametrize(("apart_us", "wait"), [(300, "0"), (200, "0.00005")])
def test_segments_that_leave_within_a_millisecond_have_times_of_their_own(
    tcp: Tcp, apart_us: int, wait: str
) -> None:
    """The first is overdue a quarter of a millisecond after the second should have passed it."""
    sender = Sender(tcp, rtt=0.001)
    for _ in range(2):
        sender.send(1)
        tcp.quiet(apart_us / 1_000_000)
    sender.play(acked(0, f"{0.001 - apart_us / 1_000_000:.6f}", "2-2"))
    sender.play(segment(1, wait))


@pytest.mark.requirement("RFC8985-S4-1", "RFC6582-S3.2-1")
def test_without_sack_time_counts_for_nothing(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(5 * MSS))
    tcp.play(sent(1, at(6)))
    tcp.play(acked(0, "0.1"))
    tcp.play(acked(0, "0.05") + "+0.1 quiet")
    tcp.play(segment(1, "0.05"))


# -- step 4: the reordering window --------------------------------


@pytest.mark.requirement("RFC8985-S6.2-4")
def test_three_segments_above_a_hole_are_enough_at_once(tcp: Tcp) -> None:
    sender = Sender(tcp)
    sender.send(10)
    sender.play(acked(0, "0.1", "2-2"))
    sender.play(acked(0, "0", "2-3"))
    sender.play(acked(0, "0", "2-4") + segment(1))


@pytest.mark.requirement("RFC8985-S6.2-4")
def test_after_reordering_was_seen_three_segments_are_not_enough(tcp: Tcp) -> None:
    sender = Sender(tcp)
    sender.send(4)
    sender.play(acked(0, "0.1", "2-2"))
    sender.play(acked(2, "0.01"))  # 1 has come after 2, and was never repeated
    sender.play(acked(4) + "+0 quiet")
    sender.send(10)
    sender.play(acked(4, "0.1", "6-10"))
    sender.play(segment(5, "0.025"))


@pytest.mark.requirement("RFC8985-S6.2-4")
def test_in_recovery_there_is_no_window(tcp: Tcp) -> None:
    sender = Sender(tcp)
    sender.send(10)
    sender.play(acked(0, "0.1", "2-4") + segment(1))
    # 5 is lost as soon as 6 is delivered; it goes when rate reduction lets it go
    sender.play(acked(0, "0", "6-6 2-4"))
    sender.play(acked(0, "0", "6-7 2-4") + segment(5))


@pytest.mark.requirement("RFC8985-S6.2-4", "RFC8985-S6.2-6")
def test_in_recovery_after_reordering_there_is_one(tcp: Tcp) -> None:
    sender = Sender(tcp)
    sender.send(4)
    sender.play(acked(0, "0.1", "2-2"))
    sender.play(acked(2, "0.01"))
    sender.play(acked(4) + "+0 quiet")
    sender.send(10)
    sender.play(acked(4, "0.1", "6-8"))
    sender.play(segment(5, "0.025"))
    tcp.quiet(0.005)
    sender.play(acked(4, "0", "10-12 6-8"))
    sender.play(segment(9, "0.025"))


@pytest.mark.requirement("RFC8985-S6.2-5")
def test_a_dsack_widens_the_window_by_another_quarter(tcp: Tcp) -> None:
    sender = Sender(tcp)
    needless_repeat(sender)
    lose_one(sender, "0.05")


@pytest.mark.requirement("RFC8985-S6.2-5")
def test_several_dsacks_of_one_round_trip_count_once(tcp: Tcp) -> None:
    sender = Sender(tcp)
    sender.send(2)
    sender.play(acked(0, "0.1", "2-2"))
    sender.play(segment(1, "0.025"))
    sender.play(acked(2, "0.01"))
    sender.play(f"+0.09 < . 1:1(0) ack {at(3)} <nop,nop,sack 1:731>")
    sender.play(f"+0 < . 1:1(0) ack {at(3)} <nop,nop,sack 731:1461>\n+0 quiet")
    lose_one(sender, "0.05")


@pytest.mark.requirement("RFC8985-S6.2-5")
def test_the_window_grows_no_further_than_the_smoothed_round_trip_time(tcp: Tcp) -> None:
    """(Linux lets it grow only if something has come late that was never repeated.)"""
    sender = Sender(tcp)
    for window in ("0.025", "0.05", "0.075", "0.1", "0.1"):
        needless_repeat(sender, window)
    lose_one(sender, "0.1")


@pytest.mark.requirement("RFC8985-S6.2-5")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_after_sixteen_recoveries_without_a_dsack_the_window_is_as_at_first(tcp: Tcp) -> None:
    sender = Sender(tcp)
    needless_repeat(sender)
    for _ in range(16):
        lose_one(sender, "0.05")
    lose_one(sender, "0.025")


@pytest.mark.requirement("RFC8985-S6.2-5")
def test_the_dsack_of_a_tail_loss_probe_widens_nothing(tcp: Tcp) -> None:
    """It tells of a late ACK, not of reordering (Linux; §6.2 step 4 takes any D-SACK)."""
    sender = Sender(tcp)
    sender.send(2)
    sender.play(segment(2, "0.202", "P."))
    sender.play(acked(2, "0.01"))
    sender.play(acked(2, "0.01", "2-2") + "+0 quiet")
    lose_one(sender, "0.025")


@pytest.mark.requirement("RFC8985-S6.2-5")
def test_a_dsack_of_what_was_never_repeated_widens_nothing(tcp: Tcp) -> None:
    """The network has doubled a segment."""
    sender = Sender(tcp)
    sender.send(2)
    sender.play(acked(2, "0.1"))
    sender.play(acked(2, "0", "2-2") + "+0 quiet")
    lose_one(sender, "0.025")


@pytest.mark.requirement("RFC8985-S6.2-5")
def test_a_dsack_of_what_was_never_sent_widens_nothing(tcp: Tcp) -> None:
    sender = Sender(tcp)
    lose_one(sender, "0.025")
    sender.play(acked(2, "0", "20-20 20-20") + "+0 quiet")
    lose_one(sender, "0.025")


@pytest.mark.requirement("RFC8985-S6.2-5")
def test_a_dsack_from_more_than_a_window_ago_widens_nothing(tcp: Tcp) -> None:
    sender = Sender(tcp, win=4 * MSS)
    sender.send(2)
    sender.play(acked(0, "0.1", "2-2") + segment(1, "0.025"))
    sender.play(acked(2, "0.01") + "+0 quiet")
    for _ in range(3):
        sender.send(2)
        sender.play(acked(sender.last, "0.1") + "+0 quiet")
    sender.play(acked(8, "0", "1-1") + "+0 quiet")
    lose_one(sender, "0.025")


@pytest.mark.requirement("RFC8985-S6.2-5")
@pytest.mark.host(tcp_ecn=1)
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_a_window_cut_for_a_mark_is_no_recovery(tcp: Tcp) -> None:
    sock = tcp.established(sack=True, wscale=7, ecn=True)

    def send(count: int, start: int) -> None:
        sock.send(tcp.data(count * MSS, (start - 1) * MSS))
        assert len(tcp.take()) == count

    def lose(first: int, window: str) -> None:
        send(2, first)
        tcp.play(acked(first - 1, "0.1", f"{first + 1}-{first + 1}") + segment(first, window))
        tcp.play(acked(first + 1, "0.1") + "+0 quiet")

    send(2, 1)
    tcp.play(acked(0, "0.1", "2-2") + segment(1, "0.025"))
    tcp.play(acked(2, "0.01") + acked(2, "0.09", "1-1") + "+0 quiet")  # it was needless
    send(8, 3)
    tcp.play(f"+0.1 < E. 1:1(0) ack {at(4)}\n" + acked(10) + "+0 quiet")
    assert sock.tcp_info().tcpi_ca_state == 2
    send(1, 11)
    tcp.play(acked(11, "0.1") + "+0 quiet")
    assert sock.tcp_info().tcpi_ca_state == 0
    for first in range(12, 44, 2):
        lose(first, "0.05")
    lose(44, "0.025")


def needless_repeat(sender: Sender, window: str = "0.025") -> None:
    """The first of two segments comes late, after its repeat has left; D-SACK tells."""
    sender.send(2)
    first, last = sender.last - 1, sender.last
    sender.play(acked(first - 1, "0.1", f"{last}-{last}"))
    sender.play(segment(first, window))
    sender.play(acked(last, "0.01"))
    sender.play(acked(last, "0.09", f"{first}-{first}") + "+0 quiet")


def lose_one(sender: Sender, window: str) -> None:
    """The first of two segments is lost; so much later than the ACK of the other it is repeated."""
    sender.send(2)
    first, last = sender.last - 1, sender.last
    sender.play(acked(first - 1, "0.1", f"{last}-{last}"))
    sender.play(segment(first, window))
    sender.play(acked(last, "0.1") + "+0 quiet")


# -- repeats --------------------------------


@pytest.mark.requirement("RFC8985-S6.2-2")
def test_a_lost_repeat_is_found_by_what_left_after_it(tcp: Tcp) -> None:
    sender = Sender(tcp)
    sender.send(10, more=20)
    sender.play(acked(0, "0.1", "2-2") + segment(11))
    sender.play(acked(0, "0", "2-3") + segment(12))
    sender.play(acked(0, "0", "2-4") + segment(1))
    assert windows(sender.sock)[1] == 5
    sender.play(acked(0, "0.01", "2-5"))
    sender.play(acked(0, "0", "2-7") + segment(13))
    sender.play(acked(0, "0", "2-9"))
    sender.play(acked(0, "0", "2-10") + segment(14))
    sender.play(acked(0, "0.1", "13-13 2-10") + segment(1))
    assert windows(sender.sock)[1] == 2  # (Linux cuts once in a recovery: 5)


@pytest.mark.requirement("RFC8985-S6.2-2")
def test_a_repeat_is_not_lost_by_what_left_before_it_in_the_same_microsecond(tcp: Tcp) -> None:
    """Higher numbers are taken to have left later only within one go."""
    sender = Sender(tcp)
    sender.send(10, more=20)
    sender.play(acked(0, "0.1", "2-2") + segment(11))
    sender.play(acked(0, "0", "2-3") + segment(12))
    sender.play(acked(0, "0", "2-4") + segment(1))
    for wait, last in ((0.05, 10), (0.05, 11), (0, 12)):
        sender.play(acked(0, str(wait), f"2-{last}"))
        tcp.run(0)
    assert windows(sender.sock)[1] == 5
    assert sender.sock.tcp_info().tcpi_total_retrans == 1


@pytest.mark.requirement("RFC8985-S6.2-2", "RFC5681-S4.3-1")
@pytest.mark.host(tcp_early_retrans=0)
def test_a_repeat_lost_after_a_timeout_cuts_the_window_as_well(tcp: Tcp) -> None:
    sender = Sender(tcp)
    sender.send(10)
    sender.play(segment(1, "0.3"))
    sender.play(acked(1, "0.1") + segment(2) + segment(3))
    assert windows(sender.sock)[1] == 5
    sender.play(acked(1, "0.11", "3-3") + segment(2))
    info = sender.sock.tcp_info()
    assert (info.tcpi_ca_state, info.tcpi_snd_ssthresh) == (3, 2)


@pytest.mark.requirement("RFC8985-S6.2-2", "RFC5681-S4.3-1")
@pytest.mark.host(tcp_initial_cwnd=40)
def test_repeats_of_one_flight_that_are_lost_cut_the_window_once_more(tcp: Tcp) -> None:
    """Those of 1 and 5 are lost, seen one after the other. (Linux does not cut again at all.)"""
    sender = Sender(tcp)
    sender.send(40, more=40)
    sender.play(acked(0, "0.1", "2-2 4-4 6-20") + segment(1))
    assert windows(sender.sock)[1] == 20
    sender.play(acked(0, "0.001", "2-2 4-4 6-22") + segment(3))
    sender.play(acked(0, "0.001", "2-2 4-4 6-24") + segment(5) + segment(41))
    sender.play(acked(0, "0.1", "2-4 6-24") + segment(1))
    cut = windows(sender.sock)[1]
    assert cut < 20
    sender.play(acked(0, "0.001", "41-41 2-4 6-24"))
    tcp.run(0.2)
    assert windows(sender.sock)[1] == cut


@pytest.mark.requirement("RFC8985-S6.2-3")
def test_a_repeat_that_is_acknowledged_too_soon_tells_nothing(tcp: Tcp) -> None:
    """The first copy has come late. Were 10 ms taken for the RTT, all that left before the repeat
    would be overdue."""
    sender = Sender(tcp)
    sender.send(10)
    sender.play(acked(0, "0.1", "2-4") + segment(1))
    sender.play(acked(4, "0.01"))
    tcp.quiet(0.08)
    sender.play(acked(10, "0.01"))
    tcp.quiet(1)


@pytest.mark.requirement("RFC8985-S6.2-3")
def test_a_repeat_whose_ack_echoes_the_first_copy_tells_nothing(tcp: Tcp) -> None:
    """It comes 110 ms after the repeat, so that only its timestamp tells."""
    sock = tcp.established(sack=True, wscale=7, ts=700)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100 * MSS)
    sock.send(tcp.data(10 * 1448))
    for left in range(1, 14481, 1448):
        flags = "P." if left == 13033 else ". "
        tcp.play(f"+0 > {flags} {left}:{left + 1448}(1448) ack 1 <nop,nop,TS val 200 ecr 800>")
    tcp.play(
        """
        +0.1  < . 1:1(0) ack 1 <nop,nop,TS val 900 ecr 100,nop,nop,sack 1449:5793>
        +0    > . 1:1449(1448) ack 1 <nop,nop,TS val 300 ecr 900>
        +0.11 < . 1:1(0) ack 5793 <nop,nop,TS val 1010 ecr 200>
        +0.05 quiet
        +0    < . 1:1(0) ack 14481 <nop,nop,TS val 1060 ecr 200>
        +1    quiet
        """
    )


@pytest.mark.requirement("RFC8985-S6.2-3")
def test_the_others_of_such_an_ack_tell_all_the_same(tcp: Tcp) -> None:
    sender = Sender(tcp)
    sender.send(3)
    tcp.quiet(0.02)
    sender.send(3)
    sender.play(acked(0, "0.08", "2-3"))
    sender.play(segment(1, "0.025"))
    # the ACK of 1 to 3 says nothing about its repeat, but of 6: what left 20 ms before it, and
    # what left with it and has lower numbers, is overdue
    sender.play(acked(3, "0.01", "6-6") + segment(4) + segment(5))


# -- §6.3: timeouts --------------------------------


@pytest.mark.requirement("RFC8985-S6.3-1")
@pytest.mark.host(tcp_early_retrans=0)
def test_a_timeout_takes_what_left_of_late_for_still_on_its_way(tcp: Tcp) -> None:
    sender = Sender(tcp)
    sender.send(1)
    sender.play(acked(1, "0.1") + "+0 quiet")
    sender.send(1)
    tcp.quiet(0.25)
    sender.send(3)
    sender.play(segment(2, "0.05"))
    sender.play(acked(5, "0.05"))
    tcp.quiet(1)


@pytest.mark.host(tcp_early_retrans=0)
def test_of_that_nothing_is_repeated_when_the_first_copy_comes_late(tcp: Tcp) -> None:
    sender = Sender(tcp)
    sender.send(1)
    sender.play(acked(1, "0.1") + "+0 quiet")
    sender.send(1)
    tcp.quiet(0.29)
    sender.send(3)
    sender.play(segment(2, "0.01"))
    sender.play(acked(2, "0.01"))
    sender.play(acked(5, "0.03"))
    tcp.quiet(1)


@pytest.mark.host(tcp_early_retrans=0)
def test_what_left_before_the_repeat_is_lost_when_that_is_acknowledged_alone(tcp: Tcp) -> None:
    """(Linux has a window of what is in flight and one, and repeats all three at once.)"""
    sender = Sender(tcp)
    sender.send(1)
    sender.play(acked(1, "0.1") + "+0 quiet")
    sender.send(1)
    tcp.quiet(0.25)
    sender.send(3)
    sender.play(segment(2, "0.05"))
    sender.play(acked(2, "0.1") + segment(3) + segment(4))
    sender.play(acked(4, "0.1") + segment(5, flags="P."))


@pytest.mark.requirement("RFC8985-S6.3-1")
@pytest.mark.host(tcp_early_retrans=0)
def test_a_timeout_takes_what_left_long_ago_for_lost(tcp: Tcp) -> None:
    sender = Sender(tcp)
    sender.send(1)
    sender.play(acked(1, "0.1") + "+0 quiet")
    sender.send(5)
    sender.play(segment(2, "0.3"))
    sender.play(acked(2, "0.1") + segment(3) + segment(4))
    sender.play(acked(4, "0.1") + segment(5) + segment(6, flags="P."))
