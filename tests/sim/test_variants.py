"""Replaceable parts in a world: an option on every piece of a run, and what raises is told."""

from __future__ import annotations

import errno
import logging

import pytest

from pystack.cc.reno import Reno
from pystack.parts.variants import register_variant
from pystack.sim import World
from pystack.sim.traffic import Bulk, Sink
from pystack.tcp.policies.experimental_option import ExperimentalOption

OCTETS = 300_000


class Alike(ExperimentalOption):
    """The same on all segments of a run."""

    exid = 0x7069_6563
    exid_bits = 32
    data_size = 2
    uniform = True

    def __init__(self) -> None:
        super().__init__()
        self.values: list[bytes] = []

    def syn_value(self, now_us: int) -> bytes:
        return b""

    syn_ack_value = syn_value

    def data_value(self, offset: int, length: int, now_us: int) -> bytes:
        return b"ok"

    def on_received(self, value: bytes, flags: int, now_us: int) -> None:
        self.values.append(value)


@pytest.mark.parametrize("rate", [None, "10mbit"])
def test_every_piece_of_a_run_brings_the_option(rate: str | None) -> None:
    register_variant("option", "alike", Alike)
    world = World(seed=1)
    a, b = (world.host(name, sysctl={"tcp_experimental_option": "alike"}) for name in "ab")
    world.link(a, b, rate=rate, delay="10ms")
    sink = Sink(b, 5001, check=True)
    Bulk(a, b, 5001)
    assert world.run(until=lambda: sink.received > OCTETS, for_s=20)
    option = sink.flows[0].socket.variant("option")
    assert option.values == [b""] + [b"ok"] * (len(option.values) - 1)
    if rate is not None:  # pieces come one by one
        assert len(option.values) > OCTETS // 1460
    assert not sink.flows[0].wrong


def test_a_part_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Reno):
        name = "broken-here"

        def on_ack(self, sample: object) -> None:
            raise ZeroDivisionError("of all things")

    register_variant("congestion_control", "broken-here", Broken)
    world = World(seed=1)
    a, b = world.host("a"), world.host("b")
    world.link(a, b, rate="10mbit", delay="10ms")
    sink = Sink(b, 5001)
    flow = Bulk(a, b, 5001, cc="broken-here")
    other = Bulk(a, b, 5001, octets=OCTETS)
    with caplog.at_level(logging.ERROR, "pystack"):
        world.run(for_s=5)
    assert flow.error == errno.ECONNABORTED
    assert caplog.messages == [
        "a: congestion control 'broken-here' raised ZeroDivisionError: of all things"
    ]
    assert other.over
    assert not other.error
    assert sink.received >= OCTETS
