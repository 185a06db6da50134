"""TCP Fast Open by asyncio's calls: a parameter of a stack's own, options of a socket.

A client and a server are 100 ms apart; so one round trip takes 0.2 s.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from errno import EOPNOTSUPP
from typing import Any

import pytest

from pystack import sim
from pystack.aio.devices.cable import Cable
from pystack.aio.endpoint.stack import Stack
from pystack.aio.loop.event_loop import EventLoop
from pystack.sim import World
from pystack.sim.host import SimHost
from pystack.sockets import constants as c
from pystack.tcp.tcb import Tcb
from tests.aio.two_stacks import RIGHT, two_stacks

ON = {"tcp_fastopen": 3}
ROUND_TRIP = pytest.approx(0.2, abs=0.01)
TWO_ROUND_TRIPS = pytest.approx(0.4, abs=0.01)

Body = Callable[[SimHost, SimHost], Awaitable[None]]


def far_apart(body: Body) -> None:
    async def main() -> None:
        world = World(seed=1)
        client = world.host("client", RIGHT[:-1] + "9/24", sysctl=ON)
        server = world.host("server", RIGHT + "/24", sysctl=ON)
        world.link(client, server, delay="100ms")
        await body(client, server)
        await client.aclose()
        await server.aclose()

    sim.run(main())


class Echo(asyncio.Protocol):
    """Gives back what comes."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def asked(client: SimHost, text: bytes) -> tuple[bytes, float]:
    """What the server gives back for `text`, and after how long."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    reader, writer = await client.open_connection(RIGHT, 7, fastopen=True)
    writer.write(text)
    answer = await reader.readexactly(len(text))
    took = loop.time() - began
    writer.close()
    return answer, took


def test_the_first_answer_takes_one_round_trip_where_a_cookie_is_known() -> None:
    async def body(client: SimHost, server: SimHost) -> None:
        await server.create_server(Echo, port=7, fastopen=8)
        assert await asked(client, b"hello") == (b"hello", TWO_ROUND_TRIPS)
        assert await asked(client, b"hello") == (b"hello", ROUND_TRIP)
        assert client.host.counters.fastopen_active == 1
        assert server.host.counters.fastopen_passive == 1

    far_apart(body)


def test_a_task_that_only_waits_for_the_connection_is_early_enough_too() -> None:
    async def body(client: SimHost, server: SimHost) -> None:
        await server.create_server(Echo, port=7, fastopen=8)
        await asked(client, b"hello")
        opening = asyncio.ensure_future(client.open_connection(RIGHT, 7, fastopen=True))
        began = asyncio.get_running_loop().time()
        reader, writer = await opening
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert asyncio.get_running_loop().time() - began == ROUND_TRIP

    far_apart(body)


def test_more_than_a_syn_holds_follows_the_handshake() -> None:
    async def body(client: SimHost, server: SimHost) -> None:
        await server.create_server(Echo, port=7, fastopen=8)
        text = bytes(range(256)) * 400
        assert (await asked(client, text))[0] == text
        assert (await asked(client, text))[0] == text
        assert client.host.counters.fastopen_active == 1

    far_apart(body)


def test_who_waits_for_the_server_to_speak_first_is_connected_all_the_same() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")

    async def body(client: SimHost, server: SimHost) -> None:
        await server.start_server(greet, port=7, fastopen=8)
        for _ in range(2):
            began = asyncio.get_running_loop().time()
            reader, _ = await client.open_connection(RIGHT, 7, fastopen=True)
            assert await reader.readexactly(7) == b"welcome"
        # its SYN had the cookie, and the server writes before the handshake is complete
        assert asyncio.get_running_loop().time() - began == ROUND_TRIP

    far_apart(body)


def test_the_hello_of_tls_goes_with_the_syn(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    took = []

    async def body(client: SimHost, server: SimHost) -> None:
        await server.create_server(Echo, port=7, ssl=contexts[0], fastopen=8)
        for _ in range(2):
            began = asyncio.get_running_loop().time()
            _, writer = await client.open_connection(RIGHT, 7, fastopen=True, ssl=contexts[1])
            took.append(asyncio.get_running_loop().time() - began)
            writer.close()

    far_apart(body)
    assert took == [TWO_ROUND_TRIPS, ROUND_TRIP]


@pytest.mark.parametrize("end", ["write_eof", "close"])
def test_what_was_written_arrives_though_the_end_follows_before_the_handshake_is_complete(
    end: str,
) -> None:
    came: list[bytes] = []

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read())
        writer.close()

    async def body(client: SimHost, server: SimHost) -> None:
        await server.start_server(collect, port=7, fastopen=8)
        for text in b"first", b"second", b"third" * 1000:
            _, writer = await client.open_connection(RIGHT, 7, fastopen=True)
            writer.write(text)
            getattr(writer, end)()
            await asyncio.sleep(2)
            writer.close()
        assert came == [b"first", b"second", b"third" * 1000]
        assert client.host.counters.fastopen_active == 2
        assert not [one for one in client.host.connections.values() if type(one) is Tcb]

    far_apart(body)


def test_a_refusal_that_was_not_waited_for_is_told_to_who_reads() -> None:
    async def body(client: SimHost, server: SimHost) -> None:
        listening = await server.create_server(Echo, port=7, fastopen=8)
        await asked(client, b"hello")
        listening.close()
        reader, writer = await client.open_connection(RIGHT, 7, fastopen=True)
        writer.write(b"hello")
        with pytest.raises(ConnectionRefusedError):
            await reader.read()

    far_apart(body)


@two_stacks(sysctl={"tcp_fastopen": 1})
async def test_a_server_that_may_not_is_told_what_to_set(client: Stack, right: Stack) -> None:
    with pytest.raises(OSError, match="set tcp_fastopen to 3") as raised:
        await right.create_server(Echo, port=7, fastopen=8)
    assert raised.value.errno == EOPNOTSUPP


@two_stacks(sysctl=ON)
async def test_sockets_with_the_options_of_linux_do_as_they_do_there(
    client: Stack, right: Stack
) -> None:
    loop = asyncio.get_running_loop()
    listening = right.socket()
    listening.setsockopt(socket.IPPROTO_TCP, c.TCP_FASTOPEN, 8)
    listening.bind((RIGHT, 7))
    server = await asyncio.start_server(echo, sock=listening)
    for _ in range(2):
        sock = client.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, c.TCP_FASTOPEN_CONNECT, 1)
        await loop.sock_connect(sock, (RIGHT, 7))
        await loop.sock_sendall(sock, b"hello")
        assert await loop.sock_recv(sock, 100) == b"hello"
        sock.close()
    assert right.host.counters.fastopen_passive == 1
    sock = client.socket()
    sock.setblocking(False)
    assert sock.sendto(b"hello", c.MSG_FASTOPEN, (RIGHT, 7)) == 5
    assert await loop.sock_recv(sock, 100) == b"hello"
    sock.close()
    assert right.host.counters.fastopen_passive == 2
    sock = client.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, c.TCP_FASTOPEN_CONNECT, 1)
    await loop.sock_connect(sock, (RIGHT, 7))
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(b"hello" * 1000)
    assert await reader.readexactly(5000) == b"hello" * 1000
    writer.close()
    assert right.host.counters.fastopen_passive == 3
    server.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the number of the option is Linux's")
def test_a_socket_of_the_kernel_keeps_its_options_when_a_stack_takes_it() -> None:
    cable = Cable()
    near = Stack.over(cable.left, "198.18.0.9/24", sysctl=ON)
    far = Stack.over(cable.right, f"{RIGHT}/24", sysctl=ON)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with await far.start_server(echo, port=7, fastopen=8):
            for _ in range(2):
                sock = socket.socket()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, c.TCP_FASTOPEN_CONNECT, 1)
                with near.as_default():
                    await loop.sock_connect(sock, (RIGHT, 7))
                await loop.sock_sendall(sock, b"hello")
                assert await loop.sock_recv(sock, 100) == b"hello"
                sock.close()
            assert far.host.counters.fastopen_passive == 1

    with asyncio.Runner(loop_factory=lambda: EventLoop(near, far)) as runner:
        runner.run(main())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while text := await reader.read(5000):
        writer.write(text)
    writer.close()
