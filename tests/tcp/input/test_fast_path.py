"""The fast path of ESTABLISHED and the full body of RFC 9293 §3.10.7.4 are one behaviour.

Two hosts hear the same conversation; one of them has no fast path. Whatever they send, and
whatever `tcp_info` and the application see, must be the same after every step.
"""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import pytest

from pystack.tcp.input import segment_arrives
from tests.kit.builds import patches_the_core
from tests.kit.tcp import Tcp
from tests.kit.variants import VARIANTS, Variant

STEPS = 120


class Side:
    """One of the two hosts, its connection, and what it has let out so far."""

    def __init__(self, variant: Variant, ts: bool, sack: bool, ecn: bool) -> None:
        self.tcp = Tcp(variant, {})
        self.ts = ts
        stamp = 700 if ts else None
        self.sock: Any = self.tcp.established(ts=stamp, sack=sack, ecn=ecn, wscale=2, rtt=0.02)
        self.read = bytearray()
        self.sent: list[bytes] = []
        self.upto = 1  # what it has acknowledged

    def comes(
        self, start: int, length: int, ack: int, win: int, flags: str, tsval: int, field: int
    ) -> None:
        stamp = f"<nop,nop,TS val {tsval} ecr 100>" if self.ts else ""
        text = f"{flags} {start}:{start + length}({length}) ack {ack} win {win} {stamp}"
        self.tcp.inject(self.tcp.segment(text, ecn=field))
        self.note()

    def note(self, pause: float = 0) -> None:
        for packet in self.tcp.run(pause):
            self.sent.append(packet.octets)
            self.upto = max(self.upto, self.tcp.default.their_number(packet.ack))

    def state(self) -> tuple[object, ...]:
        return (self.sent, self.read, self.sock.tcp_info(), self.tcp.host.next_deadline())


def conversation(random: Random, sides: list[Side]) -> None:
    """The same steps for every side; after each of them all must look alike."""
    marks = Random(random.random())
    upto = 1  # the peer's next octet
    written = 0
    clock = 720
    for _ in range(STEPS):
        first = sides[0].tcp
        acked = 1 + random.choice((written, written, random.randint(0, written)))
        length = random.choice((0, 0, 1, 10, 1448, 1448, 1448))
        start = upto + random.choice((0, 0, 0, 0, 0, 1448, -1448, -1, 5))
        flags = random.choice((".", ".", "P.")) + marks.choice((*[""] * 9, "E", "W", "EWA"))
        field = marks.choice((0, 1, 2, 2, 2, 3))
        win = random.choice((20_000, 20_000, 20_000, 1000, 0))
        clock += random.choice((0, 0, 1, 1, 30, -1))
        size = random.choice((1, 100, 1448, 9000))
        pause = random.choice((0.0001, 0.01, 0.05, 0.5))
        step = random.choice(("come", "come", "come", "write", "read", "pause"))
        for side in sides:
            if step == "come":
                upper = min(acked, 1 + sent_by(first))
                side.comes(max(start, 1), length, upper, win, flags, clock, field)
            elif step == "write":
                with suppress(BlockingIOError):
                    side.sock.send(first.data(size, written))
                side.note()
            elif step == "read":
                with suppress(BlockingIOError):
                    side.read += side.sock.recv(size)
                side.note()
            else:
                side.note(pause)
        upto = max(sides[0].upto, upto + length if step == "come" and start == upto else upto)
        if random.random() < 0.3:
            upto = sides[0].upto  # what was not acknowledged is sent again
        written = sent_by(first)
        assert sides[0].state() == sides[1].state()


def sent_by(tcp: Tcp) -> int:
    """How many octets a side has sent, which is what the peer can acknowledge."""
    return len(tcp.default.sent)


@patches_the_core
@pytest.mark.parametrize("seed", range(48))
def test_with_and_without_the_fast_path_all_is_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(seed)
    variant = random.choice(list(VARIANTS.values()))
    ts, sack = random.random() < 0.7, random.random() < 0.5
    ecn = seed % 2 == 1
    quick = Side(variant, ts, sack, ecn)
    slow = Side(variant, ts, sack, ecn)
    used = 0
    real = segment_arrives._fast_path

    def fast_path(tcb: Any, seg: Any, now_us: int) -> bool:
        nonlocal used
        if tcb is slow.sock.tcb:
            return False
        taken = real(tcb, seg, now_us)
        used += taken
        return taken

    monkeypatch.setattr(segment_arrives, "_fast_path", fast_path)
    conversation(random, [quick, slow])
    assert used > 2
