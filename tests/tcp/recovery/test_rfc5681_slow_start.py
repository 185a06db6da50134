"""RFC 5681 §3.1 and §4.1, RFC 6928: slow start, congestion avoidance, timeouts, idle times.

The connections have neither SACK nor timestamps, and Reno; a segment is 1460 octets.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest

from pystack.cc import registry
from pystack.cc.base import AckSample, CongestionControl
from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno")

MSS = 1460
NO_THRESHOLD = 0x7FFFFFFF


def windows(sock: socket.socket) -> tuple[int, int]:
    """cwnd and ssthresh in segments."""
    info = sock.tcp_info()
    return info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh


def much_to_send(tcp: Tcp, segments: int = 400, **offer: object) -> socket.socket:
    """A connection with so many segments to send; none has left yet."""
    sock = tcp.established(**{"wscale": 7, "win": 65535, **offer})
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, segments * MSS)
    assert sock.send(tcp.data(segments * MSS)) == segments * MSS
    return sock


def flights(tcp: Tcp, una: int, rounds: int, rtt: float = 0.1) -> Iterator[int]:
    """The peer acknowledges every segment, one round trip after its flight. How many segments
    leave in each round is yielded; the first flight is what is already out."""
    nxt = una + sum(len(packet.payload) for packet in tcp.take())
    yield (nxt - una) // MSS
    for _ in range(rounds):
        tcp.quiet(rtt)
        end = nxt
        for ack in range(una + MSS, end + MSS, MSS):
            tcp.inject(tcp.segment(f". 1:1(0) ack {min(ack, end)}"))
            for packet in tcp.take():
                assert tcp.flow("").our_number(packet.seq) == nxt
                nxt += len(packet.payload)
        una = end
        yield (nxt - una) // MSS


# -- the initial window -----------------------------------------------------------------------


@pytest.mark.requirement("RFC6928-S2-1", "RFC5681-S3.1-1", "RFC5681-S2-1")
@pytest.mark.parametrize("passive", [True, False])
@pytest.mark.parametrize("mss", [1460, 536])
def test_the_first_flight_is_ten_segments(tcp: Tcp, passive: bool, mss: int) -> None:
    sock = much_to_send(tcp, 20, passive=passive, mss=mss)
    tcp.play(sent(1, 10 * mss + 1, mss, push=False))
    tcp.quiet(0.2)
    assert windows(sock) == (10, NO_THRESHOLD)


@pytest.mark.requirement("RFC5681-S3.1-1")
@pytest.mark.host(tcp_initial_cwnd=3)
def test_the_initial_window_can_be_that_of_rfc_5681(tcp: Tcp) -> None:
    much_to_send(tcp, 20)
    tcp.play(sent(1, 3 * MSS + 1, push=False))
    tcp.quiet(0.2)


def test_the_handshake_does_not_grow_the_window(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0   < S  0:0(0) win 65535 <mss 1460>
        +0   > S. 0:0(0) ack 1 <mss 1460>
        +0.1 < .  1:1(0) ack 1 win 65535
        +0   < .  1:1(0) ack 1 win 65534
        +0   < .  1:1(0) ack 1 win 65535
        +0   quiet
        """
    )
    sock, _ = listener.accept()
    assert windows(sock) == (10, NO_THRESHOLD)


@pytest.mark.deviation("RFC5681-S3.1-2")
@pytest.mark.parametrize(("lost", "segments"), [(1, 10), (2, 1)])
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_two_lost_syns_leave_one_segment_but_one_lost_syn_does_not(
    tcp: Tcp, lost: int, segments: int
) -> None:
    sock = tcp.connect()
    for wait in (0, 1, 1)[: lost + 1]:
        tcp.play(f"+{wait} > S 0:0(0) <...>")
    tcp.play(
        """
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .  1:1(0) ack 1
        """
    )
    sock.send(tcp.data(15 * MSS))
    tcp.play(sent(1, segments * MSS + 1, push=False))
    tcp.quiet(0.2)


@pytest.mark.deviation("RFC5681-S3.1-2")
@pytest.mark.parametrize(("lost", "segments"), [(1, 10), (2, 1)])
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_two_lost_syn_acks_leave_one_segment_but_one_does_not(
    tcp: Tcp, lost: int, segments: int
) -> None:
    listener = tcp.listen()
    tcp.play("+0 < S 0:0(0) win 65535 <mss 1460>")
    for wait in (0, 1, 2)[: lost + 1]:
        tcp.play(f"+{wait} > S. 0:0(0) ack 1 <mss 1460>")
    tcp.play("+0.1 < . 1:1(0) ack 1 win 65535\n+0 quiet")
    sock, _ = listener.accept()
    sock.send(tcp.data(15 * MSS))
    tcp.play(sent(1, segments * MSS + 1, push=False))
    tcp.quiet(0.2)


