"""RFC 9293 §3.9.2.2, RFC 5461, RFC 5927: what ICMP errors do to connections.

A connection that exists is never ended by ICMP; while one is being opened, any error that
names a destination as unreachable ends the attempt at once, as in Linux.
"""

from __future__ import annotations

import errno
import socket

import pytest

from tests.kit.tcp import Tcp

pytestmark = pytest.mark.variants("ipv4", "ipv6-wrap")  # nothing here is for offloading

SYN = "+0 > S 0:0(0) win * <...>"
ROUTER = {4: "203.0.113.9", 6: "2001:db8:ffff::9"}

SOFT = [
    ("unreachable net", errno.ENETUNREACH),
    ("unreachable host", errno.EHOSTUNREACH),
    ("time_exceeded transit", errno.EHOSTUNREACH),
    ("parameter_problem header", errno.EPROTO),
    ("parameter_problem option", errno.EPROTO),
]
HARD = [("unreachable port", errno.ECONNREFUSED)]
ONLY_V4 = [
    ("unreachable source_route", errno.EOPNOTSUPP),
    ("unreachable proto", errno.ENOPROTOOPT),
    ("unreachable isolated", errno.ENONET),
    ("unreachable prohibited", errno.EHOSTUNREACH),
    ("type 3 code 6", errno.ENETUNREACH),
    ("type 3 code 7", errno.EHOSTDOWN),
    ("type 3 code 9", errno.ENETUNREACH),
    ("type 3 code 10", errno.EHOSTUNREACH),
    ("type 3 code 11", errno.ENETUNREACH),
    ("type 3 code 12", errno.EHOSTUNREACH),
]
ONLY_V6 = [
    ("time_exceeded reassembly", errno.EHOSTUNREACH),
    ("type 1 code 1", errno.EACCES),
    ("type 1 code 2", errno.EHOSTUNREACH),
    ("type 1 code 5", errno.EACCES),
    ("type 1 code 6", errno.EACCES),
    ("parameter_problem next_header", errno.EPROTO),
    ("type 100 code 0", errno.EPROTO),
]


