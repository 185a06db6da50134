"""RFC 9293 §3.9.1: what a user can ask of a connection, and what a user is told."""

from __future__ import annotations

import errno
import select
import socket
import struct
from typing import Any

import pytest

from tests.kit.tcp import Tcp

SOL, TCP = socket.SOL_SOCKET, socket.IPPROTO_TCP
IP_RECVERR, IPV6_RECVERR = 11, 25
MSG_ERRQUEUE = 0x2000
ORIGIN_LOCAL, ORIGIN_ICMP, ORIGIN_ICMP6 = 1, 2, 3
SECOND = {4: "192.0.2.9/24", 6: "2001:db8::9/64"}


def error_of(sock: Any) -> int:
    number: int = sock.getsockopt(SOL, socket.SO_ERROR)
    return number


def errno_of_reading(sock: Any) -> int:
    try:
        sock.recv(1)
    except OSError as error:
        return error.errno or 0
    return 0


def set_tos(tcp: Tcp, sock: Any, tos: int) -> None:
    if tcp.version == 4:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos)


def report_errors(tcp: Tcp, sock: Any, on: bool = True) -> None:
    if tcp.version == 4:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, int(on))
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, int(on))


def next_report(sock: Any) -> tuple[int, int, int, int, int]:
    """errno, origin, type, code and information of the oldest entry of the error queue."""
    _, ancillary, flags, _ = sock.recvmsg(0, 512, MSG_ERRQUEUE)
    assert flags & MSG_ERRQUEUE
    ((_, _, data),) = ancillary
    number, origin, kind, code, _, info, _ = struct.unpack_from("=IBBBBII", data)
    return number, origin, kind, code, info


def no_report(sock: Any) -> bool:
    with pytest.raises(BlockingIOError):
        sock.recvmsg(0, 512, MSG_ERRQUEUE)
    return True


