"""RFC 9293 §3.5.2 and §3.5.3: when a RST is sent, and which RST is obeyed."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.kit.packets.errnos import fails_with
from tests.kit.tcp import Tcp


@pytest.mark.requirement("RFC9293-S3.5.2-1")
@pytest.mark.parametrize("segment", ["R 5000:5000(0)", "R 1:1(0)", "R. 90000:90000(0) ack 1"])
def test_no_reset_answers_a_reset(tcp: Tcp, segment: str) -> None:
    tcp.listen()
    for name in ("a", "b"):
        tcp.flow(name, local_port=81 if name == "b" else 80)
        for text in (segment, segment):
            tcp.inject(tcp.segment(f"{text} win 0", name))
    tcp.quiet(5)


@pytest.mark.requirement("RFC9293-S3.5.2-2")
@pytest.mark.parametrize(
    "segment",
    [
        "P. -9:1(10) ack 1",
        "P. 70000:70010(10) ack 1",
        "F. -9:-9(0) ack 1",
        "F. 70000:70000(0) ack 1",
        ".  70000:70000(0) ack 1",
    ],
)
def test_an_unacceptable_segment_draws_an_empty_ack_and_changes_nothing(
    tcp: Tcp, segment: str
) -> None:
    sock = tcp.established(rtt=0.01)
    sock.send(b"hello")
    tcp.play(
        f"""
        +0     > P. 1:6(5) ack 1
        +0.01  < .  1:1(0) ack 6
        +0     < {segment}
        +0     > .  6:6(0) ack 1 win *
        +5     quiet
        """
    )
    assert tcp.state() == "ESTABLISHED"
    tcp.play("+0 < P. 1:11(10) ack 6\n+0..0.05 > . 6:6(0) ack 11")
    assert sock.recv(100) == tcp.data(10)


@pytest.mark.requirement("RFC9293-S3.5.3-1", "RFC9293-S3.10.7.4-8")
def test_a_reset_at_the_next_number_fails_reads_and_then_ends_the_stream(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(1000))
    tcp.play("+0 > P. 1:1001(1000) ack 1\n+0.01 < R 1:1(0) win 0\n+100 quiet")
    assert tcp.state() == "CLOSED"
    with fails_with(errno.ECONNRESET):
        sock.recv(100)
    assert sock.recv(100) == b""
    with fails_with(errno.EPIPE):
        sock.send(b"x")
    tcp.quiet(100)


@pytest.mark.requirement("RFC9293-S3.10.7.4-8", "RFC9293-MUST-12")
def test_a_reset_fails_a_write_first(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play("+0 < R 1:1(0) win 0\n+0 quiet")
    with fails_with(errno.ECONNRESET):
        sock.send(b"x")
    with fails_with(errno.EPIPE):
        sock.send(b"x")
    assert sock.recv(1) == b""


@pytest.mark.requirement("RFC9293-S3.10.7.4-8")
def test_what_came_before_a_reset_can_still_be_read(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play(
        """
        +0  < P. 1:11(10) ack 1
        +0  > .  1:1(0) ack 11
        +0  < R  11:11(0) win 0
        +1  quiet
        """
    )
    assert sock.recv(100) == tcp.data(10)
    with fails_with(errno.ECONNRESET):
        sock.recv(100)


@pytest.mark.requirement("RFC9293-S3.5.3-1")
@pytest.mark.parametrize("seq", [0, -1, -1000, 70_000, 0x4000_0000, -0x4000_0000])
def test_a_reset_outside_of_the_window_is_ignored_in_silence(tcp: Tcp, seq: int) -> None:
    sock = tcp.established()
    tcp.play(f"+0 < R {seq}:{seq}(0) win 0\n+0 < R. {seq}:{seq}(0) ack 1 win 0\n+1 quiet")
    assert tcp.state() == "ESTABLISHED"
    sock.send(b"x")
    tcp.play("+0 > P. 1:2(1) ack 1")


@pytest.mark.requirement("RFC9293-SHLD-2")
@pytest.mark.parametrize("segment", ["R 1:41(40)", "R. 1:41(40) ack 1", "RP. 1:41(40) ack 1"])
def test_a_reset_may_carry_data(tcp: Tcp, segment: str) -> None:
    sock = tcp.established()
    tcp.play(f"+0 < {segment} win 0\n+10 quiet")
    assert tcp.state() == "CLOSED"
    with fails_with(errno.ECONNRESET):
        sock.recv(100)


# -- in every state --------------------------------------------------------------------------


def in_fin_wait_1(tcp: Tcp) -> socket.socket:
    sock: socket.socket = tcp.established()
    sock.shutdown(socket.SHUT_WR)
    tcp.play("+0 > F. 1:1(0) ack 1")
    return sock


def in_fin_wait_2(tcp: Tcp) -> socket.socket:
    sock = in_fin_wait_1(tcp)
    tcp.play("+0.01 < . 1:1(0) ack 2")
    return sock


def in_closing(tcp: Tcp) -> socket.socket:
    sock = in_fin_wait_1(tcp)
    tcp.play("+0.01 < F. 1:1(0) ack 1\n+0 > . 2:2(0) ack 2")
    return sock


def in_close_wait(tcp: Tcp) -> socket.socket:
    sock: socket.socket = tcp.established()
    tcp.play("+0.01 < F. 1:1(0) ack 1\n+0..0.05 > . 1:1(0) ack 2")
    return sock


def in_last_ack(tcp: Tcp) -> socket.socket:
    sock = in_close_wait(tcp)
    sock.shutdown(socket.SHUT_WR)
    tcp.play("+0 > F. 1:1(0) ack 2")
    return sock


STATES = {
    "FIN_WAIT_1": (in_fin_wait_1, 1, errno.ECONNRESET),
    "FIN_WAIT_2": (in_fin_wait_2, 1, errno.ECONNRESET),
    "CLOSING": (in_closing, 2, errno.ECONNRESET),
    "CLOSE_WAIT": (in_close_wait, 2, errno.EPIPE),
    "LAST_ACK": (in_last_ack, 2, errno.ECONNRESET),
}


@pytest.mark.requirement("RFC9293-S3.10.7.4-8", "RFC9293-S3.5.3-1")
@pytest.mark.parametrize("state", STATES)
def test_a_reset_ends_a_connection_in_every_synchronised_state(tcp: Tcp, state: str) -> None:
    enter, rcv_nxt, error = STATES[state]
    sock = enter(tcp)
    tcp.quiet(0)
    assert tcp.state() == state
    tcp.play(f"+0.01 < R {rcv_nxt}:{rcv_nxt}(0) win 0\n+200 quiet")
    assert tcp.state() == "CLOSED"
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == error
    tcp.play("+0 < . 5:5(0) ack 2\n+0 > R 2:2(0) win 0")


@pytest.mark.requirement("RFC9293-S3.10.7.4-8")
@pytest.mark.parametrize("state", ["FIN_WAIT_1", "FIN_WAIT_2"])
def test_a_reset_in_silence_outside_of_the_window_leaves_every_state(tcp: Tcp, state: str) -> None:
    STATES[state][0](tcp)
    tcp.play("+0 < R 70000:70000(0) win 0\n+0 quiet")
    assert tcp.state() == state


@pytest.mark.requirement("RFC9293-S3.9.1.6-1")
def test_abort_drops_what_is_queued_and_sends_a_reset(tcp: Tcp) -> None:
    sock = tcp.established(win=1000)
    sock.send(tcp.data(5000))
    assert b"".join(packet.payload for packet in tcp.take()) == tcp.data(1000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    tcp.play("+0 > R. 1001:1001(0) ack 1 win *\n+100 quiet")
    assert tcp.state() == "CLOSED"


def test_a_reset_from_just_before_the_fin_ends_the_connection(tcp: Tcp) -> None:
    # Linux: the number of the FIN itself counts too, for peers that leave it out
    sock = in_close_wait(tcp)
    tcp.play("+0.01 < R 1:1(0) win 0\n+10 quiet")
    assert tcp.state() == "CLOSED"
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EPIPE


@pytest.mark.requirement("RFC5961-S3.2-3")
def test_a_reset_from_just_before_any_other_segment_does_not(tcp: Tcp) -> None:
    tcp.established(rtt=0.01)
    tcp.play("+0 < P. 1:11(10) ack 1\n+0 > . 1:1(0) ack 11\n+0 < R 10:10(0) win 0\n+1 quiet")
    assert tcp.state() == "ESTABLISHED"
