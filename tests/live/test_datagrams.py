"""UDP with the kernel at the other end, both ways (RFC 768): sizes, errors, nc, checksums."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from pystack.aio.loop.event_loop import EventLoop, attached
from pystack.sockets import constants as c
from pystack.sockets.constants import SO_RCVBUF, SOL_SOCKET
from tests.live.link_to_kernel import LinkToKernel
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live

PORT = 5000
KIND = {4: (c.IPPROTO_IP, c.IP_PKTINFO), 6: (c.IPPROTO_IPV6, c.IPV6_PKTINFO)}
SIZES = (0, 1, 1452, 1453, 1472, 1473, 9000, 65_507)


@pytest.fixture(
    params=[(4, True), (6, True), (4, False), (6, False)],
    ids=["IPv4-offload", "IPv6-offload", "IPv4-plain", "IPv6-plain"],
)
def link(request: pytest.FixtureRequest, namespace: Namespace) -> LinkToKernel:
    return LinkToKernel(namespace, *request.param)


class Notes(asyncio.DatagramProtocol):
    """Keeps what comes; with `echo` it sends it back."""

    def __init__(self, *, echo: bool = False) -> None:
        self.echo = echo
        self.got: asyncio.Queue[Any] = asyncio.Queue()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.got.put_nowait((data, addr))
        if self.echo:
            self.transport.sendto(data, addr)

    def error_received(self, exc: Exception) -> None:
        self.got.put_nowait(exc)


def kernel_socket(link: LinkToKernel) -> socket.socket:
    made = link.namespace.socket(link.family, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind((link.theirs, 0))
    return made


def pattern(size: int) -> bytes:
    return bytes(n * 31 + (n >> 8) & 0xFF for n in range(size))


def test_the_kernel_is_answered_whatever_the_size(link: LinkToKernel) -> None:
    async def main() -> None:
        async with link.stack(seconds=20) as stack:
            await stack.create_datagram_endpoint(
                lambda: Notes(echo=True), local_addr=(link.ours, PORT)
            )
            loop = asyncio.get_running_loop()
            with kernel_socket(link) as kernel:
                await loop.sock_connect(kernel, (link.ours, PORT))
                for size in SIZES:
                    await loop.sock_sendto(kernel, pattern(size), (link.ours, PORT))
                    assert await loop.sock_recv(kernel, 70_000) == pattern(size)
            counters = stack.host.counters
            assert counters.udp_in_datagrams == counters.udp_out_datagrams == len(SIZES)
            assert counters.udp_in_errors == 0

    asyncio.run(main())


def test_the_kernel_answers_whatever_the_size(link: LinkToKernel) -> None:
    async def main() -> None:
        async with link.stack(seconds=20) as stack:
            loop = asyncio.get_running_loop()
            with kernel_socket(link) as kernel:
                there = kernel.getsockname()
                _, here = await stack.create_datagram_endpoint(Notes, remote_addr=there[:2])
                for size in SIZES:
                    here.transport.sendto(pattern(size))
                    data, address = await loop.sock_recvfrom(kernel, 70_000)
                    assert data == pattern(size)
                    assert address == here.transport.get_extra_info("sockname")
                    await loop.sock_sendto(kernel, data, address)
                    assert await here.got.get() == (data, there)

    asyncio.run(main())


def test_many_datagrams_in_a_row_arrive_in_order(link: LinkToKernel) -> None:
    async def main() -> None:
        async with link.stack(seconds=20) as stack:
            loop = asyncio.get_running_loop()
            with kernel_socket(link) as kernel:
                kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
                there = kernel.getsockname()[:2]
                _, here = await stack.create_datagram_endpoint(Notes, remote_addr=there)
                sock = here.transport.get_extra_info("socket")
                sock.setsockopt(SOL_SOCKET, SO_RCVBUF, 4_000_000)
                for number in range(1000):
                    here.transport.sendto(b"%d" % number)
                for number in range(1000):
                    data, address = await loop.sock_recvfrom(kernel, 100)
                    assert data == b"%d" % number
                    if number % 100 == 99:
                        for _ in range(100):
                            await loop.sock_sendto(kernel, data, address)
                        for _ in range(100):
                            assert (await here.got.get())[0] == data

    asyncio.run(main())


def test_a_closed_port_of_the_kernels_is_refused(link: LinkToKernel) -> None:
    async def main() -> None:
        async with link.stack(seconds=20) as stack:
            with kernel_socket(link) as kernel:
                there = kernel.getsockname()[:2]
            _, here = await stack.create_datagram_endpoint(Notes, remote_addr=there)
            here.transport.sendto(b"anybody?")
            assert isinstance(await here.got.get(), ConnectionRefusedError)

    asyncio.run(main())


def test_a_closed_port_of_ours_is_refused(link: LinkToKernel) -> None:
    async def main() -> None:
        async with link.stack(seconds=20) as stack:
            transport, here = await stack.create_datagram_endpoint(
                lambda: Notes(echo=True), local_addr=(link.ours, PORT)
            )
            loop = asyncio.get_running_loop()
            with kernel_socket(link) as kernel:
                await loop.sock_connect(kernel, (link.ours, PORT))
                await loop.sock_sendall(kernel, b"hello")
                assert await loop.sock_recv(kernel, 10) == b"hello"
                transport.close()
                await loop.sock_sendall(kernel, b"still there?")
                with pytest.raises(ConnectionRefusedError):
                    await loop.sock_recv(kernel, 10)
            assert here.got.qsize() == 1
            assert stack.host.counters.udp_no_ports == 1

    asyncio.run(main())


def test_a_narrower_path_is_learnt_from_the_kernel(namespace: Namespace) -> None:
    link = LinkToKernel(namespace, 4)
    namespace.run(["ip", "link", "add", "narrow", "type", "veth", "peer", "name", "beyond"])
    namespace.run(["ip", "link", "set", "beyond", "up"])
    namespace.run(["ip", "link", "set", "narrow", "mtu", "1300", "up"])
    namespace.run(["ip", "addr", "add", "192.0.2.1/24", "dev", "narrow"])
    namespace.run(["ip", "neigh", "add", "192.0.2.9", "lladdr", "02:00:00:00:00:09",
                   "dev", "narrow"])  # fmt: skip
    namespace.set("net.ipv4.ip_forward", 1)

    async def main() -> None:
        async with link.stack(seconds=20) as stack:
            _, here = await stack.create_datagram_endpoint(Notes, remote_addr=("192.0.2.9", 9))
            here.transport.sendto(pattern(1400))
            error = await here.got.get()
            assert (type(error), error.errno) == (OSError, 90), "EMSGSIZE, as Linux tells it"
            here.transport.sendto(pattern(1400))
            await link.output("ping", "-c", "1", "-W", "5", link.ours)  # it has all arrived
            assert stack.host.counters.icmp_in == 2
            assert here.got.qsize() == 0

    asyncio.run(main())


@pytest.mark.parametrize("version", [4, 6])
def test_nc_talks_to_us(namespace: Namespace, version: int) -> None:
    link = LinkToKernel(namespace, version)

    async def main() -> None:
        async with link.stack(seconds=20) as stack:
            await stack.create_datagram_endpoint(
                lambda: Notes(echo=True), local_addr=(link.ours, PORT)
            )
            process = await namespace.start(["nc", "-u", link.ours, str(PORT)])
            assert process.stdin is not None
            assert process.stdout is not None
            for line in (b"hello\n", b"again\n"):
                process.stdin.write(line)
                assert await process.stdout.readline() == line
            process.kill()
            await process.wait()

    asyncio.run(main())


def test_asyncios_own_call_takes_the_stack_for_its_addresses_and_the_kernel_for_others(
    namespace: Namespace,
) -> None:
    link = LinkToKernel(namespace, 4)

    async def main() -> None:
        async with link.stack(seconds=20) as stack:
            with attached(stack) as loop:
                assert isinstance(loop, EventLoop)
                _, ours = await loop.create_datagram_endpoint(
                    lambda: Notes(echo=True), local_addr=(link.ours, PORT)
                )
                _, kernels = await loop.create_datagram_endpoint(
                    lambda: Notes(echo=True), local_addr=("127.0.0.1", 0)
                )
                there = kernels.transport.get_extra_info("sockname")
                for place, answerer in (((link.ours, PORT), ours), (there, kernels)):
                    _, here = await loop.create_datagram_endpoint(Notes, remote_addr=place)
                    here.transport.sendto(b"hello")
                    assert await here.got.get() == (b"hello", place)
                    assert answerer.got.qsize() == 1
                    here.transport.close()
                kernels.transport.close()
                assert stack.host.counters.udp_in_datagrams == 2

    asyncio.run(main())


def test_tshark_finds_no_checksum_that_is_wrong(link: LinkToKernel, tmp_path: Path) -> None:
    capture = tmp_path / "ours.pcapng"

    async def main() -> None:
        async with link.stack(seconds=30, pcap=capture) as stack:
            await stack.create_datagram_endpoint(
                lambda: Notes(echo=True), local_addr=(link.ours, PORT)
            )
            loop = asyncio.get_running_loop()
            with kernel_socket(link) as kernel:
                await loop.sock_connect(kernel, (link.ours, PORT))
                for number in range(300):
                    await loop.sock_sendall(kernel, pattern(number))
                    assert len(await loop.sock_recv(kernel, 5000)) == number
                await loop.sock_sendall(kernel, pattern(4000))
                assert len(await loop.sock_recv(kernel, 5000)) == 4000
                await loop.sock_sendto(kernel, b"x", (link.ours, PORT))
                await loop.sock_recv(kernel, 10)

    asyncio.run(main())
    bad = "udp.checksum.status == Bad || ip.checksum.status == Bad"
    filters = {"bad": f"({bad}) && udp.checksum != 0xffff", "all": "udp && !icmp && !icmpv6"}
    lines = {}
    for name, condition in filters.items():
        command = [
            "tshark", "-n", "-r", str(capture), "-Y", condition, "-o", "udp.check_checksum:TRUE",
            "-o", "ip.check_checksum:TRUE",
        ]  # fmt: skip
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert result.returncode == 0, result.stderr
        lines[name] = result.stdout.splitlines()
    assert lines["bad"] == []
    assert len(lines["all"]) == 604


def test_what_is_told_beside_a_datagram_is_the_devices_and_the_time_of_day(
    link: LinkToKernel,
) -> None:
    """Numbers and names of the kernel's interface, and the same clock as the kernel's."""

    async def main() -> None:
        async with link.stack(seconds=20) as stack:
            loop = asyncio.get_running_loop()
            ours = stack.socket(link.family, socket.SOCK_DGRAM)
            with kernel_socket(link) as kernel, ours as sock:
                sock.setblocking(False)
                sock.bind((link.ours, PORT))
                sock.setsockopt(SOL_SOCKET, c.SO_TIMESTAMPNS, 1)
                if link.version == 4:
                    sock.setsockopt(c.IPPROTO_IP, c.IP_PKTINFO, 1)
                else:
                    sock.setsockopt(c.IPPROTO_IPV6, c.IPV6_RECVPKTINFO, 1)
                sock.setsockopt(SOL_SOCKET, c.SO_BINDTODEVICE, b"tun0")
                await loop.sock_sendto(kernel, b"x", (link.ours, PORT))
                arrived = asyncio.Event()
                loop.add_reader(sock, arrived.set)
                await arrived.wait()
                loop.remove_reader(sock)
                after = time.time()
                _, ((_, _, stamp), (_, _, info)), _, _ = sock.recvmsg(10, 200)
                seconds, nanos = struct.unpack("qq", stamp)
                assert after - PATIENCE < seconds + nanos / 1e9 <= after
                listed = link.namespace.run(["ip", "-j", "link", "show", "tun0"]).stdout
                (line,) = json.loads(listed)
                assert struct.unpack_from("i", info, 0 if link.version == 4 else 16)[0] == (
                    line["ifindex"]
                )
                sock.sendmsg([b"y"], [(*KIND[link.version], info)], 0, kernel.getsockname()[:2])
                assert await loop.sock_recv(kernel, 10) == b"y"

    asyncio.run(main())