# -- how a connection ended (§3.6) -----------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-12")
def test_a_fin_is_the_end_of_the_stream(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play('+0 < FP. 1:6(5) ack 1 "hello"\n+0..0.05 > . 1:1(0) ack 7')
    assert sock.recv(100) == b"hello"
    assert sock.recv(100) == b""
    assert sock.recv(100) == b""
    assert error_of(sock) == 0


@pytest.mark.requirement("RFC9293-MUST-12")
def test_a_reset_is_an_error_once_what_came_before_was_read(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play('+0 < P. 1:6(5) ack 1 "hello"\n+0 > . 1:1(0) ack 6\n+0 < R 6:6(0)\n+0 quiet')
    assert sock.recv(100) == b"hello"
    assert errno_of_reading(sock) == errno.ECONNRESET
    assert sock.recv(100) == b""


@pytest.mark.requirement("RFC9293-MUST-12")
def test_a_reset_is_told_to_a_writer(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play("+0 < R 1:1(0)\n+0 quiet")
    with pytest.raises(ConnectionResetError):
        sock.send(b"x")
    with pytest.raises(BrokenPipeError):
        sock.send(b"x")


# -- how long to try (§3.8.3) ----------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-21")
def test_the_time_after_which_one_connection_gives_up_can_be_set(tcp: Tcp) -> None:
    listener = tcp.listen()
    patient = tcp.established(listener=listener, rtt=0.01)
    hasty = tcp.established(listener=listener, flow="b", rtt=0.01)
    hasty.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 3000)
    patient.send(b"hello")
    hasty.send(b"hello")
    tcp.run(2.9)
    assert (tcp.state(), tcp.state("b")) == ("ESTABLISHED", "ESTABLISHED")
    tcp.run(1)
    assert (tcp.state(), tcp.state("b")) == ("ESTABLISHED", "CLOSED")
    assert error_of(hasty) == errno.ETIMEDOUT
    tcp.run(900)
    assert tcp.state() == "ESTABLISHED"  # about 924 s, as tcp_retries2 says
    tcp.run(50)
    assert tcp.state() == "CLOSED"
    assert error_of(patient) == errno.ETIMEDOUT


@pytest.mark.requirement("RFC9293-MUST-21")
def test_a_very_long_time_to_give_up_is_kept(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 7 * 86_400_000)
    sock.send(b"hello")
    tcp.run(6.9 * 86_400)
    assert tcp.state() == "ESTABLISHED"
    tcp.play("+0 < . 1:1(0) ack 6\n+1 quiet")
    sock.send(b"again")
    tcp.play("+0 > P. 6:11(5) ack 1\n+0.1 < . 1:1(0) ack 11")


@pytest.mark.requirement("RFC9293-MUST-21")
@pytest.mark.host(tcp_syn_linear_timeouts=0)
def test_an_attempt_to_connect_has_a_limit_of_its_own(tcp: Tcp) -> None:
    hasty = tcp.socket()
    hasty.setsockopt(TCP, socket.TCP_SYNCNT, 1)
    tcp.connect(sock=hasty)
    tcp.play("+0 > S 0:0(0) <...>\n+1 > S 0:0(0) <...>\n+60 quiet")
    assert error_of(hasty) == errno.ETIMEDOUT
    assert tcp.state() == "CLOSED"


# -- OPEN (§3.9.1.1) -------------------------------------------------------------------------------


def second_address(tcp: Tcp) -> str:
    if hasattr(tcp.host, "fd"):
        pytest.skip("needs a second address")
    tcp.host.addresses.add(SECOND[tcp.version])
    return SECOND[tcp.version].partition("/")[0]


@pytest.mark.requirement("RFC9293-MUST-43")
def test_an_active_open_leaves_from_the_address_that_was_chosen(tcp: Tcp) -> None:
    second = second_address(tcp)
    for name, local in (("b", second), ("c", tcp.local)):
        tcp.flow(name, local=local, remote_port=80)
        sock = tcp.socket()
        sock.bind(tcp.address(0, local))
        tcp.connect(sock=sock)
        tcp.play(
            f"""
            +0   {name}> S  0:0(0) <...>
            +0.1 {name}< S. 0:0(0) ack 1 <mss 1460>
            +0   {name}> .  1:1(0) ack 1
            """
        )
        assert sock.getsockname()[0] == local
        sock.send(b"hello")
        tcp.play(f"+0 {name}> P. 1:6(5) ack 1\n+0.1 {name}< . 1:1(0) ack 6")


@pytest.mark.requirement("RFC9293-MUST-43")
def test_without_a_choice_the_first_address_is_taken(tcp: Tcp) -> None:
    second_address(tcp)
    sock = tcp.connect()
    tcp.play("+0 > S 0:0(0) <...>")
    assert sock.getsockname()[0] == tcp.local


@pytest.mark.requirement("RFC9293-MUST-43")
def test_a_passive_open_accepts_at_the_chosen_address_only(tcp: Tcp) -> None:
    second = second_address(tcp)
    listener = tcp.socket()
    listener.bind(tcp.address(80, second))
    listener.listen(8)
    tcp.flow("b", local=second)
    tcp.play(
        """
        +0   <  S  0:0(0) win 1000 <mss 1460>
        +0   >  R. =0:=0(0) ack 1 win 0
        +0   b< S  0:0(0) win 1000 <mss 1460>
        +0   b> S. 0:0(0) ack 1 <...>
        +0.1 b< .  1:1(0) ack 1
        +0   quiet
        """
    )
    assert listener.accept()[0].getsockname()[0] == second


@pytest.mark.requirement("RFC9293-MUST-43")
def test_an_address_of_somebody_else_can_not_be_chosen(tcp: Tcp) -> None:
    with pytest.raises(OSError, match=r".") as failure:
        tcp.socket().bind(tcp.address(0, tcp.remote))
    assert failure.value.errno == errno.EADDRNOTAVAIL


# -- SEND (§3.9.1.2) -------------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-60", "RFC9293-MAY-15")
def test_what_was_written_leaves_without_another_call_and_with_a_push(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(b"hello")
    tcp.play('+0 > P. 1:6(5) ack 1 "hello"')
    sock.send(b"world")  # waits for the acknowledgment only
    tcp.play('+0.1 < . 1:1(0) ack 6\n+0 > P. 6:11(5) ack 1 "world"\n+0.1 < . 1:1(0) ack 11')
    sock.send(tcp.data(3000, 10))
    tcp.play(
        """
        +0   > .  11:1471(1460) ack 1
        +0   > .  1471:2931(1460) ack 1
        +0   > P. 2931:3011(80) ack 1
        +0.1 < .  1:1(0) ack 3011
        """
    )


@pytest.mark.requirement("RFC9293-MUST-60", "RFC9293-MAY-16")
@pytest.mark.parametrize("way", ["MSG_MORE", "TCP_CORK"])
def test_what_is_held_back_to_be_merged_leaves_after_200_ms_at_the_latest(
    tcp: Tcp, way: str
) -> None:
    sock = tcp.established()
    if way == "TCP_CORK":
        sock.setsockopt(TCP, socket.TCP_CORK, 1)
    for _ in range(3):
        sock.send(b"hello", socket.MSG_MORE if way == "MSG_MORE" else 0)
    tcp.play('+0.2..0.4 > P. 1:16(15) ack 1 "hellohellohello"\n+0.1 < . 1:1(0) ack 16')


@pytest.mark.requirement("RFC9293-MAY-16", "RFC9293-MAY-15")
def test_more_is_merged_with_what_follows(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(1000), socket.MSG_MORE)
    tcp.quiet(0.01)
    sock.send(tcp.data(1000, 1000))
    tcp.play("+0 > . 1:1461(1460) ack 1\n+0 > P. 1461:2001(540) ack 1\n+0.1 < . 1:1(0) ack 2001")


# -- ABORT (§3.9.1.6) ------------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-S3.9.1.6-1")
def test_abort_drops_what_is_queued_and_sends_a_reset_at_snd_nxt(tcp: Tcp) -> None:
    sock = tcp.established(win=1000)
    sock.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.send(tcp.data(5000))
    sent = tcp.take()
    assert sum(len(packet.payload) for packet in sent) == 1000
    sock.close()
    tcp.play("+0 > R. 1001:1001(0) ack 1\n+200 quiet")
    tcp.play("+0 < . 1:1(0) ack 501\n+0 > R 501:501(0) win 0")
    assert tcp.state() == "CLOSED"


@pytest.mark.requirement("RFC9293-S3.9.1.6-1")
@pytest.mark.parametrize("state", ["ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT"])
def test_abort_sends_a_reset_in_every_state_that_a_peer_knows_of(tcp: Tcp, state: str) -> None:
    sock = tcp.established()
    nxt, ack = 1, 1
    if state.startswith("FIN"):
        sock.shutdown(socket.SHUT_WR)
        tcp.play("+0 > F. 1:1(0) ack 1")
        nxt = 2
    if state == "FIN_WAIT_2":
        tcp.play("+0 < . 1:1(0) ack 2\n+0 quiet")
    if state == "CLOSE_WAIT":
        tcp.play("+0 < F. 1:1(0) ack 1\n+0..0.05 > . 1:1(0) ack 2")
        ack = 2
    sock.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    tcp.play(f"+0 > R. {nxt}:{nxt}(0) ack {ack}\n+200 quiet")
    assert tcp.state() == "CLOSED"


def test_no_timer_of_a_connection_expires_after_its_abort(tcp: Tcp) -> None:
    """The device takes nothing for ten seconds, so that the RST waits."""
    sock = tcp.established(win=1000)
    sock.send(tcp.data(5000))
    assert len(tcp.take()) == 2
    sock.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    for _ in range(10):
        tcp.now_us += 1_000_000
        tcp.host.on_time(tcp.now_us)
    tcp.play("+0 > R. 1001:1001(0) ack 1\n+200 quiet")
    assert (tcp.host.counters.timeouts, tcp.host.counters.out_rsts) == (0, 1)


@pytest.mark.requirement("RFC9293-S3.9.1.6-1")
def test_abort_while_connecting_says_nothing(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play("+0 > S 0:0(0) <...>")
    sock.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    tcp.quiet(200)
    tcp.play("+0 < S. 0:0(0) ack 1\n+0 > R 1:1(0) win 0")


@pytest.mark.requirement("RFC9293-S3.9.1.6-1")
def test_after_an_abort_calls_fail_with_reset(tcp: Tcp) -> None:
    """A socket whose connection was dissolved (connect to AF_UNSPEC) stays."""
    sock = tcp.established()
    if isinstance(sock, socket.socket):
        pytest.skip("Python cannot connect to AF_UNSPEC")
    sock.connect(None)
    tcp.play("+0 > R. 1:1(0) ack 1\n+200 quiet")
    assert errno_of_reading(sock) == errno.ECONNRESET
    assert errno_of_reading(sock) == errno.ENOTCONN


# -- soft errors (§3.9.1.8) ------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-47")
def test_an_icmp_error_is_an_entry_of_the_error_queue(tcp: Tcp) -> None:
    sock = tcp.established()
    report_errors(tcp, sock)
    sock.send(b"hello")
    tcp.play("+0 > P. 1:6(5) ack 1\n+0.1 < icmp unreachable host\n+0 quiet")
    if isinstance(sock, socket.socket):
        pytest.skip("Linux has the errno only")
    kind, code, origin = (3, 1, ORIGIN_ICMP) if tcp.version == 4 else (1, 3, ORIGIN_ICMP6)
    assert sock.poll() & select.POLLERR
    assert next_report(sock) == (errno.EHOSTUNREACH, origin, kind, code, 0)
    assert no_report(sock)
    assert not sock.poll() & select.POLLERR
    tcp.play("+0.1..0.3 > P. 1:6(5) ack 1\n+0.1 < . 1:1(0) ack 6")
    assert tcp.state() == "ESTABLISHED"


@pytest.mark.requirement("RFC9293-MUST-47", "RFC9293-SHLD-9")
def test_many_repeats_are_told_before_the_connection_is_given_up(tcp: Tcp) -> None:
    """R1 is tcp_retries1: three repeats, and the next one is due."""
    sock = tcp.established(rtt=0.01)
    if isinstance(sock, socket.socket):
        pytest.skip("Linux tells only its routing")
    report_errors(tcp, sock)
    sock.send(b"hello")
    tcp.play("+0 > P. 1:6(5) ack 1")
    sent = 0
    while no_report_yet(sock):
        tcp.run(0.05)
        sent += 1
        assert sent < 200
    number, origin, _, _, count = next_report(sock)
    assert (number, origin, count) == (errno.ETIMEDOUT, ORIGIN_LOCAL, 3)
    assert 0.21 * 7 <= tcp.now <= 0.22 * 15 + 0.1
    assert tcp.state() == "ESTABLISHED"
    assert sock.tcp_info().tcpi_retransmits in (3, 4)
    tcp.run(10)
    assert no_report(sock)
    tcp.play("+0 < . 1:1(0) ack 6\n+1 quiet")
    sock.send(b"again")
    tcp.play("+0 > P. 6:11(5) ack 1\n+0.01 < . 1:1(0) ack 11")


def no_report_yet(sock: Any) -> bool:
    return not sock.poll() & select.POLLERR


@pytest.mark.requirement("RFC9293-MUST-47")
def test_an_urgent_pointer_is_told_at_once(tcp: Tcp) -> None:
    """Before the urgent octet is there: reading it would have to wait."""
    sock = tcp.established()
    before = b""
    with pytest.raises(OSError, match=r".") as failure:
        before = sock.recv(1, socket.MSG_OOB)
    assert failure.value.errno == errno.EINVAL
    tcp.play("+0 < U. 1:4(3) ack 1 urg 10\n+0 > . 1:1(0) ack 4")
    with pytest.raises(BlockingIOError):
        before = sock.recv(1, socket.MSG_OOB)
    assert before == b""


@pytest.mark.requirement("RFC9293-SHLD-20")
def test_without_recverr_there_are_no_entries(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    report_errors(tcp, sock)
    report_errors(tcp, sock, False)
    sock.send(b"hello")
    tcp.play("+0 > P. 1:6(5) ack 1\n+0.1 < icmp unreachable host\n+0 quiet")
    assert no_report(sock)
    tcp.run(10)
    assert no_report(sock)
    tcp.play("+0 < . 1:1(0) ack 6\n+1 quiet")


# -- type of service (§3.9.1.9) --------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-48", "RFC9293-SHLD-23")
def test_every_segment_of_a_connection_has_the_dscp_that_was_asked_for(tcp: Tcp) -> None:
    sock = tcp.socket()
    set_tos(tcp, sock, 0xB8)
    tcp.connect(sock=sock)
    tcp.play(
        """
        +0    > [tos 0xb8] S  0:0(0) <...>
        +1    > [tos 0xb8] S  0:0(0) <...>
        +0.01 < [tos 0x48] S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > [tos 0xb8] .  1:1(0) ack 1
        +0    < [tos 0x48] P. 1:11(10) ack 1
        +0    > [tos 0xb8] .  1:1(0) ack 11
        """
    )
    sock.send(b"hello")
    tcp.play("+0 > [tos 0xb8] P. 1:6(5) ack 11\n+0.1..4 > [tos 0xb8] P. 1:6(5) ack 11")
    tcp.play("+0.01 < . 11:11(0) ack 6\n+0 < R 500:500(0)\n+0 > [tos 0xb8] . 6:6(0) ack 11")
    assert sock.recv(100) == tcp.data(10)
    sock.close()
    tcp.play(
        """
        +0    > [tos 0xb8] F. 6:6(0) ack 11
        +0.01 < F. 11:11(0) ack 7
        +0    > [tos 0xb8] .  7:7(0) ack 12
        +1    < F. 11:11(0) ack 7
        +0    > [tos 0xb8] .  7:7(0) ack 12
        """
    )


@pytest.mark.requirement("RFC9293-MUST-48")
def test_a_listener_hands_its_dscp_to_those_who_connect(tcp: Tcp) -> None:
    listener = tcp.listen()
    set_tos(tcp, listener, 0x28)
    tcp.play(
        """
        +0   < S  0:0(0) win 1000 <mss 1460>
        +0   > [tos 0x28] S. 0:0(0) ack 1 <...>
        +0.1 < .  1:1(0) ack 1
        +0   < P. 1:11(10) ack 1
        +0   > [tos 0x28] .  1:1(0) ack 11
        """
    )


@pytest.mark.requirement("RFC9293-SHLD-21")
def test_the_dscp_can_be_changed_during_the_connection(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(b"a")
    tcp.play("+0 > [tos 0] P. 1:2(1) ack 1\n+0.1 < . 1:1(0) ack 2")
    for tos in (0x20, 0xFC, 0):
        set_tos(tcp, sock, tos)
        tcp.play(f"+1 < R 500:500(0)\n+0 > [tos {tos}] . 2:2(0) ack 1")


@pytest.mark.requirement("RFC9293-SHLD-22")
def test_every_value_of_the_dscp_reaches_the_wire_unaltered(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.host.sysctl("tcp_invalid_ratelimit", 0)
    for dscp in range(64):
        set_tos(tcp, sock, dscp << 2)
        tcp.play(f"+0.01 < R 500:500(0)\n+0 > [tos {dscp << 2}] . 1:1(0) ack 1")


@pytest.mark.requirement("RFC9293-SHLD-22", "RFC9293-MUST-48")
def test_the_ecn_bits_are_not_the_users(tcp: Tcp) -> None:
    sock = tcp.established()
    set_tos(tcp, sock, 0x2B)
    sock.send(b"hello")
    tcp.play("+0 > [tos 0x28] P. 1:6(5) ack 1\n+0.1 < . 1:1(0) ack 6")


# -- time to live (§3.9.2) -------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-49")
def test_the_ttl_of_a_connection_can_be_set(tcp: Tcp) -> None:
    sock = tcp.socket()
    if tcp.version == 4:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 3)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 3)
    tcp.connect(sock=sock)
    tcp.play(
        """
        +0    > [ttl 3] S  0:0(0) <...>
        +0.01 < [ttl 9] S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > [ttl 3] .  1:1(0) ack 1
        """
    )
    sock.send(b"hello")
    tcp.play("+0 > [ttl 3] P. 1:6(5) ack 1\n+0.01 < . 1:1(0) ack 6")


@pytest.mark.requirement("RFC9293-MUST-49")
@pytest.mark.host(ip_default_ttl=17)
@pytest.mark.variants("v4")
def test_the_ttl_is_a_setting_of_the_host_as_well(tcp: Tcp) -> None:
    tcp.listen()
    tcp.play(
        """
        +0 < S 0:0(0) win 1000 <mss 1460>
        +0 > [ttl 17] S. 0:0(0) ack 1 <...>
        """
    )
    tcp.flow("b", local_port=81, remote_port=4000)
    tcp.play("+0 b< . 7:7(0) ack 9\n+0 b> [ttl 17] R 9:9(0) win 0")


@pytest.mark.parametrize("how", ["recv", "take_chunk", "MSG_TRUNC"])
def test_what_was_read_takes_no_memory(tcp: Tcp, how: str) -> None:
    sock = tcp.established()
    memory = tcp.host.shared.memory
    tcp.play("+0 < P. 1:1001(1000) ack 1\n+0..0.05 > . 1:1(0) ack 1001")
    assert memory.held_bytes == 1000
    if how == "recv":
        sock.recv(1000)
    elif how == "take_chunk":
        sock.take_chunk()
    else:
        sock.recv(1000, socket.MSG_TRUNC)
    assert memory.held_bytes == 0


def test_a_socket_can_be_written_to_until_its_buffer_is_full(tcp: Tcp) -> None:
    sock = tcp.established(win=0)
    assert sock.poll() & select.POLLOUT
    while True:
        try:
            sock.send(bytes(10_000))
        except BlockingIOError:
            break
    assert not sock.poll() & select.POLLOUT
    tcp.run(0.1)
