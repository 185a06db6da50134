"""A router answers what is for itself, and says by ICMP why it does not forward something."""

from __future__ import annotations

import pytest

from pystack.sim import SimHost, World
from pystack.sim.network.router import Router
from pystack.wire.batch import Packet
from pystack.wire.consts import CHECKSUM_COMPLETE
from tests.kit.packets import decode, encode

LENGTH = 1400
NOBODY = {4: bytes((10, 9, 9, 9)), 6: bytes.fromhex("fd99" + 28 * "0")}
UNREACHABLE = {4: (3, 0), 6: (1, 0)}  # no route (RFC 792, RFC 4443 §3.1)
TOO_OLD = {4: (11, 0), 6: (3, 0)}
TOO_BIG = {4: (3, 4), 6: (2, 0)}
ECHO = {4: (8, 0), 6: (128, 129)}


class Scene:
    """A host, a router of one or more addresses, a narrow link and another host."""

    def __init__(self, version: int, *more: str) -> None:
        self.version = version
        world = self.world = World()
        self.a, self.b = world.host("a"), world.host("b")
        self.router = world.router("r", "10.0.0.3/8", "fd00::3/64", *more)
        _, home = world.link(self.a, self.router, delay="1ms")
        world.link(self.router, self.b, delay="1ms", mtu=1300)
        self.came: list[decode.Packet] = []
        home.arrival_taps.append(
            lambda line, packet, now_us: self.came.extend(
                decode.decode(bytes(packet[0]), *packet[1:])
            )
        )

    def address(self, node: SimHost | Router) -> bytes:
        """The first one of the family."""
        first, second = node.host.addresses.all()[:2]
        return first[12:] if self.version == 4 else second

    def sent(self, to: bytes, upper: bytes = b"text", protocol: int = 0, ttl: int = 64) -> bytes:
        """The packet that the host sends; then all that follows happens."""
        source = self.address(self.a)
        packet = encode.ip(source, to, protocol or encode.UDP, upper, ttl=ttl)
        if not protocol:
            upper = encode.udp(source, to, 7, 9, upper)
            packet = encode.ip(source, to, encode.UDP, upper, ttl=ttl)
        whole: Packet = (packet, 0, CHECKSUM_COMPLETE)
        self.a.send(whole, self.world.now_us)
        self.world.run(for_s=1)
        return packet

    def icmp(self) -> list[tuple[bytes, int, int, bytes, bytes]]:
        """What came back: from where, type, code, the word behind, and the rest."""
        return [
            (one.src, one.kind, one.code, one.rest, one.payload or one.upper[8:])
            for one in self.came
        ]


@pytest.fixture(params=[4, 6])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


def test_a_ping_is_answered(version: int) -> None:
    scene = Scene(version)
    source, to = scene.address(scene.a), scene.address(scene.router)
    request = encode.icmp(source, to, ECHO[version][0], 0, b"\0\1\0\2", b"ping")
    protocol = encode.ICMP if version == 4 else encode.ICMPV6
    scene.sent(to, request, protocol)
    assert scene.icmp() == [(to, 0 if version == 4 else 129, 0, b"\0\1\0\2", b"ping")]
    assert counted(scene) == (0, 0, 0, 0)


def counted(scene: Scene) -> tuple[int, int, int, int]:
    router = scene.router
    return router.forwarded, router.expired, router.too_big, router.unroutable


@pytest.mark.parametrize("more", [(), ("10.0.0.4/8", "fd00::4/64")])
def test_what_has_no_way_is_told_once_from_the_first_address(
    version: int, more: tuple[str, ...]
) -> None:
    scene = Scene(version, *more)
    packet = scene.sent(NOBODY[version])
    own = scene.address(scene.router)
    assert scene.icmp() == [(own, *UNREACHABLE[version], bytes(4), packet)]
    assert counted(scene) == (0, 0, 0, 1)


def test_what_is_too_old_is_told(version: int) -> None:
    scene = Scene(version)
    to = scene.address(scene.b)
    scene.sent(to, ttl=2)
    assert scene.icmp()[0][1:3] != TOO_OLD[version]  # nobody listens there, but it has arrived
    assert counted(scene) == (2, 0, 0, 0)  # and what was said of it
    scene.came.clear()
    packet = scene.sent(to, ttl=1)
    own = scene.address(scene.router)
    assert scene.icmp() == [(own, *TOO_OLD[version], bytes(4), packet)]
    assert counted(scene) == (2, 1, 0, 0)


def test_what_is_too_big_is_told_with_the_mtu_of_the_next_link(version: int) -> None:
    scene = Scene(version)
    packet = scene.sent(scene.address(scene.b), bytes(LENGTH))
    own = scene.address(scene.router)
    quoted = packet[: (576 - 20 if version == 4 else 1280 - 40) - 8]
    assert scene.icmp() == [(own, *TOO_BIG[version], (1300).to_bytes(4, "big"), quoted)]
    assert counted(scene) == (0, 0, 1, 0)
    assert scene.router.forwarded == 0


def test_what_is_printed_tells_what_was_done() -> None:
    scene = Scene(4)
    assert repr(scene.world) == "<World seed 0 at 0 s: 2 hosts, 1 router, 2 links>"
    assert repr(scene.router) == "<Router r at 10.0.0.3, fd00::3: 2 links, nothing forwarded>"
    scene.sent(NOBODY[4])
    assert repr(scene.router) == "<Router r at 10.0.0.3, fd00::3: 2 links, unroutable 1>"
    assert repr(scene.a) == "<SimHost a at 10.0.0.1, fd00::1: 0 connections, 0 listeners, 1 link>"
    assert [repr(line) for line in scene.world.directions] == [
        f"<StageLinkDirection {name}: {words}>"
        for words, names in (
            ("sent 1, arrived 1", ("a>r", "r>a")), ("nothing yet", ("r>b", "b>r")),
        )
        for name in names
    ]  # fmt: skip
    assert repr(scene.world.events) == "<Events at 2000000 µs: 2 happened, 0 wait>"
    assert repr(scene.world) == "<World seed 0 at 1 s: 2 hosts, 1 router, 2 links>"
