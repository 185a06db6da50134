"""RFC 7323 §2: the window scale option."""

from __future__ import annotations

import socket

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno")


# -- §2.2: agreeing ---------------------------------------------------------------------------


@pytest.mark.requirement("RFC7323-S2.2-1")
@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ("mss 1460", "mss 1460"),
        ("mss 1460,nop,wscale 0", "mss 1460,nop,wscale 7"),
        ("mss 1460,nop,wscale 9", "mss 1460,nop,wscale 7"),
        ("mss 1460,sackOK,TS val 700 ecr 0", "mss 1460,sackOK,TS val 100 ecr 700"),
        (
            "mss 1460,sackOK,TS val 700 ecr 0,nop,wscale 2",
            "mss 1460,sackOK,TS val 100 ecr 700,nop,wscale 7",
        ),
    ],
)
def test_a_syn_ack_scales_only_if_the_syn_did(tcp: Tcp, offered: str, answered: str) -> None:
    tcp.listen()
    tcp.play(
        f"""
        +0 < S  0:0(0) win 65535 <{offered}>
        +0 > S. 0:0(0) ack 1 <{answered}>
        """
    )


@pytest.mark.requirement("RFC7323-S2.2-1")
def test_when_the_peer_does_not_scale_both_windows_are_taken_raw(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        """
        +0   > S  0:0(0) win 64240 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>
        +0.1 < S. 0:0(0) ack 1 win 2920 <mss 1460>
        +0   > .  1:1(0) ack 1 win 64240..
        """
    )
    sock.send(tcp.data(14600))
    tcp.play(
        """
        +0   > .  1:1461(1460) ack 1 win 64240..
        +0   > .  1461:2921(1460) ack 1
        +0.1 < .  1:1(0) ack 2921 win 1460
        +0   > .  2921:4381(1460) ack 1
        +0.1 quiet
        """
    )


