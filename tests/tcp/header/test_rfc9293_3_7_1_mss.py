"""RFC 9293 §3.7.1 and §3.9.1.2: the MSS option, and how large segments are. RFC 6691 as well."""

from __future__ import annotations

import socket

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import sent


@pytest.mark.requirement("RFC9293-MUST-14", "RFC9293-SHLD-5", "RFC9293-MUST-67", "RFC6691-S2-1")
def test_a_syn_announces_what_the_link_carries_less_the_fixed_headers(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play("+0 > S 0:0(0) win 64240 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>")


@pytest.mark.requirement("RFC9293-MUST-14", "RFC9293-SHLD-5", "RFC6691-S2-1")
def test_a_syn_ack_announces_it_whatever_the_peer_announces(tcp: Tcp) -> None:
    tcp.listen(80)
    tcp.play(
        """
        +0 < S  0:0(0) win 65535 <mss 1000,sackOK,TS val 700 ecr 0>
        +0 > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 700>
        """
    )


@pytest.mark.requirement("RFC9293-MAY-3")
@pytest.mark.host(mtu=576)
@pytest.mark.variants("v4")
def test_a_syn_carries_the_option_even_if_it_says_the_default(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play("+0 > S 0:0(0) <mss 536,...>")


@pytest.mark.requirement("RFC9293-MAY-3")
@pytest.mark.host(mtu=1280)
@pytest.mark.variants("v6")
def test_a_syn_carries_the_option_even_if_it_says_the_default_of_ipv6(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play("+0 > S 0:0(0) <mss 1220,...>")


@pytest.mark.requirement("RFC9293-MUST-67")
@pytest.mark.host(mtu=65535)
def test_on_the_largest_link_the_option_leaves_room_for_both_headers(tcp: Tcp) -> None:
    tcp.connect()
    mss = 65535 - (40 if tcp.version == 4 else 60)
    tcp.play(f"+0 > S 0:0(0) <mss {mss},...>")


@pytest.mark.requirement("RFC9293-SHLD-6")
def test_when_the_mtu_falls_the_next_syn_announces_less(tcp: Tcp) -> None:
    tcp.listen(80)
    tcp.play(
        """
        +0 < S  0:0(0) win 65535 <mss 1460>
        +0 > S. 0:0(0) ack 1 <mss 1460>
        """
    )
    tcp.host.set_mtu(1300)
    tcp.flow("b", remote_port=40_001, local_port=80)
    mss = 1300 - (40 if tcp.version == 4 else 60)
    tcp.play(
        f"""
        +0 b< S  0:0(0) win 65535 <mss 1460>
        +0 b> S. 0:0(0) ack 1 <mss {mss}>
        """
    )


@pytest.mark.requirement("RFC9293-MUST-15")
@pytest.mark.parametrize("passive", [True, False])
def test_a_peer_that_announces_nothing_gets_the_default(tcp: Tcp, passive: bool) -> None:
    sock = tcp.established(passive, mss=None)
    sock.send(tcp.data(3000))
    tcp.play(sent(1, 3001, 536 if tcp.version == 4 else 1220))


@pytest.mark.requirement("RFC9293-MUST-15")
def test_an_announcement_of_zero_is_none(tcp: Tcp) -> None:
    sock = tcp.established(mss=0)
    sock.send(tcp.data(3000))
    tcp.play(sent(1, 3001, 536 if tcp.version == 4 else 1220))


@pytest.mark.requirement("RFC9293-MUST-14")
@pytest.mark.parametrize("passive", [True, False])
@pytest.mark.parametrize("mss", [100, 1000])
def test_no_segment_is_larger_than_the_peer_announced(tcp: Tcp, passive: bool, mss: int) -> None:
    sock = tcp.established(passive, mss=mss)
    sock.send(tcp.data(9 * mss + 1))
    tcp.play(sent(1, 9 * mss + 2, mss))


@pytest.mark.requirement("RFC9293-MUST-16")
def test_a_peer_that_takes_more_than_the_link_gets_what_the_link_carries(tcp: Tcp) -> None:
    sock = tcp.established(mss=9000)
    sock.send(tcp.data(3000))
    tcp.play(sent(1, 3001, 1460))


@pytest.mark.requirement("RFC9293-MUST-16", "RFC6691-S2-1")
@pytest.mark.parametrize("mss", [1460, 1000])
def test_timestamps_are_paid_for_by_the_text(tcp: Tcp, mss: int) -> None:
    sock = tcp.established(mss=mss, ts=700)
    sock.send(tcp.data(mss))
    tcp.play(
        f"""
        +0 > . 1:{mss - 11}({mss - 12}) ack 1 <nop,nop,TS val 200 ecr 800>
        +0 > P. {mss - 11}:{mss + 1}(12) ack 1 <nop,nop,TS val 200 ecr 800>
        """
    )


@pytest.mark.requirement("RFC9293-MUST-16", "RFC6691-S2-1")
def test_sack_blocks_on_a_segment_are_paid_for_by_its_text(tcp: Tcp) -> None:
    sock = tcp.established(mss=1460, ts=700, sack=True)
    tcp.play(
        """
        +0 < . 101:201(100) ack 1 <nop,nop,TS val 800 ecr 200>
        +0 > . 1:1(0) ack 1 <nop,nop,TS val 200 ecr 800,nop,nop,sack 101:201>
        """
    )
    sock.send(tcp.data(1460))
    tcp.play(
        """
        +0 > . 1:1437(1436) ack 1 <nop,nop,TS val 200 ecr 800,nop,nop,sack 101:201>
        +0 > P. 1437:1461(24) ack 1 <nop,nop,TS val 200 ecr 800,nop,nop,sack 101:201>
        """
    )


@pytest.mark.requirement("RFC9293-MUST-16")
def test_the_users_maximum_holds_in_both_directions(tcp: Tcp) -> None:
    sock = tcp.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 700)
    tcp.connect(sock=sock)
    tcp.play(
        """
        +0   > S  0:0(0) <mss 700,...>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .  1:1(0) ack 1
        """
    )
    sock.send(tcp.data(1500))
    tcp.play(sent(1, 1501, 700))


def test_an_announcement_below_tcp_min_snd_mss_is_taken_as_that(tcp: Tcp) -> None:
    """As Linux, where segments of a few octets were a way to exhaust a sender (CVE-2019-11479)."""
    sock = tcp.established(mss=10)
    sock.send(tcp.data(100))
    tcp.play(sent(1, 101, 48))


@pytest.mark.requirement("RFC9293-MUST-65")
def test_the_option_of_a_data_segment_means_nothing(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play(
        """
        +0 < . 1:2(1) ack 1 <mss 100>
        +0 > . 1:1(0) ack 2
        """
    )
    sock.send(tcp.data(1500))
    tcp.play(sent(1, 1501, 1460, ack=2))


@pytest.mark.requirement("RFC9293-MUST-65")
def test_no_segment_after_the_handshake_carries_the_option(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(1000))
    tcp.play(
        """
        +0    > P. 1:1001(1000) ack 1
        +0.3  > P. 1:1001(1000) ack 1
        +0.05 < P. 1:101(100) ack 1001
        +0    > .  1001:1001(0) ack 101
        +0    < P. 201:301(100) ack 1001
        +0    > .  1001:1001(0) ack 101
        +0    < .  101:201(100) ack 1001
        +0    > .  1001:1001(0) ack 301
        """
    )
    assert len(sock.recv(1000)) == 300
    sock.close()
    tcp.play(
        """
        +0    > F. 1001:1001(0) ack 301
        +0.1  < F. 301:301(0) ack 1002
        +0    > .  1002:1002(0) ack 302
        """
    )


@pytest.mark.requirement("RFC9293-SHLD-28")
def test_writes_of_odd_sizes_leave_as_full_segments(tcp: Tcp) -> None:
    sock = tcp.established()
    for written in range(0, 11 * 777, 777):
        sock.send(tcp.data(777, written))
    tcp.play(sent(1, 11 * 777 + 1))


@pytest.mark.requirement("RFC9293-SHLD-28")
def test_room_that_is_no_multiple_of_a_segment_is_not_filled_up(tcp: Tcp) -> None:
    sock = tcp.established(win=4000)
    sock.send(tcp.data(6 * 1460))
    tcp.play(sent(1, 2921, push=False))
    tcp.play("+0.01 < . 1:1(0) ack 1461 win 4000\n" + sent(2921, 4381, push=False))
    tcp.play("+0.01 < . 1:1(0) ack 2921 win 3700\n" + sent(4381, 5841, push=False))
    tcp.play("+0.01 < . 1:1(0) ack 5841 win 4000\n" + sent(5841, 8761))


@pytest.mark.requirement("RFC9293-SHLD-28")
def test_writes_while_the_window_is_full_are_merged(tcp: Tcp) -> None:
    sock = tcp.established(win=2920)
    sock.send(tcp.data(2920))
    tcp.play(sent(1, 2921))
    for written in range(2920, 2920 + 4 * 777, 777):
        sock.send(tcp.data(777, written))
        tcp.quiet(0.01)
    tcp.play("+0 < . 1:1(0) ack 2921 win 10000" + "\n" + sent(2921, 2921 + 4 * 777))
