"""Packets of somebody who wishes no good: seeded, for the tests of robustness.

`Attacker` sits on the way to a host and sees everything, but guesses (as somebody off the path
must) or breaks what he forges: nothing that he sends may touch a connection. `anything` is what a
peer itself may send that follows no rule at all.
"""

from __future__ import annotations

import random
import struct

from pystack.path.link import Stage
from pystack.wire.batch import Packet as Raw
from tests.kit.packets import encode
from tests.kit.packets.decode import Packet, decode
from tests.kit.packets.encode import ACK, FIN, PSH, RST, SYN, URG

FLAGS = (ACK,) * 12 + (ACK | PSH,) * 8 + (
    ACK | FIN, ACK | FIN, RST, RST | ACK, SYN, SYN | ACK, 0, ACK | URG, ACK | PSH | URG, FIN, PSH,
    SYN | RST, SYN | FIN, FIN | PSH | URG, ACK | 0x40, ACK | 0x80, 0x1FF,
)  # fmt: skip
MASK = 0xFFFF_FFFF


class Attacker(Stage):
    """Lets packets pass, and sends `rate` of his own beside each."""

    def __init__(self, rng: random.Random, rate: int) -> None:
        self.rng = rng
        self.rate = rate
        self.sent = 0
        self.answers: list[bytes] = []  # what the host has sent lately, for quotes
        self._live: set[tuple[bytes, int, bytes, int]] = set()

    def feed(self, packet: Raw, now_us: int) -> list[Raw]:
        octets = bytes(packet[0])
        seen = decode(octets, 0, packet[2])[0]
        way = (seen.src, seen.src_port, seen.dst, seen.dst_port)
        if seen.flags & SYN == 0:
            self._live.add(way)
        elif seen.flags & ACK == 0:
            self._live.discard(way)
        before = [self._forge(octets, seen) for _ in range(self.rng.randrange(self.rate + 1))]
        after = [self._forge(octets, seen) for _ in range(self.rng.randrange(self.rate + 1))]
        self.sent += len(before) + len(after)
        return [*map(self._raw, before), packet, *map(self._raw, after)]

    def _raw(self, octets: bytes) -> Raw:
        return octets, self.rng.choice((0, 0, 0, 1, 536, 1460, 65535)), 0

    def _forge(self, octets: bytes, seen: Packet) -> bytes:
        kinds = [self._broken, self._noise, self._icmp, self._fragment, self._other]
        if (seen.src, seen.src_port, seen.dst, seen.dst_port) in self._live:
            kinds += [self._guess] * 6
        return self.rng.choice(kinds)(octets, seen)

    # -- what no checksum or length lets through --------------------------------------------------

    def _broken(self, octets: bytes, seen: Packet) -> bytes:
        """A packet of the connection, cut short, drawn out or with a few octets changed."""
        rng = self.rng
        kind = rng.randrange(4)
        if kind == 0:
            return octets[: rng.randrange(len(octets))]
        bent = bytearray(octets)
        if kind == 1 and seen.version == 4:
            bent[rng.randrange(10)] ^= 1 << rng.randrange(8)  # the header checksum finds it
            return bytes(bent)
        at = len(octets) - len(seen.upper)
        if kind == 2:
            bent[at + 12] = rng.randrange(5) << 4  # a data offset inside of the fixed header
        bent[at + rng.randrange(len(seen.upper))] ^= 1 << rng.randrange(8)
        return bytes(bent) if kind != 3 else bytes(bent) + rng.randbytes(rng.randrange(50))

    def _noise(self, octets: bytes, seen: Packet) -> bytes:
        rng = self.rng
        noise = bytearray(rng.randbytes(rng.choice((0, 1, 19, 20, 40, 60, 200, 1500))))
        if noise:
            noise[0] = rng.choice((0x45, 0x45, 0x46, 0x4F, 0x60, 0x60, noise[0]))
        return bytes(noise)

    # -- with right checksums, but guessed numbers ------------------------------------------------

    def _guess(self, octets: bytes, seen: Packet) -> bytes:
        """The right addresses and ports. What must be guessed besides is guessed wrong."""
        rng = self.rng
        after = seen.seq + len(seen.payload)
        far = rng.choice((1, -1)) * rng.randrange(1 << 24, 1 << 31)
        near = rng.choice((rng.randrange(2, 70_000), -rng.randrange(2, 70_000), far))
        kind = rng.randrange(6)
        options = hostile_options(rng)
        if kind == 0:  # a reset anywhere but where it counts
            seq = (after if near > 0 else seen.seq) + near
            return self._segment(seen, seq, seen.ack, rng.choice((RST, RST | ACK)), options)
        if kind == 1:
            seq = seen.seq + rng.choice((near, 0))
            return self._segment(seen, seq, seen.ack, rng.choice((SYN, SYN | ACK)), options)
        text = rng.randbytes(rng.choice((0, 1, 100, 1460, 3000)))
        flags = rng.choice((ACK, ACK | PSH, ACK | FIN, ACK | URG))
        if kind == 2:  # acknowledges what was never sent, or what nobody remembers
            ack = seen.ack + rng.choice((1, -1)) * rng.randrange(1 << 26, 1 << 30)
            return self._segment(seen, seen.seq + near, ack, flags, options, text)
        if kind == 3:  # no ACK bit
            return self._segment(seen, seen.seq + near, 0, flags & ~ACK, options, text)
        if kind == 4:  # out of every window
            return self._segment(seen, seen.seq + far, seen.ack, flags, options, text)
        return self._segment(seen, seen.seq, seen.ack, flags, options, text, spoil=True)

    def _segment(
        self, seen: Packet, seq: int, ack: int, flags: int, options: bytes, text: bytes = b"",
        spoil: bool = False,
    ) -> bytes:  # fmt: skip
        segment = encode.tcp(
            seen.src, seen.dst, seen.src_port, seen.dst_port, seq & MASK, ack & MASK, flags,
            self.rng.choice((0, 1, 65535)), options, text, urgent=self.rng.getrandbits(16),
            reserved=self.rng.choice((0, 0, 7)), spoil_checksum=spoil,
        )  # fmt: skip
        return encode.ip(seen.src, seen.dst, encode.TCP, segment)

    # -- ICMP -------------------------------------------------------------------------------------

    def _icmp(self, octets: bytes, seen: Packet) -> bytes:
        """Of any kind, quoting what the host has sent, bent or not: such errors are soft."""
        rng = self.rng
        quote = bytearray(rng.choice(self.answers)) if self.answers else bytearray(28)
        if rng.random() < 0.7:
            for _ in range(rng.randrange(1, 4)):
                quote[rng.randrange(len(quote))] ^= 1 << rng.randrange(8)
        quote = quote[: rng.choice((0, 7, 20, 27, 28, 40, 48, 100, 2000))]
        v4 = seen.version == 4
        kinds = (3, 3, 4, 5, 11, 12) if v4 else (1, 2, 2, 3, 4, 100)
        rest = struct.pack("!I", rng.choice((0, 40, 68, 552, 1000, 1280, 1400, 70_000)))
        kind = rng.choice((*kinds, rng.randrange(256)))
        protocol = encode.ICMP if v4 else encode.ICMPV6
        code = rng.randrange(16)
        message = encode.icmp(seen.src, seen.dst, kind, code, rest, bytes(quote))
        packet = encode.ip(seen.src, seen.dst, protocol, message)
        return packet if rng.random() < 0.9 else packet[:-1] + bytes([packet[-1] ^ 1])

    # -- the rest ---------------------------------------------------------------------------------

    def _fragment(self, octets: bytes, seen: Packet) -> bytes:
        """A part of what may be a packet: it is never the last that is missing."""
        rng = self.rng
        at = 8 * rng.randrange(1, 8100)
        text = rng.randbytes(rng.choice((0, 1, 7, 8, 64, 1400)))
        cut = encode.fragment4 if seen.version == 4 else encode.fragment6
        return cut(octets, at, text, rng.random() < 0.8, rng.getrandbits(5))

    def _other(self, octets: bytes, seen: Packet) -> bytes:
        """To another port, from or to another address, of another protocol."""
        rng = self.rng
        src, dst = bytearray(seen.src), bytearray(seen.dst)
        kind = rng.randrange(4)
        if kind == 0:
            src[rng.randrange(len(src))] = rng.randrange(256)
        elif kind == 1:
            dst[rng.randrange(len(dst))] = rng.randrange(256)
        sport, dport = rng.randrange(1, 1 << 15), rng.choice((80, 81, rng.getrandbits(16)))
        if kind == 2:
            body = encode.udp(bytes(src), bytes(dst), sport, dport, rng.randbytes(20))
            return encode.ip(bytes(src), bytes(dst), rng.choice((17, 17, 132, 50)), body)
        segment = encode.tcp(
            bytes(src), bytes(dst), sport, dport, rng.getrandbits(32), rng.getrandbits(32),
            rng.choice(FLAGS), 1000, hostile_options(rng), rng.randbytes(rng.randrange(50)),
        )  # fmt: skip
        return encode.ip(bytes(src), bytes(dst), encode.TCP, segment)


