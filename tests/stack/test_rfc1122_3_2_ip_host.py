"""RFC 1122 §3.2, RFC 792, RFC 4443, RFC 8200 §4: IP and ICMP of a whole host."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct

import pytest

from tests.kit.flow import pattern
from tests.kit.packets import encode
from tests.kit.packets.decode import Packet
from tests.kit.tcp import Tcp

both = pytest.mark.variants("ipv4", "ipv6")
v4 = pytest.mark.variants("ipv4")
v6 = pytest.mark.variants("ipv6")
HELLO = '+0 < P. 1:6(5) ack 1 "hello"'


def ends(tcp: Tcp) -> tuple[bytes, bytes]:
    """The peer's address and ours, packed as they stand in a packet."""
    return ipaddress.ip_address(tcp.remote).packed, ipaddress.ip_address(tcp.local).packed


def echo_request(tcp: Tcp, size: int, ident: int = 7, number: int = 1) -> bytes:
    src, dst = ends(tcp)
    kind, protocol = (8, encode.ICMP) if tcp.version == 4 else (128, encode.ICMPV6)
    rest = struct.pack("!HH", ident, number)
    message = encode.icmp(src, dst, kind, 0, rest, pattern(0, size))
    return encode.ip(src, dst, protocol, message, df=False)


def upper_of(packets: list[Packet]) -> bytes:
    """What the peer puts together from our fragments, which must leave no gap and no overlap."""
    assert len({packet.ident for packet in packets}) == 1
    at = 0
    whole = b""
    for packet in packets:
        assert packet.offset == at
        assert packet.more == (packet is not packets[-1])
        whole += packet.upper
        at += len(packet.upper)
    return whole


# -- IP headers ----------------------------------------------------------------------------------


@pytest.mark.requirement("RFC1122-S3.2.1.1-1")
@both
@pytest.mark.parametrize("version", [0, 1, 5, 7, 15])
def test_a_packet_of_another_version_is_dropped_in_silence(tcp: Tcp, version: int) -> None:
    tcp.listen()
    tcp.inject(tcp.segment("S 0:0(0) win 1000 <mss 1460>", version=version))
    tcp.quiet(10)
    assert tcp.states == []


