"""RFC 6429: a connection that a peer keeps in zero window is its user's to end, and only his."""

from __future__ import annotations

import socket
import struct

import pytest

from tests.kit.tcp import Tcp


def stuck(tcp: Tcp) -> socket.socket:
    """A connection with five octets acknowledged, five waiting and the window closed."""
    sock: socket.socket = tcp.established(rtt=0.01)
    sock.send(b"hello")
    tcp.play("+0 > P. 1:6(5) ack 1\n+0.01 < . 1:1(0) ack 6 win 0\n+0 quiet")
    sock.send(b"world")
    return sock


def answer_probes(tcp: Tcp, seconds: float) -> int:
    """The peer answers every probe, its window stays closed; how many probes came."""
    until = tcp.now + seconds
    count = 0
    while True:
        deadline = tcp.host.next_deadline()
        ahead = (deadline - tcp.now_us) / 1e6 if deadline else seconds
        if tcp.now + ahead > until:
            return count
        for packet in tcp.run(max(ahead, 0)):
            assert packet.payload == b""
            assert not packet.flags & 0b111
            count += 1
            tcp.play("+0 < . 1:1(0) ack 6 win 0\n+0 quiet")


@pytest.mark.requirement("RFC6429-S4-1")
def test_a_peer_that_answers_is_never_given_up(tcp: Tcp) -> None:
    sock = stuck(tcp)
    assert 700 < answer_probes(tcp, 86_400) < 760  # one in two minutes
    assert tcp.state() == "ESTABLISHED"
    tcp.play("+0 < . 1:1(0) ack 6 win 1000\n+0 > P. 6:11(5) ack 1\n+0.01 < . 1:1(0) ack 11")
    sock.send(b"!")
    tcp.play("+0 > P. 11:12(1) ack 1\n+0.01 < . 1:1(0) ack 12")


@pytest.mark.requirement("RFC6429-S4-1")
def test_the_user_can_abort_a_stuck_connection(tcp: Tcp) -> None:
    sock = stuck(tcp)
    answer_probes(tcp, 100)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    tcp.play("+0 > R. 6:6(0) ack 1\n+1000 quiet")
    assert tcp.state() == "CLOSED"


@pytest.mark.requirement("RFC6429-S4-1")
def test_an_orphan_whose_probes_stay_unanswered_goes(tcp: Tcp) -> None:
    """Nobody will come back for it: tcp_orphan_retries, 8 as in Linux."""
    sock = stuck(tcp)
    sock.close()
    packets = tcp.run(3600)
    assert tcp.state() == "CLOSED"
    assert 7 <= len(packets) <= 9
    if not hasattr(tcp.host, "fd"):
        assert tcp.host.shared.memory.held_bytes == 0
    tcp.quiet(3600)


@pytest.mark.requirement("RFC6429-S4-1")
def test_an_orphan_goes_though_its_peer_answers_once_probes_are_two_minutes_apart(
    tcp: Tcp,
) -> None:
    sock = stuck(tcp)
    sock.close()
    assert answer_probes(tcp, 86_400) <= 12
    assert tcp.state() == "CLOSED"
    if not hasattr(tcp.host, "fd"):
        assert tcp.host.shared.memory.held_bytes == 0


@pytest.mark.requirement("RFC6429-S4-1")
def test_an_orphan_can_still_be_ended_by_its_host(tcp: Tcp) -> None:
    sock = stuck(tcp)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
    sock.close()
    tcp.run(200)
    assert tcp.state() == "CLOSED"
