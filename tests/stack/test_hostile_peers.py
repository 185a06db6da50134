"""Peers and users who follow no rule: they hurt only their own connections, and nothing stays."""

from __future__ import annotations

import ipaddress
import random
import socket
import struct
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from pystack.sockets import Host
from tests.kit.packets import encode
from tests.kit.packets.decode import decode
from tests.kit.packets.hostile import FLAGS, hostile_options, near
from tests.kit.tcp import Tcp
from tests.kit.variants import VARIANTS

MASK = 0xFFFF_FFFF
SETTINGS: tuple[dict[str, int], ...] = (
    {}, {"tcp_sack": 0}, {"tcp_timestamps": 0}, {"tcp_max_tw_buckets": 1},
    {"tcp_abort_on_overflow": 1}, {"tcp_rfc1337": 1}, {"tcp_window_scaling": 0},
)  # fmt: skip
ENDS = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}


class Anything:
    """One seeded connection with a peer and a user who do anything."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        settings: dict[str, Any] = rng.choice(
            ({}, {"tcp_sack": 0}, {"tcp_timestamps": 0}, {"tcp_rmem": "4096 8192 16384"})
        )
        self.tcp = Tcp(VARIANTS[rng.choice(list(VARIANTS))], settings)
        self.ts = None if "tcp_timestamps" in settings else rng.choice((None, 5000))
        passive = rng.random() < 0.5
        listener = self.tcp.listen() if passive else None
        self.sock: Any = self.tcp.established(
            passive, listener=listener, ts=self.ts,
            sack="tcp_sack" not in settings and rng.random() < 0.5,
            wscale=rng.choice((None, 0, 7, 14)), win=rng.choice((1, 100, 1000, 65535)),
            mss=rng.choice((None, 1, 88, 536, 1460, 65535)),
        )  # fmt: skip
        if listener is not None:
            listener.close()
        flow = self.tcp.default
        self.seq, self.ack = flow.irs + 1, (flow.iss or 0) + 1
        self.steps = 0

    def go(self) -> None:
        rng, tcp = self.rng, self.tcp
        for _ in range(rng.randrange(20, 120)):
            self.steps += 1
            kind = rng.randrange(20)
            if kind < 14:
                self.packet(self.segment())
            elif kind == 14:
                self.note(tcp.run(rng.choice((0.001, 0.04, 0.2, 1, 10, 120, 1000))))
            elif kind == 15:
                self.packet(self.error())
            elif kind == 16 and rng.random() < 0.3:
                tcp.host.set_mtu(rng.choice((1280, 1400, 1500, 9000, 65535)))
            elif self.sock is not None:
                with suppress(OSError):
                    self.call()
            self.note(tcp.take())

    def end(self) -> None:
        """The user has gone; some time later so has everything."""
        if self.sock is not None:
            self.sock.close()
        self.tcp.run(3000)
        self.tcp.run(100_000)
        host = self.tcp.host
        assert not host.connections
        assert host.shared.memory.held_bytes == 0
        assert host.counters.owner_errors == 0

    def note(self, packets: list[Any]) -> None:
        """Where the connection stands, for the next segments."""
        for packet in packets:
            if packet.protocol == encode.TCP and not packet.flags & encode.RST:
                self.seq = packet.ack
                self.ack = packet.seq + len(packet.payload) + (packet.flags & encode.FIN)

    def packet(self, packet: bytes) -> None:
        gso_size = self.rng.choice((0, 0, 0, 1460, 1)) if len(packet) > 100 else 0
        self.tcp.host.receive([(packet, gso_size, 0)], self.tcp.now_us)

    def segment(self) -> bytes:
        rng, flow = self.rng, self.tcp.default
        size = rng.choice((0, 0, 1, 10, 1460, 3000, rng.randrange(9000)))
        tsval = 5100 + self.steps
        if self.ts is None or rng.random() < 0.3:
            options = hostile_options(rng, tsval)
        else:
            options = b"\1\1" + struct.pack("!BBII", 8, 10, tsval, 0)
        segment = encode.tcp(
            flow.remote, flow.local, flow.remote_port or 0, flow.local_port or 0,
            near(rng, self.seq, 70_000), near(rng, self.ack, 3000), rng.choice(FLAGS),
            rng.choice((0, 1, 5, 100, 65535, rng.getrandbits(16))), options,
            rng.randbytes(size), urgent=rng.choice((0, 0, 1, 10, rng.getrandbits(16))),
        )  # fmt: skip
        return encode.ip(flow.remote, flow.local, encode.TCP, segment)

    def error(self) -> bytes:
        rng, flow = self.rng, self.tcp.default
        v4 = flow.version == 4
        quoted = encode.tcp(
            flow.local, flow.remote, flow.local_port or 0, flow.remote_port or 0,
            near(rng, self.ack - 1, 3000), 0, encode.ACK, 0,
        )  # fmt: skip
        rest = struct.pack("!I", rng.choice((0, 68, 552, 600, 1280, 1300, rng.getrandbits(16))))
        message = encode.icmp(
            flow.remote, flow.local, rng.choice((3, 11, 12) if v4 else (1, 2, 3, 4)),
            rng.randrange(6), rest, encode.ip(flow.local, flow.remote, encode.TCP, quoted),
        )  # fmt: skip
        protocol = encode.ICMP if v4 else encode.ICMPV6
        return encode.ip(flow.remote, flow.local, protocol, message)

    def call(self) -> None:
        rng, sock = self.rng, self.sock
        kind = rng.randrange(12)
        if kind < 3:
            text = rng.randbytes(rng.randrange(1, 20_000))
            sock.send(text, rng.choice((0, 0, socket.MSG_OOB, socket.MSG_MORE, socket.MSG_EOR)))
        elif kind < 6:
            flags = rng.choice((0, 0, socket.MSG_OOB, socket.MSG_PEEK, socket.MSG_TRUNC))
            sock.recv(rng.choice((1, 100, 100_000)), flags)
        elif kind == 6:
            sock.shutdown(rng.choice((socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR)))
        elif kind == 7:
            sock.poll()
            sock.tcp_info()
        elif kind == 8 and rng.random() < 0.2:
            linger = struct.pack("ii", rng.randrange(2), 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            sock.close()
            self.sock = None
        else:
            level, option, most = rng.choice(
                (
                    (socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000),
                    (socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000),
                    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 2),
                    (socket.SOL_SOCKET, socket.SO_OOBINLINE, 2),
                    (socket.IPPROTO_TCP, socket.TCP_CORK, 2),
                    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 2),
                    (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 2),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 100),
                    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100_000),
                    (socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, 100_000),
                )
            )
            sock.setsockopt(level, option, rng.randrange(most))


@pytest.mark.parametrize("seed", range(0, 120, 10))
def test_a_peer_that_follows_no_rule_hurts_only_its_own_connection(seed: int) -> None:
    """What is sent is watched by the kit: it is well-formed, no octet changes, no offer shrinks."""
    states: Counter[str] = Counter()
    for each in range(seed, seed + 10):
        talk = Anything(each)
        talk.go()
        states.update(talk.tcp.history())
        talk.end()
    assert states["CLOSED"] >= 10


class Crowd:
    """A host that listens, connects and closes while segments come for whatever it has open.

    Handshakes, crossed SYNs, resets, TIME-WAIT and new connections on old ports, all mixed up.
    """

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.version = rng.choice((4, 6))
        here, peer = ENDS[self.version]
        self.here, self.peer = (ipaddress.ip_address(text).packed for text in (here, peer))
        self.host = Host(
            (f"{here}/{24 if self.version == 4 else 64}",),
            secret=bytes(16), gso=rng.random() < 0.5, checksum_offload=rng.random() < 0.5,
        )  # fmt: skip
        for name, value in rng.choice(SETTINGS).items():
            self.host.sysctl(name, value)
        self.now_us = 1_000_000
        self.sockets: list[Any] = []
        self.numbers: dict[tuple[int, int], list[int]] = {}  # by ports: SEQ, ACK of the next one
        self.listener: Any = None
        self.listen()

    def socket(self) -> Any:
        return self.host.socket(socket.AF_INET if self.version == 4 else socket.AF_INET6)

    def listen(self) -> None:
        self.listener = self.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.rng.random() < 0.3:
            self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
        with suppress(OSError):
            self.listener.bind(("", 80))
            self.listener.listen(self.rng.randrange(3))

    def go(self) -> None:
        rng = self.rng
        for _ in range(rng.randrange(30, 200)):
            kind = rng.randrange(20)
            if kind < 13:
                self.host.receive([(self.segment(), 0, 0)], self.now_us)
            elif kind == 13:
                self.pass_time(rng.choice((0.01, 0.2, 1, 5, 60, 200)))
            elif kind == 14 and rng.random() < 0.1:
                self.listener.close()
                self.listen()
            else:
                with suppress(OSError):
                    self.call(kind)
            if rng.random() < 0.8:
                self.transmit()

    def segment(self) -> bytes:
        rng = self.rng
        ours, theirs = 80, rng.randrange(1000, 1003)
        if self.numbers and rng.random() < 0.9:
            ours, theirs = rng.choice(list(self.numbers))
        expected = self.numbers.setdefault((ours, theirs), [rng.getrandbits(32), 0])
        flags = rng.choice((*FLAGS, *(encode.SYN, encode.SYN | encode.ACK, encode.ACK) * 3,
                            encode.ACK | encode.FIN))  # fmt: skip
        text = rng.randbytes(rng.choice((0, 0, 0, 1, 100, 1460)))
        segment = encode.tcp(
            self.peer, self.here, theirs, ours, near(rng, expected[0], 1000),
            near(rng, expected[1], 1000), flags, rng.choice((0, 1, 1000, 65535)),
            hostile_options(rng) if rng.random() < 0.5 else b"", text, urgent=rng.choice((0, 5)),
        )  # fmt: skip
        if rng.random() < 0.5:
            expected[0] += len(text) + bool(flags & (encode.SYN | encode.FIN)) & MASK
        return encode.ip(self.peer, self.here, encode.TCP, segment)

    def call(self, kind: int) -> None:
        rng = self.rng
        if kind == 15:
            sock = self.socket()
            self.sockets.append(sock)
            if rng.random() < 0.3:
                sock.bind(("", rng.choice((0, 80, 5000))))
            sock.connect((ENDS[self.version][1], rng.choice((80, 1000, 1001))))
        elif kind == 16:
            self.sockets.append(self.listener.accept()[0])
        elif self.sockets:
            sock = rng.choice(self.sockets)
            what = rng.randrange(7)
            if what == 0:
                sock.send(bytes(rng.randrange(1, 5000)))
            elif what == 1:
                sock.recv(100_000)
            elif what == 2:
                sock.shutdown(rng.randrange(3))
            elif what == 3:
                self.sockets.remove(sock)
                sock.close()
            elif what == 4:
                sock.connect(None)
            elif what == 5:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                repr((sock, sock.poll(), sock.tcp_info()))

    def transmit(self) -> None:
        for _ in range(1000):
            batch = self.host.transmit(self.now_us)
            if not batch.count:
                return
            for buffer, gso_size, checksum_state in batch:
                for packet in decode(bytes(buffer), gso_size, checksum_state):
                    self.note(packet)
        raise AssertionError("transmit never gets empty")

    def note(self, packet: Any) -> None:
        if packet.protocol != encode.TCP:
            return
        numbers = self.numbers.setdefault((packet.src_port, packet.dst_port), [0, 0])
        taken = len(packet.payload) + bool(packet.flags & (encode.SYN | encode.FIN))
        numbers[1] = packet.seq + taken & MASK
        if packet.flags & encode.ACK:
            numbers[0] = packet.ack

    def pass_time(self, seconds: float) -> None:
        until_us = self.now_us + round(seconds * 1e6)
        for _ in range(100_000):
            self.transmit()
            deadline_us = self.host.next_deadline()
            if not deadline_us or deadline_us > until_us:
                self.now_us = until_us
                return
            self.now_us = max(self.now_us, deadline_us)
            self.host.on_time(self.now_us)
        raise AssertionError("time does not move on")

    def end_and_check(self) -> None:
        """Everybody has gone; some time later so has everything."""
        for sock in (self.listener, *self.sockets):
            sock.close()
        self.pass_time(4000)
        self.pass_time(200_000)
        counters = self.host.counters
        assert not self.host.connections
        assert self.host.shared.memory.held_bytes == 0
        assert (counters.curr_estab, counters.tw_curr, counters.owner_errors) == (0, 0, 0)
        assert self.host.next_deadline() == 0


@pytest.mark.parametrize("seed", range(0, 100, 10))
def test_nothing_is_left_of_any_mixture_of_connections(seed: int) -> None:
    for each in range(seed, seed + 10):
        crowd = Crowd(each)
        crowd.go()
        crowd.end_and_check()
