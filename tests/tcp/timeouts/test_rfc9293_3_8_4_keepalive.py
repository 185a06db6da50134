"""RFC 9293 §3.8.4: keep-alives."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.kit.tcp import Tcp

pytestmark = pytest.mark.variants("ipv4", "ipv6-wrap")  # nothing here is for offloading

PROBE = "> . 0:0(0) ack 1"


def keep_alive(
    sock: socket.socket, idle: int = 0, interval: int = 0, count: int = 0, on: bool = True
) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(on))
    for option, value in (
        (socket.TCP_KEEPIDLE, idle),
        (socket.TCP_KEEPINTVL, interval),
        (socket.TCP_KEEPCNT, count),
    ):
        if value:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def error_of(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@pytest.mark.requirement("RFC9293-MUST-25")
@pytest.mark.parametrize("passive", [True, False])
def test_by_default_an_idle_connection_is_silent_for_days(tcp: Tcp, passive: bool) -> None:
    tcp.established(passive)
    tcp.quiet(30 * 86_400)
    assert tcp.state() == "ESTABLISHED"


@pytest.mark.requirement("RFC9293-MAY-5", "RFC9293-MUST-28", "RFC9293-SHLD-12")
@pytest.mark.parametrize("passive", [True, False])
def test_by_default_the_first_probe_comes_after_two_hours(tcp: Tcp, passive: bool) -> None:
    sock = tcp.established(passive)
    keep_alive(sock)
    tcp.play(
        f"""
        +7199.9 quiet
        +0.1    {PROBE} win *
        +0.1    <  . 1:1(0) ack 1
        +7200   {PROBE} win *
        +0.1    <  . 1:1(0) ack 1
        """
    )
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7200
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 75
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 9


@pytest.mark.requirement("RFC9293-MUST-29", "RFC9293-MUST-28")
@pytest.mark.parametrize("passive", [True, False])
def test_only_after_nine_probes_without_an_answer_is_the_peer_dead(tcp: Tcp, passive: bool) -> None:
    sock = tcp.established(passive)
    keep_alive(sock)
    tcp.play(
        f"+7200 {PROBE}\n"
        + f"+75 {PROBE}\n" * 8
        + """
        +74.9 quiet
        +0.1 > R. 1:1(0) ack 1 win *
        +7200 quiet
        """
    )
    assert tcp.state() == "CLOSED"
    assert error_of(sock) == errno.ETIMEDOUT


@pytest.mark.requirement("RFC9293-MUST-29")
def test_an_answer_to_any_probe_keeps_the_connection(tcp: Tcp) -> None:
    sock = tcp.established()
    keep_alive(sock, 100, 10, 3)
    tcp.play(
        f"""
        +100 {PROBE}
        +10  {PROBE}
        +10  {PROBE}
        +9.9 < . 1:1(0) ack 1
        +100 {PROBE}
        +10  {PROBE}
        +10  {PROBE}
        +10  > R. 1:1(0) ack 1
        """
    )
    assert error_of(sock) == errno.ETIMEDOUT


@pytest.mark.requirement("RFC9293-MUST-27")
@pytest.mark.host(tcp_keepalive_time=1, tcp_keepalive_intvl=2, tcp_keepalive_probes=3)
def test_interval_pause_and_number_of_probes_are_settings_of_the_host(tcp: Tcp) -> None:
    sock = tcp.established()
    keep_alive(sock)
    tcp.play(f"+1 {PROBE}\n+2 {PROBE}\n+2 {PROBE}\n+2 > R. 1:1(0) ack 1\n+100 quiet")
    assert error_of(sock) == errno.ETIMEDOUT


@pytest.mark.requirement("RFC9293-MUST-27", "RFC9293-MUST-24")
def test_each_connection_has_an_interval_of_its_own(tcp: Tcp) -> None:
    listener = tcp.listen()
    sock = tcp.established(listener=listener, rtt=0.01)
    other = tcp.established(listener=listener, flow="b", rtt=0.01)
    tcp.established(listener=listener, flow="c", rtt=0.01)
    keep_alive(sock, 2, 2, 5)
    keep_alive(other, 3, 1, 2)
    tcp.play(  # idle since 0.01 and 0.02 s; it is 0.03 s now
        """
        +1.98  >  .  0:0(0) ack 1
        +1.01  b> .  0:0(0) ack 1
        +0.99  >  .  0:0(0) ack 1
        +0.01  b> .  0:0(0) ack 1
        +1     b> R. 1:1(0) ack 1
        +0.99  >  .  0:0(0) ack 1
        """
    )
    assert (error_of(sock), error_of(other)) == (0, errno.ETIMEDOUT)


@pytest.mark.requirement("RFC9293-MUST-24")
def test_switched_off_again_the_connection_is_silent(tcp: Tcp) -> None:
    sock = tcp.established()
    keep_alive(sock, 1, 1, 5)
    tcp.play(f"+1 {PROBE}\n+1 {PROBE}")
    keep_alive(sock, on=False)
    tcp.quiet(100_000)
    assert tcp.state() == "ESTABLISHED"


@pytest.mark.requirement("RFC9293-MUST-24")
def test_a_listener_hands_its_setting_to_those_who_connect(tcp: Tcp) -> None:
    listener = tcp.listen()
    keep_alive(listener, 1, 1, 1)
    tcp.established(listener=listener)
    tcp.play(f"+1 {PROBE}\n+1 > R. 1:1(0) ack 1")


@pytest.mark.requirement("RFC9293-MUST-26")
@pytest.mark.parametrize(
    "came", ["P. 1:11(10) ack 1", ". 1:1(0) ack 1", ". 0:0(0) ack 1", "P. 100:110(10) ack 1"]
)
def test_whatever_arrives_puts_the_first_probe_off_by_a_whole_interval(tcp: Tcp, came: str) -> None:
    sock = tcp.established()
    keep_alive(sock, 2, 1, 5)
    tcp.play(f"+1.5 < {came}")
    ack = 11 if came.startswith("P. 1:") else 1
    answered = len(tcp.run(0.1))
    assert answered == (0 if came == ". 1:1(0) ack 1" else 1)
    tcp.play(f"+1.8 quiet\n+0.1 > . 0:0(0) ack {ack}")


@pytest.mark.parametrize(
    "came", ["R 90000:90000(0)", "P. 1:11(10) ack 5000", ". 90000:90000(0) ack 1", "P 1:11(10)"]
)
def test_what_a_stranger_may_have_sent_does_not_put_the_probe_off(tcp: Tcp, came: str) -> None:
    """Refused segments say nothing of the peer; else anybody could keep a dead one alive."""
    sock = tcp.established()
    keep_alive(sock, 2, 1, 2)
    tcp.play(f"+1.5 < {came}")
    tcp.run(0.1)
    tcp.play(f"+0.4 {PROBE}\n+0.5 < {came}")
    tcp.run(0.1)
    tcp.play(f"+0.4 {PROBE}\n+1 > R. 1:1(0) ack 1")
    assert error_of(sock) == errno.ETIMEDOUT


@pytest.mark.requirement("RFC9293-MUST-26")
def test_there_is_no_probe_while_data_is_unacknowledged(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    keep_alive(sock, 1, 1, 1)
    sock.send(b"hello")
    tcp.play("+0 > P. 1:6(5) ack 1")
    for packet in tcp.run(3):
        assert (packet.payload, packet.seq) == (b"hello", (tcp.default.iss or 0) + 1 & 0xFFFFFFFF)
    tcp.play("+0.01 < . 1:1(0) ack 6\n+1 > . 5:5(0) ack 1\n+0 < . 1:1(0) ack 6")
    assert error_of(sock) == 0


@pytest.mark.requirement("RFC9293-MUST-26")
def test_there_is_no_keep_alive_while_a_zero_window_is_probed(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    keep_alive(sock, 1, 1, 1)
    sock.send(b"hello")
    tcp.play("+0 > P. 1:6(5) ack 1\n+0.01 < . 1:1(0) ack 6 win 0")
    sock.send(b"world")
    probes = 0
    for _ in range(5):
        for packet in tcp.run(1):
            probes += 1
            assert packet.payload == b""
            tcp.play("+0 < . 1:1(0) ack 6 win 0")
    assert 3 <= probes <= 6  # 0.2, 0.4, 0.8 … s apart, not one each second
    assert tcp.state() == "ESTABLISHED"


@pytest.mark.requirement("RFC9293-SHLD-12")
def test_a_probe_is_an_empty_segment_before_what_was_acknowledged(tcp: Tcp) -> None:
    sock = tcp.established(ts=5000, sack=True, wscale=7, win=512)
    keep_alive(sock, 1, 1, 9)
    sock.send(b"hello")
    tcp.play(
        """
        +0   > P. 1:6(5) ack 1 <nop,nop,TS val 200 ecr 5100>
        +0.1 < .  1:1(0) ack 6 <nop,nop,TS val 5200 ecr 200>
        +1   > .  5:5(0) ack 1 <nop,nop,TS val 1300 ecr 5200>
        +0.1 < .  1:1(0) ack 6 <nop,nop,TS val 6300 ecr 1300>
        """
    )


@pytest.mark.requirement("RFC9293-MUST-29")
def test_a_peer_that_has_restarted_answers_the_probe_with_a_reset(tcp: Tcp) -> None:
    sock = tcp.established()
    keep_alive(sock, 1)
    tcp.play(f"+1 {PROBE}\n+0.01 < R 1:1(0) win 0\n+100 quiet")
    assert tcp.state() == "CLOSED"
    assert error_of(sock) == errno.ECONNRESET


def test_our_answer_to_a_keep_alive_with_or_without_an_octet_is_an_ack(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play(
        """
        +1 < . 0:0(0) ack 1
        +0 > . 1:1(0) ack 1
        +1 < . 0:1(1) ack 1
        +0 > . 1:1(0) ack 1
        """
    )
    with pytest.raises(BlockingIOError):
        sock.recv(100)


@pytest.mark.requirement("RFC9293-MUST-24")
def test_a_half_closed_connection_is_kept_alive_too(tcp: Tcp) -> None:
    sock = tcp.established()
    keep_alive(sock, 1, 1, 1)
    tcp.play("+0 < F. 1:1(0) ack 1\n+0..0.05 > . 1:1(0) ack 2")
    tcp.play("+1~0.05 > . 0:0(0) ack 2\n+1 > R. 1:1(0) ack 2")
    assert tcp.state() == "CLOSED"


def test_the_user_timeout_says_how_long_probes_may_stay_unanswered(tcp: Tcp) -> None:
    """Linux: with TCP_USER_TIMEOUT the number of probes does not count."""
    sock = tcp.established()
    keep_alive(sock, 2, 1, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 4500)
    tcp.play(f"+2 {PROBE}\n+1 {PROBE}\n+1 {PROBE}\n+1 > R. 1:1(0) ack 1")
    assert error_of(sock) == errno.ETIMEDOUT
