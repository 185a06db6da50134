"""What `dir` shows of the objects that users have: what they may use, each explained."""

from __future__ import annotations

import asyncio
import inspect
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pystack import Host, Recorder, Stack, sim
from pystack.aio.devices.cable import Cable
from pystack.aio.devices.callable_device import CallableDevice
from pystack.sim.traffic import Bulk, Sink
from pystack.sockets.constants import AF_INET, SOCK_DGRAM
from tests.aio.two_stacks import LEFT, RIGHT, two_stacks
from tests.kit.builds import reads_docstrings

ASYNCIO = "bridge_fd create_connection create_datagram_endpoint create_server open_connection"
ENDPOINT = (
    "aclose as_default check driver handles host is_closed look_up loop owns reaches socket "
    f"start_server {ASYNCIO}"
)
SOCKET = (
    "bind close connect connect_ex family getpeername getsockname getsockopt poll recv recv_into "
    "recvmsg send setsockopt shutdown type"
)
CORE = f"{SOCKET} closed host ioctl on_events"
TRANSPORT = (
    "abort can_write_eof close fileno get_extra_info get_protocol get_write_buffer_limits "
    "get_write_buffer_size is_closing is_reading pause_reading resume_reading set_protocol "
    "set_write_buffer_limits write write_eof writelines"
)
FACADE = (
    "family fileno getpeername getsockname getsockopt gettimeout ioctl proto setblocking "
    "setsockopt settimeout type"
)
NODE = "addresses after_us host directions name now_us stop unsent up"
LINE = "arrival_taps arrived back counts far mtu name near octets sent taps too_large"
FLOW = (
    "began_us close ended_us error go_on happened host on_received over received sent socket "
    "wrong write"
)

NAMES = {
    "Stack": f"{ENDPOINT} capture_error device drop_counters enter is_open leave over over_tun",
    "Host": "addresses config connections counters fail_all listeners mtu next_deadline now_us "
    "on_dirty on_part_failed on_time receive receive_batch set_mtu socket sysctl trace transmit",
    "Socket": f"{CORE} accept at_eof attach_recorder listen recvmsg skip state take_chunk tcb "
    "tcp_info variant",
    "DatagramSocket": f"{CORE} drops proto recvfrom recvfrom_into sendto udp",
    "Transport": TRANSPORT,
    "DatagramTransport": f"{TRANSPORT} sendto",
    "Server": "abort_clients close close_clients get_loop is_serving serve_forever sockets "
    "start_serving wait_closed",
    "TransportSocket": f"{FACADE} attach_recorder tcp_info variant",
    "DatagramTransportSocket": FACADE,
    "CallableDevice": "arrived close drops follow_link mtu name offload queue_full read ready "
    "received sent set_link start stop write",
    "Cable": "back left right there",
    "CableEnd": "arrival_taps arrived close drops mtu name octets offload other read sent stage "
    "start stop taps write",
    "World": "after at capture digest events host hosts directions link look_up nodes now_s now_us "
    "random router run seed watch",
    "SimHost": f"{ENDPOINT} {NODE} address sysctl",
    "Router": f"{NODE} expired forwarded routes too_big unroutable",
    "StageLinkDirection": f"{LINE} stage uncut",
    "GsoLinkDirection": f"{LINE} delay_us dropped in_bytes in_runs limit loss lost rate_bps",
    "Sink": "close flows host received socket",
    "Bulk": f"{FLOW} octets",
    "Network": "client link now_s pcap run seed server world",
    "NetworkLink": "change counts down impair stages up",
    "Recorder": "add attach columns connections detach every limit to_csv to_parquet",
}


def shown(thing: object) -> list[str]:
    return [name for name in dir(thing) if not name.startswith("_")]


def check(*things: object) -> None:
    """The names are those above, each explained: by itself, or in the words of its class."""
    for thing in things:
        cls = type(thing)
        assert shown(thing) == sorted(set(NAMES[cls.__name__].split())), cls.__name__
        explained = " ".join(one.__doc__ or "" for one in cls.__mro__)
        unexplained = [
            name
            for name in shown(thing)
            if not _has_docstring(cls, name) and not re.search(rf"`{name}[`=]", explained)
        ]
        assert not unexplained, (cls.__name__, unexplained)


def _has_docstring(cls: type, name: str) -> bool:
    found = inspect.getattr_static(cls, name, None)
    is_call = callable(found) or isinstance(found, (property, classmethod, staticmethod))
    return is_call and bool(inspect.getdoc(getattr(cls, name)))


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
    assert set(names.split()) == {
        "Config", "Host", "Recorder", "SetupError", "Stack", "__version__", "register_variant",
        "aio", "cc", "path", "sim", "sockets", "testing",
    }  # fmt: skip
    assert (found, loop) == ("True", "EventLoop")
