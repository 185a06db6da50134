"""RFC 9293 §3.5: simultaneous open, old duplicates, and what an active open may ask for."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from tests.kit.packets.errnos import fails_with
from tests.kit.tcp import Tcp

SYN = "S 0:0(0) win 64240 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>"


def error_of(sock: Any) -> int:
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    assert isinstance(number, int)
    return number


@pytest.mark.requirement("RFC9293-MUST-10")
def test_crossed_syns_make_one_connection(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        f"""
        +0     > {SYN}
        +0.01  < S  0:0(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 win 64240 <mss 1460>
        +0.01  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0     > .  1:1(0) ack 1
        """
    )
    assert tcp.state() == "ESTABLISHED"
    assert error_of(sock) == 0
    sock.send(b"hello")
    tcp.play(
        """
        +0     > P. 1:6(5) ack 1
        +0.01  < P. 1:11(10) ack 6
        +0     > .  6:6(0) ack 11
        """
    )
    assert sock.recv(100) == tcp.data(10)


@pytest.mark.requirement("RFC9293-MUST-10")
def test_crossed_syns_also_end_with_a_plain_ack(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play(
        f"""
        +0     > {SYN}
        +0.01  < S  0:0(0) win 65535 <mss 1460,sackOK,TS val 700 ecr 0,nop,wscale 7>
        +0     > S. 0:0(0) ack 1 win * <mss 1460,sackOK,TS val 110 ecr 700,nop,wscale 7>
        +0.01  < .  1:1(0) ack 1 win 512 <nop,nop,TS val 710 ecr 110>
        +1     quiet
        """
    )
    assert tcp.state() == "ESTABLISHED"


@pytest.mark.requirement("RFC9293-MUST-10")
def test_a_lost_syn_ack_of_a_simultaneous_open_is_repeated(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play(
        f"""
        +0      > {SYN}
        +0.01   < S  0:0(0) win 65535 <mss 1460>
        +0      > S. 0:0(0) ack 1 <mss 1460>
        +0.9..1 > S. 0:0(0) ack 1 <mss 1460>
        +0.01   < .  1:1(0) ack 1
        """
    )
    tcp.quiet(1)
    assert tcp.state() == "ESTABLISHED"


@pytest.mark.requirement("RFC9293-MUST-10")
def test_the_state_diagram_of_a_simultaneous_open(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play(
        f"""
        +0     > {SYN}
        +0.01  < S  0:0(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 <mss 1460>
        +0.01  < .  1:1(0) ack 1
        +0     quiet
        """
    )
    assert tcp.history() == ["CLOSED", "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED"]


@pytest.mark.requirement("RFC9293-MUST-11")
def test_a_reset_in_syn_received_of_an_active_open_is_a_refusal(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        f"""
        +0     > {SYN}
        +0.01  < S  0:0(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 <mss 1460>
        +0.01  < R. 1:1(0) ack 1 win 0
        +10    quiet
        """
    )
    assert tcp.state() == "CLOSED"
    assert error_of(sock) == errno.ECONNREFUSED


@pytest.mark.requirement("RFC9293-S3.5-2")
def test_an_old_duplicate_syn_ack_is_reset_and_the_real_one_connects(tcp: Tcp) -> None:
    # RFC 9293 figure 9, seen from the side that opens
    sock = tcp.connect()
    tcp.play(
        f"""
        +0     > {SYN}
        +0.01  < S. 300:300(0) ack -90 win 65535 <mss 1460>
        +0     > R  -90:-90(0) win 0
        """
    )
    tcp.play("+0 < S. 0:0(0) ack 1 win 65535 <mss 1460>\n+0 > . 1:1(0) ack 1")
    assert error_of(sock) == 0


@pytest.mark.requirement("RFC9293-S3.5-2")
def test_an_old_duplicate_syn_is_given_up_when_the_peer_resets(tcp: Tcp) -> None:
    # RFC 9293 figure 9, seen from the side that listens
    listener = tcp.listen()
    tcp.play(
        """
        +0     < S  -5000:-5000(0) win 65535 <mss 1460>        # the old duplicate
        +0     > S. 0:0(0) ack -4999 <mss 1460>
        +0.01  < R  -4999:-4999(0) win 0
        """
    )
    tcp.quiet(0)
    tcp.default.restart()
    tcp.established(listener=listener)


@pytest.mark.requirement("RFC9293-S3.5-2")
def test_half_open_discovery_the_peer_has_forgotten_the_connection(tcp: Tcp) -> None:
    # RFC 9293 figure 10: the peer crashed and opens again; its RST ends our half
    sock = tcp.established(rtt=0.01)
    tcp.play(
        """
        +1     < S  400000:400000(0) win 65535 <mss 1460>
        +0     > .  1:1(0) ack 1
        +0.01  < R  1:1(0) win 0
        """
    )
    tcp.quiet(1)
    with fails_with(errno.ECONNRESET):
        sock.recv(1)


# -- addresses -------------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-44")
def test_the_source_of_a_syn_is_chosen_by_the_route(tcp: Tcp) -> None:
    sock = tcp.connect()
    (syn,) = tcp.take()
    assert syn.src == tcp.packed(tcp.local)
    assert sock.getsockname()[0] == tcp.local


@pytest.mark.requirement("RFC9293-MUST-45")
def test_the_local_address_stays_the_same_all_through(tcp: Tcp) -> None:
    # the kit compares the 4-tuple of each segment
    sock = tcp.established(passive=False, rtt=0.01)
    before = sock.getsockname()
    sock.send(tcp.data(2000))
    sock.shutdown(socket.SHUT_WR)
    sent = tcp.take() + tcp.run(2)
    assert {packet.src for packet in sent} == {tcp.packed(tcp.local)}
    assert sock.getsockname() == before


@pytest.mark.requirement("RFC9293-MUST-46")
@pytest.mark.variants("v4")
@pytest.mark.parametrize("address", ["255.255.255.255", "224.0.0.1", "239.1.2.3", "192.0.2.255"])
def test_an_open_to_broadcast_or_multicast_is_refused_at_once(tcp: Tcp, address: str) -> None:
    with fails_with(errno.ENETUNREACH, errno.EACCES, errno.EINVAL):
        tcp.socket().connect((address, 80))
    tcp.quiet(5)


@pytest.mark.requirement("RFC9293-MUST-46")
@pytest.mark.variants("v6")
@pytest.mark.parametrize("address", ["ff02::1", "ff0e::1234", "ff05::2"])
def test_an_open_to_ipv6_multicast_is_refused_at_once(tcp: Tcp, address: str) -> None:
    with fails_with(errno.ENETUNREACH, errno.EINVAL):
        tcp.socket().connect((address, 80, 0, 0))
    tcp.quiet(5)


# -- how long it is tried ------------------------------------------------------------------------

SYN_TIMES = (1, 1, 1, 1, 1, 2, 4, 8, 16, 32)


@pytest.mark.deviation("RFC9293-MUST-23")
@pytest.mark.requirement("RFC9293-MUST-22")
def test_an_unanswered_syn_is_repeated_as_linux_does_and_given_up_after_its_time(
    tcp: Tcp,
) -> None:
    # Linux 6.18 measured: SYNs after 0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 68 s, ETIMEDOUT at 134 s
    sock = tcp.connect()
    options = "<mss 1460,sackOK,TS val * ecr 0,nop,wscale 7>"
    lines = [f"+0 > {SYN}"] + [f"+{gap} > S 0:0(0) win 64240 {options}" for gap in SYN_TIMES]
    tcp.play("\n".join(lines))
    tcp.quiet(60)
    assert tcp.state() == "SYN_SENT"
    tcp.quiet(10)
    assert tcp.state() == "CLOSED"
    assert error_of(sock) == errno.ETIMEDOUT


@pytest.mark.requirement("RFC9293-MUST-22")
@pytest.mark.parametrize(("count", "gaps", "end"), [(1, (1, 1), 1), (2, (1, 1, 1, 1, 1), 2)])
def test_how_long_to_try_can_be_set_for_one_socket(
    tcp: Tcp, count: int, gaps: tuple[int, ...], end: int
) -> None:
    # Linux: it is given up at the first timer after 2**(count + 1) - 1 seconds
    sock = tcp.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, count)
    tcp.connect(sock=sock)
    tcp.play(f"+0 > {SYN}")
    tcp.play("\n".join(f"+{gap} > S 0:0(0) <mss 1460,...>" for gap in gaps))
    tcp.quiet(end - 0.1)
    assert error_of(sock) == 0
    tcp.quiet(0.2)
    assert error_of(sock) == errno.ETIMEDOUT


@pytest.mark.host(tcp_synack_retries=1)
def test_who_waits_for_data_repeats_no_syn_ack_that_was_acknowledged(tcp: Tcp) -> None:
    """TCP_DEFER_ACCEPT: one more for a last chance when the time is up, as in Linux; the record is
    kept that long though the repeats of a SYN,ACK would be over."""
    listener = tcp.listen()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 7)
    tcp.play(
        """
        +0     < S  0:0(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 1 <...>
        +0.01  < .  1:1(0) ack 1
        +6.98  quiet
        +0.01  > S. 0:0(0) ack 1 <...>
        """
    )
    with fails_with(errno.EAGAIN):
        listener.accept()
    tcp.play("+0.01 < . 1:1(0) ack 1\n+0 quiet")
    listener.accept()
    assert tcp.state() == "ESTABLISHED"


def test_two_sockets_may_share_a_port_until_one_listens(tcp: Tcp) -> None:
    socks = [tcp.socket() for _ in range(2)]
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", 5000))
    socks[0].listen(1)
    with fails_with(errno.EADDRINUSE):
        socks[1].listen(1)
