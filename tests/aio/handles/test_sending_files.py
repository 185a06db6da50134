"""loop.sendfile on a stack's transport: what arrives, and what is left after an error."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import struct
from pathlib import Path
from typing import BinaryIO

import pytest

from pystack.aio.endpoint.stack import Stack
from pystack.aio.handles.stream import Transport
from tests.aio.recorder import connected
from tests.aio.two_stacks import two_stacks

MUCH = bytes(range(256)) * 40_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with `MUCH` in it."""
    path = tmp_path / "file"
    path.write_bytes(MUCH)
    return path


def reset(transport: Transport) -> None:
    """End a connection by RST."""
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


async def under_way(transport: Transport, file: BinaryIO, offset: int = 0) -> asyncio.Task[int]:
    """A sending that waits, as its peer reads no more."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(loop.sendfile(transport, file, offset, fallback=False))
    await asyncio.sleep(1)
    assert not task.done()
    return task


def test_a_file_goes_out_between_what_is_written_before_and_after(path: Path) -> None:
    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        client, server = await connected(left, right)
        loop = asyncio.get_running_loop()
        client.transport.write(MUCH)  # more than there is room for
        assert client.transport.get_write_buffer_size()
        with path.open("rb") as file:
            assert await loop.sendfile(client.transport, file, fallback=False) == len(MUCH)
            assert file.tell() == len(MUCH)
            assert await loop.sendfile(client.transport, file, 7, 100, fallback=False) == 100
            assert file.tell() == 107
            end = len(MUCH) - 3
            assert await loop.sendfile(client.transport, file, end, 100, fallback=False) == 3
            assert await loop.sendfile(client.transport, file, len(MUCH) + 9) == 0
        client.transport.write(b" after")
        client.transport.close()
        await server.ended
        assert server.data == MUCH + MUCH + MUCH[7:107] + MUCH[-3:] + b" after"

    body()


def test_nothing_is_written_or_read_while_a_file_is_sent(path: Path) -> None:
    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        client, server = await connected(left, right)
        server.transport.pause_reading()
        server.transport.write(b"early")
        loop = asyncio.get_running_loop()
        with path.open("rb") as file:
            task = await under_way(client.transport, file)
            with pytest.raises(RuntimeError, match="sendfile is in progress"):
                client.transport.write(b"x")
            with pytest.raises(RuntimeError, match="sendfile is in progress"):
                await loop.sendfile(client.transport, file)
            assert not client.transport.is_reading()
            server.transport.write(b" and late")
            await asyncio.sleep(1)
            assert client.data == b"early"[: len(client.data)]
            server.transport.resume_reading()
            assert await task == len(MUCH)
        assert client.transport.is_reading()
        await asyncio.sleep(1)
        assert (bytes(server.data), bytes(client.data)) == (MUCH, b"early and late")
        assert not client.count("pause_writing")

    body()


@pytest.mark.parametrize("how", ["the peer resets", "abort", "close"])
def test_an_end_in_the_midst_is_a_connection_error(path: Path, how: str) -> None:
    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        client, server = await connected(left, right)
        server.transport.pause_reading()
        with path.open("rb") as file:
            task = await under_way(client.transport, file, 10)
            if how == "the peer resets":
                reset(server.transport)
            else:
                getattr(client.transport, how)()
            with pytest.raises(ConnectionError):
                await task
            assert 10 < file.tell() < len(MUCH)
        await client.lost
        assert client.transport.is_closing()
        assert isinstance(client.error, ConnectionResetError) == (how == "the peer resets")

    body()


def test_a_sending_that_is_cancelled_says_by_the_files_position_how_far_it_came(
    path: Path,
) -> None:
    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        client, server = await connected(left, right)
        server.transport.pause_reading()
        with path.open("rb") as file:
            task = await under_way(client.transport, file)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            sent = file.tell()
        client.transport.write(b"after")
        client.transport.close()
        server.transport.resume_reading()
        await server.ended
        assert server.data == MUCH[:sent] + b"after"

    body()


def test_a_file_that_cannot_be_read_ends_the_sending_and_nothing_else(path: Path) -> None:
    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        client, _ = await connected(left, right)
        loop = asyncio.get_running_loop()
        with path.open("ab") as file, pytest.raises(OSError, match="Bad file descriptor"):
            await loop.sendfile(client.transport, file, fallback=False)
        assert not client.transport.is_closing()
        client.transport.close()

    body()


@two_stacks()
async def test_what_is_no_file_on_a_disk_cannot_be_sent_without_fallback(
    left: Stack, right: Stack
) -> None:
    client, _ = await connected(left, right)
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        for file in io.BytesIO(b"x"), pipe:
            with pytest.raises(asyncio.SendfileNotAvailableError):
                await loop.sendfile(client.transport, file, fallback=False)
    client.transport.write(b"it goes on")
    client.transport.close()
