"""A stack over a TUN device in the test's own namespace, for tests with the kernel's tools."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pystack.aio.endpoint.stack import Stack
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

OURS = {4: "198.18.0.2", 6: "fd00:198:18::2"}
THEIRS = {4: "198.18.0.1", 6: "fd00:198:18::1"}


@dataclass
class LinkToKernel:
    """Which IP version, whether with offload, and the namespace of the kernel's side."""

    namespace: Namespace
    version: int
    offload: bool = True

    @property
    def ours(self) -> str:
        """The stack's address."""
        return OURS[self.version]

    @property
    def theirs(self) -> str:
        """The kernel's."""
        return THEIRS[self.version]

    @property
    def family(self) -> int:
        """AF_INET or AF_INET6."""
        return socket.AF_INET if self.version == 4 else socket.AF_INET6

    def kernel_socket(self) -> socket.socket:
        """A socket of the kernel's side, not blocking."""
        made = self.namespace.socket(self.family)
        made.setblocking(False)
        return made

    @asynccontextmanager
    async def stack(self, *, seconds: float = PATIENCE, **options: Any) -> AsyncIterator[Stack]:
        """The stack; TimeoutError when what is done with it takes longer than that."""
        async with (
            asyncio.timeout(seconds),
            Stack.over_tun(
                "tun0", f"{OURS[4]}/24", addr6=f"{OURS[6]}/64", netns=self.namespace.path,
                offload=self.offload, **options,
            ) as stack,
        ):  # fmt: skip
            yield stack

    async def output(self, *argv: str, input: bytes | None = None) -> str:
        """What a command prints that succeeds."""
        status, out, err = await self.namespace.arun(argv, input=input)
        assert status == 0, f"{' '.join(argv)}: {status}\n{err.decode()}"
        return out.decode()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back what comes, to the end."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