@pytest.mark.requirement("RFC1122-S3.2.1.2-1")
@v4
def test_a_packet_with_a_wrong_header_checksum_is_dropped_in_silence(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.inject(tcp.segment("P. 1:6(5) ack 1", badipsum=1))
    tcp.inject(tcp.segment("R 1:1(0)", badipsum=1))
    tcp.inject(tcp.segment("S 0:0(0)", badipsum=1, sport=2000))
    tcp.inject(tcp.segment(". 0:0(0) ack 7", badipsum=1, dport=81))
    tcp.quiet(10)
    tcp.play(HELLO + "\n+0 > . 1:1(0) ack 6")
    assert sock.recv(100) == b"hello"


@pytest.mark.requirement("RFC1122-S3.2.1.7-1")
@both
@pytest.mark.parametrize("ttl", [0, 1])
def test_a_packet_that_has_used_up_its_ttl_has_arrived_all_the_same(tcp: Tcp, ttl: int) -> None:
    sock = tcp.established()
    tcp.play(f'+0 < [ttl {ttl}] P. 1:6(5) ack 1 "hello"\n+0 > . 1:1(0) ack 6')
    assert sock.recv(100) == b"hello"


@pytest.mark.requirement("RFC1122-S3.2.1.7-1")
@both
def test_a_ttl_of_zero_can_not_be_asked_for(tcp: Tcp) -> None:
    """Every packet of every script is looked at: none may have TTL 0."""
    sock = tcp.socket(4)
    for ttl in (0, 256, -2):
        with pytest.raises(OSError, match=r".") as failure:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        assert failure.value.errno == errno.EINVAL
    for ttl in (0, 256, 1000):
        with pytest.raises(OSError, match=r".") as failure:
            tcp.host.sysctl("ip_default_ttl", ttl)
        assert failure.value.errno == errno.EINVAL


@pytest.mark.requirement(
    "RFC9293-MUST-50", "RFC1122-S3.2.1.8-1", "RFC9293-MAY-10", "RFC9293-MAY-11"
)
@v4
@pytest.mark.parametrize(
    "options",
    [
        "94040000",  # router alert
        "82040000",  # security, of old
        "0101010100",
        "1e040506",  # nobody knows it
        "9e0a0102030405060708",
        "440c0500" + "00000000" * 2,  # timestamps, with room
        "44040510",  # timestamps, full
        "07070400000000",  # record route
        "07270400" + "00" * 36,
    ],
)
def test_ip_options_are_no_matter_to_tcp(tcp: Tcp, options: str) -> None:
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < [ipopt 0x{options}] S  0:0(0) win 1000 <mss 1460>
        +0   > S. 0:0(0) ack 1 <mss 1460>
        +0.1 < [ipopt 0x{options}] .  1:1(0) ack 1
        +0   < [ipopt 0x{options}] P. 1:6(5) ack 1 "hello"
        +0   > .  1:1(0) ack 6
        """
    )
    assert listener.accept()[0].recv(100) == b"hello"


@pytest.mark.requirement("RFC1122-S3.2.1.8-1")
@v4
@pytest.mark.parametrize(
    "options", ["1e000000", "1e010000", "1e050000", "010101ff", "07000000", "44280500", "94ff0000"]
)
def test_an_ip_option_of_impossible_length_takes_its_packet_along(tcp: Tcp, options: str) -> None:
    sock = tcp.established()
    tcp.inject(tcp.segment("P. 1:6(5) ack 1", ipopt=bytes.fromhex(options)))
    (answer,) = tcp.take()
    assert (answer.kind, answer.code) == (12, 0)  # the parameter problem
    tcp.quiet(10)
    tcp.play(HELLO + "\n+0 > . 1:1(0) ack 6")
    assert sock.recv(100) == b"hello"


@pytest.mark.requirement("RFC6864-S4.1-1")
@v4
def test_equal_ids_on_whole_packets_do_no_harm(tcp: Tcp) -> None:
    sock = tcp.established()
    for at in range(1, 41, 10):
        tcp.inject(tcp.segment(f"P. {at}:{at + 10}(10) ack 1", id=77))
        assert [packet.ack - tcp.default.irs & 0xFFFFFFFF for packet in tcp.run(0.1)] == [at + 10]
    assert sock.recv(100) == tcp.data(40)


@pytest.mark.requirement("RFC8200-S4-1")
@v6
@pytest.mark.parametrize(
    "headers",
    [
        "hbh 0x010400000000",
        "dstopt 0x010400000000",
        "hbh 0x010400000000, dstopt 0x1e0400000000",  # an unknown option that may be skipped
        "rthdr 0x000000000000",  # no segments left
        "rthdr 0x040000000000, dstopt 0x010400000000",
        "dstopt 0x0000000000000000000000000000",
    ],
)
def test_tcp_is_found_behind_extension_headers(tcp: Tcp, headers: str) -> None:
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < [{headers}] S  0:0(0) win 1000 <mss 1460>
        +0   > S. 0:0(0) ack 1 <mss 1460>
        +0.1 < [{headers}] .  1:1(0) ack 1
        +0   < [{headers}] P. 1:6(5) ack 1 "hello"
        +0   > .  1:1(0) ack 6
        """
    )
    assert listener.accept()[0].recv(100) == b"hello"


@pytest.mark.requirement("RFC8200-S4-1")
@v6
def test_a_routing_header_with_segments_left_is_not_obeyed(tcp: Tcp) -> None:
    """Type 0 is deprecated (RFC 5095), and we are no router."""
    tcp.listen()
    packet = tcp.segment("S 0:0(0) win 1000", rthdr=bytes((0, 1, 0, 0, 0, 0)) + bytes(16))
    tcp.inject(packet)
    (answer,) = tcp.run(10)
    assert (answer.protocol, answer.kind, answer.code) == (encode.ICMPV6, 4, 0)
    assert tcp.states == []


# -- echo ----------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC792-Echo-1", "RFC1122-S3.2.2.6-1", "RFC4443-S4.2-1")
@both
def test_an_echo_request_without_data_is_answered(tcp: Tcp) -> None:
    tcp.inject(echo_request(tcp, 0))
    (reply,) = tcp.take()
    assert (reply.rest, reply.payload) == (struct.pack("!HH", 7, 1), b"")


@pytest.mark.requirement("RFC792-Echo-1", "RFC1122-S3.2.2.6-1", "RFC4443-S4.2-1")
@both
@pytest.mark.parametrize("size", [1, 56, 1400])
def test_an_echo_request_has_its_data_back(tcp: Tcp, size: int) -> None:
    tcp.usual.update(df=0)
    tcp.play(
        f"""
        +0 < icmp echo_request id 4660 seq 9 ({size})
        +0 > icmp echo_reply id 4660 seq 9 ({size})
        +9 quiet
        """
    )


