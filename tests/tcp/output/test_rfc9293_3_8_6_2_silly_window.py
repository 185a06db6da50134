"""RFC 9293 §3.8.6.2: silly windows are neither used nor offered."""

from __future__ import annotations

import socket

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

SENDER = pytest.mark.requirement("RFC9293-MUST-38")


def waiting(tcp: Tcp, most: int) -> socket.socket:
    """Much text waits; the window, at most `most` so far, is closed. RTO is 300 ms."""
    sock = tcp.established(win=most, rtt=0.1)
    tcp.play("+0 < . 1:1(0) ack 1 win 0")
    sock.send(tcp.data(12000))
    tcp.quiet(0)
    return sock


# -- §3.8.6.2.1: the sender ------------------------------------------------------------------------


@SENDER
def test_a_window_of_a_few_octets_is_not_used(tcp: Tcp) -> None:
    waiting(tcp, 65535)
    tcp.play(
        """
        +0.01 < . 1:1(0) ack 1 win 1
        +0.01 < . 1:1(0) ack 1 win 10
        +0.01 < . 1:1(0) ack 1 win 100
        +0.01 < . 1:1(0) ack 1 win 1459
        +0.01 quiet
        +0    < . 1:1(0) ack 1 win 1460
        +0    > . 1:1461(1460) ack 1
        """
    )


@SENDER
def test_a_window_for_one_segment_and_a_few_octets_carries_the_segment(tcp: Tcp) -> None:
    waiting(tcp, 65535)
    tcp.play(
        """
        +0    < . 1:1(0) ack 1 win 1560
        +0    > . 1:1461(1460) ack 1
        +0.05 < . 1:1(0) ack 1461 win 200
        +0.05 quiet
        +0    < . 1:1(0) ack 1461 win 2920
        """
    )
    tcp.play(sent(1461, 4381, push=False))


@SENDER
def test_half_of_the_largest_window_the_peer_ever_had_is_worth_a_segment(tcp: Tcp) -> None:
    waiting(tcp, 1000)
    tcp.play(
        """
        +0.01 < . 1:1(0) ack 1 win 499
        +0.01 quiet
        +0    < . 1:1(0) ack 1 win 500
        +0    > . 1:501(500) ack 1
        +0.05 < . 1:1(0) ack 501 win 1000
        +0    > . 501:1001(500) ack 1
        +0    > . 1001:1501(500) ack 1
        """
    )


@SENDER
@pytest.mark.requirement("RFC9293-REC-3")
@pytest.mark.parametrize(("largest", "length"), [(536, 536), (537, 268), (1072, 536), (40, 40)])
def test_half_of_a_largest_window_is_not_taken_below_536(
    tcp: Tcp, largest: int, length: int
) -> None:
    """A peer that never offers more is served in pieces as large as its window, as in Linux."""
    sock = tcp.established(win=largest)
    sock.send(tcp.data(3 * largest))
    (first, *_) = tcp.take()
    assert len(first.payload) == length


def test_the_rest_of_what_was_written_needs_no_full_segment(tcp: Tcp) -> None:
    sock = tcp.established(win=65535)
    tcp.play("+0 < . 1:1(0) ack 1 win 0")
    sock.send(tcp.data(50))
    tcp.play(
        """
        +0.01 < .  1:1(0) ack 1 win 60
        +0    > P. 1:51(50) ack 1
        """
    )


@SENDER
def test_the_override_timer_uses_a_small_window_at_last(tcp: Tcp) -> None:
    waiting(tcp, 65535)
    tcp.play(
        """
        +0.01 < .  1:1(0) ack 1 win 100
        +0.3  > P. 1:101(100) ack 1
        +0.05 < .  1:1(0) ack 101 win 100
        +0.01 quiet
        """
    )


@SENDER
def test_the_congestion_window_is_no_reason_for_small_segments_either(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(16384))
    tcp.play(sent(1, 14601, push=False))
    tcp.play(
        """
        +0.05 < . 1:1(0) ack 700   # 699 are gone, cwnd has grown by as many: room for 1398
        +0.01 quiet
        +0    < . 1:1(0) ack 1461
        +0    > . 14601:16061(1460) ack 1
        +0    > P. 16061:16385(324) ack 1
        """
    )


# -- §3.8.6.2.2: the receiver ---------------------------------------------------------------------


def fill(tcp: Tcp, shift: int = 0) -> tuple[int, int]:
    """Our buffer gets full to the brim; how many octets that took, and the right edge."""
    at = edge = 1
    while True:
        size = 500 if at == 1 else min(1460, edge - at)
        if size <= 0:
            return at - 1, edge
        tcp.inject(tcp.segment(f". {at}:{at + size}({size}) ack 1"))
        at += size
        for packet in tcp.run(0.5):
            edge = tcp.flow("").their_number(packet.ack) + (packet.window << shift)


@pytest.mark.requirement("RFC9293-MUST-39")
@pytest.mark.parametrize("rcvbuf", [2000, 4096, 16384])
def test_reading_octet_by_octet_offers_no_small_window(tcp: Tcp, rcvbuf: int) -> None:
    listener = tcp.listen()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock = tcp.established(listener=listener)
    received, edge = fill(tcp)
    flow = tcp.flow("")
    offers = []
    for _ in range(received):
        assert len(sock.recv(1)) == 1
        for packet in tcp.run(0.001):
            offers.append(flow.their_number(packet.ack) + packet.window - edge)
            edge += offers[-1]
    assert offers, "no update at all"
    assert min(offers) >= min(rcvbuf // 2, 1460), offers


@pytest.mark.requirement("RFC9293-MUST-39")
@pytest.mark.parametrize(("rcvbuf", "scale"), [(16_384, None), (131_072, 2)])
def test_the_answer_to_a_probe_offers_no_small_window_either(
    tcp: Tcp, rcvbuf: int, scale: int | None
) -> None:
    listener = tcp.listen()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock = tcp.established(listener=listener, wscale=scale)
    received, edge = fill(tcp, scale or 0)
    for read in range(0, 1000, 200):
        assert len(sock.recv(200 if read else 1)) in (1, 200)
        tcp.play(
            f"""
            +0.01 < . {edge - 1}:{edge - 1}(0) ack 1
            +0    > . 1:1(0) ack {edge} win 0
            """
        )
    assert len(sock.recv(received)) < received
    tcp.play(f"+0 > . 1:1(0) ack {edge} win 8000..")
