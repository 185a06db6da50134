"""What a world says to arguments that it cannot take: one line, what was given, what is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pystack import sim
from pystack.path.queues.codel import Codel
from pystack.sim import LinkSpec, World
from pystack.sim.traffic import Bulk, Sink
from tests.kit.builds import says

ADDRESS = "a text such as '10.0.0.1/24' was expected"
NODE = "a host or a router was expected"
RATE = "bit/s, or a text such as '20mbit', was expected"
DELAY = "µs, or a text such as '20ms', were expected"
QUEUE = "packets, a size such as '64kb' or a discipline of pystack.path was expected"
LOSS = "a part of 1, such as 0.01, was expected"
TIME = "seconds, or a text such as '20ms', were expected"


def refused(kind: type[Exception], words: str, call: Callable[[], object]) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert says(caught.value, words), caught.value


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda world: world.host(5), TypeError, "name=5: a text such as 'client'"),
        (lambda world: world.host("c", ["10.0.0.1/24"]), TypeError, ADDRESS),
        (lambda world: world.host("c", "x"), ValueError, "'x' does not appear to be an IPv4"),
        (lambda world: world.host("c", sysctl="tcp_sack=0"), TypeError, "a dict such as {'tcp_s"),
        (lambda world: world.host("a"), ValueError, "there is a node called a already"),
        (lambda world: world.router("r", ["10.0.0.1/24"]), TypeError, ADDRESS),
        (lambda world: world.router("a"), ValueError, "there is a node called a already"),
        (lambda world: world.at(None, print), TypeError, f"time=None: {TIME}"),
        (lambda world: world.at(-1, print), ValueError, f"time=-1: {TIME}"),
        (lambda world: world.at("1", print), ValueError, "a time is a number with us, ms or s"),
        (lambda world: world.after(1, None), TypeError, "function=None: a function was expected"),
        (lambda world: world.watch(5), TypeError, "function=5: a function was expected"),
        (lambda world: world.run(for_s="5s"), TypeError, "for_s='5s': seconds were expected"),
        (lambda world: world.run(for_s=-1), ValueError, "for_s=-1: seconds were expected"),
        (lambda world: world.run(until=5), TypeError, "until=5: a function was expected"),
        (lambda world: world.capture("a", None), TypeError, f"node='a': {NODE}"),
        (lambda world: world.capture(world.hosts[0], "a.pcapng"), TypeError, "open(…, 'wb')"),
        (lambda world: Sink("a", 80), TypeError, "host='a': a host of a world was expected"),
        (lambda world: Sink(world.hosts[0], "80"), TypeError, "a port is an int, not '80'"),
        (lambda world: Bulk("a", "10.0.0.2", 80), TypeError, "host='a': a host of a world"),
        (lambda world: Bulk(world.hosts[0], 5, 80), TypeError, "to=5: a host, or an address as"),
        (lambda world: Bulk(*world.hosts, 80, cc=b"reno"), TypeError, "cc=b'reno': a text such as"),
        (lambda world: Bulk(*world.hosts, 80, cc="rneo"), OSError, "no congestion control 'rneo'"),
        (lambda world: sim.run(None, world="x"), TypeError, "world='x': a pystack.sim.World"),
    ],
)
def test_what_a_world_cannot_take_is_told(
    call: Callable[[Any], object], kind: type[Exception], words: str
) -> None:
    world = World()
    world.host("a"), world.host("b")
    refused(kind, words, lambda: call(world))
    assert list(world.nodes) == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"rate": "fast"}, ValueError, "rate='fast': a rate is a number with kbit, mbit or gbit"),
        ({"rate": -5}, ValueError, f"rate=-5: {RATE}"),
        ({"rate": 0}, ValueError, f"rate=0: {RATE}"),
        ({"rate": 1e6}, TypeError, f"rate=1000000.0: {RATE}"),
        ({"delay": "20"}, ValueError, "delay='20': a time is a number with us, ms or s"),
        ({"delay": 0.02}, TypeError, f"delay=0.02: {DELAY}"),
        ({"delay": -1}, ValueError, f"delay=-1: {DELAY}"),
        ({"queue": -1}, ValueError, f"queue=-1: {QUEUE}"),
        ({"queue": "codel"}, ValueError, "queue='codel': a size is a number of bytes"),
        ({"queue": Codel}, TypeError, QUEUE),
        ({"loss": "1%"}, TypeError, f"loss='1%': {LOSS}"),
        ({"loss": 5}, ValueError, f"loss=5: {LOSS}"),
        ({"loss": -0.1}, ValueError, f"loss=-0.1: {LOSS}"),
    ],
)
def test_what_makes_no_link_is_told_and_leaves_none(
    given: dict[str, Any], kind: type[Exception], words: str
) -> None:
    world = World()
    a, b = world.host("a"), world.host("b")
    refused(kind, words, lambda: world.link(a, b, **given))
    refused(kind, words, lambda: LinkSpec(**given))
    world.link(a, b)


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"mtu": "1500"}, TypeError, "mtu='1500': bytes, from 68 to 65536, were expected"),
        ({"mtu": 10}, ValueError, "mtu=10: bytes, from 68 to 65536, were expected"),
        ({"there": "delay 20ms"}, TypeError, "'delay 20ms': a LinkSpec, or a stage of pystack"),
        ({"back": 5}, TypeError, "link=5: a LinkSpec, or a stage of pystack.path, was expected"),
        ({"impair": "delai 1ms"}, ValueError, "'delai' is no word of an impairment: is it delay?"),
        ({"impair": ["delay 1ms"]}, TypeError, "impair=['delay 1ms']: a text such as 'delay 20ms"),
    ],
)
def test_nor_is_a_link_left_by_the_rest_of_what_can_be_wrong(
    given: dict[str, Any], kind: type[Exception], words: str
) -> None:
    world = World()
    a, b = world.host("a"), world.host("b")
    refused(kind, words, lambda: world.link(a, b, **given))
    world.link(a, b)
    assert len(a.directions) == len(b.directions) == 1
    assert len(world.directions) == 2


def test_a_link_joins_two_nodes() -> None:
    world = World()
    a = world.host("a")
    refused(TypeError, f"link='b': {NODE}", lambda: world.link(a, "b"))  # type: ignore[arg-type]
    refused(ValueError, "not a and itself", lambda: world.link(a, a))
    assert not a.directions
