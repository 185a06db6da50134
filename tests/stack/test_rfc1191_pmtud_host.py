"""Path MTU discovery of a whole host: RFC 1191 for IPv4, RFC 8201 for IPv6.

Segment sizes are the same in both families: MTUs are given as the payload that fits.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from tests.kit.packets.decode import Packet
from tests.kit.tcp import Tcp

IP_MTU, IPV6_MTU = 14, 24
IP_MTU_DISCOVER, DONT = 10, 0
MINUTE = 60
both = pytest.mark.variants("ipv4", "ipv6", "ipv4-wrap-offload", "ipv6-wrap-offload")


def mtu(tcp: Tcp, payload: int) -> int:
    """The MTU that carries segments of so many octets."""
    return payload + (40 if tcp.version == 4 else 60)


def path_mtu(tcp: Tcp, sock: Any) -> int:
    """As the socket reports it."""
    if tcp.version == 4:
        return int(sock.getsockopt(socket.IPPROTO_IP, IP_MTU))
    return int(sock.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU))


def pieces(start: int, end: int, size: int, push: bool = False) -> str:
    """Lines for octets `start` to `end`, sent now in segments of `size`."""
    lines = []
    for at in range(start, end, size):
        upto = min(at + size, end)
        flags = "P." if push and upto == end else ". "
        lines.append(f"+0 > {flags} {at}:{upto}({upto - at}) ack 1")
    return "\n".join(lines)


def with_data_out(tcp: Tcp, segments: int = 10, **options: Any) -> Any:
    """A connection with an initial window of full segments in flight, and more to send."""
    sock = tcp.established(**options)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
    sock.send(tcp.data(1460 * segments + 5000))
    assert [len(packet.payload) for packet in tcp.take()] == [1460] * segments
    return sock


def sizes(packets: list[Packet]) -> set[int]:
    return {len(packet.payload) for packet in packets}


# -- DF ------------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC1191-S2-1")
@pytest.mark.variants("v4")
def test_every_segment_of_a_connection_has_df(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        """
        +0   > [df] S  0:0(0) <...>
        +1   > [df] S  0:0(0) <...>
        +0   < S. 0:0(0) ack 1 <mss 1460>
        +0   > [df] .  1:1(0) ack 1
        """
    )
    sock.send(b"hello")
    tcp.play("+0 > [df] P. 1:6(5) ack 1\n+0.1..9 > [df] P. 1:6(5) ack 1\n+0 < . 1:1(0) ack 6")
    sock.close()
    tcp.play(
        """
        +0   > [df] F. 6:6(0) ack 1
        +0   < F. 1:1(0) ack 7
        +0   > [df] .  7:7(0) ack 2
        +0   < F. 1:1(0) ack 7
        +0   > [df] .  7:7(0) ack 2
        """
    )


@pytest.mark.requirement("RFC1191-S2-1")
@pytest.mark.variants("v4")
def test_the_answers_to_strangers_and_to_a_syn_have_df(tcp: Tcp) -> None:
    tcp.listen()
    tcp.flow("b", local_port=81)
    tcp.play(
        """
        +0 <  S  0:0(0) win 1000 <mss 1460>
        +0 >  [df] S. 0:0(0) ack 1 <...>
        +1 >  [df] S. 0:0(0) ack 1 <...>
        +0 b< S  0:0(0)
        +0 b> [df] R. =0:=0(0) ack 1
        """
    )


@pytest.mark.requirement("RFC6864-S4.3-1", "RFC9293-MAY-4")
@pytest.mark.variants("v4")
def test_without_discovery_packets_may_be_fragmented_and_each_has_an_id_of_its_own(
    tcp: Tcp,
) -> None:
    tcp.usual["df"] = 0
    sock = tcp.socket()
    sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, DONT)
    tcp.established(False, sock=sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
    sock.send(tcp.data(50_000))
    packets = tcp.take()
    for number in range(1, 10):
        tcp.play(f"+0.1 < . 1:1(0) ack {1 + 1460 * 3 * number}")
        packets += tcp.take()
    packets += tcp.run(30)  # and repeats
    assert len(packets) > 30
    assert not any(packet.df for packet in packets)
    idents = [packet.ident for packet in packets]
    assert len(set(idents)) == len(idents)


# -- a message lowers the path MTU ----------------------------------------------------------------


@pytest.mark.requirement("RFC1191-S3-1", "RFC8201-S5.4-1", "RFC1191-S6.4-1")
@both
def test_what_is_in_flight_is_sent_again_in_segments_that_fit(tcp: Tcp) -> None:
    sock = with_data_out(tcp, 10)
    tcp.play(f"+0.05 < icmp frag_needed mtu {mtu(tcp, 1260)} [1:1461(1460)]")
    tcp.play(pieces(1, 14_601, 1260))
    assert path_mtu(tcp, sock) == mtu(tcp, 1260)
    tcp.play("+0.05 < . 1:1(0) ack 14601\n" + pieces(14_601, 19_601, 1260, push=True))
    tcp.play("+0.05 < . 1:1(0) ack 19601")
    assert tcp.flow("").sent == tcp.data(19_600)


@pytest.mark.requirement("RFC1191-S3-1", "RFC8201-S5.4-1")
@both
def test_timestamps_have_their_part_of_the_path_mtu(tcp: Tcp) -> None:
    sock = tcp.established(ts=5000, wscale=7, win=512)
    sock.send(tcp.data(4000))
    assert sizes(tcp.take()) == {1448, 4000 - 2 * 1448}
    tcp.play(f"+0.05 < icmp frag_needed mtu {mtu(tcp, 1312)} [1:1449(1448)]")
    assert sizes(tcp.take()) == {1300, 100}
    tcp.play("+0 < . 1:1(0) ack 4001 <nop,nop,TS val 6000 ecr 200>")


@pytest.mark.requirement("RFC8201-S5.4-1")
@both
def test_segments_fit_the_peers_mss_too(tcp: Tcp) -> None:
    sock = tcp.established(mss=1000)
    sock.send(tcp.data(3000))
    assert sizes(tcp.take()) == {1000}
    tcp.play(f"+0.05 < icmp frag_needed mtu {mtu(tcp, 1260)} [1:1001(1000)]\n+0.1 quiet")
    tcp.play("+0 < . 1:1(0) ack 3001")
    sock.send(tcp.data(3000, 3000))
    assert sizes(tcp.take()) == {1000}
    tcp.play("+0 < . 1:1(0) ack 6001")


@pytest.mark.requirement("RFC1191-S6.4-1", "RFC8201-S5.4-1")
@both
def test_too_big_is_no_congestion(tcp: Tcp) -> None:
    sock = with_data_out(tcp, 10)
    before = sock.tcp_info()
    tcp.play(f"+0.05 < icmp frag_needed mtu {mtu(tcp, 1260)} [1:1461(1460)]")
    assert len(tcp.take()) == 12
    after = sock.tcp_info()
    assert before.tcpi_snd_cwnd * before.tcpi_snd_mss - after.tcpi_snd_cwnd * 1260 < 1260
    assert after.tcpi_snd_ssthresh == before.tcpi_snd_ssthresh
    assert after.tcpi_snd_mss == 1260
    # slow start goes on: 1260 acknowledged let at least that much more go
    tcp.play("+0.05 < . 1:1(0) ack 1261")
    assert sum(len(packet.payload) for packet in tcp.take()) >= 1260
    tcp.play("+0.05 < . 1:1(0) ack 14601")
    tcp.take()
    tcp.play("+0.05 < . 1:1(0) ack 19601")


@pytest.mark.requirement("RFC1191-S6.4-1")
@both
@pytest.mark.parametrize("payload", [1260, 0])
def test_a_message_for_each_segment_in_flight_gives_one_repeat(tcp: Tcp, payload: int) -> None:
    if not payload and tcp.version == 6:
        pytest.skip("no router of IPv6 leaves the MTU out")
    with_data_out(tcp, 10)
    named = mtu(tcp, payload) if payload else 0
    again = []
    for number in range(10):
        at = 1 + 1460 * number
        tcp.play(f"+0.001 < icmp frag_needed mtu {named} [{at}:{at + 1460}(1460)]")
        again += tcp.take()
    assert sum(len(packet.payload) for packet in again) == 14_600
    assert sizes(again[:-1]) == {payload or 966}
    tcp.play("+0.1 < . 1:1(0) ack 14601")
    assert sizes(tcp.take()[:-1]) == {payload or 966}


@pytest.mark.requirement("RFC1191-S3-1", "RFC8201-S4-1")
@both
@pytest.mark.parametrize("payload", [1460, 1461, 8960, 65_000])
def test_a_message_that_names_no_smaller_mtu_is_ignored(tcp: Tcp, payload: int) -> None:
    sock = with_data_out(tcp, 10)
    tcp.play(f"+0.05 < icmp frag_needed mtu {mtu(tcp, payload)} [1:1461(1460)]\n+0.1 quiet")
    assert path_mtu(tcp, sock) == mtu(tcp, 1460)
    tcp.play("+0 < . 1:1(0) ack 1461")
    assert sizes(tcp.take()) == {1460}


@pytest.mark.requirement("RFC1191-S3-1", "RFC8201-S4-1")
@both
def test_a_later_message_never_raises_it(tcp: Tcp) -> None:
    sock = with_data_out(tcp, 10)
    tcp.play(f"+0.01 < icmp frag_needed mtu {mtu(tcp, 1240)} [1:1461(1460)]")
    assert sizes(tcp.take()[:-1]) == {1240}
    tcp.play(f"+0.01 < icmp frag_needed mtu {mtu(tcp, 1400)} [1:1241(1240)]\n+0.1 quiet")
    assert path_mtu(tcp, sock) == mtu(tcp, 1240)
    tcp.play("+0.05 < . 1:1(0) ack 14601")
    assert sizes(tcp.take()[:-1]) == {1240}


# -- how small -----------------------------------------------------------------------------------


@pytest.mark.requirement("RFC1191-S3-1")
@pytest.mark.variants("v4")
@pytest.mark.parametrize("named", [1, 28, 67, 68, 100, 551])
def test_below_552_octets_routers_are_left_to_fragment(tcp: Tcp, named: int) -> None:
    """Linux, `min_pmtu`: a forged message cannot make segments tiny. DF is clear from then on."""
    sock = with_data_out(tcp, 10)
    tcp.play(f"+0.05 < icmp frag_needed mtu {named} [1:1461(1460)]")
    again = tcp.take()
    assert sizes(again[:-1]) == {512}
    assert not any(packet.df for packet in again)
    assert len({packet.ident for packet in again}) == len(again)
    assert path_mtu(tcp, sock) == 552
    tcp.play("+0.05 < . 1:1(0) ack 14601")
    tcp.take()
    tcp.play("+0.05 < . 1:1(0) ack 19601")


@pytest.mark.requirement("RFC8201-S4-1")
@pytest.mark.variants("v6")
@pytest.mark.parametrize("named", [0, 68, 600, 1279])
def test_an_ipv6_path_mtu_below_1280_is_not_believed(tcp: Tcp, named: int) -> None:
    with_data_out(tcp, 10)
    tcp.play(f"+0.05 < icmp frag_needed mtu {named} [1:1461(1460)]\n+0.1 quiet")
    tcp.play("+0.05 < . 1:1(0) ack 14601")
    assert sizes(tcp.take()[:-1]) == {1460}


@pytest.mark.requirement("RFC8201-S4-1")
@pytest.mark.variants("v6")
def test_an_ipv6_path_mtu_of_1280_is_taken(tcp: Tcp) -> None:
    with_data_out(tcp, 10)
    tcp.play("+0.05 < icmp frag_needed mtu 1280 [1:1461(1460)]\n" + pieces(1, 14_601, 1220))


@pytest.mark.requirement("RFC1191-S3-2")
@pytest.mark.variants("v4")
def test_a_router_that_does_not_name_its_mtu_is_coped_with(tcp: Tcp) -> None:
    """Its link takes 800 octets: the sizes tried fall until they fit, and all data arrive."""
    sock = tcp.established()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
    sock.send(tcp.data(20_000))
    arrived = 1
    messages = 0
    for _ in range(60):
        packets = tcp.take()
        if packets and len(packets[0].payload) > 760:
            # the first does not fit; what else is on its way meets the same fate
            at, length = tcp.default.our_number(packets[0].seq), len(packets[0].payload)
            tcp.play(f"+0.01 < icmp frag_needed mtu 0 [{at}:{at + length}({length})]")
            messages += 1
            continue
        for packet in packets:
            if tcp.default.our_number(packet.seq) == arrived:
                arrived += len(packet.payload)
        tcp.play(f"+0.05 < . 1:1(0) ack {arrived}")
        if arrived == 20_001:
            break
    assert arrived == 20_001
    assert messages <= 4
    assert tcp.flow("").sent == tcp.data(20_000)


# -- for how long --------------------------------------------------------------------------------


@pytest.mark.requirement("RFC1191-S3-3")
@both
def test_nothing_larger_is_tried_for_ten_minutes(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(2000))
    tcp.take()
    tcp.play(f"+0.05 < icmp frag_needed mtu {mtu(tcp, 1260)} [1:1461(1460)]")
    assert sizes(tcp.take()) == {1260, 740}
    tcp.play("+0.05 < . 1:1(0) ack 2001")
    for number in range(1, 20):
        tcp.quiet(30)
        sock.send(tcp.data(2000, 2000 * number))
        assert sizes(tcp.take()) == {1260, 740}
        tcp.play(f"+0.05 < . 1:1(0) ack {2000 * number + 2001}")
    tcp.quiet(40)
    sock.send(tcp.data(2000, 40_000))
    assert sizes(tcp.take()) == {1460, 540}
    assert path_mtu(tcp, sock) == mtu(tcp, 1460)
    tcp.play("+0.05 < . 1:1(0) ack 42001")


# -- who is told ---------------------------------------------------------------------------------


@pytest.mark.requirement("RFC8201-S5.2-1")
@both
def test_every_connection_to_that_host_is_told(tcp: Tcp) -> None:
    listener = tcp.listen()
    socks = [tcp.established(listener=listener, flow=name, rtt=0.01) for name in ("", "b")]
    for sock in socks:
        sock.send(tcp.data(2920))
    assert sizes(tcp.take()) == {1460}
    tcp.play(f"+0.05 < icmp frag_needed mtu {mtu(tcp, 1260)} [1:1461(1460)]")
    again = tcp.take()
    assert sizes(again) == {1260, 400}
    assert len({packet.dst_port for packet in again}) == 2
    tcp.play("+0 < . 1:1(0) ack 2921\n+0 b< . 1:1(0) ack 2921")
    third = tcp.established(listener=listener, flow="c", rtt=0.01)
    third.send(tcp.data(2920))
    assert sizes(tcp.take()) == {1260, 400}
    tcp.play("+0 c< . 1:1(0) ack 2921")


@pytest.mark.requirement("RFC8201-S5.2-1")
@both
def test_connections_to_other_hosts_are_not_concerned(tcp: Tcp) -> None:
    other = "192.0.2.7" if tcp.version == 4 else "2001:db8::7"
    tcp.flow("b", remote=other)
    listener = tcp.listen()
    socks = [tcp.established(listener=listener, flow=name, rtt=0.01) for name in ("", "b")]
    for sock in socks:
        sock.send(tcp.data(2920))
    assert sizes(tcp.take()) == {1460}
    tcp.play(f"+0.05 < icmp frag_needed mtu {mtu(tcp, 1260)} [1:1461(1460)]")
    assert len(tcp.take()) == 3
    tcp.play("+0 < . 1:1(0) ack 2921\n+0 b< . 1:1(0) ack 2921")
    socks[1].send(tcp.data(1460, 2920))
    assert sizes(tcp.take()) == {1460}
    tcp.play("+0 b< . 1:1(0) ack 4381")


@both
def test_a_too_small_path_is_found_during_the_handshake(tcp: Tcp) -> None:
    """The SYN,ACK itself would fit; what counts is what is known when data goes."""
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < S  0:0(0) win 65535 <mss 1460>
        +0   > S. 0:0(0) ack 1 <mss 1460>
        +0.1 < icmp frag_needed mtu {mtu(tcp, 1260)}
        +0.1 < .  1:1(0) ack 1
        +0   quiet
        """
    )
    sock = listener.accept()[0]
    sock.send(tcp.data(2000))
    assert sizes(tcp.take()) == {1260, 740}
    tcp.play("+0 < . 1:1(0) ack 2001")


