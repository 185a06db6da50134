"""An AF_INET6 socket that is bound to IPv4 or to IPv6 talks to that version alone, as in Linux."""

from __future__ import annotations

from typing import Any

import pytest

from pystack.sockets.constants import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM
from tests.sockets.world import World, outcome

BEGUN = {SOCK_STREAM: "EINPROGRESS", SOCK_DGRAM: None}


def bound(world: World, kind: int, address: str) -> Any:
    sock = world.near(AF_INET6) if kind == SOCK_STREAM else world.datagram(family=AF_INET6)
    sock.bind((address, 0))
    return sock


@pytest.mark.parametrize("kind", [SOCK_STREAM, SOCK_DGRAM])
@pytest.mark.parametrize("wildcard", [False, True])
def test_one_bound_to_ipv4_has_no_way_to_ipv6(world: World, kind: int, wildcard: bool) -> None:
    local = "0.0.0.0" if wildcard or world.family == AF_INET6 else world.here
    sock = bound(world, kind, f"::ffff:{local}")
    assert outcome(sock.connect, ("::1", 9)) == "EAFNOSUPPORT"
    if kind == SOCK_DGRAM:
        assert outcome(sock.sendto, b"x", ("::1", 9)) == "EAFNOSUPPORT"
    assert sock.getsockname()[0] == f"::ffff:{local}"


@pytest.mark.parametrize("kind", [SOCK_STREAM, SOCK_DGRAM])
def test_one_bound_to_ipv6_has_no_way_to_ipv4(world: World, kind: int) -> None:
    if world.family == AF_INET:
        pytest.skip("has no IPv6 address")
    for remote in ("::ffff:198.18.0.2", "::ffff:0.0.0.0"):
        sock = bound(world, kind, world.here)
        assert outcome(sock.connect, (remote, 9)) == "ENETUNREACH"
        if kind == SOCK_DGRAM:
            assert outcome(sock.sendto, b"x", (remote, 9)) == "ENETUNREACH"


@pytest.mark.parametrize("kind", [SOCK_STREAM, SOCK_DGRAM])
def test_any_address_is_that_of_the_version_that_it_is_bound_to(world: World, kind: int) -> None:
    if world.family == AF_INET6:
        pytest.skip("has no IPv4 address")
    for local in (f"::ffff:{world.here}", "::ffff:0.0.0.0"):
        sock = bound(world, kind, local)
        assert outcome(sock.connect, ("::", 9)) in (BEGUN[kind], "ECONNREFUSED")
        assert sock.getsockname()[0] in ("::ffff:127.0.0.1", f"::ffff:{world.here}")
