"""RFC 815, RFC 1122 §3.3.2, RFC 8200 §4.5, RFC 5722: TCP segments that come in fragments."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.kit.packets import encode
from tests.kit.tcp import Tcp

both = pytest.mark.variants("ipv4", "ipv6", "ipv4-wrap-offload", "ipv6-wrap-offload")
HELLO = '+0 < P. 1:6(5) ack 1 "hello"\n+0 > . 1:1(0) ack 6'


def cut(packet: bytes, at: int, end: int, more: bool, ident: int = 7, ecn: int = 0) -> bytes:
    """The fragment with octets `at` to `end` of the packet's payload."""
    if packet[0] >> 4 == 4:
        head = packet[:1] + bytes([ecn]) + packet[2:]
        return encode.fragment4(head, at, packet[20 + at : 20 + end], more, ident)
    head = bytes([0x60]) + bytes([ecn << 4]) + packet[2:]
    return encode.fragment6(head, at, packet[40 + at : 40 + end], more, ident)


def payload_size(packet: bytes) -> int:
    return len(packet) - (20 if packet[0] >> 4 == 4 else 40)


def is_untouched(tcp: Tcp, sock: object) -> None:
    """Nothing of what came has reached the connection."""
    tcp.play(HELLO)
    assert sock.recv(100) == b"hello"  # type: ignore[attr-defined]


@pytest.mark.requirement("RFC815-S3-1", "RFC1122-S3.3.2-1")
@both
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_segment_is_taken_whatever_the_order_of_its_fragments(
    tcp: Tcp, order: tuple[int, ...]
) -> None:
    sock = tcp.established()
    pieces = encode.fragments(tcp.segment("P. 1:1001(1000) ack 1"), 400)
    assert len(pieces) == 3
    for number in order:
        tcp.inject(pieces[number])
    tcp.play("+0 > . 1:1(0) ack 1001")
    assert sock.recv(2000) == tcp.data(1000)


@pytest.mark.requirement("RFC815-S3-1", "RFC8200-S5-1")
@both
def test_repeated_fragments_do_no_harm(tcp: Tcp) -> None:
    sock = tcp.established()
    pieces = encode.fragments(tcp.segment("P. 1:1401(1400) ack 1"), 400)
    for number in (0, 0, 3, 2, 0, 2, 3, 1):
        tcp.inject(pieces[number])
    tcp.play("+0 > . 1:1(0) ack 1401")
    assert sock.recv(2000) == tcp.data(1400)


