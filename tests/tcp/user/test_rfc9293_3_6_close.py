"""RFC 9293 §3.6 and §3.10.4: closing a connection."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.kit.packets.errnos import fails_with
from tests.kit.tcp import Tcp

ESTABLISHED_PASSIVELY = ["CLOSED", "SYN_RECEIVED", "ESTABLISHED"]


def states_after_handshake(tcp: Tcp) -> list[str]:
    history = tcp.history()
    return history[history.index("ESTABLISHED") :]


@pytest.mark.requirement("RFC9293-S3.6-1")
def test_close_sends_what_is_queued_and_then_fin(tcp: Tcp) -> None:
    sock = tcp.established(win=3000, rtt=0.01)
    sock.send(tcp.data(5000))
    sock.close()
    tcp.play(
        """
        +0     > .  1:1461(1460) ack 1
        +0     > .  1461:2921(1460) ack 1
        +0.01  < .  1:1(0) ack 2921 win 65535
        +0     > .  2921:4381(1460) ack 1
        +0     > FP. 4381:5001(620) ack 1
        +0.01  < .  1:1(0) ack 5002
        +1     quiet
        """
    )
    assert tcp.default.sent == tcp.data(5000)
    assert tcp.state() == "FIN_WAIT_2"


@pytest.mark.requirement("RFC9293-S3.6-1")
def test_a_lost_fin_is_repeated(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.close()
    tcp.play(
        """
        +0     > F. 1:1(0) ack 1
        +0.3   > F. 1:1(0) ack 1
        +0.6   > F. 1:1(0) ack 1
        +0.01  < .  1:1(0) ack 2
        +10    quiet
        """
    )
    assert tcp.state() == "FIN_WAIT_2"


@pytest.mark.requirement("RFC9293-S3.6-1")
def test_lost_data_before_a_fin_is_repeated_before_it(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(1000))
    tcp.play("+0 > P. 1:1001(1000) ack 1")
    sock.shutdown(socket.SHUT_WR)
    tcp.play(
        """
        +0    > F. 1001:1001(0) ack 1
        +0.3  > *
        +0.1  < .  1:1(0) ack 1002
        +10   quiet
        """
    )


@pytest.mark.requirement("RFC9293-S3.6-2")
def test_after_our_fin_data_still_comes_in(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    sock.shutdown(socket.SHUT_WR)
    tcp.play(
        """
        +0        > F. 1:1(0) ack 1
        +0        < P. 1:11(10) ack 1      # in FIN-WAIT-1
        +0..0.05  > .  2:2(0) ack 11
        +0        < .  11:11(0) ack 2
        +0        < P. 11:21(10) ack 2     # in FIN-WAIT-2
        +0..0.05  > .  2:2(0) ack 21
        """
    )
    assert sock.recv(100) == tcp.data(20)
    with fails_with(errno.EPIPE):
        sock.send(b"x")
    assert tcp.state() == "FIN_WAIT_2"


@pytest.mark.requirement("RFC9293-S3.6-3")
def test_crossed_fins_go_through_closing_to_time_wait(tcp: Tcp) -> None:
    # RFC 9293 figure 13
    sock = tcp.established(rtt=0.01)
    sock.shutdown(socket.SHUT_WR)
    tcp.play(
        """
        +0     > F. 1:1(0) ack 1
        +0.01  < F. 1:1(0) ack 1
        +0     > .  2:2(0) ack 2
        +0.01  < .  2:2(0) ack 2
        +0     quiet
        """
    )
    assert states_after_handshake(tcp) == ["ESTABLISHED", "FIN_WAIT_1", "CLOSING", "TIME_WAIT"]
    assert sock.recv(10) == b""


def test_an_active_close_goes_through_both_fin_waits(tcp: Tcp) -> None:
    # RFC 9293 figure 12, the side that closes first
    sock = tcp.established(rtt=0.01)
    sock.shutdown(socket.SHUT_WR)
    tcp.play(
        """
        +0     > F. 1:1(0) ack 1
        +0.01  < .  1:1(0) ack 2
        +1     < F. 1:1(0) ack 2
        +0     > .  2:2(0) ack 2
        """
    )
    expected = ["ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT"]
    assert states_after_handshake(tcp) == expected


def test_a_fin_that_acknowledges_ours_goes_to_time_wait_at_once(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    sock.close()
    tcp.play(
        """
        +0     > F. 1:1(0) ack 1
        +0.01  < F. 1:1(0) ack 2
        +0     > .  2:2(0) ack 2
        """
    )
    # fifth step: our FIN is acknowledged; eighth step: the peer's FIN
    expected = ["ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT"]
    assert states_after_handshake(tcp) == expected


@pytest.mark.requirement("RFC9293-S3.10.4-2")
def test_a_passive_close_goes_through_close_wait_and_last_ack(tcp: Tcp) -> None:
    # RFC 9293 figure 12, the side that closes second
    sock = tcp.established(rtt=0.01)
    tcp.play("+0 < F. 1:1(0) ack 1\n+0..0.05 > . 1:1(0) ack 2")
    assert sock.recv(10) == b""
    assert sock.send(tcp.data(1000)) == 1000
    tcp.play("+0 > P. 1:1001(1000) ack 2")
    sock.close()
    tcp.play(
        """
        +0     > F. 1001:1001(0) ack 2
        +0.01  < .  2:2(0) ack 1002
        +0     quiet
        """
    )
    expected = ["ESTABLISHED", "CLOSE_WAIT", "LAST_ACK", "CLOSED"]
    assert states_after_handshake(tcp) == expected
    # no TIME-WAIT on this side: a stranger from now on
    tcp.play("+0 < F. 1:1(0) ack 1002\n+0 > R 1002:1002(0) win 0")


@pytest.mark.requirement("RFC9293-S3.10.4-2")
def test_the_fin_of_last_ack_is_repeated_until_acknowledged(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    tcp.play("+0 < F. 1:1(0) ack 1\n+0..0.05 > . 1:1(0) ack 2")
    sock.close()
    tcp.play(
        """
        +0     > F. 1:1(0) ack 2
        +0.3   > F. 1:1(0) ack 2
        +0.01  < .  2:2(0) ack 2
        +10    quiet
        """
    )
    assert tcp.state() == "CLOSED"


@pytest.mark.requirement("RFC9293-S3.10.4-1")
def test_close_in_syn_sent_sends_nothing_and_a_late_syn_ack_meets_a_reset(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play("+0 > S 0:0(0) <mss 1460,...>")
    sock.close()
    tcp.play(
        """
        +10    quiet
        +0     < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0     > R  1:1(0) win 0
        """
    )
    assert tcp.history() == ["CLOSED", "SYN_SENT", "CLOSED"]


def test_close_in_syn_received_of_a_simultaneous_open_sends_fin(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        """
        +0     > S  0:0(0) <mss 1460,...>
        +0.01  < S  0:0(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 <mss 1460,...>
        """
    )
    sock.close()
    tcp.play(
        """
        +0        > F. 1:1(0) ack 1
        +0.9..1.1 > S. 0:0(0) ack 1 <mss 1460,...>
        +0.01     < .  1:1(0) ack 1
        +0..3     > F. 1:1(0) ack 1
        +0.01     < F. 1:1(0) ack 2
        +0        > .  2:2(0) ack 2
        """
    )
    assert tcp.state() == "TIME_WAIT"


@pytest.mark.requirement("RFC9293-S3.10.4-3")
def test_that_fin_may_be_acknowledged_with_the_syn(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        """
        +0    > S  0:0(0) <mss 1460,...>
        +0.01 < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460,...>
        """
    )
    sock.close()
    tcp.play(
        """
        +0    > F. 1:1(0) ack 1
        +0.01 < .  1:1(0) ack 2
        +0    quiet
        """
    )
    assert tcp.state() == "FIN_WAIT_2"
    tcp.play("+0.1 < F. 1:1(0) ack 2\n+0 > . 2:2(0) ack 2\n+100 quiet")


@pytest.mark.requirement("RFC9293-SHLD-3")
def test_close_with_unread_data_sends_a_reset(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    tcp.play("+0 < P. 1:11(10) ack 1\n+0 > . 1:1(0) ack 11")
    sock.send(b"lost")
    tcp.play("+0 > P. 1:5(4) ack 11")
    sock.close()
    tcp.play("+0 > R. 5:5(0) ack 11 win *\n+100 quiet")
    assert tcp.state() == "CLOSED"


@pytest.mark.requirement("RFC9293-SHLD-3")
@pytest.mark.parametrize("state", ["FIN_WAIT_1", "FIN_WAIT_2"])
def test_data_that_comes_after_close_draws_a_reset(tcp: Tcp, state: str) -> None:
    sock = tcp.established(rtt=0.01)
    sock.close()
    tcp.play("+0 > F. 1:1(0) ack 1")
    ack = 1
    if state == "FIN_WAIT_2":
        ack = 2
        tcp.play("+0.01 < . 1:1(0) ack 2")
    tcp.play(f"+0.01 < P. 1:11(10) ack {ack}\n+0 > R {ack}:{ack}(0) win 0\n+100 quiet")
    assert tcp.state() == "CLOSED"


@pytest.mark.requirement("RFC9293-SHLD-3", "RFC9293-S3.9.1.6-1")
def test_close_with_linger_zero_sends_a_reset_and_drops_what_is_queued(tcp: Tcp) -> None:
    sock = tcp.established(win=500, rtt=0.01, ts=700)
    sock.send(tcp.data(5000))
    tcp.play("+0 > . 1:501(500) ack 1 <nop,nop,TS val 110 ecr 710>")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    tcp.play("+0 > R. 501:501(0) ack 1 win * <nop,nop,TS val 110 ecr 710>\n+100 quiet")


@pytest.mark.requirement("RFC9293-MAY-1")
def test_after_close_nothing_can_be_read(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.close()
    with fails_with(errno.EBADF):
        sock.recv(1)
    with fails_with(errno.EBADF):
        sock.send(b"x")
    tcp.play("+0 > F. 1:1(0) ack 1")


# -- the peer's FIN --------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-S3.10.7.4-7")
def test_a_fin_behind_a_hole_waits_for_it(tcp: Tcp) -> None:
    sock = tcp.established(sack=True, rtt=0.01)
    tcp.play(
        """
        +0        < F. 11:21(10) ack 1
        +0        > .  1:1(0) ack 1 <nop,nop,sack 11:22>
        +0.1      quiet
        """
    )
    assert tcp.state() == "ESTABLISHED"
    with pytest.raises(BlockingIOError):
        sock.recv(100)
    tcp.play("+0 < P. 1:11(10) ack 1\n+0..0.05 > . 1:1(0) ack 22")
    assert tcp.state() == "CLOSE_WAIT"
    assert sock.recv(100) == tcp.data(20)
    assert sock.recv(100) == b""
    assert sock.recv(100) == b""


@pytest.mark.requirement("RFC9293-S3.10.7.4-7")
def test_a_fin_with_data_is_acknowledged_with_it(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    tcp.play("+0 < FP. 1:11(10) ack 1\n+0..0.05 > . 1:1(0) ack 12")
    assert sock.recv(100) == tcp.data(10)
    assert sock.recv(100) == b""
    assert tcp.state() == "CLOSE_WAIT"


@pytest.mark.requirement("RFC9293-S3.10.7.4-7")
def test_a_repeated_fin_is_acknowledged_again(tcp: Tcp) -> None:
    tcp.established(rtt=0.01)
    tcp.play(
        """
        +0        < F. 1:1(0) ack 1
        +0..0.05  > .  1:1(0) ack 2
        +0.2      < F. 1:1(0) ack 1
        +0        > .  1:1(0) ack 2
        """
    )
    assert tcp.state() == "CLOSE_WAIT"


@pytest.mark.requirement("RFC9293-S3.10.7.4-7")
def test_data_behind_a_fin_is_not_taken(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    tcp.play(
        """
        +0        < F. 1:11(10) ack 1
        +0..0.05  > .  1:1(0) ack 12
        +0.1      < P. 12:22(10) ack 1
        """
    )
    assert [packet.flags for packet in tcp.take()] in ([], [0x10])  # Linux: silence
    assert sock.recv(100) == tcp.data(10)
    assert sock.recv(100) == b""


def test_after_text_lay_where_a_fin_was_a_later_fin_waits_behind_its_hole(tcp: Tcp) -> None:
    """The first FIN was no end; the second one is, as soon as the hole before it is filled."""
    sock = tcp.established(rtt=0.01)
    tcp.play(
        """
        +0     < F. 11:21(10) ack 1
        +0     > .  1:1(0) ack 1
        +0     < P. 1:41(40) ack 1
        +0     > .  1:1(0) ack 41
        +0     < F. 51:61(10) ack 1
        +0     > .  1:1(0) ack 41
        +0     < P. 41:51(10) ack 1
        +0     > .  1:1(0) ack 62
        """
    )
    assert tcp.state() == "CLOSE_WAIT"
    assert sock.recv(100) == tcp.data(60)
    assert sock.recv(100) == b""


# -- orphans ----------------------------------------------------------------------------------


def test_whoever_wants_no_fin_wait_2_resets_instead_of_a_fin(tcp: Tcp) -> None:
    """A negative TCP_LINGER2 is Linux's way to say so."""
    sock = tcp.established(rtt=0.01)
    sock.shutdown(socket.SHUT_WR)
    tcp.play("+0 > F. 1:1(0) ack 1\n+0.01 < . 1:1(0) ack 2\n+0 quiet")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, -1)
    sock.close()
    tcp.play("+0 > R. 2:2(0) ack 1")
    assert tcp.state() == "CLOSED"


@pytest.mark.host(tcp_fin_timeout=10)
def test_an_orphan_does_not_stay_in_fin_wait_2_for_ever(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    sock.close()
    tcp.play(
        """
        +0     > F. 1:1(0) ack 1
        +0.01  < .  1:1(0) ack 2
        +9.9   quiet
        """
    )
    assert tcp.state() == "FIN_WAIT_2"
    tcp.quiet(0.2)
    assert tcp.state() == "CLOSED"
    tcp.play("+0 < F. 1:1(0) ack 2\n+0 > R 2:2(0) win 0")


def test_a_half_closed_socket_stays_in_fin_wait_2_as_long_as_somebody_has_it(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    sock.shutdown(socket.SHUT_WR)
    tcp.play(
        """
        +0     > F. 1:1(0) ack 1
        +0.01  < .  1:1(0) ack 2
        +100000 quiet
        +0     < P. 1:11(10) ack 2
        +0..0.05 > . 2:2(0) ack 11
        """
    )
    assert sock.recv(100) == tcp.data(10)
