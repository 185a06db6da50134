"""RFC 9293 §3.10.7.3: SEGMENT ARRIVES in SYN-SENT."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.kit.packets.errnos import fails_with
from tests.kit.tcp import Tcp

SYN = "+0 > S 0:0(0) win 64240 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>"


def connect_error(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@pytest.mark.requirement("RFC9293-S3.10.7.3-3")
def test_a_good_syn_ack_leads_to_established_and_an_ack(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        f"""
        {SYN}
        +0.01  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0     > .  1:1(0) ack 1 win 64240
        +5     quiet
        """
    )
    assert tcp.state() == "ESTABLISHED"
    assert connect_error(sock) == 0
    sock.send(b"hello")
    tcp.play('+0 > P. 1:6(5) ack 1 "hello"')


@pytest.mark.requirement("RFC9293-S3.10.7.3-3")
def test_a_syn_ack_with_every_option_agrees_on_all_of_them(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play(
        f"""
        {SYN}
        +0.01  < S. 0:0(0) ack 1 win 65535 <mss 1000,sackOK,TS val 700 ecr 100,nop,wscale 3>
        +0     > .  1:1(0) ack 1 win 502 <nop,nop,TS val 110 ecr 700>
        +0     < .  11:21(10) ack 1 win 500 <nop,nop,TS val 701 ecr 110>
        +0     > .  1:1(0) ack 1 win 502 <nop,nop,TS val 110 ecr 700,nop,nop,sack 11:21>
        """
    )
    assert tcp.state() == "ESTABLISHED"


@pytest.mark.requirement("RFC9293-S3.10.7.3-1")
@pytest.mark.parametrize("ack", [2, 0, -1, 1000, 0x7FFF_FFFF])
def test_an_ack_outside_of_what_was_sent_draws_a_reset_and_the_attempt_goes_on(
    tcp: Tcp, ack: int
) -> None:
    sock = tcp.connect()
    tcp.play(
        f"""
        {SYN}
        +0.01  < S. 0:0(0) ack {ack} win 65535 <mss 1460>
        +0     > R  {ack}:{ack}(0) win 0
        """
    )
    assert tcp.state() == "SYN_SENT"
    tcp.play(
        """
        +0     < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0     > .  1:1(0) ack 1
        """
    )
    assert tcp.state() == "ESTABLISHED"
    assert connect_error(sock) == 0


@pytest.mark.requirement("RFC9293-S3.10.7.3-1")
def test_a_bare_ack_outside_of_what_was_sent_draws_a_reset(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play(
        f"""
        {SYN}
        +0.01  < .  300:300(0) ack 5000 win 65535
        +0     > R  5000:5000(0) win 0
        """
    )
    assert tcp.state() == "SYN_SENT"
    tcp.take()


@pytest.mark.parametrize("flags", [".", "F.", "S.", "R."])
def test_after_an_answer_of_an_old_connection_the_syn_is_sent_again_at_once_and_once(
    tcp: Tcp, flags: str
) -> None:
    """Linux 9603d47bad46: our RST has ended the old one, so the peer can take it now."""
    tcp.connect()
    reset = "" if flags == "R." else "+0 > R 5000:5000(0) win 0"
    tcp.play(
        f"""
        {SYN}
        +0.01   < {flags} 300:300(0) ack 5000 win 65535
        {reset}
        +0.002  > S 0:0(0) <...>
        +0.01   < {flags} 300:300(0) ack 5000 win 65535
        {reset}
        +0.988..0.998 > S 0:0(0) <...>
        """
    )
    assert tcp.state() == "SYN_SENT"


@pytest.mark.requirement("RFC9293-S3.10.7.3-1", "RFC9293-S3.5.2-1")
def test_a_reset_with_an_unacceptable_ack_is_dropped_in_silence(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play(
        f"""
        {SYN}
        +0.01  < R. 0:0(0) ack 2 win 0
        +0     < R. 0:0(0) ack 0 win 0
        +0     quiet
        """
    )
    assert tcp.state() == "SYN_SENT"


@pytest.mark.requirement("RFC9293-S3.10.7.3-2", "RFC9293-S3.5.3-1")
def test_a_reset_that_acknowledges_our_syn_fails_the_connect_as_refused(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(f"{SYN}\n+0.01 < R. 0:0(0) ack 1 win 0\n+200 quiet")
    assert tcp.state() == "CLOSED"
    assert connect_error(sock) == errno.ECONNREFUSED


@pytest.mark.requirement("RFC9293-S3.10.7.3-2", "RFC9293-S3.5.3-1")
def test_a_reset_without_an_ack_is_dropped(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        f"""
        {SYN}
        +0.01  < R  0:0(0) win 0
        +0     < R  1:1(0) win 0
        +0.01  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0     > .  1:1(0) ack 1
        """
    )
    assert connect_error(sock) == 0


def test_an_acceptable_ack_without_syn_is_dropped(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play(f"{SYN}\n+0.01 < . 1:1(0) ack 1 win 65535\n+0.1 quiet")
    assert tcp.state() == "SYN_SENT"


def test_a_segment_with_neither_syn_nor_ack_is_dropped(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play(f"{SYN}\n+0.01 < F 0:0(0) win 65535\n+0 < P 1:11(10) win 65535\n+0.1 quiet")
    assert tcp.state() == "SYN_SENT"


def test_nothing_can_be_written_before_the_handshake_is_complete(tcp: Tcp) -> None:
    sock = tcp.connect()
    with fails_with(errno.EAGAIN):
        sock.send(b"early")
    tcp.play(f"{SYN}\n+0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460>\n+0 > . 1:1(0) ack 1")
    assert sock.send(b"late") == 4
    tcp.play('+0 > P. 1:5(4) ack 1 "late"')


@pytest.mark.requirement("RFC9293-S3.10.7.3-1")
@pytest.mark.parametrize("offset", [-1000, 1000, 0x7FFF_0000])
def test_a_syn_ack_that_echoes_a_timestamp_never_sent_is_reset(tcp: Tcp, offset: int) -> None:
    # Linux takes it for one that answers an older connection, as one with a wrong ACK
    tcp.connect()
    (syn,) = tcp.take()
    sent = syn.option("TS")
    assert sent is not None
    echo = (sent[0] + offset) & 0xFFFF_FFFF
    tcp.flow("").bind(syn.src_port, syn.dst_port)
    tcp.inject(tcp.segment(f"S. 0:0(0) ack ={syn.seq + 1} win 900 <TS val 7 ecr ={echo},nop,nop>"))
    (answer,) = tcp.take()
    assert (answer.flags, answer.seq) == (0x04, (syn.seq + 1) & 0xFFFF_FFFF)
    assert tcp.state() == "SYN_SENT"



@pytest.mark.requirement("RFC9293-SHLD-14")
def test_a_syn_that_is_sent_again_offers_the_window_that_it_offered_before(tcp: Tcp) -> None:
    """The first may have arrived, and data be on its way."""
    sock = tcp.connect()
    tcp.play(SYN)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, 5000)
    tcp.play("+1 > S 0:0(0) win 64240 <...>")