# -- slow start --------------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-19")
def test_in_slow_start_every_acknowledged_segment_releases_two(tcp: Tcp) -> None:
    much_to_send(tcp)
    tcp.play(sent(1, 10 * MSS + 1, push=False))
    nxt = 10 * MSS + 1
    tcp.quiet(0.1)
    for ack in range(MSS + 1, 4 * MSS + 1, MSS):
        tcp.play(f"+0 < . 1:1(0) ack {ack}\n" + sent(nxt, nxt + 2 * MSS, push=False))
        nxt += 2 * MSS
        tcp.quiet(0.01)


@pytest.mark.requirement("RFC9293-MUST-19", "RFC5681-S3.1-7")
@pytest.mark.variants("ipv4", "ipv6-wrap-offload")
def test_in_slow_start_the_flight_doubles_every_round_trip(tcp: Tcp) -> None:
    sock = much_to_send(tcp)
    assert list(flights(tcp, 1, 4)) == [10, 20, 40, 80, 160]
    assert windows(sock) == (160, NO_THRESHOLD)


@pytest.mark.deviation("RFC5681-S3.1-3")
def test_a_segment_acknowledged_in_ten_pieces_grows_the_window_by_one_segment(tcp: Tcp) -> None:
    sock = much_to_send(tcp)
    tcp.play(sent(1, 10 * MSS + 1, push=False))
    tcp.quiet(0.1)
    # 146 octets acknowledged make room for twice as many, and that is used by whole segments
    for piece in range(1, 11):
        tcp.inject(tcp.segment(f". 1:1(0) ack {146 * piece + 1}"))
        released = [len(packet.payload) for packet in tcp.take()]
        assert released == ([MSS] if piece in (5, 10) else [])
    assert windows(sock)[0] == 11


@pytest.mark.deviation("RFC5681-S3.1-3")
def test_an_ack_of_four_segments_grows_the_window_by_four(tcp: Tcp) -> None:
    sock = much_to_send(tcp)
    tcp.play(sent(1, 10 * MSS + 1, push=False))
    tcp.play(f"+0.1 < . 1:1(0) ack {4 * MSS + 1}")
    tcp.play(sent(10 * MSS + 1, 18 * MSS + 1, push=False))
    assert windows(sock)[0] == 14


def test_a_window_that_is_not_used_does_not_grow(tcp: Tcp) -> None:
    sock = tcp.established()
    at = 1
    for _ in range(20):
        sock.send(tcp.data(2 * MSS, at - 1))
        tcp.play(sent(at, at + 2 * MSS))
        at += 2 * MSS
        tcp.play(f"+0.1 < . 1:1(0) ack {at}\n+0 quiet")
    assert windows(sock)[0] == 10


# -- congestion avoidance -----------------------------------------------------------------------


def after_a_timeout(tcp: Tcp) -> socket.socket:
    """Ten segments were lost: ssthresh 5, cwnd 1, the first segment is out again."""
    sock = much_to_send(tcp)
    tcp.play(sent(1, 10 * MSS + 1, push=False))
    tcp.play("+0.3 > . 1:1461(1460) ack 1")
    assert windows(sock) == (1, 5)
    return sock


