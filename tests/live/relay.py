"""A bad way between two TUN devices in two namespaces: packets get lost, doubled, late and bent.

    python -m tests.live.relay NEAR_NAMESPACE FAR_NAMESPACE --seed 1 --rate 0.01

`relay0` in the near namespace leads to the far one's addresses and the other way round. It prints
"ready", and at the end of its stdin a line of JSON: how many of each fault there were.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import select
import sys
import time
from dataclasses import dataclass
from random import Random

from pystack.device.tun import Tun, open_tun
from pystack.path.faults import Corruption, Duplication, Loss, Reordering
from pystack.path.link import Delay, Link
from pystack.wire.batch import Packet
from pystack.wire.consts import CHECKSUM_COMPLETE

# the kernel of each namespace has the first address of its prefix
NEAR = ("198.18.1.2/24", "fd00:198:181::2/64")
FAR = ("198.19.0.2/24", "fd00:198:19::2/64")
QUEUE = 500  # packets that wait for us before the kernel drops some
AT_ONCE = 32


@dataclass
class Way:
    """One direction."""

    come_from: int  # descriptors
    go_to: int
    loss: Loss
    duplication: Duplication
    corruption: Corruption
    reordering: Reordering

    def __post_init__(self) -> None:
        stages = (self.loss, self.duplication, self.corruption, self.reordering, Delay(500))
        self.link = Link(*stages)

    def carry(self, now_us: int) -> None:
        """Take in what has come, let out what is due."""
        for _ in range(AT_ONCE):
            try:
                octets = os.read(self.come_from, 65536)
            except BlockingIOError:
                break
            self._write(self.link.feed((octets, 0, CHECKSUM_COMPLETE), now_us))
        self._write(self.link.take(now_us))

    def _write(self, packets: list[Packet]) -> None:
        for octets, _, _ in packets:
            with contextlib.suppress(OSError):  # a bent version number
                os.write(self.go_to, octets)

    def faults(self) -> dict[str, int]:
        """What has been done to the packets."""
        return {
            "lost": self.loss.lost,
            "duplicated": self.duplication.duplicated,
            "corrupted": self.corruption.corrupted,
            "reordered": self.reordering.reordered,
        }


def ways(near: Tun, far: Tun, seed: int, rate: float) -> list[Way]:
    """There and back."""
    source = Random(seed)
    return [
        Way(
            come_from, go_to, Loss(rate, source), Duplication(rate, source),
            Corruption(rate, source), Reordering(rate, source, behind=5),
        )
        for come_from, go_to in ((near.fd, far.fd), (far.fd, near.fd))
    ]  # fmt: skip


def relay(both: list[Way]) -> None:
    """Carry packets until stdin ends."""
    poll = select.poll()
    for descriptor in (sys.stdin.fileno(), *(way.come_from for way in both)):
        poll.register(descriptor, select.POLLIN)
    while True:
        now_us = time.monotonic_ns() // 1000
        deadlines = [at for way in both if (at := way.link.next_deadline())]
        wait_ms = max(min(deadlines) - now_us, 0) // 1000 + 1 if deadlines else None
        ready = {descriptor for descriptor, _ in poll.poll(wait_ms)}
        if sys.stdin.fileno() in ready:
            return
        for way in both:
            way.carry(time.monotonic_ns() // 1000)


async def open_both(arguments: argparse.Namespace) -> list[Tun]:
    return [
        await open_tun(
            "relay0", addresses=[(address, None) for address in addresses], netns=netns,
            offload=False, queue_length=QUEUE,
        )
        for addresses, netns in ((NEAR, arguments.near), (FAR, arguments.far))
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("near")
    parser.add_argument("far")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.01)
    arguments = parser.parse_args()
    near, far = asyncio.run(open_both(arguments))
    both = ways(near, far, arguments.seed, arguments.rate)
    print("ready", flush=True)
    relay(both)
    print(json.dumps([way.faults() for way in both]), flush=True)
    near.close()
    far.close()


if __name__ == "__main__":
    main()
