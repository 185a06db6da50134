"""bind() and who else may have the port, as Linux answers (SO_REUSEADDR, IPV6_V6ONLY)."""

from __future__ import annotations

from typing import Any

import pytest

from pystack.sockets.constants import (
    AF_INET,
    AF_INET6,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    SO_REUSEADDR,
    SOL_SOCKET,
)
from tests.sockets.world import IPV4_ONLY, World, outcome


def reusing(sock: Any) -> Any:
    sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    return sock


def any_text(world: World) -> str:
    return "0.0.0.0" if world.family == AF_INET else "::"


def test_port_0_takes_a_free_port_at_once(world: World) -> None:
    sock = world.near()
    assert sock.getsockname()[:2] == (any_text(world), 0)
    assert outcome(sock.bind, (world.here, 0)) is None
    host, port = sock.getsockname()[:2]
    assert host == world.here
    assert 32768 <= port <= 60999


def test_binding_twice_is_invalid(world: World) -> None:
    sock = world.near()
    sock.bind(("", 0))
    assert outcome(sock.bind, ("", 0)) == "EINVAL"


def test_binding_a_connection_is_invalid(world: World) -> None:
    client, server = world.pair()
    assert outcome(client.bind, ("", 0)) == "EINVAL"
    assert outcome(server.bind, ("", 0)) == "EINVAL"


def test_an_address_that_is_not_ours_is_not_available(world: World) -> None:
    sock = world.near()
    assert outcome(sock.bind, (world.no_such, 0)) == "EADDRNOTAVAIL"
    assert sock.getsockname()[:2] == (any_text(world), 0)


def test_multicast_is_invalid_for_ipv6_and_taken_for_ipv4(world: World) -> None:
    if world.family == AF_INET6:
        assert outcome(world.near().bind, ("ff02::1", 0)) == "EINVAL"
        assert outcome(world.near().bind, ("fe80::1", 0)) == "EINVAL"
    else:
        assert outcome(world.near().bind, ("224.0.0.1", 0)) is None
        assert outcome(world.near().bind, ("255.255.255.255", 0)) is None


@IPV4_ONLY
def test_a_mapped_address_binds_an_ipv6_socket_unless_v6only(world: World) -> None:
    mapped = "::ffff:" + world.here
    sock = world.near(AF_INET6)
    assert outcome(sock.bind, (mapped, 0)) is None
    assert sock.getsockname()[0] == mapped
    assert outcome(world.near(AF_INET6).bind, ("::ffff:0.0.0.0", 0)) is None
    alone = world.near(AF_INET6)
    alone.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
    assert outcome(alone.bind, (mapped, 0)) == "EINVAL"


@pytest.mark.parametrize("reuse", [(False, False), (True, False), (False, True), (True, True)])
def test_a_port_is_shared_only_if_both_allow_reuse(world: World, reuse: tuple[bool, bool]) -> None:
    first, second = (reusing(world.near()) if flag else world.near() for flag in reuse)
    first.bind((world.here, 0))
    expected = None if all(reuse) else "EADDRINUSE"
    assert outcome(second.bind, first.getsockname()[:2]) == expected


@pytest.mark.parametrize("order", [("specific", "any"), ("any", "specific")])
def test_any_address_conflicts_with_each_single_one(world: World, order: tuple[str, str]) -> None:
    names = {"specific": world.here, "any": ""}
    first, second = world.near(), world.near()
    first.bind((names[order[0]], 0))
    assert outcome(second.bind, (names[order[1]], first.getsockname()[1])) == "EADDRINUSE"


@pytest.mark.parametrize("order", [("specific", "any"), ("any", "specific"), ("any", "any")])
def test_a_port_where_somebody_listens_is_in_use_even_with_reuse(
    world: World, order: tuple[str, str]
) -> None:
    names = {"specific": world.here, "any": ""}
    first, second = reusing(world.near()), reusing(world.near())
    first.bind((names[order[0]], 0))
    first.listen(1)
    assert outcome(second.bind, (names[order[1]], first.getsockname()[1])) == "EADDRINUSE"


def test_of_two_that_share_a_port_one_may_listen(world: World) -> None:
    first, second = reusing(world.near()), reusing(world.near())
    first.bind(("", 0))
    second.bind(("", first.getsockname()[1]))
    assert outcome(second.listen, 1) is None
    assert outcome(first.listen, 1) == "EADDRINUSE"


@pytest.mark.parametrize("v6only", [False, True])
@pytest.mark.parametrize("first_family", [AF_INET, AF_INET6])
def test_an_ipv6_wildcard_covers_ipv4_unless_v6only(
    world: World, first_family: int, v6only: bool
) -> None:
    wide = world.near(AF_INET6)
    wide.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, v6only)
    narrow = world.near(AF_INET)
    first, second = (narrow, wide) if first_family == AF_INET else (wide, narrow)
    first.bind(("", 0))
    expected = None if v6only else "EADDRINUSE"
    assert outcome(second.bind, ("", first.getsockname()[1])) == expected


def test_a_port_with_connections_is_in_use_without_reuse(world: World) -> None:
    client, server = world.pair()
    assert outcome(world.far().bind, server.getsockname()[:2]) == "EADDRINUSE"
    assert outcome(world.near().bind, client.getsockname()[:2]) == "EADDRINUSE"


def test_a_port_in_time_wait_is_in_use_but_with_reuse(world: World) -> None:
    client, server = world.pair(far=[(SOL_SOCKET, SO_REUSEADDR, 1)])
    address = server.getsockname()[:2]
    server.close()
    world.settle()
    client.close()
    world.settle()
    assert outcome(world.far().bind, address) == "EADDRINUSE"
    assert outcome(reusing(world.far()).bind, address) is None


def test_a_connection_that_has_ended_may_be_bound_anew_if_its_port_was_chosen_for_it(
    world: World,
) -> None:
    client, server = world.pair()
    world.reset(server)
    assert outcome(client.bind, (world.here, 0)) is None
    assert client.getsockname()[0] == world.here
    assert outcome(client.connect, world.closed_port()) == "EISCONN"


def test_a_closed_socket_frees_its_port(world: World) -> None:
    sock = world.near()
    sock.bind((world.here, 0))
    address = sock.getsockname()[:2]
    sock.close()
    assert outcome(world.near().bind, address) is None


def test_all_ports_taken_is_address_in_use() -> None:
    from tests.sockets.wire import make_wire

    wire = make_wire(ip_local_port_range=(40000, 40001))
    outcomes = [outcome(wire.near.socket().bind, ("", 0)) for _ in range(3)]
    assert outcomes == [None, None, "EADDRINUSE"]
