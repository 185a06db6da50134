"""asyncio on a stack over a TUN device, with the kernel and its tools at the other end."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import socket
import struct
from pathlib import Path

import pytest

from pystack.aio.endpoint.stack import Stack
from tests.aio.recorder import Recorder
from tests.live.over_tun import MUCH, OverTun, echo
from tests.surroundings import descriptors

pytestmark = pytest.mark.live

LINGER_0 = struct.pack("ii", 1, 0)


# -- both roles -----------------------------------------------------------------------------------
def test_nc_is_answered_and_half_closes(tun: OverTun) -> None:
    async def main() -> None:
        async with tun.stack() as stack:
            await stack.start_server(echo, None, 7)
            argv = ["nc", "-N", tun.ours, "7"]
            status, out, err = await tun.namespace.arun(argv, input=b"hello\nworld\n")
            assert (status, out) == (0, b"hello\nworld\n"), err

    asyncio.run(main())


def test_a_connection_to_a_kernel_server_goes_both_ways(tun: OverTun) -> None:
    async def main() -> None:
        async with tun.stack() as stack:
            listening, port = tun.listening()
            async with await asyncio.start_server(echo, sock=listening, backlog=512):
                reader, writer = await stack.open_connection(tun.peer, port)
                assert writer.get_extra_info("peername")[:2] == (tun.peer, port)
                assert writer.get_extra_info("sockname")[0] == tun.ours
                writer.write(b"hello")
                writer.write_eof()
                assert await reader.read() == b"hello"
                writer.close()
                await writer.wait_closed()

    asyncio.run(main())


def test_much_sent_arrives_whole(tun: OverTun) -> None:
    async def main() -> None:
        async with tun.stack() as stack:

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(MUCH)
                writer.close()

            await stack.start_server(serve, None, 19)
            command = f"nc -d {tun.ours} 19 | sha256sum"
            _, out, err = await tun.namespace.arun(["sh", "-c", command])
            assert out.split()[0].decode() == hashlib.sha256(MUCH).hexdigest(), err

    asyncio.run(main())


def test_much_received_arrives_whole(tun: OverTun, tmp_path: Path) -> None:
    file = tmp_path / "much"
    file.write_bytes(MUCH)

    async def main() -> None:
        digest: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received = hashlib.sha256()
            while data := await reader.read(1 << 20):
                received.update(data)
            digest.set_result(received.hexdigest())
            writer.close()

        async with tun.stack() as stack:
            await stack.start_server(serve, None, 9)
            command = f'nc -N {tun.ours} 9 <"$0"'
            status, _, err = await tun.namespace.arun(["sh", "-c", command, str(file)])
            assert status == 0, err
            assert await digest == hashlib.sha256(MUCH).hexdigest()

    asyncio.run(main())


def test_much_goes_both_ways_at_once_from_an_active_open(tun: OverTun) -> None:
    async def main() -> None:
        async with tun.stack() as stack:
            listening, port = tun.listening()
            async with await asyncio.start_server(echo, sock=listening, backlog=512):
                reader, writer = await stack.open_connection(tun.peer, port)
                writer.write(MUCH)
                writer.write_eof()
                received = hashlib.sha256()
                while data := await reader.read(1 << 20):
                    received.update(data)
                assert received.digest() == hashlib.sha256(MUCH).digest()
                writer.close()

    asyncio.run(main())


# -- how connections end and fail -----------------------------------------------------------------
def test_closed_ports_refuse_in_both_directions(tun: OverTun) -> None:
    async def main() -> None:
        async with tun.stack() as stack:
            with pytest.raises(ConnectionRefusedError):
                await stack.open_connection(tun.peer, 9)
            status, _, _ = await tun.namespace.arun(["nc", "-N", tun.ours, "9"], input=b"")
            assert status == 1

    asyncio.run(main())


def test_a_reset_by_the_kernel_is_told_as_such(tun: OverTun) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with tun.stack() as stack:
            listening, port = tun.listening()
            with listening:
                _, protocol = await stack.create_connection(Recorder, tun.peer, port)
                accepted, _ = await loop.sock_accept(listening)
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
                accepted.close()
                await protocol.lost
                assert isinstance(protocol.error, ConnectionResetError)

    asyncio.run(main())


def test_linger_0_resets_the_kernels_side(tun: OverTun) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with tun.stack() as stack:
            listening, port = tun.listening()
            with listening:
                transport, _ = await stack.create_connection(Recorder, tun.peer, port)
                accepted, _ = await loop.sock_accept(listening)
                facade = transport.get_extra_info("socket")
                facade.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
                transport.abort()
                with accepted, pytest.raises(ConnectionResetError):
                    await loop.sock_recv(accepted, 100)

    asyncio.run(main())


def test_a_peer_killed_in_mid_transfer_ends_the_connection(tun: OverTun) -> None:
    async def main() -> None:
        made: asyncio.Future[Recorder] = asyncio.get_running_loop().create_future()

        class Source(Recorder):
            """Writes for as long as somebody takes it."""

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                made.set_result(self)
                self.transport.write(MUCH)

            def resume_writing(self) -> None:
                super().resume_writing()
                self.transport.write(MUCH)

        async with tun.stack() as stack:
            await stack.create_server(Source, None, 19)
            process = await tun.namespace.start(["nc", "-d", tun.ours, "19"])
            assert process.stdout is not None
            await process.stdout.readexactly(10_000_000)
            process.send_signal(signal.SIGKILL)
            source = await made
            await source.lost
            assert isinstance(source.error, ConnectionResetError | BrokenPipeError)
            await process.communicate()

    asyncio.run(main())


def test_written_before_leaving_the_stack_is_delivered(tun: OverTun) -> None:
    async def main() -> None:
        listening, port = None, 0
        async with tun.stack() as stack:
            listening, port = tun.listening()
            argv = ["nc", "-d", "-l", tun.peer, str(port)]
            listening.close()
            process = await tun.namespace.start(argv)
            collecting = asyncio.create_task(process.communicate())
            writer = await _when_it_listens(stack, tun.peer, port)
            writer.write(MUCH[:5_000_000])
            writer.close()
        out, _ = await collecting
        assert out == MUCH[:5_000_000]

    asyncio.run(main())


async def _when_it_listens(stack: Stack, host: str, port: int) -> asyncio.StreamWriter:
    while True:
        try:
            _, writer = await stack.open_connection(host, port)
            return writer
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)


# -- many -----------------------------------------------------------------------------------------
@pytest.mark.skipif(descriptors() < 600, reason="no 600 files may be open at once: ulimit -Hn")
def test_500_kernel_connections_at_once_are_served(tun: OverTun) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with tun.stack() as stack:
            await stack.start_server(echo, None, 7, backlog=512)

            async def one(number: int) -> bytes:
                client = tun.kernel_socket()
                await loop.sock_connect(client, (tun.ours, 7))
                reader, writer = await asyncio.open_connection(sock=client)
                writer.write(b"%d" % number)
                writer.write_eof()
                data = await reader.read()
                writer.close()
                await writer.wait_closed()
                return data

            answers = await asyncio.gather(*(one(number) for number in range(500)))
            assert answers == [b"%d" % number for number in range(500)]

    asyncio.run(main())


def test_500_connections_at_once_are_opened(tun: OverTun) -> None:
    async def main() -> None:
        async with tun.stack() as stack:
            listening, port = tun.listening()
            async with await asyncio.start_server(echo, sock=listening, backlog=512):

                async def one(number: int) -> bytes:
                    reader, writer = await stack.open_connection(tun.peer, port)
                    writer.write(b"%d" % number)
                    writer.write_eof()
                    data = await reader.read()
                    writer.close()
                    await writer.wait_closed()
                    return data

                answers = await asyncio.gather(*(one(number) for number in range(500)))
                assert answers == [b"%d" % number for number in range(500)]

    asyncio.run(main())
