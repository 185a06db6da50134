"""RFC 9293 §3.10.8: the user timeout; RFC 5482 as far as it binds those who don't build it."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.kit.tcp import Tcp

TCP = socket.IPPROTO_TCP
UTO = "raw 0x1c048005"  # kind 28, length 4: five minutes
UTO_ZERO = "raw 0x1c040000"


def error_of(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def set_timeout(sock: socket.socket, milliseconds: int) -> None:
    sock.setsockopt(TCP, socket.TCP_USER_TIMEOUT, milliseconds)


@pytest.mark.requirement("RFC9293-S3.10.8-1")
def test_unanswered_data_ends_the_connection_at_the_set_time(tcp: Tcp) -> None:
    sock = tcp.established()
    set_timeout(sock, 2500)
    sock.send(b"hello")
    start = tcp.now
    for packet in tcp.run(2.4):
        assert packet.payload == b"hello"
    assert tcp.state() == "ESTABLISHED"
    tcp.run(0.5)
    assert tcp.state() == "CLOSED"
    assert tcp.now - start < 3
    tcp.quiet(1000)
    assert error_of(sock) == errno.ETIMEDOUT
    with pytest.raises(BrokenPipeError):
        sock.send(b"again")
    assert sock.recv(10) == b""
    # the record is gone and with it what was queued
    tcp.play("+0 < . 1:1(0) ack 6\n+0 > R 6:6(0) win 0")


@pytest.mark.requirement("RFC9293-S3.10.8-1")
@pytest.mark.parametrize("state", ["FIN_WAIT_1", "CLOSING", "LAST_ACK"])
def test_an_unanswered_fin_ends_it_too(tcp: Tcp, state: str) -> None:
    sock = tcp.established()
    set_timeout(sock, 2000)
    ack = 1
    if state == "LAST_ACK":
        tcp.play("+0 < F. 1:1(0) ack 1\n+0..0.05 > . 1:1(0) ack 2")
        ack = 2
    sock.shutdown(socket.SHUT_WR)
    tcp.play(f"+0 > F. 1:1(0) ack {ack}")
    if state == "CLOSING":
        tcp.play("+0 < F. 1:1(0) ack 1\n+0 > . 2:2(0) ack 2")
    assert tcp.state() == state
    tcp.run(1.9)
    assert tcp.state() == state
    tcp.run(1)
    assert tcp.state() == "CLOSED"
    tcp.quiet(100)


@pytest.mark.requirement("RFC9293-S3.10.8-1")
def test_an_unanswered_syn_ends_the_attempt_at_the_set_time(tcp: Tcp) -> None:
    sock = tcp.socket()
    set_timeout(sock, 2500)
    tcp.connect(sock=sock)
    tcp.play("+0 > S 0:0(0) <...>\n+1 > S 0:0(0) <...>")
    tcp.run(2.5)
    assert tcp.state() == "CLOSED"
    tcp.quiet(200)
    assert error_of(sock) == errno.ETIMEDOUT


@pytest.mark.requirement("RFC9293-S3.10.8-1")
def test_an_answer_in_time_starts_the_wait_anew(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    set_timeout(sock, 2000)
    sock.send(b"hello")
    tcp.run(1.8)
    tcp.play("+0 < . 1:1(0) ack 6\n+0 quiet")
    sock.send(b"again")
    tcp.run(1.9)
    assert tcp.state() == "ESTABLISHED"
    tcp.run(2)
    assert tcp.state() == "CLOSED"
    assert error_of(sock) == errno.ETIMEDOUT


@pytest.mark.requirement("RFC9293-S3.10.8-1")
def test_an_idle_connection_does_not_time_out(tcp: Tcp) -> None:
    sock = tcp.established()
    set_timeout(sock, 1000)
    tcp.quiet(100_000)
    assert tcp.state() == "ESTABLISHED"
    assert error_of(sock) == 0


@pytest.mark.requirement("RFC9293-S3.10.8-1")
def test_a_window_that_stays_closed_without_an_answer_times_out(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    set_timeout(sock, 5000)
    sock.send(b"hello")
    tcp.play("+0 > P. 1:6(5) ack 1\n+0.01 < . 1:1(0) ack 6 win 0\n+0 quiet")
    sock.send(b"world")
    tcp.run(4.5)
    assert tcp.state() == "ESTABLISHED"
    tcp.run(10)
    assert tcp.state() == "CLOSED"
    assert error_of(sock) == errno.ETIMEDOUT


# -- RFC 5482 --------------------------------------------------------------------------------------


@pytest.mark.deviation("RFC5482-S3-1")
@pytest.mark.parametrize("passive", [True, False])
def test_the_user_timeout_option_is_not_sent(tcp: Tcp, passive: bool) -> None:
    """Option lists of scripts are exact: the handshake, data and a changed timeout."""
    sock = tcp.established(passive, ts=5000, sack=True, wscale=7, win=512)
    set_timeout(sock, 60_000)
    sock.send(b"hello")
    for packet in tcp.take():
        assert [name for name, _ in packet.options] == ["nop", "nop", "TS"]


@pytest.mark.deviation("RFC5482-S3-1")
def test_the_user_timeout_option_of_the_peer_changes_nothing(tcp: Tcp) -> None:
    """An unknown option: neither the default nor what the user has set is moved by it."""
    listener = tcp.listen()
    set_timeout(listener, 2000)
    tcp.play(
        f"""
        +0   < S  0:0(0) win 65535 <mss 1460,{UTO}>
        +0   > S. 0:0(0) ack 1 <mss 1460>
        +0.1 < .  1:1(0) ack 1 <{UTO}>
        +0   < P. 1:6(5) ack 1 <{UTO}>
        +0   > .  1:1(0) ack 6
        """
    )
    sock = listener.accept()[0]
    assert sock.getsockopt(TCP, socket.TCP_USER_TIMEOUT) == 2000
    sock.send(b"hello")
    tcp.run(1.9)
    assert tcp.state() == "ESTABLISHED"
    tcp.run(1)
    assert tcp.state() == "CLOSED"


@pytest.mark.deviation("RFC5482-S3.4-1")
def test_a_user_timeout_option_of_zero_changes_nothing(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play(f"+0 < P. 1:6(5) ack 1 <{UTO_ZERO}>\n+0 > . 1:1(0) ack 6")
    sock.send(b"hello")
    tcp.run(300)
    assert tcp.state() == "ESTABLISHED"