@pytest.mark.requirement("RFC792-Echo-1", "RFC1122-S3.2.2.6-1", "RFC4443-S4.2-1")
@both
def test_the_data_of_an_echo_are_the_very_same(tcp: Tcp) -> None:
    tcp.inject(echo_request(tcp, 1000, 0xFFFF, 0xABCD))
    (reply,) = tcp.take()
    src, dst = ends(tcp)
    assert (reply.src, reply.dst) == (dst, src)
    assert (reply.kind, reply.code) == ((0, 0) if tcp.version == 4 else (129, 0))
    assert (reply.rest, reply.payload) == (b"\xff\xff\xab\xcd", pattern(0, 1000))


@pytest.mark.requirement("RFC1122-S3.2.2.6-1", "RFC4443-S4.2-1")
@both
def test_the_reply_comes_from_the_address_that_was_asked(tcp: Tcp) -> None:
    second = "192.0.2.9" if tcp.version == 4 else "2001:db8::9"
    tcp.host.addresses.add(f"{second}/{24 if tcp.version == 4 else 64}")
    packet = encode.ip(
        ends(tcp)[0], ipaddress.ip_address(second).packed,
        encode.ICMP if tcp.version == 4 else encode.ICMPV6,
        encode.icmp(
            ends(tcp)[0], ipaddress.ip_address(second).packed,
            8 if tcp.version == 4 else 128, 0, b"\0\1\0\2", b"abc",
        ),
    )  # fmt: skip
    tcp.inject(packet)
    (reply,) = tcp.take()
    assert reply.src == ipaddress.ip_address(second).packed
    assert reply.payload == b"abc"


@pytest.mark.requirement("RFC815-S3-1", "RFC1122-S3.2.2.6-1", "RFC4443-S4.2-1", "RFC5722-S4-1")
@both
@pytest.mark.parametrize("size", [1600, 4000, 20_000, 65_000])
def test_a_large_echo_comes_and_goes_in_fragments(tcp: Tcp, size: int) -> None:
    """`ping -s 4000`."""
    for packet in reversed(encode.fragments(echo_request(tcp, size), 1448)):
        tcp.inject(packet)
    replies = tcp.take()
    assert len(replies) > 1
    assert all(len(packet.octets) <= tcp.host.mtu for packet in replies)
    message = upper_of(replies)
    assert message[0] == (0 if tcp.version == 4 else 129)
    assert message[4:] == struct.pack("!HH", 7, 1) + pattern(0, size)


@both
def test_echo_is_not_answered_when_it_is_switched_off(tcp: Tcp) -> None:
    tcp.host.sysctl("icmp_echo_ignore_all", 1)
    tcp.inject(echo_request(tcp, 56))
    tcp.quiet(10)


# -- ICMP that is not for us to answer -----------------------------------------------------------


@pytest.mark.requirement("RFC1122-S3.2.2-1")
@v4
@pytest.mark.parametrize("kind", [1, 2, 6, 7, 9, 10, 13, 15, 17, 19, 40, 42, 200, 255])
def test_icmp_of_unknown_type_is_dropped_in_silence(tcp: Tcp, kind: int) -> None:
    tcp.play(f"+0 < icmp type {kind} code 0 id 1 seq 1 (40)\n+10 quiet")


@pytest.mark.requirement("RFC4443-S2.4-4")
@v6
@pytest.mark.parametrize("kind", [144, 160, 199, 200, 201, 254, 255])
def test_icmpv6_of_unknown_informational_type_is_dropped_in_silence(tcp: Tcp, kind: int) -> None:
    tcp.play(f"+0 < icmp type {kind} code 0 id 1 seq 1 (40)\n+10 quiet")


@pytest.mark.requirement("RFC1122-S3.2.2-2", "RFC4443-S2.4-2")
@both
def test_no_error_is_made_about_an_error_that_concerns_nobody(tcp: Tcp) -> None:
    tcp.flow("b", local_port=5, remote_port=6)
    for message in ("unreachable port", "time_exceeded transit", "frag_needed mtu 1300"):
        tcp.play(f"+0 b< icmp {message} [S 1:1(0)]\n+10 quiet")


# -- errors of our own ---------------------------------------------------------------------------


@pytest.mark.requirement("RFC1122-S3.2.2-3")
@both
@pytest.mark.parametrize("length", [0, 10, 1400])
def test_udp_finds_nobody_at_home(tcp: Tcp, length: int) -> None:
    """So that `nc -u` is refused at once. The quote is compared with what came."""
    tcp.usual.update(df=0)
    tos = "[tos 0xc0] " if tcp.version == 4 else ""
    tcp.play(f"+0 < udp 5000:53({length})\n+0 > {tos}icmp unreachable port\n+10 quiet")


