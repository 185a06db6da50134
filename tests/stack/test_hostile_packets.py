"""Whatever comes in: no exception, no damage to connections, bounded memory, every drop counted."""

from __future__ import annotations

import ipaddress
import random
import socket
from contextlib import suppress
from typing import Any

import pytest

from pystack.path.link import Delay, Link, Stage
from pystack.sockets import Host
from tests.kit.flow import pattern
from tests.kit.packets import encode
from tests.kit.packets.decode import decode
from tests.kit.packets.hostile import Attacker
from tests.kit.pair import Pair
from tests.kit.tcp import Tcp

NEAR = ("192.0.2.1", "2001:db8::1")
FAR = ("192.0.2.2", "2001:db8::2")


# -- forged packets beside live connections -------------------------------------------------------


class Tap(Stage):
    """Shows the attacker what the host sends."""

    def __init__(self, attacker: Attacker) -> None:
        self._attacker = attacker

    def feed(self, packet: Any, now_us: int) -> list[Any]:
        seen = bytes(packet[0])
        if seen[9 if seen[0] >> 4 == 4 else 6] == encode.TCP:
            self._attacker.answers = [*self._attacker.answers[-20:], seen[:200]]
        return [packet]


class Echo:
    """One connection: the far end writes and wants all of it back, then both close."""

    def __init__(self, pair: Pair, listener: Any, version: int, size: int) -> None:
        self.listener = listener
        self.text = pattern(version, size)
        self.family = socket.AF_INET if version == 4 else socket.AF_INET6
        self.client = pair.far.socket(self.family)
        self.peer: Any = None
        self.written = 0
        self.got = b""
        self.rest = b""
        self.done = False
        with suppress(BlockingIOError):
            self.client.connect((NEAR[version == 6], 80))

    def go_on(self, accepted: dict[Any, Any]) -> None:
        """Do what can be done now."""
        if self.done:
            return
        with suppress(BlockingIOError):
            while self.written < len(self.text):
                self.written += self.client.send(self.text[self.written :])
        if self.peer is None:
            with suppress(OSError):
                self.peer = accepted.pop(self.client.getsockname()[:2], None)
        if self.peer is not None:
            with suppress(BlockingIOError):
                self.rest = self.rest or self.peer.recv(100_000)
                self.rest = self.rest[self.peer.send(self.rest) :] if self.rest else b""
        with suppress(BlockingIOError):
            self.got += self.client.recv(100_000)
        if len(self.got) >= len(self.text):
            self.done = True
            self.client.close()
            self.peer.close()


@pytest.mark.parametrize("timestamps", [0, 1])
@pytest.mark.parametrize("seed", [1, 2])
def test_connections_among_forged_packets_are_not_touched(seed: int, timestamps: int) -> None:
    rng = random.Random(seed)
    near_host = Host((f"{NEAR[0]}/24", f"{NEAR[1]}/64"), secret=bytes(16))
    far_host = Host((f"{FAR[0]}/24", f"{FAR[1]}/64"), secret=bytes(range(16)))
    for host in (near_host, far_host):
        host.sysctl("tcp_timestamps", timestamps)
    near_host.sysctl("ipfrag_high_thresh", 100_000)
    attacker = Attacker(rng, rate=6)
    pair = Pair(near_host, far_host, Link(Tap(attacker), Delay(2000)), Link(Delay(2000), attacker))
    listeners = []
    for family in (socket.AF_INET, socket.AF_INET6):
        listener = near_host.socket(family)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1) if family == 10 else None
        listener.bind(("" if family == socket.AF_INET else "::", 80))
        listener.listen(16)
        listeners.append(listener)
    echoes = [Echo(pair, None, version, 60_000) for version in (4, 6, 4, 6)]
    accepted: dict[Any, Any] = {}

    def work() -> bool:
        for listener in listeners:
            with suppress(BlockingIOError):
                sock, address = listener.accept()
                accepted[address[:2]] = sock
        for echo in echoes:
            echo.go_on(accepted)
        assert near_host.ip.reassembly.memory <= 100_000
        assert len(near_host.connections) < 100
        return all(echo.done for echo in echoes)

    assert pair.run(work, within_s=600)
    for echo in echoes:
        assert echo.got == echo.text
    pair.run(lambda: False, within_s=600)
    assert not near_host.connections
    assert near_host.shared.memory.held_bytes == 0
    assert near_host.ip.reassembly.memory == 0
    assert near_host.counters.owner_errors == 0
    assert attacker.sent > 1000
    assert attacker.sent / 2 < sum(near_host.counters.dropped) + near_host.counters.challenge_acks
    reasons = {name for name in near_host.counters.as_dict() if name.startswith("dropped_")}
    assert len(reasons) >= 16, sorted(reasons)


# -- every reason is counted ----------------------------------------------------------------------


SOURCE, HERE = ipaddress.ip_address(FAR[0]).packed, ipaddress.ip_address(NEAR[0]).packed
SOURCE6, HERE6 = ipaddress.ip_address(FAR[1]).packed, ipaddress.ip_address(NEAR[1]).packed


def tcp_to(port: int = 9, flags: int = encode.SYN, **fields: Any) -> bytes:
    return encode.tcp(SOURCE, HERE, 1000, port, 1, 0, flags, 100, **fields)


