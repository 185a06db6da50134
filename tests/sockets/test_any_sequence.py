"""Any sequence of calls: the same random ones on our sockets and on the kernel's, and the same
results, errno values and poll bits."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from pystack.sockets import constants as c
from pystack.sockets.constants import AF_INET, AF_INET6
from tests.live.namespace import Namespace
from tests.sockets.world import OurWorld, World, error_of, kernel_world, outcome, polled

CALLS = 30  # per sequence
NODELAY = (c.IPPROTO_TCP, c.TCP_NODELAY, 1)

Act = Callable[["Play", Any], Any]


class Play:
    """One listener, and sockets that come and go."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        # no Nagle: what it holds back would wait for the kernel's delayed ACK
        self.listener = world.listener(backlog=3, options=[NODELAY])
        self.address = world.where(self.listener)
        self.sockets = [self.near()]
        self.log: list[Any] = []

    def near(self) -> Any:
        sock = self.world.near()
        sock.setsockopt(*NODELAY)
        return sock

    def run(self) -> list[Any]:
        names = list(ACTS)
        for number in range(CALLS):
            index = self.random.randrange(len(self.sockets))
            name = self.random.choices(names, [WEIGHTS.get(name, 2) for name in names])[0]
            result = ACTS[name](self, self.sockets[index])
            self.world.settle()
            states = [self.ready(sock) for sock in self.sockets]
            self.log.append((number, index, name, result, states))
        return self.log

    @staticmethod
    def ready(sock: Any) -> list[str]:
        bits = polled(sock)
        if "HUP" in bits:
            bits -= {"PRI"}  # the kernel keeps the urgent octet of a segment that it resets for
        return sorted(bits)


def connect(play: Play, sock: Any) -> Any:
    return outcome(sock.connect, play.address)


def accept(play: Play, sock: Any) -> Any:
    result = outcome(play.listener.accept)
    if isinstance(result, str):
        return result
    play.sockets.append(result[0])
    return "accepted"


def new(play: Play, sock: Any) -> Any:
    play.sockets.append(play.near())
    return None


def close(play: Play, sock: Any) -> Any:
    if len(play.sockets) == 1:
        return None
    if play.random.random() < 0.3:
        sock.setsockopt(c.SOL_SOCKET, c.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    play.sockets.remove(sock)
    return "closed"


def send(play: Play, sock: Any) -> Any:
    text = bytes(play.random.randrange(256) for _ in range(play.random.randrange(0, 9)))
    return outcome(sock.send, text, c.MSG_OOB if play.random.random() < 0.2 else 0)


def receive(play: Play, sock: Any) -> Any:
    flags = play.random.choice([0, 0, 0, c.MSG_PEEK, c.MSG_OOB, c.MSG_OOB | c.MSG_PEEK])
    return outcome(sock.recv, play.random.randrange(1, 12), flags)


def shutdown(play: Play, sock: Any) -> Any:
    return outcome(sock.shutdown, play.random.randrange(3))


def ask(play: Play, sock: Any) -> Any:
    peer = outcome(sock.getpeername)
    state = sock.getsockopt(c.IPPROTO_TCP, c.TCP_INFO, 1)[0]
    return (
        peer if isinstance(peer, str) else "connected",
        [outcome(sock.ioctl, request) for request in (c.SIOCINQ, c.SIOCATMARK)],
        "FIN_WAIT" if state in (4, 5) else state,  # the kernel's ACK of a FIN may take 40 ms
        sock.getsockopt(c.SOL_SOCKET, c.SO_ACCEPTCONN),
    )


def oob_inline(play: Play, sock: Any) -> Any:
    return outcome(sock.setsockopt, c.SOL_SOCKET, c.SO_OOBINLINE, play.random.randrange(2))


ACTS: dict[str, Act] = {
    "connect": connect,
    "accept": accept,
    "new": new,
    "close": close,
    "send": send,
    "receive": receive,
    "shutdown": shutdown,
    "ask": ask,
    "SO_ERROR": lambda play, sock: error_of(sock),
    "AF_UNSPEC": lambda play, sock: outcome(sock.connect, None),
    "listen": lambda play, sock: outcome(sock.listen, 1),
    "bind": lambda play, sock: outcome(sock.bind, ("", 0)),
    "SO_OOBINLINE": oob_inline,
}
WEIGHTS = {
    "connect": 6, "accept": 6, "send": 10, "receive": 10, "shutdown": 3, "new": 2, "ask": 3,
    "listen": 1, "bind": 1, "AF_UNSPEC": 1, "SO_OOBINLINE": 1, "close": 2,
}  # fmt: skip


@pytest.mark.live
@pytest.mark.parametrize("seed", range(20))
def test_any_sequence_of_calls_has_the_results_that_linux_gives(
    family: int, seed: int, kernel_namespace: Namespace
) -> None:
    ours = OurWorld(family)
    kernel = kernel_world(family, kernel_namespace)
    try:
        assert Play(ours, seed).run() == Play(kernel, seed).run()
    finally:
        kernel.close()


def test_the_sequences_reach_what_they_are_meant_to() -> None:
    """Every call succeeds and fails somewhere, on our side alone."""
    results = {name: set() for name in ACTS}  # type: dict[str, set[str]]
    for seed in range(40):
        for _, _, name, result, _ in Play(OurWorld(AF_INET6 if seed % 2 else AF_INET), seed).run():
            failed = isinstance(result, str) and result.startswith("E")
            results[name].add("failed" if failed else "done")
    for name in ("connect", "accept", "send", "receive", "shutdown"):
        assert results[name] == {"failed", "done"}
