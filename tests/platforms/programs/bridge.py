"""1 MB each way through `Stack.bridge_fd`, which a thread uses that blocks, and closes."""

import asyncio
import hashlib
import socket

from pystack import Stack
from pystack.aio.devices.cable import Cable

SIZE = 1_000_000
TEXT = hashlib.shake_256(b"there").digest(SIZE)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert await reader.readexactly(SIZE) == TEXT
    writer.write(TEXT)
    await writer.drain()
    assert await reader.read() == b""  # the descriptor's user writes no more
    writer.write(b"and more")
    # who has closed the descriptor altogether is noticed by what is written to it, if not before
    while not writer.transport.is_closing():
        writer.write(b"?")
        await asyncio.sleep(0.01)


def blocking(sock: socket.socket) -> None:
    sock.sendall(TEXT)
    with sock.makefile("rb") as file:
        assert file.read(SIZE) == TEXT
        sock.shutdown(socket.SHUT_WR)
        assert file.read(8) == b"and more"
    sock.close()


async def main() -> None:
    cable = Cable()
    async with (
        Stack.over(cable.left, "10.0.0.1/24") as client,
        Stack.over(cable.right, "10.0.0.2/24") as server,
    ):
        ended = asyncio.Event()

        async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await answer(reader, writer)
            finally:
                ended.set()

        listening = await server.start_server(answering, port=7)
        _, writer = await client.open_connection("10.0.0.2", 7)
        await asyncio.to_thread(blocking, client.bridge_fd(writer))
        await ended.wait()
        listening.close()


asyncio.run(main())
print("done")