def v4(upper: bytes, protocol: int = encode.TCP, **fields: Any) -> bytes:
    return encode.ip(SOURCE, HERE, protocol, upper, **fields)


def icmp(kind: int, body: bytes = b"", **fields: Any) -> bytes:
    return v4(encode.icmp(SOURCE, HERE, kind, 0, bytes(4), body), encode.ICMP, **fields)


def between(src: bytes, dst: bytes) -> bytes:
    segment = encode.tcp(src, dst, 1000, 80, 1, 0, encode.SYN, 100)
    return encode.ip(src, dst, encode.TCP, segment)


WHOLE = v4(tcp_to())
OTHER, MANY = b"\xc0\0\2\7", b"\xe0\0\0\1"
BAD = {
    "truncated": [b"", b"\x45", WHOLE[:19], WHOLE[:-1], v4(bytes(19)),
                  encode.ip(SOURCE6, HERE6, 6, bytes(20))[:50]],
    "bad_version": [b"\x00" * 40, b"\x50" + WHOLE[1:], b"\xff" * 60],
    "bad_ip_header": [b"\x44" + WHOLE[1:], b"\x4f" + WHOLE[1:30] + bytes(9)],
    "bad_ip_checksum": [v4(tcp_to(), spoil_checksum=True)],
    "bad_ip_option": [v4(tcp_to(), options=b"\x07\x01\0\0"), v4(tcp_to(), options=b"\x1e\x09\0\0")],
    "bad_tcp_header": [v4(tcp_to(data_offset=4)), v4(tcp_to(data_offset=15))],
    "bad_tcp_checksum": [v4(tcp_to(spoil_checksum=True))],
    "not_for_us": [between(SOURCE, OTHER)],
    "bad_source": [between(MANY, HERE), between(HERE, HERE), between(b"\x7f\0\0\1", HERE)],
    "bad_fragment": [encode.fragment4(WHOLE, 8, b"1234567", True, 1),
                     encode.fragment4(WHOLE, 65528, bytes(8), False, 1)],
    "bad_icmp": [icmp(3), icmp(40), v4(b"\3\0\0\0", encode.ICMP), icmp(8)[:-1] + b"\1"],
    "icmp_quote": [icmp(3, encode.ip(HERE, SOURCE, 6, tcp_to())[:28]),
                   icmp(3, encode.ip(SOURCE, HERE, 6, tcp_to())[:28])],
    "unknown_protocol": [v4(b"", 50), v4(bytes(100), 132)],
    "no_ack": [v4(tcp_to(80, 0)), v4(tcp_to(80, encode.FIN)),
               v4(tcp_to(80, encode.PSH | encode.URG))],
}  # fmt: skip


@pytest.mark.variants("ipv4")
@pytest.mark.parametrize("reason", list(BAD))
def test_a_bad_packet_is_counted_by_its_reason(tcp: Tcp, reason: str) -> None:
    tcp.listen()
    for number, packet in enumerate(BAD[reason], 1):
        tcp.inject(packet)
        for answer in tcp.run(0):
            assert answer.protocol == encode.ICMP
        dropped = {
            name: count
            for name, count in tcp.host.counters.as_dict().items()
            if name.startswith("dropped")
        }
        assert dropped == {f"dropped_{reason}": number}


@pytest.mark.variants("ipv4", "ipv6")
def test_octets_behind_a_packet_do_no_harm_however_many(tcp: Tcp) -> None:
    tcp.inject(tcp.segment("S 0:0(0)") + bytes(200_000))
    tcp.play("+0 > R. =0:=0(0) ack 1 win 0\n+10 quiet")


# -- noise ----------------------------------------------------------------------------------------


def test_noise_is_never_an_exception() -> None:
    rng = random.Random(3)
    host = Host((f"{NEAR[0]}/24", f"{NEAR[1]}/64"), secret=bytes(16))
    listener = host.socket()
    listener.bind(("", 80))
    listener.listen(4)
    now_us = 1
    for _ in range(3000):
        now_us += 1000
        packet = bytearray(rng.randbytes(rng.randrange(120)))
        if len(packet) > 40:
            if rng.random() < 0.5:
                packet[0] = 0x45
                packet[2:4] = len(packet).to_bytes(2, "big")
                packet[12:20] = SOURCE + HERE
                packet[9] = rng.choice((1, 6, 17, 58))
                packet[10:12] = bytes(2)
                packet[10:12] = encode.internet_checksum(bytes(packet[:20])).to_bytes(2, "big")
            else:
                packet[0] = 0x60
                packet[4:6] = (len(packet) - 40).to_bytes(2, "big")
                packet[6] = rng.choice((0, 6, 17, 43, 44, 58, 60, 60, 44))
                packet[8:40] = SOURCE6 + HERE6
        state = rng.choice((0, 1, 1, 2))
        host.receive([(bytes(packet), rng.choice((0, 0, 1, 70_000 & 0xFFFF)), state)], now_us)
        for buffer, gso_size, checksum_state in host.transmit(now_us):
            decode(bytes(buffer), gso_size, checksum_state)
    assert len(host.connections) <= 8
    assert host.ip.reassembly.memory <= 4_194_304
    assert sum(host.counters.dropped) > 1000
