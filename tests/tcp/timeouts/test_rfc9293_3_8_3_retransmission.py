"""RFC 9293 §3.8.1, §3.8.3, §3.10.8: what is repeated, and when a connection is given up.

When a repeat is due is the matter of test_rfc6298_rto; here RTO is 300 ms at first.
"""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno")

IP_RECVERR, IPV6_RECVERR, MSG_ERRQUEUE = 11, 25, 0x2000
EXTENDED_ERR = struct.Struct("@IBBBBII")  # struct sock_extended_err of <linux/errqueue.h>


def listen_for_soft_errors(tcp: Tcp, sock: socket.socket) -> None:
    if tcp.version == 4:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)


def notices(sock: socket.socket) -> list[tuple[int, int]]:
    """What the error queue has: errno and origin (1 is the host itself)."""
    found = []
    while True:
        try:
            _, ancillary, _, _ = sock.recvmsg(0, 256, MSG_ERRQUEUE)
        except BlockingIOError:
            return found
        found.append(EXTENDED_ERR.unpack_from(ancillary[0][2])[:2])


# -- R1 and R2 ---------------------------------------------------------------------------------


@pytest.mark.deviation("RFC9293-MUST-20")
@pytest.mark.requirement("RFC9293-MUST-20", "RFC9293-SHLD-10")
def test_after_r1_repeats_the_user_is_told_and_the_connection_goes_on(tcp: Tcp) -> None:
    sock = tcp.established()
    listen_for_soft_errors(tcp, sock)
    sock.send(b"x")
    tcp.play(
        """
        +0    > P. 1:2(1) ack 1
        +0.3  > P. 1:2(1) ack 1
        +0.6  > P. 1:2(1) ack 1
        +1.2  > P. 1:2(1) ack 1
        +2.39 quiet
        """
    )
    assert notices(sock) == []
    tcp.play("+0.01 > P. 1:2(1) ack 1")
    assert notices(sock) == [(errno.ETIMEDOUT, 1)]
    tcp.play(
        """
        +4.8  > P. 1:2(1) ack 1
        +0.1  < .  1:1(0) ack 2
        +1000 quiet
        """
    )
    assert notices(sock) == []
    assert tcp.state() == "ESTABLISHED"


@pytest.mark.requirement("RFC9293-SHLD-10")
@pytest.mark.host(tcp_retries1=5)
def test_r1_can_be_set(tcp: Tcp) -> None:
    sock = tcp.established()
    listen_for_soft_errors(tcp, sock)
    sock.send(b"x")
    tcp.play("\n".join(f"+{wait} > P. 1:2(1) ack 1" for wait in (0, 0.3, 0.6, 1.2, 2.4, 4.8)))
    tcp.quiet(9.5)
    assert notices(sock) == []
    tcp.play("+0.1 > P. 1:2(1) ack 1")
    assert notices(sock) == [(errno.ETIMEDOUT, 1)]


@pytest.mark.requirement("RFC9293-MUST-20", "RFC9293-SHLD-11")
@pytest.mark.parametrize(("rtt", "repeats", "end"), [(0.1, 15, 993.0), (0.9, 12, 1007.4)])
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_at_r2_about_fifteen_minutes_the_connection_is_closed_with_a_timeout(
    tcp: Tcp, rtt: float, repeats: int, end: float
) -> None:
    """R2 is as long as 15 doublings of 200 ms, capped at 120 s each: 924.6 s. It is looked at
    when the timer expires."""
    sock = tcp.established(rtt=rtt)
    sock.send(b"x")
    tcp.play('+0 > P. 1:2(1) ack 1 "x"')
    wait = 3 * rtt
    first = tcp.now + wait
    for _ in range(repeats):
        tcp.play(f"+{wait:.6f} > P. 1:2(1) ack 1")
        wait = min(2 * wait, 120)
    tcp.quiet(first + end - tcp.now - 0.001)
    assert tcp.state() == "ESTABLISHED"
    tcp.quiet(0.001)
    assert tcp.state() == "CLOSED"
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ETIMEDOUT
    tcp.play("+0 < . 1:1(0) ack 2\n+0 > R 2:2(0) win 0")