@pytest.mark.host(tcp_frto=0)  # else new data goes before the second repeat (RFC 5682)
@pytest.mark.requirement("RFC5681-S3.1-4", "RFC5681-S3.1-6", "RFC9293-MUST-19", "RFC3465-S2.1-1")
def test_above_ssthresh_the_flight_grows_by_one_segment_every_round_trip(tcp: Tcp) -> None:
    sock = after_a_timeout(tcp)
    # the peer has kept what came out of order: none; one, two, four segments, then ssthresh
    una = 1
    seen = [1]
    nxt = una + MSS
    for _ in range(9):
        tcp.quiet(0.1)
        end = nxt
        for ack in range(una + MSS, end + MSS, MSS):
            tcp.inject(tcp.segment(f". 1:1(0) ack {ack}"))
            for packet in tcp.take():
                assert tcp.flow("").our_number(packet.seq) == nxt
                nxt += len(packet.payload)
        una = end
        seen.append((nxt - una) // MSS)
    # 5 is ssthresh; the round that crosses it already counts towards the next segment
    assert seen[:4] == [1, 2, 4, 5]
    assert all(after - before in (0, 1) for before, after in pairwise(seen[3:]))
    assert seen[-1] in (9, 10, 11)
    assert windows(sock)[1] == 5


# -- timeouts ------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC5681-S3.1-6")
@pytest.mark.deviation("RFC5681-S3.1-5")
def test_ssthresh_is_half_of_the_window_whatever_was_out(tcp: Tcp) -> None:
    """Six of ten segments: a flow that the application bounds keeps its window (Linux)."""
    sock = tcp.established()
    sock.send(tcp.data(6 * MSS))
    tcp.play(sent(1, 6 * MSS + 1))
    assert windows(sock) == (10, NO_THRESHOLD)
    tcp.play("+0.3 > . 1:1461(1460) ack 1")
    assert windows(sock) == (1, 5)


@pytest.mark.deviation("RFC5681-S3.1-5")
def test_the_second_timeout_of_a_segment_leaves_ssthresh(tcp: Tcp) -> None:
    sock = after_a_timeout(tcp)
    for wait in (0.6, 1.2, 2.4):
        tcp.play(f"+{wait} > . 1:1461(1460) ack 1")
        assert windows(sock) == (1, 5)


@pytest.mark.deviation("RFC5681-S3.1-5")
def test_ssthresh_is_never_under_two_segments(tcp: Tcp) -> None:
    """Timeouts of one segment after another."""
    sock = tcp.established()
    start = 1
    for left in (5, 2, 2):
        sock.send(tcp.data(MSS, start - 1))
        again = f"> P. {start}:{start + MSS}(1460) ack 1"
        tcp.play(f"+0 {again}\n+0.2..1.3 {again}")
        assert windows(sock) == (1, left)
        start += MSS
        tcp.play(f"+0.1 < . 1:1(0) ack {start}\n+0 quiet")


@pytest.mark.host(tcp_frto=0)
@pytest.mark.requirement("RFC5681-S3.1-6", "RFC9293-MUST-19", "RFC8961-S4-3")
def test_after_a_timeout_one_segment_then_two_then_four_go(tcp: Tcp) -> None:
    after_a_timeout(tcp)
    tcp.play(
        f"""
        +0.1 < . 1:1(0) ack 1461
        {sent(1461, 4381, push=False)}
        +0.1 < . 1:1(0) ack 2921
        {sent(4381, 7301, push=False)}
        +0   < . 1:1(0) ack 4381
        {sent(7301, 10221, push=False)}
        +0.05 quiet
        """
    )


@pytest.mark.requirement("RFC5681-S3.1-6")
def test_the_ack_that_ends_the_recovery_from_a_timeout_grows_the_window_too(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(3 * MSS))
    tcp.play(sent(1, 3 * MSS + 1))
    tcp.play("+0.3 > . 1:1461(1460) ack 1")
    assert windows(sock) == (1, 5)
    tcp.play(f"+0.1 < . 1:1(0) ack {3 * MSS + 1}\n+0 quiet")
    assert windows(sock) == (4, 5)  # by slow start


# -- idle times --------------------------------------------------------------------------------


@pytest.mark.deviation("RFC5681-S4.1-1")
@pytest.mark.parametrize(("idle", "halvings"), [(0.15, 0), (0.3, 1), (0.6, 2), (3600, 20)])
@pytest.mark.variants("ipv4", "ipv6-wrap-offload")
def test_each_idle_timeout_halves_the_window_down_to_the_initial_one(
    tcp: Tcp, idle: float, halvings: int
) -> None:
    sock = much_to_send(tcp, 10 + 20 + 40)
    assert list(flights(tcp, 1, 3)) == [10, 20, 40, 0]  # 100 ms since the last segment left
    grown = windows(sock)[0]
    assert grown >= 40
    tcp.quiet(idle)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 400 * MSS)
    sock.send(tcp.data(200 * MSS, 70 * MSS))
    burst = sum(len(packet.payload) for packet in tcp.take())
    assert burst == max(10, grown >> halvings) * MSS


def test_an_idle_time_counts_once_however_often_sending_is_tried_after_it(tcp: Tcp) -> None:
    """A corked segment waits, also for the rest of what is written."""
    sock = much_to_send(tcp, 10 + 20 + 40)
    assert list(flights(tcp, 1, 3)) == [10, 20, 40, 0]
    grown = windows(sock)[0]
    tcp.quiet(0.3)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 400 * MSS)
    for number in range(4):
        sock.send(tcp.data(10, 70 * MSS + 10 * number), socket.MSG_MORE)
        tcp.quiet(0)
    sock.send(tcp.data(200 * MSS, 70 * MSS + 40))
    assert sum(len(packet.payload) for packet in tcp.take()) == (grown >> 1) * MSS