@pytest.mark.requirement("RFC7323-S2.2-1")
@pytest.mark.host(tcp_window_scaling=0)
def test_when_we_do_not_scale_the_peers_option_means_nothing(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0   < S  0:0(0) win 65535 <mss 1460,nop,wscale 7>
        +0   > S. 0:0(0) ack 1 win 64240 <mss 1460>
        +0.1 < .  1:1(0) ack 1 win 2920
        +0   quiet
        """
    )
    sock, _ = listener.accept()
    sock.send(tcp.data(14600))
    tcp.play(sent(1, 2921, push=False))
    tcp.quiet(0.1)


@pytest.mark.requirement("RFC7323-S2.2-1")
@pytest.mark.host(tcp_window_scaling=0, tcp_timestamps=0, tcp_sack=0)
def test_with_scaling_off_our_syn_has_no_option(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play(
        """
        +0   > S  0:0(0) win 64240 <mss 1460>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale 7>
        +0   > .  1:1(0) ack 1 win 64240..
        """
    )


@pytest.mark.requirement("RFC7323-S2.2-2")
def test_the_window_of_a_syn_ack_is_not_scaled(tcp: Tcp) -> None:
    sock = tcp.established(passive=False, wscale=7, win=2920)
    sock.send(tcp.data(14600))
    tcp.play(sent(1, 2921, push=False))
    tcp.quiet(0.1)
    tcp.play("+0 < . 1:1(0) ack 2921 win 64\n" + sent(2921, 10221, push=False))  # 8192 octets
    tcp.quiet(0.1)


@pytest.mark.requirement("RFC7323-S2.2-2")
@pytest.mark.parametrize(
    ("rcvbuf", "window", "count"), [(4096, 2920, 0), (131_072, 65535, 2), (4_194_304, 65535, 7)]
)
def test_our_syn_offers_at_most_65535_and_a_count_for_the_buffer_that_was_set(
    tcp: Tcp, rcvbuf: int, window: int, count: int
) -> None:
    sock = tcp.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    tcp.connect(sock=sock)
    tcp.play(f"+0 > S 0:0(0) win {window} <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale {count}>")


@pytest.mark.requirement("RFC7323-S2.2-3")
@pytest.mark.parametrize("agreed", [None, 2])
def test_the_option_on_a_segment_without_syn_means_nothing(tcp: Tcp, agreed: int | None) -> None:
    sock = tcp.established(wscale=agreed, win=2920)
    tcp.play(
        """
        +0 < . 1:101(100) ack 1 win 2920 <nop,wscale 1>
        +0 > . 1:1(0) ack 101
        """
    )
    sock.send(tcp.data(14600))
    window = 2920 << (agreed or 0)
    tcp.play(sent(1, window + 1, push=False, ack=101))
    tcp.quiet(0.1)


# -- §2.3: using -----------------------------------------------------------------------------------


@pytest.mark.requirement("RFC7323-S2.3-1")
def test_incoming_windows_are_shifted_left_by_the_peers_count(tcp: Tcp) -> None:
    sock = tcp.established(mss=1280, wscale=7, win=20)
    sock.send(tcp.data(12800))
    tcp.play(sent(1, 2561, 1280, push=False))
    tcp.play("+0.1 < . 1:1(0) ack 2561 win 30\n" + sent(2561, 6401, 1280, push=False))
    tcp.quiet(0.1)


@pytest.mark.requirement("RFC7323-S2.3-1", "RFC7323-S2.2-2")
@pytest.mark.parametrize("passive", [True, False])
def test_outgoing_windows_are_shifted_right_by_our_count(tcp: Tcp, passive: bool) -> None:
    tcp.established(passive, wscale=0)
    tcp.play(
        """
        +0 < P. 1:129(128) ack 1
        +0 > .  1:1(0) ack 129 win 500..512
        """
    )


@pytest.mark.requirement("RFC7323-S2.3-2")
@pytest.mark.host(tcp_initial_cwnd=64)
@pytest.mark.parametrize("passive", [True, False])
def test_a_peers_count_of_15_is_taken_as_14(tcp: Tcp, passive: bool) -> None:
    sock = tcp.established(passive, mss=1024, wscale=15, win=1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    sock.send(tcp.data(65536))
    if not passive:  # the window of the SYN,ACK was one octet
        tcp.quiet(0.1)
        tcp.play("+0 < . 1:1(0) ack 1 win 1")
    tcp.play(sent(1, 16385, 1024, push=False))
    tcp.quiet(0.1)


@pytest.mark.requirement("RFC7323-S2.3-2")
@pytest.mark.parametrize(("most", "count"), [(6_291_456, 7), (33_554_432, 10), (2**31 - 1, 14)])
def test_our_own_count_follows_the_largest_buffer_and_stops_at_14(
    tcp: Tcp, most: int, count: int
) -> None:
    tcp.host.sysctl("tcp_rmem", f"4096 65535 {most}")
    tcp.connect()
    tcp.play(f"+0 > S 0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale {count}>")


# -- §2.4: rounding ----------------------------------------------------------------------------


@pytest.mark.requirement("RFC7323-S2.4-1")
def test_every_octet_promised_by_a_rounded_window_is_taken(tcp: Tcp) -> None:
    sock = tcp.established(wscale=7)
    tcp.play("+0 < . 1:101(100) ack 1")
    promised = 0
    at = 101
    for size in (1460, 1, 127, 1000, 1459, 77):
        (ack,) = tcp.take()
        promised = tcp.flow("").their_number(ack.ack) + (ack.window << 7)
        tcp.play(f"+0.01 < . {at}:{at + size}(size) ack 1".replace("(size)", f"({size})"))
        at += size
    tcp.take()
    # up to the edge that the last but one ACK promised, the very last octet first
    tcp.inject(tcp.segment(f". {promised - 1}:{promised}(1) ack 1"))
    tcp.run(0.5)
    while at < promised - 1:
        size = min(1460, promised - 1 - at)
        tcp.inject(tcp.segment(f". {at}:{at + size}({size}) ack 1"))
        tcp.run(0.5)
        at += size
    assert sock.recv(1_000_000) == tcp.data(promised - 1)
    tcp.run(0)
