"""pystack and the kernel over a bad way: every octet arrives once and in order, in bounded time.

pystack's device lies in the near namespace, whose kernel forwards to the relay; the kernel that
is spoken with has the far one.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import pytest

from pystack.aio.endpoint.stack import Stack
from tests.live.link_to_kernel import OURS, LinkToKernel
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live

THEIRS = {4: "198.19.0.1", 6: "fd00:198:19::1"}
LENGTHS = (3_000_000, 1_500_000)  # octets, the longer one from whom comes first
SECONDS = 60
# of each fault one in a hundred packets, in each direction
WORDS = "loss 1% duplicate 1% corrupt 1% reorder 1% delay 500us"


@dataclass
class BadWay:
    """The relay at work between two namespaces."""

    near: Namespace
    far: Namespace
    program: subprocess.Popen[str]

    def faults(self) -> list[dict[str, int]]:
        """End it, and hear how many faults it made: there and back."""
        out, _ = self.program.communicate(timeout=PATIENCE)
        counts: list[dict[str, int]] = json.loads(out.splitlines()[-1])
        return counts


@pytest.fixture
def bad_way(kernel_rights: None, request: pytest.FixtureRequest) -> Iterator[BadWay]:
    with Namespace() as near, Namespace() as far:
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            near.set(name, 1)
        command = [
            "setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.live.relay",
            near.path, far.path,
        ]  # fmt: skip
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as program:
            assert program.stdout is not None
            assert program.stdin is not None
            assert program.stdout.readline() == "ready\n"
            way = {"impair": WORDS, "seed": request.param}
            program.stdin.write(json.dumps(way) + "\n")
            program.stdin.flush()
            near.run(["ip", "route", "add", "198.19.0.0/24", "dev", "relay0"])
            near.run(["ip", "route", "add", "fd00:198:19::/64", "dev", "relay0"])
            far.run(["ip", "route", "add", "198.18.0.0/24", "dev", "relay0"])
            far.run(["ip", "route", "add", "fd00:198:18::/64", "dev", "relay0"])
            yield BadWay(near, far, program)
            program.kill()


async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> str:
    """Send `text` and the end; the SHA-256 of what comes meanwhile."""

    async def write() -> None:
        writer.write(text)
        await writer.drain()
        writer.write_eof()

    async def read() -> str:
        known = hashlib.sha256()
        while part := await reader.read(1 << 16):
            known.update(part)
        return known.hexdigest()

    _, digest = await asyncio.gather(write(), read())
    writer.close()
    await writer.wait_closed()
    return digest


async def one_connection(
    stack: Stack, far: Namespace, version: int, opens: bool, seed: int
) -> None:
    """Both ways at once, over a connection that we (`opens`) or the kernel opens."""
    random = Random(seed)
    texts = [random.randbytes(length) for length in LENGTHS]
    digests = [hashlib.sha256(text).hexdigest() for text in texts]
    accepted: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result(await tell(reader, writer, texts[1]))

    kernels = LinkToKernel(far, version).kernel_socket()
    if opens:
        kernels.bind((THEIRS[version], 0))
        kernels.listen()
        where = THEIRS[version], kernels.getsockname()[1]
        server = await asyncio.start_server(serve, sock=kernels)
        streams = await stack.open_connection(*where)
    else:
        port = 9000 + seed
        server = await stack.start_server(serve, OURS[version], port)
        await asyncio.get_running_loop().sock_connect(kernels, (OURS[version], port))
        streams = await asyncio.open_connection(sock=kernels)
    assert await tell(*streams, texts[0]) == digests[1]
    assert await accepted == digests[0]
    server.close()


@pytest.mark.parametrize(
    ("bad_way", "offload"), [(1, True), (2, False)], ids=["offload", "plain"], indirect=["bad_way"]
)
def test_every_octet_arrives_once_and_in_order(bad_way: BadWay, offload: bool) -> None:
    async def main() -> dict[str, int]:
        link = LinkToKernel(bad_way.near, 4, offload)
        async with link.stack(seconds=SECONDS) as stack:
            async with asyncio.TaskGroup() as group:
                for seed in range(8):
                    version, opens = (4, 6)[seed & 1], bool(seed & 2)
                    group.create_task(one_connection(stack, bad_way.far, version, opens, seed))
            return stack.host.counters.as_dict()

    counters = asyncio.run(main())
    for faults in bad_way.faults():
        for name in ("lost", "duplicated", "corrupted", "reordered"):
            assert faults[name] > 50, faults
    assert counters["dropped_bad_tcp_checksum"] > 10
    assert counters["ooo_queued"] > 100
    assert counters["retrans_segs"] > 100
