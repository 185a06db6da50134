"""1 MB each way by `Stack.socket`, with the kernel's descriptor polled, and by `EventLoop`."""

import asyncio
import hashlib
import os
import select
import socket
import tempfile

from pystack import Stack
from pystack.aio import EventLoop
from pystack.aio.devices.cable import Cable

SIZE = 1_000_000
TEXT = hashlib.shake_256(b"there").digest(SIZE)


async def received(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bytes:
    pieces = []
    while piece := await loop.sock_recv(sock, 65536):
        pieces.append(piece)
    return b"".join(pieces)


def is_readable(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])


async def echo_once(loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
    sock, _ = await loop.sock_accept(listener)
    text = await received(loop, sock)
    await loop.sock_sendall(sock, text)
    sock.close()


async def by_hand(client: Stack, server: Stack) -> None:
    loop = asyncio.get_running_loop()
    listener = server.socket(socket.AF_INET6)
    assert listener.family == socket.AF_INET6
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("fd00::2", 7))
    listener.listen()
    assert not is_readable(listener)
    serving = loop.create_task(echo_once(loop, listener))
    sock = client.socket(socket.AF_INET6)
    sock.setblocking(False)
    await loop.sock_connect(sock, ("fd00::2", 7))
    fd = sock.fileno()
    assert not is_readable(sock)
    sending = loop.create_task(loop.sock_sendall(sock, TEXT))
    await sending
    sock.shutdown(socket.SHUT_WR)
    readable = asyncio.Event()
    loop.add_reader(fd, readable.set)
    await readable.wait()
    loop.remove_reader(fd)
    assert is_readable(sock)
    first = sock.recv(10, socket.MSG_PEEK)
    assert first == TEXT[: len(first)]
    assert first
    assert await received(loop, sock) == TEXT
    await serving
    sock.close()
    listener.close()


async def told_of_a_loss(server: Stack) -> None:
    """A datagram that is longer than the buffer, and MSG_TRUNC by this system's number."""
    sock = server.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("10.0.0.2", 9))
    assert sock.sendto(b"to myself", ("10.0.0.2", 9)) == 9
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sock, readable.set)
    await readable.wait()
    loop.remove_reader(sock)
    assert sock.recvmsg(2, 0, socket.MSG_PEEK)[0] == b"to"
    text, _, flags, _ = sock.recvmsg(2)
    assert (text, flags) == (b"to", socket.MSG_TRUNC)
    sock.close()


async def by_asyncio() -> None:
    """On an `EventLoop`; a file is sent, too."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "10.0.0.2", 80)
    reader, writer = await asyncio.open_connection("10.0.0.2", 80)
    with tempfile.NamedTemporaryFile() as file:
        file.write(TEXT)
        file.flush()
        sent = await asyncio.get_running_loop().sendfile(writer.transport, file)
        assert sent == SIZE
        assert os.fstat(file.fileno()).st_size == SIZE
    writer.write_eof()
    assert await reader.read() == TEXT
    writer.close()
    await writer.wait_closed()
    server.close()


async def main() -> None:
    cable = Cable()
    async with (
        Stack.over(cable.left, "10.0.0.1/24", "fd00::1/64") as client,
        Stack.over(cable.right, "10.0.0.2/24", "fd00::2/64") as server,
    ):
        await by_hand(client, server)
        await told_of_a_loss(server)


asyncio.run(main(), debug=False)
cable = Cable()
stacks = [
    Stack.over(cable.left, "10.0.0.1/24"),
    Stack.over(cable.right, "10.0.0.2/24"),
]
with asyncio.Runner(loop_factory=lambda: EventLoop(*stacks)) as runner:
    runner.run(by_asyncio())
print("done")