def test_an_idle_time_that_grows_while_a_segment_is_corked_counts_whole(tcp: Tcp) -> None:
    """The RTO is 300 ms. 220 ms after the last segment the window is what it was."""
    sock = much_to_send(tcp, 10 + 20 + 40)
    assert list(flights(tcp, 1, 3)) == [10, 20, 40, 0]
    grown = windows(sock)[0]
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 400 * MSS)
    tcp.quiet(0.12)
    sock.send(tcp.data(10, 70 * MSS), socket.MSG_MORE)
    tcp.quiet(0.15)
    assert windows(sock)[0] == grown
    sock.send(tcp.data(200 * MSS, 70 * MSS + 10))
    assert sum(len(packet.payload) for packet in tcp.take()) == (grown >> 1) * MSS


@pytest.mark.host(tcp_initial_cwnd=2)
def test_a_repeat_ends_an_idle_time_as_well(tcp: Tcp) -> None:
    """Eight are out, the first is lost. 350 ms after they left, but 250 ms after the repeat, which
    is less than an RTO, the window of four is still what it was."""
    sock = tcp.established(wscale=7, sack=True)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 60 * MSS)
    una = 1
    for count in (2, 4, 8):
        sock.send(tcp.data(count * MSS, una - 1))
        tcp.play(sent(una, una + count * MSS) + "+0.1 quiet")
        una += count * MSS
        if count < 8:
            tcp.play(f"+0 < . 1:1(0) ack {una}\n+0 quiet")
    una -= 8 * MSS
    tcp.play(
        f"""
        +0   < . 1:1(0) ack {una} <nop,nop,sack {una + MSS}:{una + 8 * MSS}>
        +0   > . {una}:{una + MSS}(1460) ack 1
        +0.1 < . 1:1(0) ack {una + 8 * MSS}
        +0.15 quiet
        """
    )
    sock.send(tcp.data(4 * MSS, una + 8 * MSS - 1))
    tcp.play(sent(una + 8 * MSS, una + 12 * MSS))


@pytest.mark.host(tcp_slow_start_after_idle=0)
def test_the_restart_after_an_idle_time_can_be_switched_off(tcp: Tcp) -> None:
    sock = much_to_send(tcp, 10 + 20)
    assert list(flights(tcp, 1, 2)) == [10, 20, 0]
    grown = windows(sock)[0]
    tcp.quiet(3600)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 400 * MSS)
    sock.send(tcp.data(200 * MSS, 30 * MSS))
    assert sum(len(packet.payload) for packet in tcp.take()) == grown * MSS


# -- both limits, and other algorithms ---------------------------------------------------------


@pytest.mark.requirement("RFC5681-S2-1")
def test_no_more_is_out_than_either_window_allows(tcp: Tcp) -> None:
    sock = much_to_send(tcp, 300, win=100)  # 12800 octets
    una = edge = 1
    sizes = (100, 60, 200, 90, 1000, 300, 120, 8192, 50, 400, 2000, 8192)
    for size in (size for size in sizes for _ in range(4)):
        for packet in tcp.take():
            edge = max(edge, tcp.flow("").our_number(packet.seq) + len(packet.payload))
        una = min(una + 2 * MSS, edge)
        tcp.inject(tcp.segment(f". 1:1(0) ack {una} win {size}"))
        for packet in tcp.take():
            at = tcp.flow("").our_number(packet.seq) + len(packet.payload)
            assert at <= una + (size << 7)
            edge = max(edge, at)
        # cwnd as told is rounded down to segments
        assert edge - una <= max((windows(sock)[0] + 1) * MSS, 100 << 7)
        tcp.quiet(0.01)


class TwoSegments(CongestionControl):
    """A window of two segments whatever happens."""

    name = "two"

    def on_established(self, initial_cwnd: int, now_us: int) -> None:
        self.cwnd = 2 * self.mss

    def on_ack(self, sample: AckSample) -> None:
        self.cwnd = 2 * self.mss


@pytest.mark.requirement("RFC9293-MAY-18")
def test_another_algorithm_can_be_chosen_for_a_connection(tcp: Tcp) -> None:
    registry.register("two", TwoSegments)
    sock = tcp.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"two")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"two"
    tcp.established(passive=False, sock=sock)
    sock.send(tcp.data(8 * MSS))
    for left in range(1, 8 * MSS, 2 * MSS):
        tcp.play(sent(left, left + 2 * MSS, push=left + 2 * MSS > 8 * MSS))
        tcp.play(f"+0.1 < . 1:1(0) ack {left + 2 * MSS}")
    tcp.quiet(1)
