"""RFC 9293 §3.10.7.2: SEGMENT ARRIVES in LISTEN; §3.10.7.4 for SYN-RECEIVED after it."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.kit.packets.errnos import fails_with
from tests.kit.tcp import Tcp


def refuse(sock: socket.socket) -> None:
    """Nobody is waiting to be accepted."""
    with pytest.raises(BlockingIOError):
        sock.accept()


@pytest.mark.requirement("RFC9293-S3.10.7.2-2")
def test_a_syn_is_answered_with_syn_ack(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0     < S  0:0(0) win 65535 <mss 1460,sackOK,TS val 700 ecr 0,nop,wscale 7>
        +0     > S. 0:0(0) ack 1 win 65160 <mss 1460,sackOK,TS val 100 ecr 700,nop,wscale 7>
        """
    )
    refuse(listener)
    assert tcp.state() == "SYN_RECEIVED"
    tcp.play("+0.1 < . 1:1(0) ack 1 win 512 <nop,nop,TS val 800 ecr 100>\n+0 quiet")
    accepted, address = listener.accept()
    assert address[:2] == (tcp.remote, 40000)
    assert tcp.state() == "ESTABLISHED"
    accepted.send(b"hello")
    tcp.play('+0 > P. 1:6(5) ack 1 win 510 <nop,nop,TS val 200 ecr 800> "hello"')


@pytest.mark.requirement("RFC9293-S3.10.7.2-2")
def test_a_lost_syn_ack_is_repeated_with_backoff(tcp: Tcp) -> None:
    tcp.listen()
    tcp.play(
        """
        +0     < S  0:0(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 win 64240 <mss 1460>
        +1     > S. 0:0(0) ack 1 win 64240 <mss 1460>
        +2     > S. 0:0(0) ack 1 win 64240 <mss 1460>
        """
    )


@pytest.mark.requirement("RFC9293-S3.10.7.2-2")
def test_a_repeated_syn_draws_the_same_syn_ack_again(tcp: Tcp) -> None:
    tcp.listen()
    tcp.play(
        """
        +0     < S  0:0(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 win 64240 <mss 1460>
        +0.5   < S  0:0(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 win 64240 <mss 1460>
        """
    )


