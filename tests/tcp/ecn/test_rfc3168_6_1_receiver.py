"""RFC 3168 §6.1: what is ECT, and how a receiver tells of marks."""

from __future__ import annotations

import socket

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.ecn.classic_peer import MSS, asked

pytestmark = pytest.mark.host(tcp_ecn=1, tcp_congestion_control="reno")


# -- what is ECT ---------------------------------------------------------------------------------


def test_the_user_has_the_other_six_bits_of_tos(tcp: Tcp) -> None:
    sock = asked(tcp)
    if tcp.version == 4:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xB9)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0xB9)
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0 > [tos 0xba] P. 1:6(5) ack 1
        +0 < P. 1:11(10) ack 6
        +0 > [tos 0xb8] . 6:6(0) ack 11
        """
    )


@pytest.mark.requirement("RFC3168-S6.1.4-1")
def test_acks_fin_and_rst_without_text_are_not_ect(tcp: Tcp) -> None:
    sock = asked(tcp)
    tcp.play(
        """
        +0 < [ect0] P. 1:11(10) ack 1
        +0 > . 1:1(0) ack 11
        """
    )
    sock.recv(100)
    sock.shutdown(socket.SHUT_WR)
    tcp.play(
        """
        +0 > F. 1:1(0) ack 11
        +0 < . 11:11(0) ack 2
        +0 < [ect0] P. 11:21(10) ack 2
        +0 > . 2:2(0) ack 21
        """
    )
    sock.close()
    tcp.play("+0 > R. 2:2(0) ack 21")


@pytest.mark.requirement("RFC3168-S6.1.5-1")
def test_repeats_are_not_ect(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.send(tcp.data(MSS))
    tcp.play(
        """
        +0          > [ect0] P. 1:1461(1460) ack 1
        +0.2..2     > P. 1:1461(1460) ack 1
        +0.1        < . 1:1(0) ack 1461
        """
    )
    sock.send(tcp.data(5, MSS))
    tcp.play("+0 > [ect0] PW. 1461:1466(5) ack 1")


@pytest.mark.requirement("RFC3168-S6.1.6-1", "RFC3168-S6.1.2-2")
def test_probes_of_a_shut_window_have_neither_ect_nor_cwr(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.send(tcp.data(10))
    tcp.play(
        """
        +0     > [ect0] P. 1:11(10) ack 1
        +0.1   < .E 1:1(0) ack 11 win 0
        """
    )
    sock.send(tcp.data(10, 10))
    tcp.play(
        """
        +0.2..1 > . 10:10(0) ack 1
        +0.1    < . 1:1(0) ack 11 win 1000
        +0      > [ect0] PW. 11:21(10) ack 1
        """
    )


# -- the receiver --------------------------------------------------------------------------------


@pytest.mark.requirement("RFC3168-S6.1.3-1")
def test_from_a_mark_on_all_acks_have_ece_until_cwr(tcp: Tcp) -> None:
    sock = asked(tcp)
    tcp.play(
        """
        +0   < [ect0] P.  1:11(10) ack 1
        +0   > .  1:1(0) ack 11
        +0.1 < [ce]   P.  11:21(10) ack 1
        +0   > .E 1:1(0) ack 21
        +0.1 < [ect0] P.  21:31(10) ack 1
        +0   > .E 1:1(0) ack 31
        +0.1 < [ect0] P.  31:41(10) ack 1
        +0   > .E 1:1(0) ack 41
        """
    )
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0   > [ect0] P.E 1:6(5) ack 41
        +0.1 < [ect0] P.W 41:51(10) ack 6
        +0   > .  6:6(0) ack 51
        +0.1 < [ect0] P.  51:61(10) ack 6
        +0..0.3  > .  6:6(0) ack 61
        """
    )


@pytest.mark.requirement("RFC3168-S6.1.3-1")
def test_a_marked_segment_with_cwr_starts_the_echo_again(tcp: Tcp) -> None:
    _ = asked(tcp)
    tcp.play(
        """
        +0   < [ce]   P.  1:11(10) ack 1
        +0   > .E 1:1(0) ack 11
        +0.1 < [ce]   P.W 11:21(10) ack 1
        +0   > .E 1:1(0) ack 21
        +0.1 < [ect0] P.W 21:31(10) ack 1
        +0   > .  1:1(0) ack 31
        """
    )


@pytest.mark.requirement("RFC3168-S6.1.3-1")
def test_a_mark_is_echoed_at_once_though_acks_are_delayed(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    tcp.play(
        """
        +0    < [ect0] P. 1:11(10) ack 1
        +0.01 < [ce]   P. 11:21(10) ack 1
        +0    > .E 1:1(0) ack 21
        """
    )


@pytest.mark.requirement("RFC3168-S6.1.3-1")
def test_a_mark_on_what_comes_out_of_order_counts_too(tcp: Tcp) -> None:
    _ = asked(tcp)
    tcp.play(
        """
        +0   < [ce]   P. 11:21(10) ack 1
        +0   > .E 1:1(0) ack 1
        +0   < [ect0] P. 1:11(10) ack 1
        +0   > .E 1:1(0) ack 21
        """
    )


@pytest.mark.variants("ipv4-wrap-offload")
@pytest.mark.requirement("RFC3168-S6.1.3-1")
def test_a_run_that_offload_brings_is_marked_as_one(tcp: Tcp) -> None:
    _ = asked(tcp)
    tcp.play(
        """
        +0   < [ce, gso 1460] .   1:4381(4380) ack 1
        +0   > .E 1:1(0) ack 4381
        +0   < [ect0, gso 1460] .W 4381:7301(2920) ack 1
        +0   > .  1:1(0) ack 7301
        """
    )


@pytest.mark.requirement("RFC3168-S6.1.5-1")
def test_marks_outside_of_the_window_are_ignored(tcp: Tcp) -> None:
    _ = asked(tcp)
    tcp.play(
        """
        +0   < [ect0] P. 1:11(10) ack 1
        +0   > . 1:1(0) ack 11
        +0.1 < [ce] P. 1:11(10) ack 1
        +0   > . 1:1(0) ack 11
        +0.1 < [ce] . 900001:900011(10) ack 1
        +0   > . 1:1(0) ack 11
        """
    )


def test_marks_on_pure_acks_are_ignored(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0   > [ect0] P. 1:6(5) ack 1
        +0.1 < [ce] . 1:1(0) ack 6
        +0.1 < [ect0] P. 1:11(10) ack 6
        +0   > . 6:6(0) ack 11
        """
    )
