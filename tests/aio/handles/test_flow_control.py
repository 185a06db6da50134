"""Transports: how much may be written, and how much is read."""

from __future__ import annotations

import asyncio

import pytest

from pystack.aio.endpoint.stack import Stack
from tests.aio.recorder import Recorder, connected
from tests.aio.two_stacks import two_stacks

MUCH = bytes(range(256)) * 40_000  # 10 MB: more than both sides' buffers together


@two_stacks()
async def test_writing_more_than_the_limit_pauses_the_protocol_until_the_peer_reads(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    server.transport.pause_reading()
    client.transport.write(MUCH)
    assert client.calls[-1] == "pause_writing"
    assert client.transport.get_write_buffer_size() > 65536
    await asyncio.sleep(60)
    assert client.count("resume_writing") == 0
    server.transport.resume_reading()
    client.transport.close()
    await server.ended
    assert client.count("pause_writing") == client.count("resume_writing") == 1
    assert server.data == MUCH


@two_stacks()
async def test_the_protocol_may_write_again_when_a_quarter_of_the_limit_is_left(
    left: Stack, right: Stack
) -> None:
    class Writer(Recorder):
        def resume_writing(self) -> None:
            super().resume_writing()
            resumed.set_result(self.transport.get_write_buffer_size())

    resumed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    await right.create_server(Recorder, None, 7000)
    transport, _ = await left.create_connection(Writer, "198.18.0.2", 7000)
    assert transport.get_write_buffer_limits() == (16384, 65536)
    transport.write(MUCH)
    assert await resumed <= 16384


@two_stacks()
async def test_a_limit_of_0_pauses_on_any_residue_and_resumes_when_all_is_gone(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    client.transport.set_write_buffer_limits(high=0)
    assert client.transport.get_write_buffer_limits() == (0, 0)
    client.transport.write(b"little")
    assert client.count("pause_writing") == 0, "the stack took it at once"
    server.transport.pause_reading()
    taken = 6
    while not client.transport.get_write_buffer_size():
        client.transport.write(bytes(1000))
        taken += 1000
    assert client.count("pause_writing") == 1
    server.transport.resume_reading()
    while client.transport.get_write_buffer_size():
        assert client.count("resume_writing") == 0
        await asyncio.sleep(0.001)
    assert client.count("resume_writing") == 1
    client.transport.close()
    await server.ended
    assert len(server.data) == taken


@two_stacks()
async def test_a_protocol_may_write_and_close_when_it_may_write_again(
    left: Stack, right: Stack
) -> None:
    class Last(Recorder):
        def resume_writing(self) -> None:
            super().resume_writing()
            self.transport.write(b"and the last of it")
            self.transport.close()

    ended: asyncio.Future[Recorder] = asyncio.get_running_loop().create_future()

    class Taker(Recorder):
        def eof_received(self) -> bool:
            ended.set_result(self)
            return False

    await right.create_server(Taker, None, 7000)
    transport, writer = await left.create_connection(Last, "198.18.0.2", 7000)
    transport.set_write_buffer_limits(high=0)
    transport.write(MUCH)
    assert (await ended).data == MUCH + b"and the last of it"
    await writer.lost
    assert writer.count("connection_lost") == writer.count("resume_writing") == 1


@two_stacks()
async def test_limits_set_below_what_is_buffered_pause_at_once(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    server.transport.pause_reading()
    client.transport.set_write_buffer_limits(high=100_000_000)
    client.transport.write(MUCH)
    assert client.count("pause_writing") == 0
    client.transport.set_write_buffer_limits(high=1000, low=10)
    assert client.count("pause_writing") == 1
    client.transport.abort()


@two_stacks()
async def test_a_low_limit_above_the_high_one_is_refused(left: Stack, right: Stack) -> None:
    client, _ = await connected(left, right)
    with pytest.raises(ValueError, match="must be >= low"):
        client.transport.set_write_buffer_limits(high=1, low=2)


@two_stacks()
async def test_all_kinds_of_bytes_may_be_written_and_changed_afterwards(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    mutable = bytearray(b"a" * 5_000_000)
    client.transport.write(mutable)
    client.transport.write(memoryview(mutable))
    mutable[:] = b"b" * len(mutable)
    client.transport.write(memoryview(bytes(8)).cast("Q"))
    client.transport.writelines([b"one", bytearray(b"two"), memoryview(b"three")])
    client.transport.write(b"")
    client.transport.write_eof()
    await server.ended
    assert server.data == b"a" * 10_000_000 + bytes(8) + b"onetwothree"


@two_stacks()
async def test_what_is_no_bytes_is_refused(left: Stack, right: Stack) -> None:
    client, _ = await connected(left, right)
    with pytest.raises(TypeError, match="bytes-like object, not 'str'"):
        client.transport.write("text")  # type: ignore[arg-type]


@two_stacks()
async def test_paused_reading_leaves_text_in_the_stack_and_closes_its_window(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    assert server.transport.is_reading()
    server.transport.pause_reading()
    assert not server.transport.is_reading()
    client.transport.write(MUCH)
    await asyncio.sleep(10)
    assert server.data == b""
    assert client.transport.get_extra_info("tcp_info").tcpi_snd_wnd < 10_000
    server.transport.resume_reading()
    assert server.transport.is_reading()
    client.transport.write_eof()
    await server.ended
    assert server.data == MUCH


@two_stacks()
async def test_pausing_between_two_chunks_holds_back_the_second(left: Stack, right: Stack) -> None:
    class OneAtATime(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()

    protocol: asyncio.Future[OneAtATime] = asyncio.get_running_loop().create_future()

    def accept() -> OneAtATime:
        protocol.set_result(OneAtATime())
        return protocol.result()

    await right.create_server(accept, None, 7000)
    transport, _ = await left.create_connection(Recorder, "198.18.0.2", 7000)
    transport.write(bytes(1_000_000))
    server = await protocol
    await asyncio.sleep(1)
    while len(server.data) < 1_000_000:
        before = len(server.chunks)
        await asyncio.sleep(1)
        assert len(server.chunks) == before
        server.transport.resume_reading()
        server.transport.resume_reading()
        await asyncio.sleep(1)
        assert len(server.chunks) == before + 1


@two_stacks()
async def test_small_chunks_that_came_together_are_handed_over_together(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    server.transport.pause_reading()
    for _ in range(20):
        client.transport.write(b"x" * 100)
        await asyncio.sleep(0.01)
    server.transport.resume_reading()
    await asyncio.sleep(1)
    assert server.chunks == [b"x" * 2000]


class Buffered(asyncio.BufferedProtocol):
    """Takes data into a buffer of `size` octets."""

    def __init__(self, size: int) -> None:
        self.buffer = bytearray(size)
        self.data = bytearray()
        self.ended = asyncio.get_running_loop().create_future()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self.buffer[:nbytes]

    def eof_received(self) -> None:
        self.ended.set_result(None)


@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_a_buffered_protocol_gets_data_in_its_own_buffer(size: int) -> None:
    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        protocols: list[Buffered] = []

        def accept() -> Buffered:
            protocols.append(Buffered(size))
            return protocols[0]

        await right.create_server(accept, None, 7000)
        transport, _ = await left.create_connection(Recorder, "198.18.0.2", 7000)
        transport.write(MUCH[:50_000])
        transport.write_eof()
        await asyncio.sleep(1)
        await protocols[0].ended
        assert protocols[0].data == MUCH[:50_000]

    body()


@two_stacks()
async def test_another_protocol_gets_what_comes_after_it_was_set(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    client.transport.write(b"first")
    await asyncio.sleep(1)
    second = Buffered(100)
    assert server.transport.get_protocol() is server
    server.transport.set_protocol(second)
    assert server.transport.get_protocol() is second
    client.transport.write(b"second")
    client.transport.write_eof()
    await second.ended
    assert (bytes(server.data), bytes(second.data)) == (b"first", b"second")
