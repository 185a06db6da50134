"""RFC 9293 §3.7.4: Nagle's algorithm, in Minshall's variant as in Linux, and its switch."""

from __future__ import annotations

import socket

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

TCP_LEVEL = socket.IPPROTO_TCP


@pytest.mark.requirement("RFC9293-SHLD-7")
def test_small_writes_wait_for_the_ack_and_leave_as_one_segment(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(b"a")
    tcp.play('+0 > P. 1:2(1) ack 1 "a"')
    sock.send(b"bc")
    tcp.quiet(0.05)
    sock.send(b"def")
    tcp.play(
        """
        +0.05 < .  1:1(0) ack 2
        +0    > P. 2:7(5) ack 1 "bcdef"
        """
    )


@pytest.mark.requirement("RFC9293-SHLD-7")
def test_writes_that_make_a_full_segment_leave_without_waiting(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(1))
    tcp.play("+0 > P. 1:2(1) ack 1")
    sock.send(tcp.data(1000, 1))
    tcp.quiet(0.01)
    sock.send(tcp.data(1000, 1001))
    tcp.play(
        """
        +0    > .  2:1462(1460) ack 1
        +0.01 quiet
        +0    < .  1:1(0) ack 2     # acknowledges the small one: the rest may go
        +0    > P. 1462:2002(540) ack 1
        """
    )


@pytest.mark.requirement("RFC9293-SHLD-7")
def test_a_first_small_write_leaves_at_once(tcp: Tcp) -> None:
    sock = tcp.established()
    for at in range(3):
        sock.send(tcp.data(10, 10 * at))
        tcp.play(
            f"""
            +0    > P. {10 * at + 1}:{10 * at + 11}(10) ack 1
            +0.01 < .  1:1(0) ack {10 * at + 11}
            +0    quiet
            """
        )


@pytest.mark.requirement("RFC9293-SHLD-7")
def test_behind_full_segments_alone_a_small_tail_does_not_wait(tcp: Tcp) -> None:
    """RFC 9293 leaves room for it: what counts is whether a small segment is outstanding."""
    sock = tcp.established()
    sock.send(tcp.data(3000))
    tcp.play(sent(1, 3001))
    sock.send(tcp.data(100, 3000))
    tcp.play(
        """
        +0.01 quiet
        +0.05 < .  1:1(0) ack 2921
        +0.01 quiet                 # the small one is still out
        +0    < .  1:1(0) ack 3001
        +0    > P. 3001:3101(100) ack 1
        """
    )


@pytest.mark.requirement("RFC9293-SHLD-7")
def test_a_fin_takes_what_waits_with_it(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(b"a")
    tcp.play('+0 > P. 1:2(1) ack 1 "a"')
    sock.send(b"b")
    tcp.quiet(0.01)
    sock.shutdown(socket.SHUT_WR)
    tcp.play('+0 > FP. 2:3(1) ack 1 "b"')


@pytest.mark.requirement("RFC9293-MUST-17")
def test_with_nodelay_small_writes_leave_at_once(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.setsockopt(TCP_LEVEL, socket.TCP_NODELAY, 1)
    for at in range(1, 6):
        sock.send(b"x")
        tcp.play(f'+0 > P. {at}:{at + 1}(1) ack 1 "x"')


@pytest.mark.requirement("RFC9293-MUST-17")
def test_nodelay_set_before_the_connection_holds_for_it(tcp: Tcp) -> None:
    sock = tcp.socket()
    sock.setsockopt(TCP_LEVEL, socket.TCP_NODELAY, 1)
    sock = tcp.established(passive=False, sock=sock)
    sock.send(b"a")
    tcp.play('+0 > P. 1:2(1) ack 1 "a"')
    sock.send(b"b")
    tcp.play('+0 > P. 2:3(1) ack 1 "b"')


@pytest.mark.requirement("RFC9293-MUST-17")
def test_setting_nodelay_lets_go_what_waits(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(b"a")
    tcp.play('+0 > P. 1:2(1) ack 1 "a"')
    sock.send(b"bc")
    tcp.quiet(0.01)
    sock.setsockopt(TCP_LEVEL, socket.TCP_NODELAY, 1)
    tcp.play('+0 > P. 2:4(2) ack 1 "bc"')


@pytest.mark.requirement("RFC9293-MUST-17")
def test_nodelay_is_for_one_connection_only(tcp: Tcp) -> None:
    listener = tcp.listen()
    hasty = tcp.established(listener=listener)
    tcp.flow("b", remote_port=40_001)
    patient = tcp.established(listener=listener, flow="b")
    hasty.setsockopt(TCP_LEVEL, socket.TCP_NODELAY, 1)
    hasty.send(b"a")
    tcp.play('+0 > P. 1:2(1) ack 1 "a"')
    patient.send(b"a")
    tcp.play('+0 b> P. 1:2(1) ack 1 "a"')
    hasty.send(b"b")
    patient.send(b"b")
    tcp.play(
        """
        +0    >  P. 2:3(1) ack 1 "b"
        +0.05 b< .  1:1(0) ack 2
        +0    b> P. 2:3(1) ack 1 "b"
        """
    )


@pytest.mark.requirement("RFC9293-MUST-17")
def test_nodelay_switched_off_again_waits_again(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.setsockopt(TCP_LEVEL, socket.TCP_NODELAY, 1)
    sock.setsockopt(TCP_LEVEL, socket.TCP_NODELAY, 0)
    sock.send(b"a")
    tcp.play('+0 > P. 1:2(1) ack 1 "a"')
    sock.send(b"b")
    tcp.play(
        """
        +0.05 < .  1:1(0) ack 2
        +0    > P. 2:3(1) ack 1 "b"
        """
    )


# -- holding on purpose, as Linux lets one do -----------------------------------------------------


def test_a_cork_holds_what_is_not_full_until_it_is_pulled(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.setsockopt(TCP_LEVEL, socket.TCP_CORK, 1)
    sock.send(tcp.data(100))
    tcp.quiet(0.1)
    sock.send(tcp.data(1400, 100))
    tcp.play("+0 > . 1:1461(1460) ack 1")
    tcp.play(
        """
        +0.05 < . 1:1(0) ack 1461
        +0.01 quiet
        """
    )
    sock.setsockopt(TCP_LEVEL, socket.TCP_CORK, 0)
    tcp.play("+0 > P. 1461:1501(40) ack 1")


def test_a_cork_that_nobody_pulls_holds_for_one_timeout(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.setsockopt(TCP_LEVEL, socket.TCP_CORK, 1)
    sock.send(tcp.data(100))
    tcp.play("+0.3 > P. 1:101(100) ack 1")


def test_a_cork_is_pulled_by_a_fin(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.setsockopt(TCP_LEVEL, socket.TCP_CORK, 1)
    sock.send(tcp.data(100))
    tcp.quiet(0.01)
    sock.close()
    tcp.play("+0 > FP. 1:101(100) ack 1")


def test_more_to_come_holds_the_last_partial_segment(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(2000), socket.MSG_MORE)
    tcp.play("+0 > . 1:1461(1460) ack 1")
    tcp.quiet(0.05)
    sock.send(tcp.data(10, 2000))
    tcp.play("+0 > P. 1461:2011(550) ack 1")


def test_more_that_never_comes_is_waited_for_no_longer_than_one_timeout(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(100), socket.MSG_MORE)
    tcp.play("+0.3 > P. 1:101(100) ack 1")
