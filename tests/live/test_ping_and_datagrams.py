"""What is not TCP: ping of all sizes, and datagrams that nobody waits for (RFC 792, 1122, 4443)."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.live.link_to_kernel import LinkToKernel
from tests.live.namespace import Namespace

pytestmark = pytest.mark.live


@pytest.fixture(
    params=[(4, True), (6, True), (4, False), (6, False)],
    ids=["IPv4-offload", "IPv6-offload", "IPv4-plain", "IPv6-plain"],
)
def link(request: pytest.FixtureRequest, namespace: Namespace) -> LinkToKernel:
    return LinkToKernel(namespace, *request.param)


@pytest.mark.parametrize("size", [0, 56, 1472, 1473, 4000, 65_000])
def test_ping_of_any_size_is_answered(link: LinkToKernel, size: int) -> None:
    async def main() -> None:
        async with link.stack():
            # one at a time: after an answer ping waits for the next two round trips at most
            for _ in range(3):
                ping = ["ping", "-n", "-c", "1", "-W", "10", "-s", str(size), link.ours]
                out = await link.output(*ping)
                assert f"{size + 8} bytes from {link.ours}" in out, out

    asyncio.run(main())


def test_a_ping_flood_is_answered_whole(link: LinkToKernel) -> None:
    async def main() -> None:
        async with link.stack() as stack:
            await link.output("ping", "-n", "-q", "-f", "-c", "2000", "-s", "1400", link.ours)
            assert stack.host.counters.icmp_in == 2000
            assert stack.host.counters.icmp_out == 2000

    asyncio.run(main())


def test_nc_with_datagrams_is_refused_at_once(link: LinkToKernel) -> None:
    async def main() -> None:
        async with link.stack(seconds=10):
            # without an answer it would go on for a minute
            argv = ["nc", "-u", "-v", "-w", "60", link.ours, "9999"]
            process = await link.namespace.start(argv)
            assert process.stdin is not None
            process.stdin.write(b"anybody there?\n")
            while process.returncode is None:  # nc notices when it reads or writes again
                await process.stdin.drain()
                process.stdin.write(b"hello?\n")
                try:
                    await asyncio.wait_for(process.wait(), 0.1)
                except TimeoutError:
                    continue
            assert process.returncode in (0, 1)  # newer releases of nc do not think it an error

    asyncio.run(main())


def test_the_error_names_the_port_and_comes_from_us(link: LinkToKernel) -> None:
    async def main() -> None:
        async with link.stack(seconds=20):
            program = (
                "import socket, sys\n"
                f"s = socket.socket(socket.AF_INET{'6' if link.version == 6 else ''}, 2)\n"
                f"s.connect(('{link.ours}', 9999)); s.settimeout(10); s.send(b'x')\n"
                "try: s.recv(1)\n"
                "except OSError as error: print(error.errno)"
            )
            assert await link.output("python3", "-c", program) == "111\n"
            # no history: its file in /tmp may be somebody else's
            nstat = ("env", "NSTAT_HISTORY=/proc/self/none", "nstat", "-azs")
            statistics = await link.output(*nstat, "IcmpInDestUnreachs")
            if link.version == 4:
                assert re.search(r"IcmpInDestUnreachs +1 ", statistics), statistics

    asyncio.run(main())