@pytest.mark.host(tcp_synack_retries=2)
def test_a_half_open_connection_is_forgotten_after_its_last_repeat(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0     < S  0:0(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 <mss 1460>
        +1     > S. 0:0(0) ack 1 <mss 1460>
        +2     > S. 0:0(0) ack 1 <mss 1460>
        +4     quiet
        +0.1   < .  1:1(0) ack 1
        +0     > R  1:1(0) win 0
        """
    )
    refuse(listener)


@pytest.mark.requirement("RFC9293-S3.10.7.2-1")
def test_a_reset_to_a_listener_draws_nothing(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play("+0 < R 0:0(0) win 0\n+0 < R. 0:0(0) ack 1 win 0\n+0 < SR 0:0(0) win 0\n+1 quiet")
    tcp.established(listener=listener)


@pytest.mark.requirement("RFC9293-S3.10.7.2-1")
@pytest.mark.parametrize("flags", [". ", "P.", "F.", "S."])
def test_an_ack_to_a_listener_draws_a_reset_and_it_goes_on(tcp: Tcp, flags: str) -> None:
    listener = tcp.listen()
    tcp.play(f"+0 < {flags} 0:0(0) ack 77 win 100\n+0 > R 77:77(0) win 0\n+1 quiet")
    refuse(listener)
    tcp.established(listener=listener)


@pytest.mark.parametrize("segment", ["- 0:0(0)", "P 0:10(10)", "F 0:0(0)", "U 0:10(10)"])
def test_a_segment_without_syn_ack_or_reset_is_dropped(tcp: Tcp, segment: str) -> None:
    listener = tcp.listen()
    tcp.play(f"+0 < {segment} win 100\n+1 quiet")
    refuse(listener)


@pytest.mark.requirement("RFC9293-MUST-11")
def test_a_reset_in_syn_received_goes_back_to_listening_in_silence(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0     < S  0:0(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 <mss 1460>
        +0.01  < R  1:1(0) win 0
        +10    quiet
        """
    )
    refuse(listener)
    tcp.default.restart()
    tcp.established(listener=listener)


@pytest.mark.requirement("RFC9293-S3.10.7.4-4")
@pytest.mark.parametrize("ack", [0, 2, 0x4000_0000, 0x7FFF_FFFF])
def test_an_unacceptable_ack_in_syn_received_draws_a_reset(tcp: Tcp, ack: int) -> None:
    listener = tcp.listen()
    tcp.play(
        f"""
        +0     < S  0:0(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 <mss 1460>
        +0.01  < .  1:1(0) ack {ack}
        +0     > R  {ack}:{ack}(0) win 0
        """
    )
    refuse(listener)


@pytest.mark.requirement("RFC9293-S3.10.7.4-2")
def test_data_without_ack_in_syn_received_is_dropped(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0     < S  0:0(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 <mss 1460>
        +0.01  < P  1:11(10) win 65535
        +0.01  quiet
        """
    )
    refuse(listener)


def test_a_handshake_ack_with_data_delivers_it(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0     < S  0:0(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 <mss 1460>
        +0.01  < P. 1:11(10) ack 1
        +0     > .  1:1(0) ack 11
        """
    )
    sock, _ = listener.accept()
    assert sock.recv(100) == tcp.data(10)


def test_a_lost_handshake_ack_is_made_good_by_the_first_data(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0     < S  0:0(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 <mss 1460>
        +0.03  < P. 1:11(10) ack 1
        +0     > .  1:1(0) ack 11
        +0     < P. 11:21(10) ack 1
        +0     > .  1:1(0) ack 21
        """
    )
    sock, _ = listener.accept()
    assert sock.recv(100) == tcp.data(20)


@pytest.mark.requirement("RFC9293-MUST-41")
def test_a_second_listener_on_the_same_port_is_refused_and_disturbs_nobody(tcp: Tcp) -> None:
    listener = tcp.listen()
    sock = tcp.established(listener=listener)
    with fails_with(errno.EADDRINUSE):
        tcp.listen()
    tcp.play("+0 < P. 1:11(10) ack 1\n+0 > . 1:1(0) ack 11")
    assert sock.recv(100) == tcp.data(10)
    tcp.flow("b")
    tcp.established(listener=listener, flow="b")


@pytest.mark.requirement("RFC9293-MUST-42")
def test_listening_works_while_the_port_has_a_connection_in_syn_sent(tcp: Tcp) -> None:
    opening = tcp.socket()
    opening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opening.bind(tcp.address(80, "0.0.0.0" if tcp.version == 4 else "::"))
    tcp.connect(4000, sock=opening)
    tcp.play("+0 > [sport 80, dport 4000] S 0:0(0) <mss 1460,...>")
    listener = tcp.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(tcp.address(80, "0.0.0.0" if tcp.version == 4 else "::"))
    listener.listen(5)
    tcp.established(listener=listener, flow="b")
    tcp.play(
        """
        +0     < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0     > .  1:1(0) ack 1
        """
    )


@pytest.mark.requirement("RFC9293-MUST-42")
def test_listening_works_while_the_port_has_a_connection_in_syn_received(tcp: Tcp) -> None:
    first = tcp.listen()
    tcp.play("+0 < S 0:0(0) win 65535 <mss 1460>\n+0 > S. 0:0(0) ack 1 <mss 1460>")
    assert tcp.state() == "SYN_RECEIVED"
    tcp.established(listener=first, flow="b")
    tcp.play("+0 < . 1:1(0) ack 1\n+0 quiet")
    assert first.accept()[1][:2] == (tcp.remote, 40000)


@pytest.mark.requirement("RFC9293-S3.5-1")
def test_data_on_a_syn_is_not_delivered_before_the_handshake_is_complete(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0     < S  0:10(10) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 <mss 1460>        # the data is to be sent again, as Linux has it
        +0.05  quiet
        """
    )
    refuse(listener)
    tcp.play("+0.02 < P. 1:11(10) ack 1\n+0 > . 1:1(0) ack 11")
    sock, _ = listener.accept()
    assert sock.recv(100) == tcp.data(10)
