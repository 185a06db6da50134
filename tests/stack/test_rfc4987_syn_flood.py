"""RFC 4987: a flood of SYNs holds little memory and does not lock out real clients for long."""

from __future__ import annotations

import ipaddress
import tracemalloc

import pytest

from tests.kit.tcp import Tcp

SYN = "S 0:0(0) win 1000 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>"
once = pytest.mark.variants("ipv4", "ipv6-wrap")


def syns(tcp: Tcp, count: int, first: int = 0) -> list[bytes]:
    """SYNs from so many addresses that never answer."""
    base = int(ipaddress.ip_address("198.51.0.0" if tcp.version == 4 else "2001:db8:bad::"))
    return [
        tcp.segment(SYN, **{"from": str(ipaddress.ip_address(base + number)), "sport": 5 + number})
        for number in range(first + 1, first + count + 1)
    ]


def flood(tcp: Tcp, count: int) -> None:
    packets = syns(tcp, count)
    for at in range(0, count, 64):
        tcp.inject(*packets[at : at + 64])
        tcp.take()


def connects(tcp: Tcp, flow: str) -> None:
    tcp.play(f"+0 {flow}< S 0:0(0) win 1000 <mss 1460>\n+0 {flow}> S. 0:0(0) ack 1 <...>")
    tcp.play(f"+0.01 {flow}< . 1:1(0) ack 1\n+0 quiet")


@pytest.mark.requirement("RFC4987-S3.5-1")
@once
def test_half_open_connections_are_bounded_by_the_backlog(tcp: Tcp) -> None:
    tcp.listen(backlog=32)
    flood(tcp, 300)
    assert tcp.host.counters.out_packets == 32
    assert len(tcp.run(300)) == 32 * 5  # each is repeated until it is given up, no other ever
    assert tcp.host.counters.as_dict()["dropped_syn_queue_full"] == 268
    assert not tcp.host.connections


@pytest.mark.requirement("RFC4987-S3.5-1")
@pytest.mark.host(tcp_max_syn_backlog=16)
@once
def test_the_bound_of_a_host_holds_for_a_listener_with_a_large_backlog(tcp: Tcp) -> None:
    tcp.listen(backlog=1000)
    flood(tcp, 200)
    assert tcp.host.counters.out_packets == 16
    tcp.run(300)


@pytest.mark.requirement("RFC4987-S3.5-1")
@once
def test_handshakes_that_are_complete_leave_the_bound_as_it_is(tcp: Tcp) -> None:
    listener = tcp.listen(backlog=32)
    for number in range(3):
        tcp.flow(str(number), remote_port=1000 + number)
        connects(tcp, str(number))
        listener.accept()
    before = tcp.host.counters.out_packets
    flood(tcp, 300)
    assert tcp.host.counters.out_packets - before == 32
    tcp.run(300)


@pytest.mark.requirement("RFC4987-S3.5-1")
@once
def test_established_connections_and_other_ports_do_not_notice(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    other = tcp.listen(81)
    flood(tcp, 500)
    tcp.play('+0 < P. 1:6(5) ack 1 "hello"\n+0 > . 1:1(0) ack 6')
    assert sock.recv(100) == b"hello"
    tcp.flow("c", local_port=81)
    connects(tcp, "c")
    assert other.accept()
    tcp.run(300)


@pytest.mark.deviation("RFC4987-S3.5-1")
@pytest.mark.requirement("RFC4987-S3.5-1")
@once
def test_a_real_client_gets_in_once_the_flood_is_over(tcp: Tcp) -> None:
    """Its SYNs are dropped in silence, so it repeats them, and one of them finds room."""
    listener = tcp.listen(backlog=8)
    flood(tcp, 500)
    tries = 0
    while True:
        tries += 1
        tcp.inject(tcp.segment("S 0:0(0) win 1000 <mss 1460>"))
        if any(packet.dst_port == tcp.default.remote_port for packet in tcp.take()):
            break
        tcp.run(8)
        assert tcp.now < 70
    assert 1 < tries < 10
    tcp.play("+0.01 < . 1:1(0) ack 1\n+0 quiet")
    assert listener.accept()
    tcp.run(300)


@pytest.mark.requirement("RFC4987-S3.5-1")
@once
def test_a_half_open_connection_costs_little(tcp: Tcp) -> None:
    listener = tcp.listen(backlog=2000)
    flood(tcp, 10)
    packets = syns(tcp, 500, 10)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tcp.host.receive([(packet, 0, 0) for packet in packets], tcp.now_us)
        cost = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(tcp.take()) == 500
    assert len(tcp.host.connections) == 510
    assert cost / 500 < 1500  # octets each
    listener.close()
    assert not tcp.host.connections
    tcp.quiet(300)


@pytest.mark.requirement("RFC4987-S3.6-2")
@once
def test_text_on_a_syn_is_neither_kept_nor_acknowledged(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0    < S  0:500(500) win 1000 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.01 < .  1:1(0) ack 1
        +0    < P. 1:501(500) ack 1
        +0    > .  1:1(0) ack 501
        """
    )
    assert len(listener.accept()[0].recv(1000)) == 500