# -- whether to believe it -------------------------------------------------------------------------


@pytest.mark.requirement("RFC8201-S4-2", "RFC5927-S4.1-1")
@both
@pytest.mark.parametrize("seq", [0, -1460, 14_601, 20_000, 0x4000_0000])
def test_a_message_that_quotes_a_number_not_in_flight_is_ignored(tcp: Tcp, seq: int) -> None:
    sock = with_data_out(tcp, 10)
    tcp.play(
        f"+0.05 < icmp frag_needed mtu {mtu(tcp, 1260)} [P {seq}:{seq + 1460}(1460)]\n+0.1 quiet"
    )
    assert path_mtu(tcp, sock) == mtu(tcp, 1460)
    tcp.play("+0 < . 1:1(0) ack 1461")
    assert sizes(tcp.take()) == {1460}


@pytest.mark.requirement("RFC8201-S4-2", "RFC9293-MUST-54")
@both
def test_a_message_about_a_connection_that_does_not_exist_is_ignored(tcp: Tcp) -> None:
    sock = with_data_out(tcp, 10)
    tcp.flow("b", local_port=80, remote_port=41_234)
    tcp.flow("c", local_port=8080, remote_port=40_000)
    for name in ("b", "c"):
        tcp.play(f"+0.05 {name}< icmp frag_needed mtu {mtu(tcp, 1260)} [1:1461(1460)]\n+0 quiet")
    assert path_mtu(tcp, sock) == mtu(tcp, 1460)
    tcp.play("+0.05 < . 1:1(0) ack 1461")
    assert sizes(tcp.take()) == {1460}


