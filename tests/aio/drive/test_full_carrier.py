"""A device that is full, that raises, that goes away: what the driver makes of it."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from pystack.aio.endpoint.stack import Stack
from pystack.sim.vloop import VirtualLoop
from pystack.wire.batch import RxBatch, TxBatch
from tests.aio.memory_device import DELAY, MemoryDevice
from tests.aio.two_stacks import LEFT, RIGHT, over, run, take_failures
from tests.kit.packets import encode

MS = 0.001


class Narrow(MemoryDevice):
    """Has room for `room` packets, then says so by `full`: a number, or what it raises."""

    def __init__(self, name: str, **options: int) -> None:
        super().__init__(name, **options)
        self.room = 1 << 30
        self.full: int | Exception = 0
        self.asked = 0
        self.carried: list[bytes] = []
        self.offload = False

    def write(self, tx: TxBatch, first: int, /) -> int:
        if self._error:
            return -self._error
        self.asked += 1
        if not self.room:
            if isinstance(self.full, Exception):
                raise self.full
            return self.full
        taken = min(self.room, tx.count - first)
        self.room -= taken
        for number in range(first, first + taken):
            self.carry(bytes(tx.packet(number)[0]))
        return taken

    def carry(self, packet: bytes) -> None:
        self.carried.append(packet)
        assert self._loop is not None
        self._flying.append([(packet, 0, 0)])
        self._loop.call_later(DELAY, self._deliver_first)

    def refill(self, packets: int, *, tell: bool) -> None:
        """There is room for so many again."""
        self.room = packets
        if tell and self._readable is not None:
            self._readable()


@asynccontextmanager
async def joined(loop: VirtualLoop, kind: type[Narrow] = Narrow) -> AsyncIterator[
    tuple[Narrow, Stack, Stack]
]:  # fmt: skip
    """A stack over a device with little room, the device, and another stack."""
    left, right = kind("left"), MemoryDevice("right")
    left.other, right.other = right, left
    take_failures()
    async with (
        over(left, f"{LEFT}/24", loop=loop) as one, over(right, f"{RIGHT}/24", loop=loop) as other,
    ):  # fmt: skip
        yield left, one, other


async def upload(one: Stack, other: Stack, octets: int, port: int = 7) -> None:
    """Send so many from one to the other, which counts them."""
    counted = asyncio.get_running_loop().create_future()

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        total = 0
        while text := await reader.read(1 << 16):
            total += len(text)
        writer.close()
        counted.set_result(total)

    server = await other.start_server(count, RIGHT, port)
    reader, writer = await one.open_connection(RIGHT, port)
    writer.write(bytes(octets))
    writer.write_eof()
    assert await counted == octets
    assert await reader.read() == b""
    writer.close()
    server.close()


FULL = [
    0, -errno.EAGAIN, -errno.EINTR, -errno.ENOBUFS, BlockingIOError(errno.EAGAIN, "full"),
    OSError(errno.ENOBUFS, "full"),
]  # fmt: skip


@pytest.mark.parametrize("every", [1 * MS, 20 * MS])  # a batch leaves within the RTO, or not
@pytest.mark.parametrize("full", FULL, ids=repr)
def test_a_full_carrier_is_waited_for_and_none_of_its_packets_is_lost(
    full: int | Exception, every: float
) -> None:
    async def body(loop: VirtualLoop) -> None:
        async with joined(loop) as (left, one, other):
            left.full = full
            refilling = loop.create_task(_refill(left, 8, every))
            await upload(one, other, 1 << 20)
            counters = one.host.counters
            assert (counters.retrans_segs, counters.loss_probes, counters.timeouts) == (0, 0, 0)
            data = [packet for packet in left.carried if len(packet) > 60]
            assert len(data) == len(set(data)) == -(-(1 << 20) // 1448)
            assert await one.drop_counters() == {}
            refilling.cancel()
        assert take_failures() == []

    run(body)


async def _refill(left: Narrow, packets: int, every: float) -> None:
    while True:
        left.refill(packets, tell=False)
        await asyncio.sleep(every)


def test_one_that_tells_of_its_room_is_not_waited_for_longer() -> None:
    async def body(loop: VirtualLoop) -> None:
        async with joined(loop) as (left, one, _):
            left.room = 0
            opening = loop.create_task(one.open_connection(RIGHT, 7))
            await asyncio.sleep(0.9)  # asked each 50 ms by now
            left.refill(1, tell=True)
            assert len(left.carried) == 1
            with pytest.raises(ConnectionRefusedError):
                await opening
            assert one.host.counters.retrans_segs == 0

    run(body)


def test_it_is_not_asked_more_and_more_often_and_the_loop_does_not_spin() -> None:
    async def body(loop: VirtualLoop) -> None:
        async with joined(loop) as (left, one, _):
            endpoint, _ = await one.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(RIGHT, 9)
            )
            left.room = 0
            for _ in range(3):
                endpoint.sendto(b"to be sent later")
            opening = loop.create_task(one.open_connection(RIGHT, 7))
            await asyncio.sleep(1)
            endpoint.sendto(b"another one, which waits in the host")
            left.asked = 0
            await asyncio.sleep(1)
            assert 10 <= left.asked <= 25
            left.refill(1 << 30, tell=False)
            with pytest.raises(ConnectionRefusedError):
                await opening
            await asyncio.sleep(0.01)
            datagrams = [packet for packet in left.carried if packet[9] == 17]
            assert len(datagrams) == 4
            endpoint.close()

    run(body)


def test_what_is_due_while_it_is_full_is_looked_at_each_2_ms() -> None:
    async def body(loop: VirtualLoop) -> None:
        left = Narrow("left")
        left.other = MemoryDevice("right")
        asked_us: list[int] = []

        def clock() -> int:
            asked_us.append(loop.now_us())
            return loop.now_us()

        async with Stack.over(left, f"{LEFT}/24", clock=clock, secret=bytes(32)) as one:
            endpoint, _ = await one.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(RIGHT, 9)
            )
            left.room = 0
            endpoint.sendto(b"kept by the writer")
            await asyncio.sleep(0.1)
            endpoint.sendto(b"waits in the host, and is due all the time")
            await asyncio.sleep(0.1)
            begin_us = loop.now_us()
            asked_us.clear()
            await asyncio.sleep(1)
            times = sorted({at_us - begin_us for at_us in asked_us})
            assert times == list(range(times[0], times[0] + 1_000_000, 2000))
            left.room = 2
            await asyncio.sleep(0.1)
            assert len(left.carried) == 2
            endpoint.abort()

    run(body)


def test_what_comes_in_is_read_while_nothing_goes_out() -> None:
    async def body(loop: VirtualLoop) -> None:
        async with joined(loop) as (left, one, other):
            got = bytearray()

            async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                while text := await reader.read(1000):
                    got.extend(text)
                writer.close()

            await one.start_server(take, LEFT, 7)
            _, writer = await other.open_connection(LEFT, 7)
            await asyncio.sleep(0.01)
            left.room = 0
            writer.write(b"into the full one")
            await asyncio.sleep(0.05)
            assert got == b"into the full one"
            left.refill(1 << 30, tell=False)
            writer.close()
            await writer.wait_closed()

    run(body)


def test_while_it_is_full_for_ever_timeouts_go_on() -> None:
    async def body(loop: VirtualLoop) -> None:
        async with joined(loop) as (left, one, _):
            left.room = 0
            with pytest.raises(TimeoutError):
                await one.open_connection(RIGHT, 7)
            assert 60 < loop.time() < 300  # 6 retries of the SYN, as Linux
            assert left.carried == []
            left.asked = 0
            await asyncio.sleep(10)
            assert left.asked <= 201  # for the first SYN, which it still keeps

    run(body)


def test_small_ones_have_their_turn_beside_a_large_one() -> None:
    async def body(loop: VirtualLoop) -> None:
        async with joined(loop) as (left, one, other):
            refilling = loop.create_task(_refill(left, 1, 1 * MS))  # 1.5 MB/s
            large = loop.create_task(upload(one, other, 4 << 20))
            await asyncio.sleep(1)
            begin = loop.time()
            await upload(one, other, 100, 8)
            assert loop.time() - begin < 1.0  # of 2.8 s
            assert not large.done()
            await large
            assert one.host.counters.retrans_segs == 0
            refilling.cancel()

    run(body)


def test_what_waits_when_the_stack_ends_is_lost_and_counted() -> None:
    async def body(loop: VirtualLoop) -> None:
        async with joined(loop) as (left, one, _):
            left.room = 0
            endpoint, _ = await one.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(RIGHT, 9)
            )
            for _ in range(3):
                endpoint.sendto(b"never sent")
            await asyncio.sleep(0.01)
            driver = one.driver
            assert driver is not None
            endpoint.abort()
        assert driver.lost_link_down == 3  # type: ignore[attr-defined]
        assert left.carried == []

    run(body)


# -- one that raises ------------------------------------------------------------------------------
class Raising(Narrow):
    """Raises at some packets, having carried those before."""

    refuses: Callable[[bytes], bool] = staticmethod(lambda packet: False)

    def carry(self, packet: bytes) -> None:
        if self.refuses(packet):
            raise ValueError("no packet for me")
        super().carry(packet)


def test_one_that_raises_now_and_then_loses_nothing_and_the_loop_hears_of_it() -> None:
    async def body(loop: VirtualLoop) -> None:
        async with joined(loop, Raising) as (left, one, other):
            count = 0

            def each_50th(packet: bytes) -> bool:
                nonlocal count
                count += 1
                return count % 50 == 0

            left.refuses = each_50th  # type: ignore[assignment]
            await upload(one, other, 1 << 20)
            assert one.host.counters.retrans_segs == 0
            left.refuses = lambda packet: False  # type: ignore[assignment]
        failures = take_failures()
        assert failures
        assert {str(failure["exception"]) for failure in failures} == {"no packet for me"}
        assert failures[0]["message"].startswith("left raised an exception")

    run(body)


def test_a_packet_at_which_it_always_raises_is_lost_alone() -> None:
    async def body(loop: VirtualLoop) -> None:
        async with joined(loop, Raising) as (left, one, _):
            left.refuses = lambda packet: b"poison" in packet  # type: ignore[assignment]
            endpoint, _ = await one.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(RIGHT, 9)
            )
            texts = [b"one", b"two", b"poison", b"three", b"four"]
            for text in texts:
                endpoint.sendto(text)
            await asyncio.sleep(0.01)
            carried = [text for text in texts if any(text in one for one in left.carried)]
            assert carried == [b"one", b"two", b"three", b"four"]
            assert len(left.carried) == 2 + 4  # those before it were carried twice
            assert (await one.drop_counters())["write_failed"] == 1
            endpoint.close()
        assert len(take_failures()) == 2  # in the batch, and alone

    run(body)


@pytest.mark.parametrize("error", [errno.EBADF, errno.ENODEV])
def test_one_that_says_it_is_gone_ends_all_connections(error: int) -> None:
    async def body(loop: VirtualLoop) -> None:
        async with joined(loop) as (left, one, other):
            await other.start_server(lambda reader, writer: None, RIGHT, 7)
            reader, writer = await one.open_connection(RIGHT, 7)
            left.room, left.full = 0, OSError(error, "gone")
            writer.write(b"to nobody")
            with pytest.raises(OSError, match="down") as caught:
                await reader.read()
            assert caught.value.errno == errno.ENETDOWN

    run(body)


def test_one_that_raises_when_it_is_read_is_read_again_in_a_moment() -> None:
    class Moody(Narrow):
        failure: Exception | None = None

        def read(self, rx: RxBatch, /) -> int:
            if self.failure is not None:
                raise self.failure
            return super().read(rx)

    async def body(loop: VirtualLoop) -> None:
        async with joined(loop, Moody) as (left, one, other):
            assert isinstance(left, Moody)
            left.failure = ValueError("not now")
            opening = loop.create_task(one.open_connection(RIGHT, 7))
            await asyncio.sleep(0.05)
            left.failure = None
            with pytest.raises(ConnectionRefusedError):
                await opening
            print(loop.time(), left.reads, left.starts, left._queue)
            assert loop.time() < 1.2  # it began at 1
            assert [str(failure["exception"]) for failure in take_failures()] == ["not now"]
            await other.start_server(lambda reader, writer: None, RIGHT, 7)
            reader, writer = await one.open_connection(RIGHT, 7)
            left.failure = OSError(errno.EBADF, "gone")
            left.deliver([(b"", 0, 0)])
            with pytest.raises(OSError, match="down"):
                await reader.read()
            left.failure = None
            writer.transport.abort()

    run(body)


class Pinged(Narrow):
    """Each packet that it carries is answered by a ping, which is there before `write` returns."""

    def carry(self, packet: bytes) -> None:
        self.carried.append(packet)
        if packet[9] == encode.UDP and self._readable is not None:
            source, own = packet[16:20], packet[12:16]
            body = encode.icmp(source, own, 8, 0, bytes(4), packet[28:])
            self._queue.append((encode.ip(source, own, encode.ICMP, body), 0, 0))
            self._readable()


def test_what_it_brings_within_its_write_is_read_behind_it() -> None:
    async def body(loop: VirtualLoop) -> None:
        async with joined(loop, Pinged) as (left, one, _):
            endpoint, _ = await one.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(RIGHT, 9)
            )
            texts = [b"first", b"second", b"third"]
            for text in texts:
                endpoint.sendto(text)
            await asyncio.sleep(0.01)
            sent = [(packet[9], packet[28:]) for packet in left.carried]
            assert sent == [(17, text) for text in texts] + [(1, text) for text in texts]
            endpoint.close()

    run(body)


def test_one_that_calls_from_within_its_write_does_no_harm() -> None:
    class Eager(Narrow):
        def carry(self, packet: bytes) -> None:
            super().carry(packet)
            if self._readable is not None:
                self._readable()

    async def body(loop: VirtualLoop) -> None:
        async with joined(loop, Eager) as (_, one, other):
            await upload(one, other, 1 << 18)
            assert one.host.counters.retrans_segs == 0

    run(body)
