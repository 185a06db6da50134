"""Tries an option on fresh, listening and connected sockets, of ours or of the kernel."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from pystack.sockets import constants as c
from tests.sockets.options.names import IP, IPV6, OPTIONS, TCP, UDP
from tests.sockets.world import World, outcome

Answers = dict[str, str]  # what was asked, what came of it

DEVICE = b"DEVICE"  # stands for the name of the world's own one
# getsockopt reads the question out of the buffer for the answer, which is nobody's here
_ASKS = frozenset((
    "TCP_ZEROCOPY_RECEIVE", "IPV6_FLOWLABEL_MGR", "IP_MSFILTER", "MCAST_MSFILTER",
))  # fmt: skip
_LARGE = 256  # octets that getsockopt is asked for
_NUMBERS = (0, 1, 2, -1, 255, 256, 1000, 70_000)
_OCTETS = (b"", b"\1", b"\1\0\0", bytes(8), bytes(16), struct.pack("qq", 1, 500_000))
# values that tell more of some options
_OWN: dict[str, tuple[Any, ...]] = {
    "SO_RCVTIMEO": tuple(struct.pack("qq", *pair) for pair in ((0, 1), (1, 10**6), (-1, 0))),
    "SO_BINDTODEVICE": (DEVICE, b"nosuch0", b"x" * 20),
    "SO_TIMESTAMPING": (0x10, 0x18, 0x2018, 0x40000),
    "SO_TXTIME": (struct.pack("iI", 1, 0), struct.pack("iI", 11, 0)),
    "TCP_CONGESTION": (b"reno", b"cubic", b"nosuch"),
    "TCP_ULP": (b"tls", b"nosuch", b"mptcp"),
    "TCP_FASTOPEN_KEY": (bytes(32),),
    "TCP_RTO_MAX_MS": (999, 120_001),
    "IP_LOCAL_PORT_RANGE": tuple(
        struct.pack("HH", *pair) for pair in ((40_000, 40_100), (40_100, 40_000), (40_000, 0))
    ),
    "IP_ADD_MEMBERSHIP": (
        bytes((224, 1, 2, 3)) + bytes(4), bytes((10, 1, 2, 3)) + bytes(4), bytes((224, 1, 2, 3)),
    ),
    "IPV6_ADD_MEMBERSHIP": (
        bytes.fromhex("ff020000000000000000000000001234") + bytes(4),
        bytes.fromhex("fd000000000000000000000000001234") + bytes(4),
    ),
}  # fmt: skip
_OWN["SO_SNDTIMEO"] = _OWN["SO_RCVTIMEO_NEW"] = _OWN["SO_SNDTIMEO_NEW"] = _OWN["SO_RCVTIMEO"]
_OWN["IP_DROP_MEMBERSHIP"] = _OWN["IP_ADD_MEMBERSHIP"]
_OWN["IPV6_DROP_MEMBERSHIP"] = _OWN["IPV6_ADD_MEMBERSHIP"]


def applies(name: str, family: int, kind: int) -> bool:
    """Whether an option is of a level that such a socket might know."""
    level = OPTIONS[name][0]
    if level == IPV6 and family == c.AF_INET:
        return False
    if level == IP and family == c.AF_INET6:
        return False
    return level != (UDP if kind == c.SOCK_STREAM else TCP)


def states(kind: int) -> tuple[str, ...]:
    """In which a socket is tried."""
    return ("fresh", "listening", "connected") if kind == c.SOCK_STREAM else ("fresh", "connected")


def answers(world: World, name: str, kind: int) -> Answers:
    """What all calls with that option come to."""
    found: Answers = {}
    for state in states(kind):
        values = [*_NUMBERS, *_OCTETS, *_OWN.get(name, ())] if state == "fresh" else [0, 1]
        with_socket = _sockets(world, kind, state)
        if name not in _ASKS:
            found[f"{state}: get"] = _got(next(with_socket), name)
        for value in values:
            sock = next(with_socket)
            given = world.device.encode() if value == DEVICE else value
            said = outcome(sock.setsockopt, *OPTIONS[name], given)
            told = "" if said is not None else f" -> {_got(sock, name)}"
            told = told.replace(_text(world.device.encode() + b"\0"), "DEVICE")
            found[f"{state}: set {_text(value)}"] = f"{'taken' if said is None else said}{told}"
        with_socket.close()
    return found


def _sockets(world: World, kind: int, state: str) -> Any:
    """One socket after the other in that state; each is closed when the next is asked for."""
    return _each(world, kind, state)


def _each(world: World, kind: int, state: str) -> Iterator[Any]:
    while True:
        if kind == c.SOCK_DGRAM:
            socks = [world.datagram()]
            if state == "connected":
                socks[0].connect((world.there, 9))
        elif state == "listening":
            socks = [world.listener()]
        elif state == "connected":
            socks = list(world.pair())
        else:
            socks = [world.near()]
        try:
            yield socks[0]
        finally:
            for sock in socks:
                if state == "connected" and kind == c.SOCK_STREAM:
                    outcome(sock.setsockopt, c.SOL_SOCKET, c.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()


def _got(sock: Any, name: str) -> str:
    level, number = OPTIONS[name]
    value = outcome(sock.getsockopt, level, number, _LARGE)
    return value if isinstance(value, str) else _text(value)


def _text(value: int | bytes) -> str:
    """A value as it stands in a table: octets as ints of 4 where that fits."""
    if isinstance(value, int):
        return str(value)
    if value == DEVICE:
        return "DEVICE"
    if len(value) == 4:
        return f"i{struct.unpack('i', value)[0]}"
    if len(value) > 16:
        return f"{len(value)} octets"
    return f"x{value.hex()}"