@both
def test_an_idle_connection_can_not_be_slowed_by_a_guess(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play(f"+0.05 < icmp frag_needed mtu {mtu(tcp, 1260)} [P 1:1461(1460)]\n+0 quiet")
    assert path_mtu(tcp, sock) == mtu(tcp, 1460)


# -- the device's own MTU --------------------------------------------------------------------------


@both
def test_what_is_in_flight_is_cut_anew_when_the_device_shrinks(tcp: Tcp) -> None:
    sock = with_data_out(tcp, 10)
    tcp.host.set_mtu(mtu(tcp, 1260))
    tcp.play(pieces(1, 14_601, 1260))
    tcp.host.set_mtu(mtu(tcp, 1460))
    tcp.play("+0.05 < . 1:1(0) ack 14601\n" + pieces(14_601, 19_601, 1460, push=True))
    tcp.play("+0.05 < . 1:1(0) ack 19601")
    assert path_mtu(tcp, sock) == mtu(tcp, 1460)


@both
def test_soft_errors_do_not_tell_of_a_path_mtu_that_was_dealt_with(tcp: Tcp) -> None:
    sock = with_data_out(tcp, 10)
    tcp.play(f"+0.05 < icmp frag_needed mtu {mtu(tcp, 1260)} [1:1461(1460)]")
    tcp.take()
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 != errno.EMSGSIZE
    tcp.play("+0.05 < . 1:1(0) ack 14601")
    tcp.take()
