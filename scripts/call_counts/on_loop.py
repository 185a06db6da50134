"""The operations on an asyncio loop: on a `Stack` of one's own, and under `pystack run`.

Both are given as `Doors`: who makes the sockets and the connections. Nothing waits for real time;
what the other end does is not counted.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from scripts.call_counts.link import (
    ACK_STEPS,
    MSS,
    OWN,
    PEER,
    PORT,
    RUN,
    SMALL,
    STEP_US,
    Link,
    drained,
)
from scripts.call_counts.steps import Counter, Step

_TURNS: Final = 5  # of the loop, in which all is done that is to be done at once
_QUIET: Final = 20  # steps of time in which nothing happens any more


@dataclass(frozen=True, slots=True)
class Doors:
    """Asyncio's calls and `socket.socket`, of either side."""

    socket: Callable[..., Any]
    create_connection: Callable[..., Awaitable[Any]]
    create_server: Callable[..., Awaitable[Any]]
    create_datagram_endpoint: Callable[..., Awaitable[Any]]


body: Callable[[Doors], Awaitable[None]]  # what `program` does, by those that start it


class Protocol(asyncio.Protocol, asyncio.DatagramProtocol):
    """Counts what it is given."""

    def __init__(self) -> None:
        self.made = False
        self.received = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.made = True

    def data_received(self, data: bytes) -> None:
        self.received += len(data)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received += len(data)


async def turns() -> None:
    """Let the loop do what is to be done now."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


class OnLoop:
    """A stack with a connection, each operation a method. To be made by `begun`, on the loop."""

    transport: asyncio.Transport
    protocol: Protocol
    sock: Any  # ours, of another connection
    far: Any  # the socket at the other end of `transport`
    far_sock: Any  # that of `sock`
    udp: asyncio.DatagramTransport
    udp_protocol: Protocol
    far_udp: Any

    def __init__(self, doors: Doors, link: Link, counter: Counter) -> None:
        self.doors = doors
        self.link = link
        self.counter = counter
        loop: Any = asyncio.get_running_loop()
        loop.time = lambda: link.clock.us / 1e6  # no timer rings because the machine is slow
        self._listener: Any = link.peer.socket()
        self._listener.bind((PEER, PORT))
        self._listener.listen(5)

    @classmethod
    async def begun(cls, doors: Doors, link: Link, counter: Counter) -> OnLoop:
        """With its connections."""
        self = cls(doors, link, counter)
        await turns()
        connecting = asyncio.ensure_future(doors.create_connection(Protocol, PEER, PORT))
        await turns()
        while self.link.carry():
            await turns()
        self.transport, self.protocol = connecting.result()
        self.far, _ = self._listener.accept()
        self.far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._new_socket()
        self._connect(self.sock)
        await turns()
        while self.link.carry():
            await turns()
        self.far_sock, _ = self._listener.accept()
        self.udp, self.udp_protocol = await doors.create_datagram_endpoint(
            Protocol, local_addr=(OWN, PORT)
        )
        self.far_udp = link.peer.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far_udp.bind((PEER, PORT))
        await self.settle()
        return self

    async def settle(self) -> None:
        """Until all is confirmed, and read what is left."""
        quiet = 0
        while quiet < _QUIET:
            await turns()
            quiet = 0 if self.link.carry() else quiet + 1
            for sock in (self.far, self.sock, self.far_sock):
                drained(sock)

    def _new_socket(self) -> Any:
        sock = self.doors.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        return sock

    def _connect(self, sock: Any) -> None:
        with suppress(BlockingIOError):
            sock.connect((PEER, PORT))

    async def _inbound(self, step_us: int = STEP_US) -> list[Step]:
        """What the peer sends now arrives, and is taken."""
        with self.counter.counting() as steps:
            self.link.carry(step_us)
            await turns()
        return steps

    # -- the operations ----------------------------------------------------------------------------
    async def data_in(self) -> list[Step]:
        for _ in range(2):  # requests and answers: what confirms one has time to wait for the other
            self.far.send(b"?")
            self.link.carry()
            self.transport.write(b"!")
            for _ in range(ACK_STEPS):
                await turns()
                self.link.carry()
        self.far.send(bytes(SMALL))
        self.link.carry(step_us=0)
        before = self.protocol.received
        self.far.send(bytes(SMALL))
        steps = await self._inbound(step_us=0)
        assert self.protocol.received == before + SMALL
        assert not self.link.sent, "its ACK is delayed"
        return steps

    async def recv(self) -> list[Step]:
        self.far_sock.send(bytes(SMALL))
        self.link.carry()
        with self.counter.counting() as steps:
            data = self.sock.recv(MSS)
        assert len(data) == SMALL
        return steps

    async def run_out(self) -> list[Step]:
        self.transport.write(bytes(RUN))
        assert not self.link.sent
        with self.counter.counting() as steps:
            await turns()
        assert len(self.link.sent) == 1
        return steps

    async def ack_in(self) -> list[Step]:
        await self.run_out()
        steps = await self._inbound()
        assert drained(self.far) == RUN
        assert not self.link.sent
        return steps

    async def send(self) -> list[Step]:
        with self.counter.counting() as steps:
            assert self.sock.send(b"x") == 1
        return steps

    async def connect(self) -> list[Step]:
        sock = self._new_socket()
        with self.counter.counting() as steps:
            self._connect(sock)
        await self.settle()
        sock.close()
        self._accept().close()
        return steps

    async def create_connection(self) -> list[Step]:
        with self.counter.counting() as steps:
            connecting = asyncio.ensure_future(self.doors.create_connection(Protocol, PEER, PORT))
            while not connecting.done():
                await turns()
                self.link.carry()
        transport, _ = connecting.result()
        transport.abort()
        self._accept().close()
        return steps

    async def accept(self) -> list[Step]:
        made: list[Protocol] = []

        def factory() -> Protocol:
            made.append(Protocol())
            return made[-1]

        server = await self.doors.create_server(factory, OWN, PORT)
        far: Any = self.link.peer.socket()
        with suppress(BlockingIOError):
            far.connect((OWN, PORT))
        with self.counter.counting() as steps:
            while not made or not made[0].made:
                self.link.carry()
                await turns()
        made[0].transport.abort()
        server.close()
        await self.settle()
        far.close()
        return steps

    async def datagram_in(self) -> list[Step]:
        before = self.udp_protocol.received
        self.far_udp.sendto(bytes(SMALL), (OWN, PORT))
        steps = await self._inbound()
        assert self.udp_protocol.received == before + SMALL
        return steps

    async def datagram_out(self) -> list[Step]:
        with self.counter.counting() as steps:
            self.udp.sendto(bytes(SMALL), (PEER, PORT))
            await turns()
        assert len(self.link.sent) == 1
        return steps

    def _accept(self) -> Any:
        sock, _ = self._listener.accept()
        return sock

    def close(self) -> None:
        """End all of it at once."""
        self.transport.abort()
        self.udp.abort()
        self.sock.close()