@pytest.mark.requirement("RFC1122-S3.2.2-2", "RFC4443-S2.4-2")
@v4
@pytest.mark.parametrize("to", ["192.0.2.255", "255.255.255.255", "224.0.0.1"])
def test_ipv4_udp_to_many_hosts_draws_no_error(tcp: Tcp, to: str) -> None:
    tcp.play(f"+0 < [to {to}] udp 5000:53(10)\n+10 quiet")


@pytest.mark.requirement("RFC1122-S3.2.2-2", "RFC4443-S2.4-2")
@v6
@pytest.mark.parametrize("to", ["ff02::1", "ff0e::7"])
def test_ipv6_udp_to_many_hosts_draws_no_error(tcp: Tcp, to: str) -> None:
    tcp.play(f"+0 < [to {to}] udp 5000:53(10)\n+10 quiet")


@pytest.mark.requirement("RFC1122-S3.2.2-2")
@v4
@pytest.mark.parametrize("source", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255",
                                    "192.0.2.255", "192.0.2.1"])  # fmt: skip
def test_ipv4_udp_from_an_odd_source_draws_no_error(tcp: Tcp, source: str) -> None:
    tcp.play(f"+0 < [from {source}] udp 5000:53(10)\n+10 quiet")


@pytest.mark.requirement("RFC4443-S2.4-2")
@v6
@pytest.mark.parametrize("source", ["::", "::1", "ff02::1", "2001:db8::1"])
def test_ipv6_udp_from_an_odd_source_draws_no_error(tcp: Tcp, source: str) -> None:
    tcp.play(f"+0 < [from {source}] udp 5000:53(10)\n+10 quiet")


@pytest.mark.requirement("RFC1122-S3.2.2-2")
@both
def test_of_a_datagram_in_fragments_the_whole_is_refused_once(tcp: Tcp) -> None:
    src, dst = ends(tcp)
    packet = encode.ip(src, dst, 17, encode.udp(src, dst, 9, 9, pattern(0, 2000)), df=False)
    for piece in encode.fragments(packet, 1024):
        tcp.inject(piece)
    (error,) = tcp.take()
    assert (error.kind, error.code) == ((3, 3) if tcp.version == 4 else (1, 4))
    head = 28 if tcp.version == 4 else 48
    assert error.payload[head - 8 :][:8] == packet[head - 8 : head]
    tcp.quiet(100)


@pytest.mark.requirement("RFC4443-S2.4-3")
@both
def test_errors_are_limited_and_a_burst_passes(tcp: Tcp) -> None:
    """Six at once to one target, then one each second; echo is not limited."""
    src, dst = ends(tcp)
    packet = encode.ip(src, dst, 17, encode.udp(src, dst, 9, 9, b""), df=False)
    for _ in range(100):
        tcp.inject(packet)
        tcp.run(0)
    count = 0
    for _ in range(100):
        tcp.inject(packet)
        count += len(tcp.run(0.1))
    assert 9 <= count <= 11
    tcp.quiet(60)
    count = 0
    for _ in range(100):
        tcp.inject(packet)
        count += len(tcp.run(0))
    assert count == 6
    for _ in range(100):
        tcp.inject(echo_request(tcp, 8))
        count += len(tcp.run(0))
    assert count == 106


@v4
def test_a_protocol_that_nobody_speaks_here_is_refused(tcp: Tcp) -> None:
    src, dst = ends(tcp)
    packet = encode.ip(src, dst, 132, bytes(20), df=False)
    tcp.inject(packet)
    (error,) = tcp.take()
    assert (error.kind, error.code, error.payload) == (3, 2, packet)


@pytest.mark.requirement("RFC8200-S4-2", "RFC4443-S2.4-1")
@v6
@pytest.mark.parametrize("behind", [None, encode.HOP_BY_HOP, encode.DESTINATION_OPTIONS])
def test_an_unknown_next_header_is_pointed_at(tcp: Tcp, behind: int | None) -> None:
    src, dst = ends(tcp)
    extensions = [] if behind is None else [(behind, b"\1\4\0\0\0\0")]
    packet = encode.ip(src, dst, 143, bytes(2000), extensions=extensions)
    tcp.inject(packet)
    (error,) = tcp.take()
    assert (error.kind, error.code) == (4, 1)
    assert int.from_bytes(error.rest, "big") == (6 if behind is None else 40)
    assert len(error.octets) == 1280
    assert error.payload == packet[: 1280 - 48]


@v6
def test_no_next_header_is_nothing_to_complain_of(tcp: Tcp) -> None:
    src, dst = ends(tcp)
    tcp.inject(encode.ip(src, dst, 59, b"whatever"))
    tcp.quiet(10)
