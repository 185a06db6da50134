"""RFC 9293 §3.8.6: the peer's window as the sender takes it, and the window that we offer."""

from __future__ import annotations

import socket

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno")


def send_all(sock: socket.socket, data: bytes) -> None:
    """Write `data`, for which there is room."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, len(data))
    assert sock.send(data) == len(data)


# -- the field ------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-1", "RFC5681-S2-1")
@pytest.mark.host(tcp_initial_cwnd=100)
@pytest.mark.parametrize(("win", "mss"), [(0x8000, 1024), (0xFFFF, 1285)])
def test_the_upper_half_of_the_field_is_window_too(tcp: Tcp, win: int, mss: int) -> None:
    sock = tcp.established(mss=mss, win=win)
    send_all(sock, tcp.data(100_000))
    tcp.play(sent(1, win + 1, mss, push=False))
    tcp.quiet(0.25)


@pytest.mark.requirement("RFC9293-REC-1", "RFC7323-S2.3-1")
@pytest.mark.host(tcp_initial_cwnd=200)
def test_a_scaled_window_above_65535_is_used_in_full(tcp: Tcp) -> None:
    window = 110 * 1460
    sock = tcp.established(wscale=3, win=window >> 3)
    send_all(sock, tcp.data(200_000))
    tcp.play(sent(1, window + 1, push=False))
    tcp.quiet(0.25)


@pytest.mark.requirement("RFC9293-REC-1")
@pytest.mark.host(tcp_initial_cwnd=20)
def test_a_window_of_a_gigabyte_leaves_the_congestion_window_in_charge(tcp: Tcp) -> None:
    sock = tcp.established(wscale=14, win=65535)
    send_all(sock, tcp.data(100_000))
    tcp.play(sent(1, 29201, push=False))
    tcp.play("+0.1 < . 1:1(0) ack 1461\n" + sent(29201, 32121, push=False))


# -- which segments update it ---------------------------------------------------------------------


def with_window_closed(tcp: Tcp) -> socket.socket:
    """Two segments sent and acknowledged, the window closed, one more segment queued."""
    sock = tcp.established(win=2920)
    sock.send(tcp.data(4380))
    tcp.play(sent(1, 2921, push=False))
    tcp.play(
        """
        +0.01 < . 1:1(0) ack 2921 win 0
        +0    quiet
        """
    )
    return sock


@pytest.mark.requirement("RFC9293-S3.10.7.4-5")
def test_a_delayed_older_ack_does_not_open_the_window(tcp: Tcp) -> None:
    with_window_closed(tcp)
    tcp.play(
        """
        +0 < . 1:1(0) ack 1461 win 65535
        +0 < . 1:1(0) ack 1 win 65535
        +0.1 quiet
        """
    )


@pytest.mark.requirement("RFC9293-S3.10.7.4-5")
def test_an_older_segment_with_the_same_ack_does_not_open_the_window(tcp: Tcp) -> None:
    with_window_closed(tcp)
    tcp.play(
        """
        +0 < P. 1:101(100) ack 2921 win 0
        +0 > .  2921:2921(0) ack 101
        +0 < .  1:101(100) ack 2921 win 65535  # what was sent before, come late
        +0 > .  2921:2921(0) ack 101
        +0.1 quiet
        """
    )


@pytest.mark.requirement("RFC9293-S3.10.7.4-5")
def test_a_segment_from_before_the_newest_one_does_not_open_the_window(tcp: Tcp) -> None:
    with_window_closed(tcp)
    tcp.play(
        """
        +0 < P. 1:101(100) ack 2921 win 0
        +0 > .  2921:2921(0) ack 101
        +0 < .  101:101(0) ack 2921 win 0      # SND.WL1 is 101 now
        +0 < .  51:151(100) ack 2921 win 65535 # acceptable, as half of it is new
        +0 > .  2921:2921(0) ack 151
        +0.1 quiet
        """
    )


@pytest.mark.requirement("RFC9293-S3.10.7.4-5")
def test_the_newest_segment_opens_and_closes_it(tcp: Tcp) -> None:
    sock = with_window_closed(tcp)
    tcp.play(
        """
        +0 < .  1:1(0) ack 2921 win 1460
        +0 > P. 2921:4381(1460) ack 1
        +0.01 < . 1:1(0) ack 4381 win 1460
        """
    )
    tcp.play("+0 < . 1:1(0) ack 4381 win 0")
    sock.send(tcp.data(1460, 4380))
    tcp.quiet(0.1)


@pytest.mark.requirement("RFC9293-S3.10.7.4-5")
def test_a_window_is_taken_from_a_data_segment_with_an_old_ack_never(tcp: Tcp) -> None:
    with_window_closed(tcp)
    tcp.play(
        """
        +0 < P. 1:101(100) ack 1461 win 65535  # newer text, older ACK: SND.WL1 moves, RFC 9293
        +0 > .  2921:2921(0) ack 101
        +0.1 quiet
        """
    )


# -- a peer that shrinks its window --------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-34", "RFC9293-SHLD-15", "RFC9293-SHLD-16", "RFC9293-MAY-7")
def test_after_a_shrink_only_old_text_within_the_window_is_sent(tcp: Tcp) -> None:
    sock = tcp.established(win=14600)
    sock.send(tcp.data(16060))
    tcp.play(sent(1, 14601, push=False))
    tcp.play(
        """
        +0.1 < . 1:1(0) ack 1461 win 2920   # edge at 4381, while 14601 were sent
        +0.3 > . 1461:2921(1460) ack 1      # repeats within the window, as usual
        +0.1 < . 1:1(0) ack 2921 win 1460   # edge still at 4381
        +0   > . 2921:4381(1460) ack 1
        +0.1 < . 1:1(0) ack 4381 win 730    # edge at 5111: the old octets up to there
        +0   > . 4381:5111(730) ack 1
        +0.1 < . 1:1(0) ack 5111 win 14600  # it reopens: all the rest
        """
    )
    finish(tcp, 5111, 16061)


def finish(tcp: Tcp, una: int, end: int) -> None:
    """Acknowledge everything that comes until all up to `end` is there."""
    while una < end:
        came = [packet for packet in tcp.run(0.05) if packet.payload]
        assert came, "nothing comes any more"
        for packet in came:
            start = tcp.flow("").our_number(packet.seq)
            assert start <= una
            una = max(una, start + len(packet.payload))
        tcp.play(f"+0 < . 1:1(0) ack {una}")
    assert tcp.flow("").sent == tcp.data(end - 1)
    tcp.quiet(10)


@pytest.mark.requirement("RFC9293-MUST-34", "RFC9293-SHLD-15")
def test_a_negative_usable_window_sends_no_new_text(tcp: Tcp) -> None:
    sock = tcp.established(win=14600)
    sock.send(tcp.data(14600))
    tcp.play(sent(1, 14601))
    tcp.play("+0.1 < . 1:1(0) ack 2921 win 100")
    sock.send(tcp.data(1460, 14600))
    tcp.quiet(0.25)
    tcp.play(
        """
        +0 < .  1:1(0) ack 14601 win 100
        +0 quiet
        +0 < .  1:1(0) ack 14601 win 14600
        +0 > P. 14601:16061(1460) ack 1
        """
    )


@pytest.mark.requirement("RFC9293-MUST-34", "RFC9293-SHLD-17", "RFC9293-MUST-35")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_a_window_shrunk_to_zero_is_probed_by_repeats_and_never_times_out(tcp: Tcp) -> None:
    sock = tcp.established(win=14600)
    sock.send(tcp.data(14600))
    tcp.play(sent(1, 14601))
    tcp.play("+0.1 < . 1:1(0) ack 1461 win 0")
    waits = [min(0.3 * 2**doubled, 120) for doubled in range(40)]  # an hour
    for wait, passed in zip(waits, [0, *[0.01] * 39], strict=True):
        tcp.play(
            f"""
            +{wait - passed:.2f} > . 1461:2921(1460) ack 1
            +0.01 < . 1:1(0) ack 1461 win 0
            """
        )
    assert tcp.state() == "ESTABLISHED"
    tcp.play("+0 < . 1:1(0) ack 14601 win 14600")
    sock.send(b"x")
    tcp.play('+0 > P. 14601:14602(1) ack 1 "x"')


# -- the window that we offer --------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-SHLD-14")
def test_the_promised_right_edge_stays_while_nobody_reads(tcp: Tcp) -> None:
    sock = tcp.established()
    at = 1
    edges = []
    while True:
        tcp.inject(tcp.segment(f". {at}:{at + 1460}(1460) ack 1"))
        (ack,) = tcp.run(0.5)
        edges.append(tcp.flow("").their_number(ack.ack) + ack.window)
        at += 1460
        if ack.window < 1460:
            break
    assert edges == sorted(edges)
    left = edges[-1] - at
    if left:
        tcp.inject(tcp.segment(f". {at}:{at + left}({left}) ack 1"))
        tcp.play(f"+0..0.5 > . 1:1(0) ack {at + left} win 0")
    assert len(sock.recv(1_000_000)) == at + left - 1
    tcp.run(0)


@pytest.mark.requirement("RFC9293-SHLD-14")
def test_a_smaller_buffer_takes_nothing_back_of_what_was_promised(tcp: Tcp) -> None:
    sock = tcp.established(passive=False)  # our SYN has offered 64240 octets
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    tcp.play(
        """
        +0 < . 1:1461(1460) ack 1
        +0 > . 1:1(0) ack 1461 win 62780..
        +0 < . 62781:64241(1460) ack 1     # the very end of the promise, out of order
        +0 > . 1:1(0) ack 1461 win 62780..
        """
    )
    for at in range(1461, 62781, 1460):
        tcp.inject(tcp.segment(f". {at}:{at + 1460}(1460) ack 1"))
        tcp.run(0.5)
    assert sock.recv(100_000) == tcp.data(64240)
    tcp.run(0)


@pytest.mark.host(tcp_rmem="4096 400000 6291456")
def test_the_offer_grows_by_two_segments_for_each_that_comes_in_order(tcp: Tcp) -> None:
    """As Linux: 65,535 octets at first, no more of them for crumbs, up to the half of the buffer,
    which is 200,000."""
    tcp.established(rtt=0.01, wscale=7)
    tcp.play(
        """
        +0      <  . 1:1461(1460) ack 1
        +0~0.05 >  . 1:1(0) ack 1461 win 535       # 68,455
        +0.1    <  . 1461:1588(127) ack 1
        +0~0.05 >  . 1:1(0) ack 1588 win 535
        +0.1    <  . 1588:1716(128) ack 1
        +0~0.05 >  . 1:1(0) ack 1716 win 558       # 71,375
        """
    )


def test_the_buffer_follows_what_the_user_reads_in_a_round_trip(tcp: Tcp) -> None:
    """Room for twice what was read and 16 segments, as Linux; a buffer is twice its window."""
    sock = tcp.established(rtt=0.1, wscale=7)
    sizes = []
    for start in range(1, 1 + 4 * 58_400, 58_400):
        for at in range(start, start + 58_400, 14_600):
            tcp.play(f"+0 < . {at}:{at + 14_600}(14600) ack 1\n+0 > . 1:1(0) ack {at + 14_600}")
        assert len(sock.recv(100_000)) == 58_400
        tcp.run(0.11)
        sizes.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
    assert sizes == [131_072] + 3 * [2 * (2 * 58_400 + 16 * 1460)]


@pytest.mark.host(tcp_moderate_rcvbuf=0)
def test_a_buffer_that_is_not_moderated_stays(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1, wscale=7)
    for start in range(1, 1 + 3 * 29_200, 29_200):
        end = start + 29_200
        tcp.play(f"+0 < . {start}:{end}(29200) ack 1\n+0 > . 1:1(0) ack {end}")
        sock.recv(100_000)
        tcp.run(0.11)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 131_072
