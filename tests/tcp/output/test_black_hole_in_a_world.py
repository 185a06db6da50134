"""A path that loses large packets in silence, and hosts whose routes say something of it."""

from __future__ import annotations

import pytest

from pystack.sim import Bulk, SimHost, Sink, World

OCTETS = 1_000_000
HOLE = "mtu 1300 silent"


def transfer(
    impair: str, *, seconds: float = 20, v4: bool = True, offload: bool = True,
    routes: tuple[str, ...] = (), **sysctl: int | str,
) -> tuple[Sink, SimHost]:  # fmt: skip
    """An upload of `OCTETS` over a path; its sender's host has these settings and routes."""
    world = World(seed=1)
    own, other = ("10.0.0.1/24", "10.0.0.2/24") if v4 else ("fd00::1/64", "fd00::2/64")
    a = world.host("a", own, sysctl=sysctl, offload=offload, routes=routes)
    b = world.host("b", other)
    world.link(a, b, rate="20mbit", delay="10ms", impair=f"out: {impair}")
    sink = Sink(b, 1, check=True)
    Bulk(a, b, 1, octets=OCTETS)
    world.run(for_s=seconds)
    return sink, a


def test_by_default_nothing_that_is_too_large_gets_through_as_in_linux() -> None:
    sink, a = transfer(HOLE)
    assert sink.received == 0
    assert a.host.counters.mtu_probe_success == a.host.counters.mtu_probe_fail == 0


@pytest.mark.requirement("RFC4821-S7.7-1")
@pytest.mark.parametrize("offload", [True, False])
@pytest.mark.parametrize("v4", [True, False])
def test_a_black_hole_is_survived_and_its_size_is_found(v4: bool, offload: bool) -> None:
    sink, a = transfer(HOLE, v4=v4, offload=offload, tcp_mtu_probing=1)
    assert sink.received == OCTETS
    assert a.host.counters.mtu_probe_success >= 1


@pytest.mark.requirement("RFC4821-S7.3-1")
@pytest.mark.parametrize("algorithm", ["cubic", "reno", "bbr", "bbr3"])
def test_with_probing_from_the_start_no_timeout_is_waited_for(algorithm: str) -> None:
    sink, a = transfer(HOLE, seconds=2, tcp_mtu_probing=2, tcp_congestion_control=algorithm)
    assert sink.received == OCTETS
    assert a.host.counters.timeouts == 0
    assert a.host.counters.mtu_probe_fail >= 2


@pytest.mark.requirement("RFC4821-S7.7-1")
def test_a_path_that_becomes_narrow_in_the_middle_is_survived() -> None:
    sink, _ = transfer(f"at 0.2s {HOLE}", tcp_mtu_probing=1)
    assert sink.received == OCTETS


@pytest.mark.parametrize("route", ["default mtu 1300", "10.0.0.0/24 mtu lock 1300"])
def test_who_knows_the_path_tells_by_a_route(route: str) -> None:
    sink, _ = transfer(HOLE, seconds=2, routes=(route,))
    assert (sink.received == OCTETS) == ("lock" in route)  # our own prefix is longer than default