@pytest.mark.requirement("RFC9293-MUST-20")
@pytest.mark.host(tcp_retries2=3)
def test_r2_can_be_set(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(b"x")
    tcp.play("\n".join(f"+{wait} > P. 1:2(1) ack 1" for wait in (0, 0.3, 0.6, 1.2)))
    tcp.quiet(2.4)  # 4.2 s since the first repeat, and 3 doublings of 200 ms are 3 s
    assert tcp.state() == "CLOSED"
    with pytest.raises(TimeoutError):
        sock.recv(1)


@pytest.mark.requirement("RFC9293-MUST-20")
@pytest.mark.host(tcp_retries2=3)
def test_an_answer_starts_the_count_anew(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(2920))
    tcp.play(sent(1, 2921))
    tcp.play(
        """
        +0.3 > .  1:1461(1460) ack 1
        +0.6 > .  1:1461(1460) ack 1
        +1.2 > .  1:1461(1460) ack 1
        +0.1 < .  1:1(0) ack 1461
        +0   > P. 1461:2921(1460) ack 1
        +2.4 > P. 1461:2921(1460) ack 1
        +4.8 quiet
        """
    )
    assert tcp.state() == "CLOSED"


@pytest.mark.requirement("RFC9293-MUST-22")
def test_after_r1_repeats_of_a_syn_the_user_is_told_and_the_attempt_goes_on(tcp: Tcp) -> None:
    sock = tcp.socket()
    listen_for_soft_errors(tcp, sock)
    with pytest.raises(BlockingIOError):
        sock.connect(tcp.address(80))
    tcp.play("+0 > S 0:0(0) <...>\n" + "+1 > S 0:0(0) <...>\n" * 3)
    assert notices(sock) == []
    tcp.play("+1 > S 0:0(0) <...>")
    assert notices(sock) == [(errno.ETIMEDOUT, 1)]
    tcp.play("+1 > S 0:0(0) <...>")
    assert notices(sock) == []
    assert tcp.state() == "SYN_SENT"


@pytest.mark.requirement("RFC9293-MUST-22", "RFC9293-MUST-20")
@pytest.mark.host(tcp_syn_retries=1, tcp_syn_linear_timeouts=0)
def test_an_unanswered_syn_fails_the_connect_with_a_timeout(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        """
        +0 > S 0:0(0) <...>
        +1 > S 0:0(0) <...>
        +2 quiet
        """
    )
    assert tcp.state() == "CLOSED"
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ETIMEDOUT


@pytest.mark.requirement("RFC9293-MUST-20")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_a_closed_socket_is_given_up_sooner(tcp: Tcp) -> None:
    """As Linux: nobody waits for it any more (eight doublings, 102.2 s)."""
    sock = tcp.established()
    sock.send(b"x")
    sock.close()
    tcp.play('+0 > FP. 1:2(1) ack 1 "x"')
    wait = 0.3
    for _ in range(8):
        tcp.play(f"+{wait:.1f} > FP. 1:2(1) ack 1")
        wait *= 2
    tcp.quiet(wait)
    assert tcp.state() == "CLOSED"
    tcp.quiet(1000)


# -- what is repeated ----------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-S3.10.8-2")
def test_the_repeat_starts_at_the_oldest_octet_not_acknowledged(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(4380))
    tcp.play(sent(1, 4381))
    tcp.play(
        """
        +0.1 < . 1:1(0) ack 1001             # in the midst of the first
        +0.3 > . 1001:2461(1460) ack 1
        """
    )


@pytest.mark.requirement("RFC9293-S3.10.8-2")
def test_small_segments_are_repeated_as_one(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in (1, 11, 21):
        sock.send(tcp.data(10, at - 1))
        tcp.play(f"+0 > P. {at}:{at + 10}(10) ack 1")
        tcp.quiet(0.01)
    tcp.play("+0.27 > P. 1:31(30) ack 1")


@pytest.mark.requirement("RFC9293-S3.10.8-2")
def test_a_fin_is_repeated_alone_and_with_its_text(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(100))
    tcp.play("+0 > P. 1:101(100) ack 1")
    sock.close()
    tcp.play(
        """
        +0   > F.  101:101(0) ack 1
        +0.3 > FP. 1:101(100) ack 1
        +0.1 < .   1:1(0) ack 101
        +0.6 > F.  101:101(0) ack 1
        """
    )


@pytest.mark.requirement("RFC9293-S3.10.8-2")
def test_a_repeat_carries_the_latest_ack_and_window(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(100))
    tcp.play(
        """
        +0   > P. 1:101(100) ack 1
        +0.1 < P. 1:11(10) ack 1
        +0   > .  101:101(0) ack 11
        +0.2 > P. 1:101(100) ack 11
        """
    )


@pytest.mark.requirement("RFC9293-S3.10.8-2")
def test_after_a_timeout_all_that_was_out_goes_again_in_slow_start(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(14600))
    tcp.play(sent(1, 14601))
    tcp.play("+0.3 > . 1:1461(1460) ack 1")
    tcp.play("+0.1 < . 1:1(0) ack 1461\n" + sent(1461, 4381, push=False))
    tcp.play("+0.1 < . 1:1(0) ack 2921\n" + sent(4381, 7301, push=False))
    tcp.play("+0   < . 1:1(0) ack 4381\n" + sent(7301, 10221, push=False))
    tcp.play("+0.1 < . 1:1(0) ack 5841\n" + sent(10221, 13141, push=False))
    tcp.play("+0   < . 1:1(0) ack 7301\n" + sent(13141, 14601))
    tcp.play("+0.1 < . 1:1(0) ack 14601\n+1000 quiet")
