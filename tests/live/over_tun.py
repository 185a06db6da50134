"""A stack over a TUN device in a namespace, and kernel sockets at its other end."""

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
PEER = {4: "198.18.0.1", 6: "fd00:198:18::1"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
MUCH = bytes(range(251)) * 250_000  # 63 MB


@dataclass
class OverTun:
    """Which IP version and whether offload is on, and the namespace with the kernel's side."""

    version: int
    offload: bool
    namespace: Namespace

    @property
    def ours(self) -> str:
        return OURS[self.version]

    @property
    def peer(self) -> str:
        return PEER[self.version]

    @asynccontextmanager
    async def stack(self, **options: Any) -> AsyncIterator[Stack]:
        """A stack whose device lies in the namespace; all within PATIENCE."""
        async with (
            asyncio.timeout(PATIENCE),
            Stack.over_tun(
                "tun0", f"{OURS[4]}/24", addr6=f"{OURS[6]}/64", netns=self.namespace.path,
                offload=self.offload, **options,
            ) as stack,
        ):  # fmt: skip
            yield stack

    def kernel_socket(self) -> socket.socket:
        """A kernel socket that belongs to the namespace, for the test's own loop."""
        made = self.namespace.socket(FAMILY[self.version])
        made.setblocking(False)
        return made

    def listening(self) -> tuple[socket.socket, int]:
        """A listening kernel socket and its port."""
        made = self.kernel_socket()
        made.bind((self.peer, 0))
        made.listen(512)
        return made, made.getsockname()[1]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