@pytest.mark.requirement("RFC815-S3-1")
@both
def test_a_whole_connection_can_be_carried_in_fragments(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0   < [frag 24] S  0:0(0) win 1000 <mss 1460,nop,nop,sackOK,nop,wscale 3>
        +0   > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale 7>
        +0.1 < [frag 24] .  1:1(0) ack 1
        +0   < [frag 24] P. 1:1001(1000) ack 1
        +0   > .  1:1(0) ack 1001
        +0   < [frag 24] F. 1001:1001(0) ack 1
        +0..0.05 > .  1:1(0) ack 1002
        """
    )
    sock = listener.accept()[0]
    assert sock.recv(2000) == tcp.data(1000)
    assert sock.recv(2000) == b""


@pytest.mark.requirement("RFC1122-S3.3.2-1", "RFC8200-S5-1")
@both
def test_a_segment_far_above_the_mtu_is_put_together(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play("+0 < [frag 1440] P. 1:60001(60000) ack 1")
    assert [packet.ack for packet in tcp.take()][-1] == tcp.default.irs + 60_001 & 0xFFFF_FFFF
    assert sock.recv(70_000) == tcp.data(60_000)
    assert [packet.payload for packet in tcp.take()] in ([], [b""])  # the window opens


@pytest.mark.requirement("RFC1122-S3.2.2-2")
@both
def test_a_checksum_that_is_wrong_over_the_whole_is_found(tcp: Tcp) -> None:
    sock = tcp.established()
    for piece in encode.fragments(tcp.segment("P. 1:1001(1000) ack 1", badsum=1), 400):
        tcp.inject(piece)
    tcp.quiet(10)
    is_untouched(tcp, sock)


@pytest.mark.requirement("RFC8200-S4.5-3", "RFC5722-S4-1")
@both
def test_overlapping_fragments_bring_nothing(tcp: Tcp) -> None:
    """IPv4 too, as in Linux; for IPv6 the rest of that packet is ignored as well."""
    sock = tcp.established()
    packet = tcp.segment("P. 1:1001(1000) ack 1")
    tcp.inject(cut(packet, 0, 400, True))
    tcp.inject(cut(packet, 392, 800, True))
    tcp.inject(cut(packet, 400, 800, True))
    tcp.inject(cut(packet, 800, payload_size(packet), False))
    tcp.quiet(50)
    is_untouched(tcp, sock)


@pytest.mark.requirement("RFC1122-S3.3.2-1", "RFC8200-S4.5-1", "RFC1122-S3.2.2-3")
@pytest.mark.variants("ipv4", "ipv6")
def test_a_first_fragment_that_stays_alone_is_told_of_after_60_seconds(tcp: Tcp) -> None:
    sock = tcp.established()
    packet = tcp.segment("P. 1:1001(1000) ack 1")
    first = cut(packet, 0, 400, True)
    tcp.inject(first)
    tcp.quiet(59.9)
    (error,) = tcp.run(0.2)
    assert (error.kind, error.code) == ((11, 1) if tcp.version == 4 else (3, 1))
    assert first.startswith(error.payload)
    assert len(error.payload) >= min(len(first), 576 - 28 if tcp.version == 4 else 1280)
    tcp.inject(cut(packet, 400, payload_size(packet), False))  # too late
    tcp.quiet(100)
    is_untouched(tcp, sock)


@pytest.mark.requirement("RFC1122-S3.3.2-1", "RFC8200-S4.5-1")
@pytest.mark.variants("ipv4", "ipv6")
def test_without_the_first_fragment_nothing_is_said(tcp: Tcp) -> None:
    sock = tcp.established()
    packet = tcp.segment("P. 1:1001(1000) ack 1")
    tcp.inject(cut(packet, 400, payload_size(packet), False))
    tcp.quiet(100)
    is_untouched(tcp, sock)


@pytest.mark.requirement("RFC6864-S4.1-1", "RFC8200-S4.5-4")
@both
def test_a_whole_packet_with_the_id_of_one_in_pieces_stands_for_itself(tcp: Tcp) -> None:
    sock = tcp.established()
    packet = tcp.segment("P. 1:1001(1000) ack 1")
    tcp.inject(cut(packet, 0, 400, True))
    other = tcp.segment("P. 1001:1006(5) ack 1")
    tcp.inject(cut(other, 0, payload_size(other), False))  # for IPv6 an atomic fragment
    tcp.play("+0 > . 1:1(0) ack 1")
    tcp.inject(cut(packet, 400, payload_size(packet), False))
    tcp.play("+0 > . 1:1(0) ack 1006")
    assert sock.recv(2000) == tcp.data(1005)


@pytest.mark.requirement("RFC8200-S4.5-2")
@pytest.mark.variants("ipv6")
def test_a_misaligned_ipv6_fragment_is_a_parameter_problem(tcp: Tcp) -> None:
    sock = tcp.established()
    packet = tcp.segment("P. 1:1001(1000) ack 1")
    tcp.inject(cut(packet, 0, 401, True))
    (error,) = tcp.take()
    assert (error.kind, error.code, int.from_bytes(error.rest, "big")) == (4, 0, 4)
    is_untouched(tcp, sock)


@pytest.mark.requirement("RFC8200-S4.5-2")
@pytest.mark.variants("ipv6")
def test_an_ipv6_packet_that_would_be_too_long_is_a_parameter_problem(tcp: Tcp) -> None:
    sock = tcp.established()
    packet = tcp.segment("P. 1:1001(1000) ack 1")
    tcp.inject(encode.fragment6(packet, 65_528, packet[40:56], False, 7))
    (error,) = tcp.take()
    assert (error.kind, error.code, int.from_bytes(error.rest, "big")) == (4, 0, 42)
    is_untouched(tcp, sock)


@both
@pytest.mark.parametrize(
    ("marks", "arrives"),
    [((2, 2, 2), True), ((2, 3, 2), True), ((0, 0, 0), True), ((0, 2, 0), False), ((3, 3, 0), 0)],
)
def test_congestion_marks_of_fragments_agree_or_the_packet_is_dropped(
    tcp: Tcp, marks: tuple[int, ...], arrives: int
) -> None:
    sock = tcp.established()
    packet = tcp.segment("P. 1:1001(1000) ack 1")
    edges = [0, 400, 800, payload_size(packet)]
    for number, ecn in enumerate(marks):
        tcp.inject(cut(packet, edges[number], edges[number + 1], number < 2, ecn=ecn))
    if arrives:
        tcp.play("+0 > . 1:1(0) ack 1001")
        assert sock.recv(2000) == tcp.data(1000)
    else:
        tcp.quiet(50)
        is_untouched(tcp, sock)


@pytest.mark.requirement("RFC1122-S3.3.2-1")
@pytest.mark.host(ipfrag_high_thresh=200_000)
@both
def test_a_flood_of_fragments_leaves_memory_bounded_and_connections_alone(tcp: Tcp) -> None:
    sock = tcp.established()
    packet = tcp.segment("P. 1:1401(1400) ack 1")
    rng = random.Random(7)
    last = 15 if tcp.version == 4 else 23  # of the source address
    for number in range(3000):
        at = 8 * rng.randrange(1, 100)
        source = rng.randrange(10, 250)
        forged = packet[:last] + bytes([source]) + packet[last + 1 :]
        tcp.inject(cut(forged, at, at + 8 * rng.randrange(1, 50), True, ident=number))
        assert tcp.host.ip.reassembly.memory <= 200_000
    for piece in encode.fragments(packet, 400, ident=70_000 & 0xFFFF):
        tcp.inject(piece)
    tcp.play("+0 > . 1:1(0) ack 1401")
    assert sock.recv(2000) == tcp.data(1400)
    tcp.run(61)
    assert tcp.host.ip.reassembly.memory == 0
    assert tcp.host.counters.as_dict()["dropped_fragment_limit"] > 2000
