"""What a paced connection knows of its own limits: the application's, and the window's."""

from __future__ import annotations

from contextlib import suppress

import pytest

from pystack.sim import World
from pystack.sockets import Socket
from pystack.sockets.constants import SO_MAX_PACING_RATE, SOL_SOCKET

BULK = bytes(65_536)
RATE = 50_000_000 // 8  # of the link


class Sender:
    """Sends as fast as it can while `bulk`; whoever is at the other end reads it all."""

    def __init__(self, congestion_control: str, max_pacing_rate: int = 0) -> None:
        self.world = World(1)
        here = self.world.host("here", sysctl={"tcp_congestion_control": congestion_control})
        there = self.world.host("there")
        self.world.link(here, there, rate="50mbit", delay="25ms", queue=200)
        self.bulk = True
        self.arrived = 0
        self._listener = there.socket()
        self._listener.bind(("", 7))
        self._listener.listen()
        self._listener.on_events = lambda events: self._accept()
        self._peer: Socket | None = None
        self.socket = here.socket()
        if max_pacing_rate:
            self.socket.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, max_pacing_rate)
        self.socket.on_events = lambda events: self.write()
        with suppress(BlockingIOError):
            self.socket.connect((there.address, 7))

    def _accept(self) -> None:
        self._peer, _ = self._listener.accept()
        self._peer.on_events = lambda events: self._read()
        self._read()

    def _read(self) -> None:
        assert self._peer is not None
        with suppress(BlockingIOError):
            while True:
                self.arrived += len(self._peer.recv(1 << 20))

    def write(self) -> None:
        with suppress(BlockingIOError):
            while self.bulk:
                self.socket.send(BULK)

    def now_and_then(self) -> None:
        """20 KB ten times a second: a thirtieth of what the path takes."""
        if not self.bulk:
            self.socket.send(bytes(20_000))
            self.world.after(0.1, self.now_and_then)

    def arrives_within(self, seconds: float) -> int:
        before = self.arrived
        self.world.run(for_s=seconds)
        return self.arrived - before


@pytest.mark.parametrize("name", ["bbr", "bbr3"])
def test_a_model_of_the_path_is_not_spoilt_by_an_application_with_little_to_say(name: str) -> None:
    sender = Sender(name)
    sender.world.run(for_s=3)
    sender.bulk = False
    sender.world.run(for_s=1)
    sender.now_and_then()
    for _ in range(8):
        sender.world.run(for_s=1)
        assert sender.socket.tcp_info().tcpi_pacing_rate > RATE * 9 // 10
    sender.bulk = True
    sender.write()
    assert sender.arrives_within(1) > RATE * 9 // 10


@pytest.mark.parametrize("name", ["reno", "cubic"])
def test_a_window_does_not_grow_where_the_pace_is_the_limit(name: str) -> None:
    sender = Sender(name, max_pacing_rate=1_000_000)
    sender.world.run(for_s=10)
    assert sender.arrives_within(1) > 900_000  # 35 segments are in flight at that rate
    assert sender.socket.tcp_info().tcpi_snd_cwnd < 100
