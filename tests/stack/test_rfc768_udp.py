"""RFC 768, RFC 1122 §4.1, RFC 8200 §8.1: UDP of a whole host, packet by packet."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from pystack.config import Config
from pystack.sockets import DatagramSocket, Host
from pystack.sockets import constants as c
from tests.kit.packets import decode, encode
from tests.kit.packets.decode import Packet
from tests.sockets.world import outcome
from tests.stack.ip_family import BROADCAST, DATA, FAMILIES, NOW_US, V4, V6, Family, sixteen

both = pytest.mark.parametrize("family", FAMILIES, ids=["IPv4", "IPv6"])
PORT = 5000  # that `Family.udp` sends to
FROM = 4000


class Lone:
    """One host, and the packets that it has sent."""

    def __init__(self, secret: bytes = bytes(16), **settings: Any) -> None:
        self.now_us = NOW_US
        self.host = Host(("198.18.0.2/24", "fd00::2/64"), secret=secret, config=Config(**settings))

    def socket(self, family: Family) -> DatagramSocket:
        return self.host.socket(
            c.AF_INET if family is V4 else c.AF_INET6, c.SOCK_DGRAM
        )  # fmt: skip

    def bound(self, family: Family) -> DatagramSocket:
        sock = self.socket(family)
        sock.bind(("", PORT))
        return sock

    def connected(self, family: Family) -> DatagramSocket:
        sock = self.bound(family)
        sock.connect((text(family.peer), FROM))
        return sock

    def receive(self, *packets: bytes) -> None:
        self.host.receive([(packet, 0, 0) for packet in packets], self.now_us)

    def sent(self) -> list[Packet]:
        """What it sends now; each is well-formed, its checksums too."""
        made: list[Packet] = []
        while batch := list(self.host.transmit(self.now_us)):
            for buffer, gso_size, state in batch:
                made += decode.decode(bytes(buffer), gso_size, state)
        return made

    def drops(self) -> dict[str, int]:
        return {
            name: count
            for name, count in self.host.counters.as_dict().items()
            if name.startswith(("dropped_", "udp_in_errors", "udp_csum", "udp_no"))
        }


def text(address: bytes) -> str:
    return ".".join(map(str, address)) if len(address) == 4 else V6TEXT[address]


V6TEXT = {V6.peer: "fd00::1", V6.here: "fd00::2"}


@pytest.mark.requirement("RFC768-Format-1", "RFC1122-S4.1.3.4-1")
@both
def test_the_packet_sent_is_this_and_no_other(family: Family) -> None:
    lone = Lone()
    lone.connected(family).send(b"hello")
    (packet,) = lone.sent()
    upper = encode.udp(family.here, family.peer, PORT, FROM, b"hello")
    assert packet.octets == encode.ip(family.here, family.peer, encode.UDP, upper)
    assert lone.sent() == []
    assert lone.host.counters.udp_out_datagrams == 1
    assert lone.host.next_deadline() == 0


@both
def test_a_datagram_is_given_to_the_socket_of_its_port(family: Family) -> None:
    lone = Lone()
    sock = lone.bound(family)
    lone.receive(family.udp(b"hello"))
    assert sock.recvfrom(100) == (b"hello", sock_name(family, family.peer, FROM))
    assert lone.sent() == []
    assert lone.host.counters.udp_in_datagrams == 1


def sock_name(family: Family, address: bytes, port: int) -> tuple[object, ...]:
    return (text(address), port) if family is V4 else (text(address), port, 0, 0)


@pytest.mark.requirement("RFC1122-S4.1.3.1-1")
@both
def test_port_unreachable_answers_for_a_closed_port(family: Family) -> None:
    lone = Lone()
    lone.bound(family).close()
    packet = family.udp(b"hello")
    lone.receive(packet)
    (answer,) = lone.sent()
    assert (answer.kind, answer.code) == ((3, 3) if family is V4 else (1, 4))
    assert answer.payload == packet
    assert (answer.src, answer.dst) == (family.here, family.peer)
    assert lone.host.counters.udp_no_ports == 1


@pytest.mark.requirement("RFC1122-S4.1.3.4-2")
@both
def test_a_wrong_checksum_is_dropped_in_silence(family: Family) -> None:
    lone = Lone()
    sock = lone.bound(family)
    spoiled = bytearray(family.udp(b"hello"))
    spoiled[-1] ^= 1
    to_closed_port = encode.udp(family.peer, family.here, FROM, PORT + 1, b"hello")[:-1] + b"!"
    lone.receive(bytes(spoiled), encode.ip(family.peer, family.here, encode.UDP, to_closed_port))
    assert lone.sent() == []
    assert outcome(sock.recv, 100) == "EAGAIN"
    expected = {"udp_in_errors": 2, "udp_csum_errors": 2, "dropped_bad_udp_checksum": 2}
    assert lone.drops() == expected


@both
def test_a_header_that_lies_is_dropped_in_silence(family: Family) -> None:
    lone = Lone()
    lone.receive(encode.ip(family.peer, family.here, encode.UDP, bytes(7)))
    assert lone.sent() == []
    assert lone.drops() == {"udp_in_errors": 1, "dropped_bad_udp_header": 1}


@pytest.mark.requirement("RFC1122-S4.1.3.6-1", "RFC1122-S3.2.1.3-1")
@both
def test_what_is_for_others_or_from_nobody_is_dropped(family: Family) -> None:
    lone = Lone()
    sock = lone.bound(family)
    lone.receive(
        family.udp(b"x", dst=family.stranger), family.udp(b"x", dst=family.multicast),
        family.udp(b"x", src=family.multicast), family.udp(b"x", src=family.here),
    )  # fmt: skip
    assert lone.sent() == []
    assert outcome(sock.recv, 100) == "EAGAIN"
    assert lone.drops() == {"dropped_not_for_us": 2, "dropped_bad_source": 2}


def test_a_broadcast_is_heard_and_a_closed_port_does_not_answer_it() -> None:
    lone = Lone()
    sock = lone.bound(V4)
    for address in (BROADCAST, "255.255.255.255"):
        lone.receive(V4.udp(b"all", dst=sixteen(bytes(map(int, address.split("."))))[12:]))
        assert sock.recv(10) == b"all"
    sock.close()
    lone.receive(V4.udp(b"all", dst=bytes((198, 18, 0, 255))))
    assert lone.sent() == []
    assert lone.drops() == {}


# -- fragments ------------------------------------------------------------------------------------


@both
def test_what_is_larger_than_the_mtu_goes_in_fragments(family: Family) -> None:
    lone = Lone()
    lone.connected(family).send(DATA[:3000])
    pieces = lone.sent()
    assert len(pieces) == 3
    assert all(len(piece.octets) <= 1500 and not piece.df for piece in pieces)
    assert [piece.offset for piece in pieces] == ([0, 1480, 2960] if family is V4 else
                                                  [0, 1448, 2896])  # fmt: skip
    assert [piece.more for piece in pieces] == [True, True, False]
    assert len({piece.ident for piece in pieces}) == 1
    upper = b"".join(piece.upper for piece in pieces)
    assert upper == encode.udp(family.here, family.peer, PORT, FROM, DATA[:3000])
    assert lone.host.counters.udp_out_datagrams == 1


@pytest.mark.requirement("RFC8200-S4.5-5", "RFC7739-S5-1", "RFC6864-S4.3-1")
@both
def test_identifications_of_what_is_cut_differ_and_cannot_be_guessed(family: Family) -> None:
    """RFC 6864 §4.3, RFC 7739 §5."""
    found = []
    for secret in (bytes(16), bytes(15) + b"1"):
        lone = Lone(secret=secret)
        sock = lone.connected(family)
        idents = []
        for _ in range(20):
            sock.send(DATA[:3000])
            idents += sorted({piece.ident for piece in lone.sent()})
        assert len(set(idents)) == 20
        found.append(idents)
    assert set(found[0]).isdisjoint(found[1])
    steps = {(after - before) & 0xFFFF for before, after in pairwise(found[0])}
    assert steps == {1} if family is V4 else len(steps) == 19
    assert family is V4 or max(found[0]) > 0xFFFF


@pytest.mark.requirement("RFC6864-S4.3-1")
def test_what_goes_to_others_does_not_count_ipv4_identifications() -> None:
    """RFC 6864 §4.3 wants them to differ for each destination; a count of all would tell of it."""
    lone = Lone()
    sock = lone.bound(V4)
    idents = []
    for number in range(40):
        sock.sendto(DATA[:3000], ("198.18.0.9", FROM))
        sock.sendto(DATA[:3000], (f"198.18.0.{100 + number}", FROM))
        idents.append(lone.sent()[0].ident)
    assert {(after - before) & 0xFFFF for before, after in pairwise(idents)} == {1}


@both
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_fragments_are_put_together(family: Family, order: tuple[int, ...]) -> None:
    lone = Lone()
    sock = lone.bound(family)
    pieces = encode.fragments(family.udp(DATA[:3000]), 1400)
    for number in order:
        lone.receive(pieces[number])
    assert sock.recv(5000) == DATA[:3000]
    assert lone.sent() == []


@both
def test_more_than_a_batch_holds_goes_with_the_next(family: Family) -> None:
    lone = Lone()
    sock = lone.connected(family)
    sock.setsockopt(c.SOL_SOCKET, c.SO_SNDBUF, 2_000_000)
    for _ in range(40):
        sock.send(DATA[:60_000])
    first = list(lone.host.transmit(lone.now_us))
    assert 0 < len(first) < 40 * 41
    assert lone.host.next_deadline() == lone.now_us
    rest = lone.sent()
    assert len(first) + len(rest) == 40 * (41 if family is V4 else 42)
    assert lone.host.next_deadline() == 0


# -- what ICMP says of it -------------------------------------------------------------------------


def about(family: Family, quoted: Packet, kind: int, code: int, mtu: int = 0) -> bytes:
    """What a router says about a packet of ours."""
    return family.message(kind, code, mtu.to_bytes(4, "big"), quoted.octets[:300],
                          src=family.router)  # fmt: skip


def unreachable(family: Family, v4: int, v6: int) -> tuple[int, int]:
    return (3, v4) if family is V4 else (1, v6)


def too_big(family: Family) -> tuple[int, int]:
    return (3, 4) if family is V4 else (2, 0)


@pytest.mark.requirement("RFC1122-S4.1.3.3-1")
@both
@pytest.mark.parametrize(
    ("codes", "expected"),
    [((3, 4), "ECONNREFUSED"), ((13, 1), ("EHOSTUNREACH", "EACCES")), ((0, 0), "EAGAIN"),
     ((1, 3), "EAGAIN")],
)  # fmt: skip
def test_lasting_errors_reach_a_connected_socket_and_passing_ones_do_not(
    family: Family, codes: tuple[int, int], expected: str | tuple[str, str]
) -> None:
    lone = Lone()
    sock = lone.connected(family)
    sock.send(b"hello")
    lone.receive(about(family, lone.sent()[0], *unreachable(family, *codes)))
    if isinstance(expected, tuple):
        expected = expected[family is V6]
    assert outcome(sock.recv, 10) == expected
    assert outcome(sock.recv, 10) == "EAGAIN"


@pytest.mark.requirement("RFC1122-S4.1.3.3-1")
@both
def test_with_ip_recverr_passing_errors_are_told_as_well(family: Family) -> None:
    lone = Lone()
    sock = lone.bound(family)
    sock.setsockopt(*(
        (c.IPPROTO_IP, c.IP_RECVERR, 1) if family is V4 else (c.IPPROTO_IPV6, c.IPV6_RECVERR, 1)
    ))  # fmt: skip
    sock.sendto(b"hello", (text(family.peer), FROM))
    lone.receive(about(family, lone.sent()[0], *unreachable(family, 0, 0)))
    assert outcome(sock.recv, 10) == "ENETUNREACH"
    assert sock.recvmsg(10, 100, c.MSG_ERRQUEUE)[0] == b"hello"


@both
def test_an_error_about_what_nobody_here_sends_is_counted(family: Family) -> None:
    lone = Lone()
    sock = lone.connected(family)
    sock.send(b"hello")
    (packet,) = lone.sent()
    sock.close()
    lone.receive(about(family, packet, *unreachable(family, 3, 4)))
    assert lone.drops() == {"dropped_icmp_quote": 1}
    stranger = lone.socket(family)
    stranger.bind(("", PORT))
    stranger.connect((text(family.peer), FROM + 1))
    lone.receive(about(family, packet, *unreachable(family, 3, 4)))
    assert outcome(stranger.recv, 10) == "EAGAIN"
    assert lone.drops() == {"dropped_icmp_quote": 2}


@both
def test_a_narrow_path_is_learnt_and_larger_datagrams_are_cut_for_it(family: Family) -> None:
    lone = Lone()
    sock = lone.connected(family)
    sock.send(DATA[:1400])
    (packet,) = lone.sent()
    assert packet.df
    lone.receive(about(family, packet, *too_big(family), mtu=1300))
    assert outcome(sock.recv, 10) == "EMSGSIZE", "Linux: a connected socket hears of it"
    sock.send(DATA[:1400])
    assert [len(piece.octets) <= 1300 for piece in lone.sent()] == [True, True]
    level, name = (c.IPPROTO_IP, c.IP_MTU) if family is V4 else (c.IPPROTO_IPV6, c.IPV6_MTU)
    assert sock.getsockopt(level, name) == 1300
    option = (c.IPPROTO_IP, c.IP_MTU_DISCOVER) if family is V4 else (
        c.IPPROTO_IPV6, c.IPV6_MTU_DISCOVER)  # fmt: skip
    sock.setsockopt(*option, c.IP_PMTUDISC_DO)
    assert outcome(sock.send, DATA[:1400]) == "EMSGSIZE"
    sock.setsockopt(*option, c.IP_PMTUDISC_PROBE)
    sock.send(DATA[:1400])
    assert len(lone.sent()) == 1, "a probe goes by the device's MTU"


def test_a_path_that_is_not_followed_gets_datagrams_without_df() -> None:
    lone = Lone()
    sock = lone.connected(V4)
    sock.send(DATA[:1400])
    lone.receive(about(V4, lone.sent()[0], *too_big(V4), mtu=300))
    assert outcome(sock.recv, 10) == "EMSGSIZE"
    sock.send(DATA[:500])
    (packet,) = lone.sent()
    assert (packet.df, len(packet.octets)) == (False, 528)
    assert packet.ident != 0


def test_without_path_mtu_discovery_df_is_clear_and_nobody_is_told() -> None:
    lone = Lone(ip_no_pmtu_disc=1)
    sock = lone.connected(V4)
    sock.send(b"hello")
    (packet,) = lone.sent()
    assert not packet.df
    lone.receive(about(V4, packet, *too_big(V4), mtu=1300))
    assert outcome(sock.recv, 10) == "EAGAIN"


@both
def test_a_datagram_to_many_goes_no_further_than_one_hop(family: Family) -> None:
    lone = Lone()
    sock = lone.socket(family)
    many = "224.0.0.251" if family is V4 else "ff05::fb"
    sock.sendto(b"hello", (many, 5353))
    (packet,) = lone.sent()
    assert packet.ttl == 1
    assert packet.dst_port == 5353


@both
def test_a_route_says_how_large_datagrams_are_and_how_far_they_go(family: Family) -> None:
    lone = Lone()
    network = "198.18.0.0/24" if family is V4 else "fd00::/64"
    lone.host.add_route(f"{network} mtu 1300 hoplimit 9")
    sock = lone.connected(family)
    sock.send(DATA[:1400])
    packets = lone.sent()
    assert [len(packet.octets) <= 1300 for packet in packets] == [True, True]
    assert {packet.ttl for packet in packets} == {9}
    level, ttl, mtu = (
        (c.IPPROTO_IP, c.IP_TTL, c.IP_MTU) if family is V4
        else (c.IPPROTO_IPV6, c.IPV6_UNICAST_HOPS, c.IPV6_MTU)
    )  # fmt: skip
    assert sock.getsockopt(level, mtu) == 1300
    sock.setsockopt(level, ttl, 33)
    sock.send(b"hello")
    assert [packet.ttl for packet in lone.sent()] == [33]


def test_a_route_whose_mtu_is_locked_has_datagrams_without_df() -> None:
    lone = Lone()
    lone.host.add_route("198.18.0.0/24 mtu lock 1300")
    sock = lone.connected(V4)
    sock.send(b"hello")
    (packet,) = lone.sent()
    assert not packet.df
    lone.receive(about(V4, packet, *too_big(V4), mtu=1000))
    assert sock.getsockopt(c.IPPROTO_IP, c.IP_MTU) == 1300
