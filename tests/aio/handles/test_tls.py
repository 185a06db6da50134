"""loop.start_tls on these transports: they have all that asyncio's SSL protocol asks for."""

from __future__ import annotations

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter

import pytest

from pystack.aio.endpoint.stack import Stack
from tests.aio.recorder import Recorder
from tests.aio.two_stacks import RIGHT, two_stacks

MUCH = bytes(range(256)) * 4000


def test_a_stream_changes_to_tls_in_both_roles(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        async def serve(reader: StreamReader, writer: StreamWriter) -> None:
            await writer.start_tls(contexts[0])
            writer.write(await reader.readexactly(len(MUCH)))
            await writer.drain()
            writer.close()

        await right.start_server(serve, RIGHT, 443)
        reader, writer = await left.open_connection(RIGHT, 443)
        await writer.start_tls(contexts[1], server_hostname=RIGHT)
        assert writer.get_extra_info("peername") == (RIGHT, 443)
        writer.write(MUCH)
        assert await reader.read() == MUCH
        writer.close()
        await writer.wait_closed()

    body()


def test_tls_may_begin_before_what_was_written_is_gone(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        loop = asyncio.get_running_loop()
        listening = right.socket()
        listening.setblocking(False)
        listening.bind((RIGHT, 443))
        listening.listen()

        async def serve() -> bytes:
            child, _ = await loop.sock_accept(listening)
            text = b""
            while len(text) < len(MUCH):  # and none of the handshake
                text += await loop.sock_recv(child, len(MUCH) - len(text))
            transport, protocol = await loop.connect_accepted_socket(
                Recorder, child, ssl=contexts[0]
            )
            transport.write(b"secret")
            transport.close()
            await protocol.lost
            return text

        serving = asyncio.create_task(serve())
        transport, client = await left.create_connection(Recorder, RIGHT, 443)
        transport.write(MUCH)
        assert client.calls[-1] == "pause_writing"
        secured = await loop.start_tls(transport, client, contexts[1], server_hostname=RIGHT)
        assert secured is not None
        assert client.calls[-1] == "resume_writing"
        assert await serving == MUCH
        await client.lost
        assert client.data == b"secret"
        listening.close()

    body()


def test_a_certificate_that_is_not_trusted_ends_the_connection(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        refused = asyncio.Event()

        async def serve(reader: StreamReader, writer: StreamWriter) -> None:
            with pytest.raises(ConnectionResetError):
                await writer.start_tls(contexts[0])
            writer.close()
            refused.set()

        await right.start_server(serve, RIGHT, 443)
        _, writer = await left.open_connection(RIGHT, 443)
        with pytest.raises(ssl.SSLCertVerificationError):
            await writer.start_tls(ssl.create_default_context(), server_hostname=RIGHT)
        writer.close()
        await refused.wait()

    body()
