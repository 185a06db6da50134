"""A way between two TUN devices in two namespaces: slow, long, and full of faults.

    python -m tests.live.relay NEAR_NAMESPACE FAR_NAMESPACE

`relay0` in the near namespace leads to the far one's addresses and the other way round. It prints
"ready", and takes a way per line on stdin, in JSON: {"impair": words, "seed": 1}, the words being
those of `pystack.path.language.parse`, `out:` from near to far and `in:` back. Its answer to each
line, and to the end of stdin, is what the way before has done to packets, there and back.
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
from random import Random

from pystack.device.tun import Tun, open_tun
from pystack.path.language.build import links
from pystack.path.language.parse import parse
from pystack.path.link import Link, Stage
from pystack.wire.batch import Packet
from pystack.wire.consts import CHECKSUM_COMPLETE
from tests.live.punctual import be_punctual

# the kernel of each namespace has the first address of its prefix
NEAR = ("198.18.1.2/24", "fd00:198:181::2/64")
FAR = ("198.19.0.2/24", "fd00:198:19::2/64")
QUEUE = 5000  # packets that wait for us before the kernel drops some
AT_ONCE = 64
LARGEST = 2048  # octets; the devices' MTU is 1500


class Way:
    """One direction."""

    def __init__(self, come_from: int, go_to: int) -> None:
        """Descriptors."""
        self.come_from = come_from
        self.go_to = go_to
        self.stage: Stage = Link()

    def carry(self, now_us: int) -> None:
        """Take in what has come, let out what is due."""
        came: list[Packet] = []
        for _ in range(AT_ONCE):
            try:
                came.append((os.read(self.come_from, LARGEST), 0, CHECKSUM_COMPLETE))
            except BlockingIOError:
                break
        out = self.stage.feed_all(came, now_us) if came else []
        for octets, _, _ in out + self.stage.take(now_us):
            with contextlib.suppress(OSError):  # a bent version number
                os.write(self.go_to, octets)


class Relay:
    """Both directions."""

    def __init__(self, near: Tun, far: Tun) -> None:
        self.ways = (Way(near.fd, far.fd), Way(far.fd, near.fd))

    def begin(self, impair: str, seed: int) -> None:
        """From now on it is this way; what was on the other is gone."""
        there, back = self.ways
        back.stage, there.stage = links(
            parse(impair), start_us=time.monotonic_ns() // 1000, seed=seed, make_source=Random
        )

    def run(self) -> None:
        """Carry packets until stdin ends."""
        stdin = sys.stdin.fileno()
        descriptors = (stdin, *(way.come_from for way in self.ways))
        while True:
            # select waits to the µs, poll and epoll to the ms
            ready = select.select(descriptors, (), (), self._wait_s())[0]
            now_us = time.monotonic_ns() // 1000
            for way in self.ways:
                way.carry(now_us)
            if stdin in ready:
                print(json.dumps([way.stage.counts() for way in self.ways]), flush=True)
                line = sys.stdin.readline()
                if not line:
                    return
                self.begin(**json.loads(line))

    def _wait_s(self) -> float | None:
        deadlines = [at for way in self.ways if (at := way.stage.next_deadline())]
        if not deadlines:
            return None
        return max(min(deadlines) - time.monotonic_ns() // 1000, 0) / 1e6


async def open_both(near: str, far: str) -> tuple[Tun, Tun]:
    one, other = [
        await open_tun(
            "relay0", addresses=[(address, None) for address in addresses], netns=netns,
            offload=False, queue_length=QUEUE,
        )
        for addresses, netns in ((NEAR, near), (FAR, far))
    ]  # fmt: skip
    return one, other


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("near")
    parser.add_argument("far")
    arguments = parser.parse_args()
    near, far = asyncio.run(open_both(arguments.near, arguments.far))
    be_punctual()
    relay = Relay(near, far)
    print("ready", flush=True)
    relay.run()
    near.close()
    far.close()


if __name__ == "__main__":
    main()
