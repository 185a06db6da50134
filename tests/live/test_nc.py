"""nc of the kernel's side as the server, pystack connects: half-closes in both directions."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from tests.live.link_to_kernel import LinkToKernel
from tests.live.namespace import Namespace

pytestmark = pytest.mark.live

TEXT = bytes(range(251)) * 8_000  # 2 MB
PORT = "9000"


@pytest.fixture(
    params=[(4, True), (6, True), (4, False), (6, False)],
    ids=["IPv4-offload", "IPv6-offload", "IPv4-plain", "IPv6-plain"],
)
def link(request: pytest.FixtureRequest, namespace: Namespace) -> LinkToKernel:
    return LinkToKernel(namespace, *request.param)


async def listening_nc(link: LinkToKernel, *options: str) -> asyncio.subprocess.Process:
    """`nc -l`, as soon as it listens."""
    process = await link.namespace.start(["nc", *options, "-l", link.theirs, PORT])
    while PORT not in await link.output("ss", "-tlnH"):
        assert process.returncode is None
    return process


async def write_on(writer: asyncio.StreamWriter) -> None:
    """Write until that fails."""
    while True:
        writer.write(TEXT)
        await writer.drain()


def test_what_we_send_arrives_whole_and_our_fin_ends_nc(link: LinkToKernel) -> None:
    async def main() -> None:
        async with link.stack() as stack:
            nc = await listening_nc(link)
            assert nc.stdout is not None
            reader, writer = await stack.open_connection(link.theirs, int(PORT))
            writer.write(TEXT)
            writer.write_eof()
            assert await nc.stdout.read() == TEXT
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
            assert await nc.wait() == 0

    asyncio.run(main())


def test_nc_closes_its_half_first_and_still_gets_all(link: LinkToKernel) -> None:
    async def main() -> None:
        async with link.stack() as stack:
            nc = await listening_nc(link, "-N")
            assert nc.stdin is not None
            assert nc.stdout is not None
            reader, writer = await stack.open_connection(link.theirs, int(PORT))
            nc.stdin.write(TEXT)
            nc.stdin.close()
            assert await reader.read() == TEXT  # to its end, which is the FIN
            writer.write(TEXT)
            writer.write_eof()
            known = hashlib.sha256()
            while data := await nc.stdout.read(1 << 16):
                known.update(data)
            assert known.digest() == hashlib.sha256(TEXT).digest()
            writer.close()
            await writer.wait_closed()
            assert await nc.wait() == 0

    asyncio.run(main())


def test_nc_killed_in_mid_transfer_is_a_reset_for_us(link: LinkToKernel) -> None:
    async def main() -> None:
        async with link.stack() as stack:
            nc = await listening_nc(link)
            assert nc.stdout is not None
            _, writer = await stack.open_connection(link.theirs, int(PORT))
            writer.write(TEXT)
            await nc.stdout.readexactly(10_000)
            nc.kill()
            await nc.stdout.read()
            await nc.wait()
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                await write_on(writer)
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                await writer.wait_closed()

    asyncio.run(main())