def error_of(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def lives_through(tcp: Tcp, message: str, number: int) -> None:
    sock = tcp.established()
    sock.send(b"hello")
    tcp.play(
        f"""
        +0    > P. 1:6(5) ack 1
        +0.1  < [from {ROUTER[tcp.version]}] icmp {message}
        +0    quiet
        """
    )
    assert error_of(sock) == number  # told, once
    assert error_of(sock) == 0
    tcp.play(
        """
        +0.1..0.4 > P. 1:6(5) ack 1
        +0.01 < .  1:1(0) ack 6
        +100  quiet
        """
    )
    assert tcp.state() == "ESTABLISHED"
    sock.send(b"again")
    tcp.play("+0 > P. 6:11(5) ack 1\n+0.1 < . 1:1(0) ack 11")


# -- a connection that exists ----------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-56", "RFC9293-SHLD-25")
@pytest.mark.parametrize(("message", "number"), SOFT)
def test_a_soft_error_is_told_and_the_connection_repeats_and_lives(
    tcp: Tcp, message: str, number: int
) -> None:
    lives_through(tcp, message, number)


@pytest.mark.requirement("RFC5927-S5.2-1")
@pytest.mark.parametrize(("message", "number"), HARD)
def test_an_established_connection_takes_a_hard_error_as_a_soft_one(
    tcp: Tcp, message: str, number: int
) -> None:
    lives_through(tcp, message, number)


@pytest.mark.requirement("RFC9293-MUST-56", "RFC5927-S5.2-1")
@pytest.mark.variants("ipv4")
@pytest.mark.parametrize(("message", "number"), ONLY_V4)
def test_no_other_code_of_ipv4_ends_a_connection(tcp: Tcp, message: str, number: int) -> None:
    lives_through(tcp, message, number)


@pytest.mark.requirement("RFC9293-MUST-56", "RFC5927-S5.2-1", "RFC4443-S2.4-4")
@pytest.mark.variants("ipv6")
@pytest.mark.parametrize(("message", "number"), ONLY_V6)
def test_no_other_code_of_ipv6_and_no_unknown_type_ends_a_connection(
    tcp: Tcp, message: str, number: int
) -> None:
    lives_through(tcp, message, number)


@pytest.mark.requirement("RFC9293-MUST-56", "RFC5927-S5.2-1")
@pytest.mark.parametrize("message", ["unreachable host", "unreachable port"])
@pytest.mark.parametrize("state", ["FIN_WAIT_1", "CLOSING", "LAST_ACK"])
def test_a_connection_that_is_closing_goes_on_too(tcp: Tcp, state: str, message: str) -> None:
    sock = tcp.established()
    ack = 1
    if state == "LAST_ACK":
        tcp.play("+0 < F. 1:1(0) ack 1\n+0..0.05 > . 1:1(0) ack 2")
        ack = 2
    sock.shutdown(socket.SHUT_WR)
    tcp.play(f"+0 > F. 1:1(0) ack {ack}")
    if state == "CLOSING":
        tcp.play("+0 < F. 1:1(0) ack 1\n+0 > . 2:2(0) ack 2")
        ack = 2
    tcp.play(
        f"""
        +0        < icmp {message} [F 1:1(0)]
        +0.1..0.5 > F. 1:1(0) ack {ack}
        """
    )
    assert tcp.state() == state


@pytest.mark.requirement("RFC9293-SHLD-25")
def test_a_soft_error_is_the_reason_given_when_the_connection_times_out(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000)
    sock.send(b"hello")
    tcp.play(
        """
        +0    > P. 1:6(5) ack 1
        +0.1  < icmp unreachable host
        +0.1..0.4 > P. 1:6(5) ack 1
        """
    )
    tcp.run(3)
    assert tcp.state() == "CLOSED"
    with pytest.raises(OSError, match=r".") as failure:
        sock.recv(1)
    assert failure.value.errno == errno.EHOSTUNREACH


@pytest.mark.requirement("RFC9293-MUST-56")
@pytest.mark.variants("v4")
@pytest.mark.parametrize("connecting", [True, False])
def test_that_a_fragment_was_lost_says_nothing_about_the_path(tcp: Tcp, connecting: bool) -> None:
    """Linux takes no notice of code 1 of IPv4's time exceeded."""
    if connecting:
        sock = tcp.connect()
        tcp.play(f"{SYN}\n+0.1 < icmp time_exceeded reassembly\n+0.9 > S 0:0(0) <...>")
    else:
        sock = tcp.established()
        sock.send(b"hello")
        tcp.play("+0 > P. 1:6(5) ack 1\n+0.1 < icmp time_exceeded reassembly\n+0 quiet")
        assert error_of(sock) == 0
        tcp.play("+0.1..0.4 > P. 1:6(5) ack 1")
    assert error_of(sock) == 0


def test_an_acknowledgment_shows_that_a_soft_error_is_over(tcp: Tcp) -> None:
    """Linux: what is told is what is wrong now."""
    sock = tcp.established()
    sock.send(b"hello")
    tcp.play(
        """
        +0   > P. 1:6(5) ack 1
        +0.1 < icmp unreachable host
        +0.1 < .  1:1(0) ack 6
        +0   quiet
        """
    )
    assert error_of(sock) == 0


# -- which connection is meant ---------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-54")
def test_only_the_connection_that_is_quoted_hears_of_an_error(tcp: Tcp) -> None:
    listener = tcp.listen()
    socks = [tcp.established(listener=listener, flow=name, rtt=0.01) for name in ("", "b", "c")]
    for sock in socks:
        sock.send(b"hello")
    assert len(tcp.take()) == 3
    tcp.play("+0.01 b< icmp unreachable host")
    assert [error_of(sock) for sock in socks] == [0, errno.EHOSTUNREACH, 0]
    assert len(tcp.run(0.25)) == 3


@pytest.mark.requirement("RFC9293-MUST-54", "RFC5461-S4.1-1")
def test_of_two_attempts_only_the_one_that_is_quoted_fails(tcp: Tcp) -> None:
    first, second = tcp.connect(80), None
    tcp.play(SYN)
    tcp.flow("b", remote_port=81)
    second = tcp.connect(81)
    tcp.play("+0 b> S 0:0(0) <...>\n+0.1 b< icmp unreachable port\n+0 quiet")
    assert (error_of(first), error_of(second)) == (0, errno.ECONNREFUSED)
    tcp.play("+0.9 > S 0:0(0) <...>")


@pytest.mark.requirement("RFC9293-MUST-54")
@pytest.mark.parametrize("message", ["unreachable port", "unreachable host", "frag_needed mtu 600"])
def test_an_error_about_no_connection_of_ours_is_dropped(tcp: Tcp, message: str) -> None:
    sock = tcp.established()
    sock.send(b"hello")
    tcp.play("+0 > P. 1:6(5) ack 1")
    tcp.flow("b", local_port=80, remote_port=41_000)
    tcp.flow("d", local_port=81, remote_port=40_000)
    tcp.play(
        f"""
        +0.1 b< icmp {message} [1:6(5)]
        +0   d< icmp {message} [1:6(5)]
        +0.1..0.4 > P. 1:6(5) ack 1
        """
    )
    assert error_of(sock) == 0


@pytest.mark.requirement("RFC5927-S4.1-1")
@pytest.mark.parametrize("seq", [0, 6, 7, 100_000, -100_000, 0x7000_0000])
@pytest.mark.parametrize("message", ["unreachable port", "time_exceeded transit"])
def test_an_error_that_quotes_a_number_not_in_flight_is_dropped(
    tcp: Tcp, message: str, seq: int
) -> None:
    sock = tcp.established()
    sock.send(b"hello")
    tcp.play(
        f"""
        +0   > P. 1:6(5) ack 1
        +0.1 < icmp {message} [P {seq}:{seq + 5}(5)]
        +0.1..0.4 > P. 1:6(5) ack 1
        """
    )
    assert error_of(sock) == 0


@pytest.mark.requirement("RFC5927-S4.1-1")
def test_an_error_about_what_was_acknowledged_is_dropped(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(b"hello")
    tcp.play("+0 > P. 1:6(5) ack 1\n+0.1 < . 1:1(0) ack 6\n+0 < icmp unreachable host [1:6(5)]")
    tcp.quiet(1)
    assert error_of(sock) == 0


@pytest.mark.requirement("RFC5927-S4.1-1")
@pytest.mark.parametrize("seq", [-1, 1, 1000])
def test_an_attempt_is_ended_only_by_an_error_that_quotes_our_syn(tcp: Tcp, seq: int) -> None:
    sock = tcp.connect()
    tcp.play(f"{SYN}\n+0.5 < icmp unreachable port [S {seq}:{seq}(0)]\n+0.5 > S 0:0(0) <...>")
    assert error_of(sock) == 0
    assert tcp.state() == "SYN_SENT"


# -- while connecting ------------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-SHLD-26", "RFC1122-S3.2.2.1-1")
@pytest.mark.parametrize(("message", "number"), HARD)
def test_a_hard_error_ends_an_attempt(tcp: Tcp, message: str, number: int) -> None:
    sock = tcp.connect()
    tcp.play(f"{SYN}\n+0.1 < [from {ROUTER[tcp.version]}] icmp {message}\n+200 quiet")
    assert tcp.state() == "CLOSED"
    assert error_of(sock) == number
    tcp.play("+0 < S. 0:0(0) ack 1\n+0 > R 1:1(0) win 0")


@pytest.mark.requirement("RFC1122-S3.2.2.1-1")
@pytest.mark.parametrize(("message", "number"), HARD)
def test_a_hard_error_ends_a_simultaneous_open(tcp: Tcp, message: str, number: int) -> None:
    sock = tcp.connect()
    tcp.play(f"{SYN}\n+0.1 < S 0:0(0) win 65535 <mss 1460>\n+0 > S. 0:0(0) ack 1 <...>")
    tcp.play(f"+0.1 < [from {ROUTER[tcp.version]}] icmp {message}\n+200 quiet")
    assert tcp.state() == "CLOSED"
    assert error_of(sock) == number


@pytest.mark.requirement("RFC5461-S4.1-1", "RFC1122-S3.2.2.5-2")
@pytest.mark.deviation("RFC5461-S2.2-1", "RFC9293-MUST-56")
@pytest.mark.parametrize(("message", "number"), SOFT)
def test_a_soft_error_ends_an_attempt_as_in_linux(tcp: Tcp, message: str, number: int) -> None:
    sock = tcp.connect()
    tcp.play(f"{SYN}\n+0.1 < [from {ROUTER[tcp.version]}] icmp {message}\n+200 quiet")
    assert tcp.state() == "CLOSED"
    assert error_of(sock) == number


@pytest.mark.requirement("RFC9293-SHLD-26", "RFC5461-S4.1-1")
@pytest.mark.variants("ipv4")
@pytest.mark.parametrize(("message", "number"), ONLY_V4)
def test_every_code_of_ipv4_has_linuxs_errno(tcp: Tcp, message: str, number: int) -> None:
    sock = tcp.connect()
    tcp.play(f"{SYN}\n+0.1 < icmp {message}\n+200 quiet")
    assert error_of(sock) == number


@pytest.mark.requirement("RFC5461-S4.1-1", "RFC4443-S2.4-4")
@pytest.mark.variants("ipv6")
@pytest.mark.parametrize(("message", "number"), ONLY_V6)
def test_every_code_of_ipv6_has_linuxs_errno(tcp: Tcp, message: str, number: int) -> None:
    sock = tcp.connect()
    tcp.play(f"{SYN}\n+0.1 < icmp {message}\n+200 quiet")
    assert error_of(sock) == number


def test_too_big_does_not_end_an_attempt(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(f"{SYN}\n+0.1 < icmp frag_needed mtu 1400\n+0.9 > S 0:0(0) <...>")
    assert error_of(sock) == 0


# -- what says nothing -----------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-55")
@pytest.mark.variants("ipv4", "ipv4-wrap-offload")
def test_source_quench_changes_nothing(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
    sock.send(tcp.data(14_600))
    assert len(tcp.take()) == 10
    before = sock.tcp_info() if hasattr(sock, "tcp_info") else None
    tcp.play("+0.05 < icmp source_quench\n+0 < icmp source_quench [1:1461(1460)]")
    assert tcp.state() == "ESTABLISHED"
    assert error_of(sock) == 0
    if before is not None:
        after = sock.tcp_info()
        assert after.tcpi_snd_cwnd == before.tcpi_snd_cwnd == 10
        assert after.tcpi_snd_ssthresh == before.tcpi_snd_ssthresh
    # each acknowledged segment is followed by two, as before
    sock.send(tcp.data(14_600, 14_600))
    for number in range(5):
        tcp.play(f"+0.01 < . 1:1(0) ack {1 + 1460 * (number + 1)}")
        assert len(tcp.take()) == 2


@pytest.mark.requirement("RFC9293-MUST-55")
@pytest.mark.variants("v4")
def test_source_quench_does_not_end_an_attempt(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(f"{SYN}\n+0.1 < icmp source_quench\n+0.9 > S 0:0(0) <...>")
    assert error_of(sock) == 0


def test_a_redirect_is_nothing_to_a_connection(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(b"hello")
    tcp.play("+0 > P. 1:6(5) ack 1\n+0.1 < icmp redirect\n+0.1..0.4 > P. 1:6(5) ack 1")
    assert error_of(sock) == 0


@pytest.mark.requirement("RFC9293-MUST-54")
@pytest.mark.parametrize("message", ["unreachable port", "unreachable host"])
def test_an_error_with_a_wrong_checksum_is_dropped(tcp: Tcp, message: str) -> None:
    sock = tcp.connect()
    tcp.play(f"{SYN}\n+0.1 < [badsum] icmp {message}\n+0.9 > S 0:0(0) <...>")
    assert error_of(sock) == 0


def test_a_half_open_connection_outlives_an_error(tcp: Tcp) -> None:
    """POSIX wants no network errors from accept(); the SYN,ACK is repeated."""
    listener = tcp.listen()
    tcp.play(
        """
        +0   < S  0:0(0) win 1000 <mss 1460>
        +0   > S. 0:0(0) ack 1 <...>
        +0.1 < icmp unreachable port
        +0.9 > S. 0:0(0) ack 1 <...>
        +0   < .  1:1(0) ack 1
        +0   quiet
        """
    )
    assert error_of(listener.accept()[0]) == 0
