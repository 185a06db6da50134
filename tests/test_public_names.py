"""What `dir` shows of the objects that users have: what is public (see `test_public_surface`)."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import pystack
from pystack import Host, Recorder, Stack, sim
from pystack.aio import Cable, CallableDevice
from pystack.sim import Bulk, Sink
from pystack.sockets.constants import AF_INET, SOCK_DGRAM
from tests.aio.two_stacks import LEFT, RIGHT, two_stacks
from tests.kit.builds import reads_docstrings
from tests.kit.surface import PACKAGES, public, written


def shown(thing: object) -> list[str]:
    return [name for name in dir(thing) if not name.startswith("_")]


def check(*things: object) -> None:
    """`dir` shows what `public_surface.txt` lists, and what asyncio's own classes have."""
    listed = {public()[name]: set(names) for name, names in written().items() if names}
    for thing in things:
        cls = type(thing)
        foreign = {
            name for each in cls.__mro__ if not each.__module__.startswith("pystack")
            for name in vars(each)
        }  # fmt: skip
        names = set(shown(thing))
        assert (listed[cls] - names, names - listed[cls] - foreign) == (set(), set()), cls.__name__


@reads_docstrings
@two_stacks()
async def test_a_stack_and_what_is_on_it(left: Stack, right: Stack) -> None:
    server = await right.start_server(lambda reader, writer: None, RIGHT, 80)
    _, writer = await left.open_connection(RIGHT, 80)
    endpoint, _ = await left.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=(LEFT, 9)
    )
    check(left, left.host, server, writer.transport, endpoint)
    check(writer.get_extra_info("socket"), endpoint.get_extra_info("socket"), *server.sockets)


@two_stacks()
async def test_a_socket_of_a_stack_has_no_names_but_a_sockets_and_a_few(
    left: Stack, right: Stack
) -> None:
    with left.socket() as sock, socket.socket() as kernels:
        more = set(shown(sock)) - set(shown(kernels))
    assert more == {"is_ours", "of", "poll", "stack", "tcp_info"}


@reads_docstrings
def test_a_host_and_its_sockets() -> None:
    host = Host("10.0.0.1/24", secret=bytes(16))
    check(host, host.socket(), host.socket(AF_INET, SOCK_DGRAM))


@reads_docstrings
def test_a_world_and_what_is_in_it() -> None:
    world = sim.World()
    a, b, router = world.host("a"), world.host("b"), world.router("r")
    there, _ = world.link(a, router)
    runs, _ = world.link(b, router, rate="10mbit")
    check(world, a, router, there, runs, Sink(b, 80), Bulk(a, b, 80))


@reads_docstrings
@pytest.mark.network(rtt="2ms")
async def test_the_network_of_a_test(network: Any) -> None:
    check(network, network.link, Recorder(), Cable(), Cable().left, CallableDevice(print))


class MyHost(Host):
    """With something of a user's own."""

    def __init__(self) -> None:
        super().__init__("10.0.0.1/24", secret=bytes(16))
        self.mine = 1

    def do(self) -> None:
        """Something."""


@pytest.mark.parametrize("make", [MyHost])
def test_what_a_subclass_adds_is_shown(make: Callable[[], object]) -> None:
    assert {"mine", "do", "socket"} <= set(shown(make()))
    assert "wakeups" not in shown(make())


def test_the_package_has_what_it_hands_out_and_its_packages() -> None:
    program = (
        "import pystack; print(*dir(pystack));"
        "print(all(getattr(pystack, name) is not None for name in dir(pystack)));"
        "print(pystack.aio.EventLoop.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    names, found, loop = done.stdout.splitlines()
    packages = {each.removeprefix("pystack.") for each in PACKAGES} - {"pystack"}
    assert set(names.split()) == {*pystack.__all__, *packages}
    assert (found, loop) == ("True", "EventLoop")
