"""The operations on a bare `pystack.Host`: the core without a loop and without a device."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from pystack.wire.batch import RxBatch
from scripts.call_counts.link import (
    ACK_STEPS,
    MSS,
    OWN,
    PEER,
    PORT,
    RUN,
    SMALL,
    STEP_US,
    Clock,
    drained,
    new_host,
    packets_of,
)
from scripts.call_counts.steps import Counter, Step

_QUIET = 20  # steps of time in which nothing happens any more


class TwoHosts:
    """The host that is measured and the one at the other end, with a connection between them."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.clock = Clock()
        self.own, self.peer = new_host(OWN), new_host(PEER)
        self._rx = RxBatch(16)
        listener = self.peer.socket()
        listener.bind((PEER, PORT))
        listener.listen(5)
        self.sock: Any = self.own.socket()
        with suppress(BlockingIOError):
            self.sock.connect((PEER, PORT))
        while self._exchange():
            pass
        self.far, _ = listener.accept()
        self.far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.udp: Any = self.own.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((OWN, PORT))
        self.far_udp: Any = self.peer.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far_udp.bind((PEER, PORT))

    def settle(self) -> None:
        """Until all is confirmed, and read what is left."""
        quiet = 0
        while quiet < _QUIET:
            quiet = 0 if self._exchange() else quiet + 1
            drained(self.sock)
            drained(self.far)

    def _exchange(self) -> bool:
        """What either has to send now reaches the other, a step of time each. Whether there was
        anything."""
        any_packets = False
        for one, other in ((self.own, self.peer), (self.peer, self.own)):
            one.on_time(self.clock.us)
            packets = packets_of(one, self.clock.us)
            self.clock.us += STEP_US
            if packets:
                other.receive(packets, self.clock.us)
                any_packets = True
        return any_packets

    def _inbound(self) -> list[Step]:
        """What the peer sends now, one packet, arrives."""
        (packet,) = packets_of(self.peer, self.clock.us)
        self._rx.clear()
        self._rx.add(*packet)
        with self.counter.counting() as steps:
            self.own.receive_batch(self._rx, 1, self.clock.us)
        return steps

    # -- the operations ------------------------------------------------------------------------
    def data_in(self) -> list[Step]:
        for _ in range(2):  # requests and answers: what confirms one has time to wait for the other
            self.far.send(b"?")
            self._exchange()
            self.sock.send(b"!")
            for _ in range(ACK_STEPS):
                self._exchange()
        self.far.send(bytes(SMALL))
        self.own.receive(packets_of(self.peer, self.clock.us), self.clock.us)
        self.far.send(bytes(SMALL))
        steps = self._inbound()
        assert not packets_of(self.own, self.clock.us), "its ACK is delayed"
        return steps

    def recv(self) -> list[Step]:
        self.far.send(bytes(SMALL))
        self._exchange()
        with self.counter.counting() as steps:
            data = self.sock.recv(MSS)
        assert len(data) == SMALL
        return steps

    def run_out(self) -> list[Step]:
        self.sock.send(bytes(RUN))
        with self.counter.counting() as steps:
            tx = self.own.transmit(self.clock.us)
        (packet,) = [(bytes(buffer), size, state) for buffer, size, state in tx]
        self.clock.us += STEP_US
        self.peer.receive([packet], self.clock.us)
        return steps

    def ack_in(self) -> list[Step]:
        self.run_out()
        assert drained(self.far) == RUN
        return self._inbound()

    def send(self) -> list[Step]:
        with self.counter.counting() as steps:
            assert self.sock.send(b"x") == 1
        return steps

    def connect(self) -> list[Step]:
        sock = self.own.socket()
        with self.counter.counting() as steps, suppress(BlockingIOError):
            sock.connect((PEER, PORT))
        return steps

    def datagram_in(self) -> list[Step]:
        self.far_udp.sendto(bytes(SMALL), (OWN, PORT))
        steps = self._inbound()
        assert len(self.udp.recv(MSS)) == SMALL
        return steps

    def datagram_out(self) -> list[Step]:
        with self.counter.counting() as steps:
            self.udp.sendto(bytes(SMALL), (PEER, PORT))
            tx = self.own.transmit(self.clock.us)
        assert len(tx) == 1
        return steps