def hostile_options(rng: random.Random, tsval: int = 0) -> bytes:
    """TCP options as nobody should send them: lengths that lie, kinds out of place, all mixed."""
    parts = []
    for _ in range(rng.randrange(4)):
        kind = rng.randrange(8)
        if kind == 0:
            parts.append(b"\1")
        elif kind == 1:
            value = rng.choice((tsval, tsval + 1, tsval - 1, rng.getrandbits(32))) & MASK
            parts.append(struct.pack("!BBII", 8, 10, value, rng.getrandbits(32)))
        elif kind == 2:
            parts.append(struct.pack("!BBH", 2, 4, rng.getrandbits(16)))
        elif kind == 3:
            parts.append(bytes((3, 3, rng.randrange(256))))
        elif kind == 4:
            parts.append(rng.randbytes(1) + bytes((rng.randrange(12),)) + rng.randbytes(6))
        elif kind == 5:
            parts.append(b"\0")
        elif kind == 6:
            parts.append(b"\4\2")
        else:
            parts.append(bytes((5, 2 + 8 * rng.randrange(5))) + rng.randbytes(rng.randrange(33)))
    return b"".join(parts)[:40]


def near(rng: random.Random, number: int, spread: int) -> int:
    """A sequence number: often just right, often close by, now and then anywhere."""
    other = rng.choice((1, -1, rng.randrange(-spread, spread), rng.randrange(-spread, spread)))
    chosen = rng.choice((0, 0, 0, other, other, rng.getrandbits(32)))
    return number + chosen & MASK
