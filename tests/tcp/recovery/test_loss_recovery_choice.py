"""Which detector of losses a connection has, and what happens when it gets another one.

Segment n is octets 1460 (n - 1) + 1 to 1460 n.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from random import Random
from typing import ClassVar

import pytest

from pystack.parts import LossDetection, register_variant
from pystack.path.faults import Loss, Reordering
from pystack.path.link import Delay, Link
from pystack.sockets import Host
from pystack.sockets.constants import TCP_VARIANT
from pystack.tcp.scoreboard.scoreboard import Scoreboard
from tests.kit.flow import pattern
from tests.kit.pair import Pair
from tests.kit.tcp import Tcp
from tests.tcp.runs import MSS, acked, at, run, segments, sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno")


def out(tcp: Tcp) -> socket.socket:
    """Ten segments are out, and a round trip has passed; more wait."""
    sock = tcp.established(wscale=7, sack=True)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 60 * MSS)
    sock.send(tcp.data(40 * MSS))
    tcp.play(run(1, 10) + "+0.1 quiet")
    return sock


def choose(sock: socket.socket, name: str) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, TCP_VARIANT, f"loss_recovery={name}".encode())


# -- NewReno where SACK was agreed on --------------------------------------------------------------


@pytest.mark.host(tcp_loss_recovery="newreno")
def test_newreno_looks_at_no_block(tcp: Tcp) -> None:
    """1 and 5 are lost. One report of all the others is one duplicate ACK."""
    sock = out(tcp)
    tcp.play(acked(0, (6, 10), (2, 4)) + segments(11) + acked(0, (6, 10), (2, 4)) + segments(12))
    tcp.play(acked(0, (6, 11), (2, 4)) + segments(1) + "+0.05 quiet")
    assert sock.tcp_info().tcpi_snd_ssthresh == 5
    tcp.play(acked(4, (6, 12), wait="0.05") + segments(5))  # a partial ACK: the next hole
    tcp.play(acked(12, wait="0.1") + run(13, 14) + "+0 quiet")
    assert sock.tcp_info().tcpi_ca_state == 0


@pytest.mark.host(tcp_loss_recovery="newreno")
def test_we_report_what_came_out_of_order_all_the_same(tcp: Tcp) -> None:
    tcp.established(sack=True)
    tcp.play("+0 < . 101:201(100) ack 1\n+0 > . 1:1(0) ack 1 <nop,nop,sack 101:201>")


class Asked(LossDetection):
    """Marks nothing; what was in flight each time that it was asked."""

    flights: ClassVar[list[int]] = []

    def detect(self, board: Scoreboard, now_us: int) -> None:
        head, tail = board.head(), board.tail()
        self.flights.append(0 if head is None or tail is None else tail.end - head.start)


def test_a_users_detector_is_asked_after_each_ack_that_leaves_something_in_flight(
    tcp: Tcp,
) -> None:
    register_variant("loss_recovery", "asked", Asked)
    tcp.host.sysctl("tcp_loss_recovery", "asked")
    sock = tcp.established(sack=True)
    sock.send(tcp.data(4 * MSS))
    tcp.play(sent(1, at(5)) + "+0.1 quiet\n")
    Asked.flights.clear()
    tcp.play(acked(1) + acked(1, (3, 3)) + acked(4) + "+1 quiet")
    assert Asked.flights == [3 * MSS, 3 * MSS]


# -- another one in mid-connection -----------------------------------------------------------------


def test_from_rack_to_newreno_what_was_reported_is_forgotten(tcp: Tcp) -> None:
    sock = out(tcp)
    tcp.play(acked(0, (3, 4)) + run(11, 12))
    choose(sock, "newreno")
    assert sock.tcp_info().tcpi_sacked == 0
    tcp.play("+0.1 quiet\n")  # RACK would have looked again after 25 ms
    for _ in range(2):
        tcp.play(acked(0, (3, 12)))
    tcp.take()
    tcp.play(acked(0, (3, 12)) + segments(1))
    tcp.play(acked(1, (3, 12), wait="0.05") + segments(2))


def test_from_newreno_to_rack_one_report_is_enough(tcp: Tcp) -> None:
    sock = out(tcp)
    choose(sock, "newreno")
    tcp.play(acked(0, (3, 4)) + segments(11) + "+0 quiet")
    choose(sock, "rack")
    tcp.play(acked(0, (3, 7)) + segments(1))
    tcp.take()
    assert sock.tcp_info().tcpi_ca_state == 3


def test_from_rfc_6675_to_rack_the_end_is_probed(tcp: Tcp) -> None:
    sock = tcp.established(wscale=7, sack=True)
    choose(sock, "rfc6675")
    sock.send(tcp.data(2 * MSS))
    tcp.play(sent(1, at(3)) + acked(2, wait="0.1") + "+0 quiet")
    choose(sock, "rack")
    sock.send(tcp.data(2 * MSS, 2 * MSS))
    tcp.play(sent(at(3), at(5)) + sent(at(4), at(5), wait="0.202") + acked(4, wait="0.1"))


@pytest.mark.parametrize("old", ["rack", "rfc6675", "newreno"])
@pytest.mark.parametrize("new", ["rack", "rfc6675", "newreno"])
def test_a_recovery_that_was_begun_by_one_is_ended_by_another(
    tcp: Tcp, old: str, new: str
) -> None:
    """1 and 6 are lost; all else arrives."""
    sock = out(tcp)
    choose(sock, old)
    last = 10

    def news() -> list[int]:
        """The segments that leave now."""
        nonlocal last
        numbers = [tcp.flow("").our_number(packet.seq) // MSS + 1 for packet in tcp.take()]
        last = max([last, *numbers])
        return numbers

    for number in (3, 4, 5):
        tcp.play(acked(0, (2, number), wait="0.001"))
        news()
    assert sock.tcp_info().tcpi_ca_state == 3
    choose(sock, new)
    assert sock.tcp_info().tcpi_ca_state == 3
    before = last
    tcp.play(acked(0, (7, 10), (2, 5), wait="0.001"))
    repeated = 6 in news()
    tcp.play(acked(5, (7, before), wait="0.1"))
    assert 6 in news() or repeated
    tcp.play(acked(last, wait="0.1"))
    assert news()
    info = sock.tcp_info()
    assert (info.tcpi_ca_state, info.tcpi_snd_ssthresh, info.tcpi_lost) == (0, 5, 0)
    assert info.tcpi_total_retrans == 2


@pytest.mark.parametrize("seed", range(6))
def test_a_stream_arrives_whatever_is_chosen_while_segments_are_lost(seed: int) -> None:
    """Another one every 30 ms, while 4 % are lost and 4 % are late."""
    chance = Random(seed)
    hosts = [Host((f"198.18.0.{n}/24",), secret=b"%d" % n * 16) for n in (1, 2)]
    there = Link(Loss(0.04, chance), Reordering(0.04, chance), Delay(10_000))
    pair = Pair(hosts[0], hosts[1], there, Delay(10_000))
    listener = pair.far.socket()
    listener.bind(("", 80))
    listener.listen()
    sender = pair.near.socket()
    with suppress(BlockingIOError):
        sender.connect(("198.18.0.2", 80))
    assert pair.run(listener.poll, within_s=100)
    receiver, _ = listener.accept()
    data = pattern(0, 400_000)
    got = bytearray()
    done = 0
    chosen_at_us = pair.now_us

    def over() -> bool:
        nonlocal done, chosen_at_us
        if pair.now_us >= chosen_at_us + 30_000:
            chosen_at_us = pair.now_us
            choose(sender, chance.choice(["rack", "rfc6675", "newreno"]))
        with suppress(BlockingIOError):
            while done < len(data):
                done += sender.send(data[done:])
        with suppress(BlockingIOError):
            while part := receiver.recv(1 << 20):
                got.extend(part)
        return len(got) == len(data)

    assert pair.run(over, within_s=60)
    assert got == data
