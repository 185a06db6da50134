"""1 MB each way between two stacks over a `Cable`, IPv4 and IPv6, by asyncio's calls."""

import asyncio
import hashlib
import socket

import pytest

from pystack import Stack
from pystack.aio.devices.cable import Cable

SIZE = 1_000_000
TEXT = hashlib.shake_256(b"there").digest(SIZE)
ANSWER = hashlib.shake_256(b"back").digest(SIZE)
PLACES = {socket.AF_INET: "10.0.0.2", socket.AF_INET6: "server"}


def getaddrinfo(host: str, port: int, family: int = 0, *_: object, **options: object) -> list:
    """The system's resolver, which has the system's numbers of families."""
    assert (host, family) == ("server", socket.AF_INET6)
    place = ("fd00::2", port, 0, 0)
    return [(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)]


socket.getaddrinfo = getaddrinfo


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert await reader.readexactly(SIZE) == TEXT
    writer.write(ANSWER)
    await writer.drain()
    writer.close()


def try_options(sock: socket.socket) -> None:
    """Options by the numbers of this system's `socket` module."""
    for level, name, value in (
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1), (socket.SOL_SOCKET, "SO_REUSEADDR", 1),
        (socket.IPPROTO_TCP, "TCP_NODELAY", 0), (socket.IPPROTO_TCP, "TCP_KEEPCNT", 5),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 7), (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 11),
        (socket.IPPROTO_TCP, "TCP_KEEPALIVE", 11),
    ):  # fmt: skip
        if hasattr(socket, name):
            sock.setsockopt(level, getattr(socket, name), value)
            assert sock.getsockopt(level, getattr(socket, name)) == value, name
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    with pytest.raises(OSError, match="no such option"):
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)  # a TTL by its number on Linux


async def both_ways(client: Stack, family: int) -> None:
    reader, writer = await client.open_connection(PLACES[family], 7, family=family)
    sock = writer.get_extra_info("socket")
    assert sock.family == family
    try_options(sock)
    writer.write(TEXT)
    assert await reader.readexactly(SIZE) == ANSWER
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def datagrams(client: Stack, server: Stack) -> None:
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: object) -> None:
            self.transport.sendto(data.upper(), addr)

    class Asking(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            heard.set_result(data)

    heard = asyncio.get_running_loop().create_future()
    listening, _ = await server.create_datagram_endpoint(Echo, ("fd00::2", 9))
    asking, _ = await client.create_datagram_endpoint(
        Asking, remote_addr=("fd00::2", 9), family=socket.AF_INET6
    )
    asking.sendto(b"datagram")
    assert await heard == b"DATAGRAM"
    asking.close()
    listening.close()


async def refused(client: Stack) -> None:
    with pytest.raises(ConnectionRefusedError):
        await client.open_connection("10.0.0.2", 8)


async def main() -> None:
    asyncio.get_running_loop().slow_callback_duration = 60  # no warning of a busy machine
    cable = Cable("delay 1ms loss 0.5%", seed=1)
    async with (
        Stack.over(cable.left, "10.0.0.1/24", "fd00::1/64") as client,
        Stack.over(cable.right, "10.0.0.2/24", "fd00::2/64") as server,
    ):
        listening = await server.start_server(answer, port=7)
        assert {sock.family for sock in listening.sockets} == {*PLACES}
        for family in PLACES:
            await both_ways(client, family)
        await datagrams(client, server)
        await refused(client)
        listening.close()


asyncio.run(main())
print("done")
