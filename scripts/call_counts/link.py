"""A device in memory with a host at its other end, in a time that moves only when it is told to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, Final

from pystack import Host
from scripts.call_counts.steps import Counter

OWN: Final = "198.18.0.2"  # the address of the stack that is measured
PEER: Final = "198.18.0.1"
PREFIX: Final = 24
PORT: Final = 80  # where the other end listens
SECRET: Final = bytes(range(16))
MSS: Final = 1448  # bytes of a full segment, with timestamps
SMALL: Final = 200  # bytes; two segments of that size are not enough for an ACK at once
RUN: Final = 2 * MSS  # bytes of a run, that leave in one piece
STEP_US: Final = 10_000  # one way
ACK_STEPS: Final = 3  # there and back, in which a delayed ACK (40 ms) has come, and no RTO yet
MTU: Final = 1500

Packet = tuple[bytes, int, int]  # as pystack.wire.batch.Packet


class Clock:
    """A time in µs that stands still."""

    def __init__(self) -> None:
        self.us = 1_000_000

    def __call__(self) -> int:
        return self.us


def new_host(own: str) -> Host:
    """A host of the core, with all that a TUN device takes over."""
    return Host(f"{own}/{PREFIX}", secret=SECRET, mtu=MTU, gso=True, checksum_offload=True)


def packets_of(host: Host, now_us: int) -> list[Packet]:
    """Copies of all that a host has to send."""
    taken: list[Packet] = []
    while len(tx := host.transmit(now_us)):
        taken += [(bytes(buffer), gso_size, state) for buffer, gso_size, state in tx]
    return taken


def drained(sock: Any) -> int:
    """Take all that has arrived at a socket; how many bytes."""
    count = 0
    with suppress(BlockingIOError):
        while data := sock.recv(1 << 20):
            count += len(data)
    return count


class Link:
    """What a `Stack` takes for its device. `peer` is the host at the other end, which `carry` works
    for; `sent` has what the stack wrote and the peer has not got yet.

    Of what happens in here `counter` notes nothing.
    """

    name = "link"
    mtu = MTU
    offload = True

    def __init__(self, clock: Clock, counter: Counter) -> None:
        self.clock = clock
        self.peer = new_host(PEER)
        self.sent: list[Packet] = []
        self._counter = counter
        self._arrived: deque[Packet] = deque()
        self._readable: Callable[[], None] | None = None

    def carry(self, step_us: int = STEP_US) -> bool:
        """Let the peer have what was sent, and the stack what the peer has to say; each takes
        `step_us`. Whether there was anything."""
        with self._counter.held():
            self.clock.us += step_us
            sent, self.sent = self.sent, []
            if sent:
                self.peer.receive(sent, self.clock.us)
            self.peer.on_time(self.clock.us)
            answers = packets_of(self.peer, self.clock.us)
            self.clock.us += step_us
        if answers:
            self.arrive(answers)
        return bool(sent or answers)

    def arrive(self, packets: list[Packet]) -> None:
        """Packets come out at the stack's end, which is told so."""
        assert self._readable is not None
        self._arrived.extend(packets)
        self._readable()

    # -- what a stack asks of its device ---------------------------------------------------------
    def start(self, _loop: asyncio.AbstractEventLoop, readable: Callable[[], None]) -> None:
        """See `PacketDevice`."""
        self._readable = readable

    def stop(self) -> None:
        """See `PacketDevice`."""
        self._readable = None

    def read(self, rx: Any, /) -> int:
        """See `PacketDevice`."""
        with self._counter.held():
            rx.clear()
            while self._arrived and rx.count < rx.capacity:
                rx.add(*self._arrived.popleft())
            return int(rx.count)

    def write(self, tx: Any, first: int, /) -> int:
        """See `PacketDevice`."""
        with self._counter.held():
            packets = [(bytes(buffer), gso_size, state) for buffer, gso_size, state in tx]
            self.sent += packets[first:]
            return len(packets) - first

    async def watch(self) -> AsyncIterator[Any]:
        """See `PacketDevice`."""
        yield SimpleNamespace(present=True, up=True, mtu=self.mtu)
        await asyncio.get_running_loop().create_future()  # it never changes

    async def drops(self) -> dict[str, int]:
        """See `PacketDevice`."""
        return {}

    def close(self) -> None:
        """See `PacketDevice`."""
