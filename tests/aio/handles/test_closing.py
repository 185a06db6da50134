"""Transports: every way to the end of a connection, and what its protocol is told."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct

import pytest

from pystack.aio.endpoint.stack import Stack
from tests.aio.recorder import Recorder, connected
from tests.aio.two_stacks import device_of, take_failures, two_stacks

MUCH = bytes(range(256)) * 40_000
DELAY = 0.001  # of the wire, in seconds
LINGER_0 = struct.pack("ii", 1, 0)


@two_stacks()
async def test_what_was_written_before_close_is_delivered(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    client.transport.write(MUCH)
    client.transport.close()
    assert client.transport.is_closing()
    await client.lost
    await server.lost
    assert server.data == MUCH
    assert client.error is None
    assert server.error is None
    assert server.calls == ["connection_made", "eof_received", "connection_lost"]


@two_stacks()
async def test_close_sends_fin_together_with_the_last_data(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    await asyncio.sleep(1)
    before = len(device_of(left).written)
    client.transport.write(b"bye")
    client.transport.close()
    await asyncio.sleep(DELAY / 2)
    assert device_of(left).written[before:] == [1]
    await server.ended
    assert server.data == b"bye"


@two_stacks()
async def test_abort_drops_only_what_the_stack_had_not_accepted_and_resets_nothing(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    client.transport.write(MUCH)
    unsent = client.transport.get_write_buffer_size()
    assert 0 < unsent < len(MUCH)
    client.transport.abort()
    assert client.transport.get_write_buffer_size() == 0
    await server.lost
    assert server.data == MUCH[:-unsent]
    assert server.error is None
    assert client.error is None
    assert left.host.counters.out_rsts == 0


@two_stacks()
async def test_with_linger_0_abort_is_a_reset(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    facade = client.transport.get_extra_info("socket")
    facade.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
    client.transport.abort()
    await server.lost
    assert isinstance(server.error, ConnectionResetError)
    assert server.calls == ["connection_made", "connection_lost"]
    assert client.error is None


@two_stacks()
async def test_text_left_unread_does_not_endanger_what_was_written(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    server.transport.pause_reading()
    client.transport.write(b"nobody will read this")
    await asyncio.sleep(1)
    server.transport.write(b"answer" * 1000)
    server.transport.close()
    await client.ended
    assert client.data == b"answer" * 1000
    assert client.error is None


@two_stacks()
async def test_closing_over_unread_text_with_nothing_to_deliver_is_a_reset_as_in_linux(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    server.transport.pause_reading()
    client.transport.write(b"nobody will read this")
    await asyncio.sleep(1)
    server.transport.close()
    await client.lost
    assert isinstance(client.error, ConnectionResetError)


@two_stacks()
async def test_a_reset_comes_after_the_text_before_it(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    server.transport.pause_reading()
    client.transport.write(b"last words")
    await asyncio.sleep(1)
    facade = client.transport.get_extra_info("socket")
    facade.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
    client.transport.close()
    await asyncio.sleep(1)
    assert not server.lost.done(), "it reads nothing now"
    server.transport.resume_reading()
    await server.lost
    assert server.data == b"last words"
    assert isinstance(server.error, ConnectionResetError)


@two_stacks()
async def test_a_reset_is_told_at_once_to_who_waits_to_write(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    client.transport.pause_reading()
    server.transport.pause_reading()
    client.transport.write(MUCH)
    await asyncio.sleep(1)
    facade = server.transport.get_extra_info("socket")
    facade.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
    server.transport.abort()
    await client.lost
    assert isinstance(client.error, ConnectionResetError)
    assert client.transport.get_write_buffer_size() == 0


@two_stacks()
async def test_a_peer_that_fell_silent_ends_the_connection_with_a_timeout(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    loop = asyncio.get_running_loop()
    start = loop.time()
    device_of(left).lose = lambda packet: True
    client.transport.write(b"anybody there?")
    await client.lost
    assert isinstance(client.error, TimeoutError)
    assert 900 < loop.time() - start < 1100  # tcp_retries2
    server.transport.abort()


@two_stacks()
async def test_half_closed_the_other_half_goes_on(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right, keep_open=True)
    assert client.transport.can_write_eof()
    client.transport.write(MUCH)
    client.transport.write_eof()
    client.transport.write_eof()
    with pytest.raises(RuntimeError, match="after write_eof"):
        client.transport.write(b"more")
    await server.ended
    assert server.data == MUCH
    assert not server.transport.is_closing()
    server.transport.write(MUCH)
    server.transport.write_eof()
    await client.ended
    assert client.data == MUCH
    await asyncio.sleep(1)
    assert not client.lost.done()
    client.transport.close()
    server.transport.close()
    await client.lost
    await server.lost
    assert client.error is server.error is None


@two_stacks()
async def test_the_end_of_the_stream_closes_who_does_not_keep_it_open(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    client.transport.write_eof()
    await client.lost
    assert server.calls == ["connection_made", "eof_received", "connection_lost"]
    assert client.calls == ["connection_made", "eof_received", "connection_lost"]


@two_stacks()
async def test_the_end_of_the_stream_waits_while_reading_is_paused(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    server.transport.pause_reading()
    client.transport.write(b"the end")
    client.transport.close()
    await asyncio.sleep(1000)
    assert server.calls == ["connection_made"]
    server.transport.resume_reading()
    await server.lost
    assert server.data == b"the end"


@two_stacks()
async def test_writes_on_a_lost_connection_are_dropped_and_then_warned_of(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    client.transport.abort()
    await client.lost
    for _ in range(10):
        client.transport.write(b"nowhere")
    client.transport.write_eof()
    client.transport.pause_reading()
    client.transport.resume_reading()
    client.transport.close()
    client.transport.abort()
    await server.lost
    assert client.count("connection_lost") == 1
    assert client.transport.get_protocol() is None


@two_stacks()
async def test_a_connection_made_that_raises_is_told_and_the_connection_goes_on(
    left: Stack, right: Stack
) -> None:
    """As asyncio's."""

    class Raising(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            raise ZeroDivisionError("connection_made")

    served = Raising()
    await right.create_server(lambda: served, None, 7000)
    _, client = await left.create_connection(Raising, "198.18.0.2", 7000)
    client.transport.write(b"text")
    client.transport.write_eof()
    await client.lost
    assert served.data == b"text"
    failures = take_failures()
    assert len(failures) == 2
    for failure in failures:
        assert isinstance(failure["exception"], ZeroDivisionError)
        assert failure["message"] == "Exception in protocol.connection_made()"


@pytest.mark.parametrize("method", ["data_received", "eof_received"])
def test_a_protocol_that_raises_ends_its_own_connection_only(method: str) -> None:
    class Raising(Recorder):
        pass

    def broken(*_: object) -> None:
        raise ZeroDivisionError(method)

    setattr(Raising, method, broken)

    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        bystander, other = await connected(left, right, port=6999)
        await right.create_server(Raising, None, 7000)
        _, client = await left.create_connection(Recorder, "198.18.0.2", 7000)
        client.transport.write(b"text")
        client.transport.write_eof()
        await client.lost
        (failure,) = take_failures()
        assert isinstance(failure["exception"], ZeroDivisionError)
        assert f"protocol.{method}() call failed" in failure["message"]
        assert failure["transport"].is_closing()
        bystander.transport.write(b"still here")
        await asyncio.sleep(1)
        assert other.data == b"still here"

    body()


@two_stacks()
async def test_a_raising_connection_lost_is_reported_and_does_no_more_harm(
    left: Stack, right: Stack
) -> None:
    class Raising(Recorder):
        def connection_lost(self, exc: BaseException | None) -> None:
            raise ZeroDivisionError

    server = await right.create_server(Raising, None, 7000)
    _, client = await left.create_connection(Recorder, "198.18.0.2", 7000)
    client.transport.close()
    await asyncio.sleep(1)
    (failure,) = take_failures()
    assert isinstance(failure["exception"], ZeroDivisionError)
    server.close()
    await server.wait_closed()


@two_stacks()
async def test_a_buffered_protocol_without_a_buffer_loses_its_connection(
    left: Stack, right: Stack
) -> None:
    class Empty(asyncio.BufferedProtocol):
        def get_buffer(self, sizehint: int) -> bytearray:
            return bytearray()

    await right.create_server(Empty, None, 7000)
    _, client = await left.create_connection(Recorder, "198.18.0.2", 7000)
    client.transport.write(b"text")
    await client.lost
    (failure,) = take_failures()
    assert "empty buffer" in str(failure["exception"])


@two_stacks()
async def test_a_protocol_may_write_and_close_while_it_is_told_of_data(
    left: Stack, right: Stack
) -> None:
    class Once(Recorder):
        def data_received(self, data: bytes) -> None:
            self.transport.write(data.upper())
            self.transport.close()

    await right.create_server(Once, None, 7000)
    _, client = await left.create_connection(Recorder, "198.18.0.2", 7000)
    client.transport.write(b"hello")
    await client.lost
    assert client.data == b"HELLO"
    assert client.error is None


@two_stacks()
async def test_an_unreachable_peer_of_an_open_connection_is_no_reason_to_end_it(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    device_of(left).lose = lambda packet: True
    client.transport.write(b"late")
    await asyncio.sleep(20)
    device_of(left).lose = lambda packet: False
    client.transport.close()
    await server.ended
    assert server.data == b"late"


@two_stacks()
async def test_errors_are_oserrors_of_the_right_kind(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    device_of(left).remove()
    await client.lost
    assert isinstance(client.error, OSError)
    assert client.error.errno == errno.ENETDOWN
    server.transport.abort()
