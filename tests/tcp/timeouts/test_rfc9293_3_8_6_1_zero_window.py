"""RFC 9293 §3.8.6.1: zero windows, the peer's and our own."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.kit.packets.errnos import fails_with
from tests.kit.tcp import Tcp

PROBE = "> . 2920:2920(0) ack 1"
CLOSED = "< . 1:1(0) ack 2921 win 0"


def stuck(tcp: Tcp) -> socket.socket:
    """Text waits before a window that has been closed just now; RTO is 300 ms."""
    sock = tcp.established(win=2920, rtt=0.1)
    sock.send(tcp.data(4380))
    tcp.play(
        f"""
        +0   > . 1:1461(1460) ack 1
        +0   > . 1461:2921(1460) ack 1
        +0.1 {CLOSED}
        """
    )
    return sock


def intervals(first: float, most: float, count: int) -> list[float]:
    return [min(first * 2**doubled, most) for doubled in range(count)]


# -- the peer's window ---------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-36", "RFC9293-SHLD-29", "RFC9293-SHLD-30")
def test_the_first_probe_comes_after_one_rto_and_the_gaps_double_up_to_two_minutes(
    tcp: Tcp,
) -> None:
    stuck(tcp)
    last = 0.0
    for wait in intervals(0.3, 120, 14):
        tcp.play(
            f"""
            +{wait - last:.2f} {PROBE}
            +0.01 {CLOSED}
            """
        )
        last = 0.01


@pytest.mark.requirement("RFC9293-MUST-36", "RFC9293-SHLD-29")
def test_text_written_to_a_window_that_is_closed_already_is_probed_for(tcp: Tcp) -> None:
    sock = tcp.established(win=2920, rtt=0.1)
    tcp.play("+0 < . 1:1(0) ack 1 win 0")
    tcp.quiet(10)
    sock.send(b"x")
    tcp.play(
        """
        +0.3 > . 0:0(0) ack 1
        +0.6 > . 0:0(0) ack 1
        +0   < . 1:1(0) ack 1 win 2920
        +0   > P. 1:2(1) ack 1 "x"
        """
    )


@pytest.mark.requirement("RFC9293-MUST-36")
def test_a_fin_behind_a_closed_window_is_probed_for(tcp: Tcp) -> None:
    sock = stuck(tcp)
    sock.shutdown(socket.SHUT_WR)
    tcp.play(
        f"""
        +0.3  {PROBE}
        +0.01 < .  1:1(0) ack 2921 win 2920
        +0    > FP. 2921:4381(1460) ack 1
        """
    )


@pytest.mark.requirement("RFC9293-MUST-36")
def test_a_fin_alone_waits_for_the_window_too(tcp: Tcp) -> None:
    sock = tcp.established(win=2920)
    tcp.play("+0 < . 1:1(0) ack 1 win 0")
    sock.shutdown(socket.SHUT_WR)
    tcp.play(
        """
        +0.3  > .  0:0(0) ack 1
        +0.6  > .  0:0(0) ack 1
        +0.01 < .  1:1(0) ack 1 win 1
        +0    > F. 1:1(0) ack 1
        """
    )


@pytest.mark.requirement("RFC9293-MUST-35", "RFC9293-SHLD-29")
def test_a_window_that_closes_while_text_is_out_is_probed_when_that_is_acknowledged(
    tcp: Tcp,
) -> None:
    sock = tcp.established(win=2920, rtt=0.1)
    sock.send(tcp.data(4380))
    tcp.play(
        f"""
        +0   > . 1:1461(1460) ack 1
        +0   > . 1461:2921(1460) ack 1
        +0.1 < . 1:1(0) ack 1461 win 0
        +0   < . 1:1(0) ack 2921 win 0
        +0.3 {PROBE}
        +0.6 {PROBE}
        +0   < P. 1:2(1) ack 2921 win 2920  # text of the peer may open it as well
        +0   > P. 2921:4381(1460) ack 2
        """
    )


@pytest.mark.requirement("RFC9293-MUST-35", "RFC9293-MUST-36")
def test_a_lost_window_update_is_made_good_by_the_answer_to_a_probe(tcp: Tcp) -> None:
    stuck(tcp)
    tcp.play(
        f"""
        +0.3  {PROBE}
        +0.6  {PROBE}                         # the answer to the first was lost
        +0.01 < .  1:1(0) ack 2921 win 2920
        +0    > P. 2921:4381(1460) ack 1
        +0.05 < .  1:1(0) ack 4381 win 2920
        +1000 quiet
        """
    )


@pytest.mark.requirement("RFC9293-MUST-35")
def test_probing_stops_when_the_window_opens_and_starts_anew_when_it_closes_again(
    tcp: Tcp,
) -> None:
    sock = stuck(tcp)
    tcp.play(
        f"""
        +0.3 {PROBE}
        +0.6 {PROBE}
        +1.2 {PROBE}
        +0.1 < .  1:1(0) ack 2921 win 1460
        +0   > P. 2921:4381(1460) ack 1
        +0.1 < .  1:1(0) ack 4381 win 0
        +100 quiet
        """
    )
    sock.send(tcp.data(10, 4380))
    rto = sock.tcp_info().tcpi_rto / 1e6
    tcp.play(
        f"""
        +{rto:.6f} > . 4380:4380(0) ack 1
        +{2 * rto:.6f} > . 4380:4380(0) ack 1
        """
    )


@pytest.mark.requirement("RFC9293-MUST-37", "RFC6429-S4-1")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_answered_probes_keep_the_connection_for_hours(tcp: Tcp) -> None:
    sock = stuck(tcp)
    last = 0.0
    for wait in intervals(0.3, 120, 129):  # four hours
        tcp.play(
            f"""
            +{wait - last:.2f} {PROBE}
            +0.01 {CLOSED}
            """
        )
        last = 0.01
    assert tcp.state() == "ESTABLISHED"
    sock.send(b"still here")


@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_fifteen_unanswered_probes_end_the_connection(tcp: Tcp) -> None:
    sock = stuck(tcp)
    for wait in intervals(0.3, 120, 15):
        tcp.play(f"+{wait:.2f} {PROBE}")
    tcp.quiet(119.999999)
    assert tcp.state() == "ESTABLISHED"
    tcp.quiet(0.000001)
    assert tcp.state() == "CLOSED"
    with pytest.raises(TimeoutError):
        sock.send(b"x")
    tcp.quiet(1000)


@pytest.mark.requirement("RFC6429-S4-1")
def test_the_application_may_abort_a_stuck_connection(tcp: Tcp) -> None:
    sock = stuck(tcp)
    tcp.play(
        f"""
        +0.3  {PROBE}
        +0.01 {CLOSED}
        """
    )
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    tcp.play("+0 > R. 2921:2921(0) ack 1")
    tcp.quiet(1000)


@pytest.mark.requirement("RFC6429-S4-1")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_a_closed_socket_is_delivered_if_the_window_opens_in_time(tcp: Tcp) -> None:
    sock = stuck(tcp)
    sock.close()
    tcp.play(
        f"""
        +0.3  {PROBE}
        +0.01 {CLOSED}
        +0.59 {PROBE}
        +0.01 < .  1:1(0) ack 2921 win 2920
        +0    > FP. 2921:4381(1460) ack 1
        """
    )


@pytest.mark.requirement("RFC6429-S4-1")
@pytest.mark.host(tcp_rto_max_ms=10_000)
def test_a_stuck_connection_that_nobody_owns_is_given_up_when_the_gaps_are_at_their_longest(
    tcp: Tcp,
) -> None:
    sock = stuck(tcp)
    sock.close()
    last = 0.0
    for wait in (0.3, 0.6, 1.2, 2.4, 4.8, 9.6):
        tcp.play(
            f"""
            +{wait - last:.2f} {PROBE}
            +0.01 {CLOSED}
            """
        )
        last = 0.01
    tcp.quiet(1000)
    assert tcp.state() == "CLOSED"


# -- our own window ---------------------------------------------------------------------------


def full(tcp: Tcp) -> tuple[socket.socket, int]:
    """A socket whose buffer is full, and the number that comes next: our window is 0."""
    listener = tcp.listen()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock = tcp.established(listener=listener)
    at = 1
    edge = 1
    for _ in range(20):
        tcp.inject(tcp.segment(f". {at}:{at + 100}(100) ack 1"))
        at += 100
        for packet in tcp.run(0.5):
            edge = tcp.flow("").their_number(packet.ack) + packet.window
        if edge - at < 1460:
            break
    while edge > at:
        size = min(edge - at, 1460)
        tcp.inject(tcp.segment(f". {at}:{at + size}({size}) ack 1"))
        at += size
        for packet in tcp.run(0.5):
            edge = tcp.flow("").their_number(packet.ack) + packet.window
    assert edge == at
    return sock, at


@pytest.mark.requirement("RFC9293-S3.8.6.1-1")
def test_a_probe_of_one_octet_is_answered_and_its_octet_refused(tcp: Tcp) -> None:
    sock, at = full(tcp)
    for _ in range(3):
        tcp.play(
            f"""
            +1 < . {at}:{at + 1}(1) ack 1 "#"
            +0 > . 1:1(0) ack {at} win 0
            """
        )
    assert sock.recv(100_000) == tcp.data(at - 1)
    tcp.play(f"+0 > . 1:1(0) ack {at} win 2000..")
    tcp.play(
        f"""
        +0 < P. {at}:{at + 10}(10) ack 1
        +0..0.2 > . 1:1(0) ack {at + 10}
        """
    )
    assert sock.recv(100_000) == tcp.data(10, at - 1)
    tcp.run(0)


@pytest.mark.requirement("RFC9293-S3.8.6.1-1")
def test_of_a_segment_that_reaches_beyond_the_window_the_part_within_it_is_taken(tcp: Tcp) -> None:
    sock, at = full(tcp)
    assert sock.recv(100_000) == tcp.data(at - 1)
    (answer,) = tcp.take()
    left = at
    while answer.window > 700:
        tcp.inject(tcp.segment(f". {left}:{left + 100}(100) ack 1"))
        left += 100
        (answer,) = tcp.run(0.5)
    edge = left + answer.window
    tcp.play(
        f"""
        +0 < . {left}:{left + 1460}(1460) ack 1
        +0 > . 1:1(0) ack {edge} win 0
        """
    )
    assert len(sock.recv(100_000)) == edge - at
    tcp.run(0)


@pytest.mark.requirement("RFC9293-S3.8.6.1-1")
def test_an_empty_probe_from_before_the_window_is_answered(tcp: Tcp) -> None:
    _, at = full(tcp)
    for _ in range(3):
        tcp.play(
            f"""
            +0.01 < . {at - 1}:{at - 1}(0) ack 1
            +0    > . 1:1(0) ack {at} win 0
            """
        )


@pytest.mark.requirement("RFC9293-MAY-8", "RFC9293-S3.8.6.1-1")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_our_window_stays_closed_for_a_day_if_nobody_reads(tcp: Tcp) -> None:
    sock, at = full(tcp)
    for _ in range(24 * 4):
        tcp.play(
            f"""
            +900 < . {at - 1}:{at - 1}(0) ack 1
            +0   > . 1:1(0) ack {at} win 0
            """
        )
    assert tcp.state() == "ESTABLISHED"
    assert sock.recv(100_000) == tcp.data(at - 1)
    tcp.play(f"+0 > . 1:1(0) ack {at} win 2000..")


@pytest.mark.requirement("RFC9293-MUST-66")
def test_a_reset_is_obeyed_at_a_zero_window(tcp: Tcp) -> None:
    sock, at = full(tcp)
    tcp.play(f"+0 < R {at}:{at}(0)\n+0 quiet")
    assert tcp.state() == "CLOSED"
    assert sock.recv(100_000) == tcp.data(at - 1)
    with pytest.raises(ConnectionResetError):
        sock.recv(1)


@pytest.mark.requirement("RFC9293-MUST-66")
def test_urgent_data_is_announced_at_a_zero_window(tcp: Tcp) -> None:
    sock, at = full(tcp)
    with fails_with(errno.EINVAL):
        sock.recv(1, socket.MSG_OOB)
    tcp.play(
        f"""
        +0 < U. {at}:{at + 1}(1) ack 1 urg 1 "!"
        +0 > . 1:1(0) ack {at} win 0
        """
    )
    with pytest.raises(BlockingIOError):  # it is on its way
        sock.recv(1, socket.MSG_OOB)
    assert sock.recv(100_000) == tcp.data(at - 1)
    tcp.play(
        f"""
        +0 > . 1:1(0) ack {at} win 2000..
        +0 < U. {at}:{at + 1}(1) ack 1 urg 1 "!"
        +0..0.2 > . 1:1(0) ack {at + 1}
        """
    )
    assert sock.recv(1, socket.MSG_OOB) == b"!"


@pytest.mark.requirement("RFC9293-MUST-66")
def test_an_ack_is_taken_at_a_zero_window(tcp: Tcp) -> None:
    sock, at = full(tcp)
    sock.send(b"hello")
    tcp.play(
        f"""
        +0   > P. 1:6(5) ack {at} win 0 "hello"
        +0.1 < .  {at}:{at}(0) ack 6
        +10  quiet
        """
    )
