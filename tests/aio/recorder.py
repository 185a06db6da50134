"""Protocols that note what they are told."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from pystack.aio.endpoint.stack import Stack
from pystack.aio.handles.stream import Transport
from tests.aio.two_stacks import RIGHT


class Recorder(asyncio.Protocol):
    """Notes calls in `calls` (without data) and data in `data`; `keep_open` after EOF."""

    def __init__(self, *, keep_open: bool = False) -> None:
        self.calls: list[str] = []
        self.data = bytearray()
        self.chunks: list[bytes] = []
        self.keep_open = keep_open
        self.error: BaseException | None = None
        self.transport: Transport
        loop = asyncio.get_running_loop()
        self.made: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(Transport, transport)
        self.calls.append("connection_made")
        self.made.set_result(None)

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.data += data
        self.chunks.append(data)

    def eof_received(self) -> bool:
        self.calls.append("eof_received")
        self.ended.set_result(None)
        return self.keep_open

    def connection_lost(self, exc: BaseException | None) -> None:
        self.calls.append("connection_lost")
        self.error = exc
        self.lost.set_result(None)

    def pause_writing(self) -> None:
        self.calls.append("pause_writing")

    def resume_writing(self) -> None:
        self.calls.append("resume_writing")

    def count(self, call: str) -> int:
        """How often it was told so."""
        return self.calls.count(call)


async def connected(
    left: Stack, right: Stack, *, keep_open: bool = False, port: int = 7000, **options: Any
) -> tuple[Recorder, Recorder]:
    """A connection from `left` to `right`: both protocols, each with its `transport`."""
    accepted: asyncio.Future[Recorder] = asyncio.get_running_loop().create_future()

    def accept() -> Recorder:
        accepted.set_result(Recorder(keep_open=keep_open))
        return accepted.result()

    server = await right.create_server(accept, RIGHT, port)
    _, client = await left.create_connection(
        lambda: Recorder(keep_open=keep_open), RIGHT, port, **options
    )
    other = await accepted
    await other.made
    server.close()
    return client, other
