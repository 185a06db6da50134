"""A device over two callables: carriers that are full, broken, in other threads, gone."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable

import pytest

from pystack.aio.devices.callable_device import CallableDevice
from pystack.aio.devices.impaired import ImpairedDevice, parsed
from pystack.aio.drive.device import PacketDevice
from pystack.aio.endpoint.stack import Stack
from pystack.device.link_state import GONE, LinkState
from pystack.sim.vloop import VirtualLoop
from pystack.wire.batch import RxBatch
from tests.aio.devices.carriers import batch, ours, packet, until
from tests.aio.two_stacks import run, take_failures

LEFT, RIGHT = "fd00::1", "fd00::2"
Send = Callable[[bytes], object]


def two_devices(send: Send | None = None) -> tuple[CallableDevice, CallableDevice]:
    """Two that are joined, `send` standing before the way from the first to the second."""

    def to_right(one: bytes) -> object:
        outcome = None if send is None else send(one)
        if outcome is not False:
            right.received(one)
        return outcome

    left = CallableDevice(to_right, name="left")
    right = CallableDevice(lambda one: left.received(one), name="right")
    return left, right


async def upload(
    loop: VirtualLoop, left: PacketDevice, right: PacketDevice, octets: int
) -> tuple[Stack, int]:
    """Send so many from one to the other; the stack that sent, how many arrived."""
    take_failures()
    counted = loop.create_future()

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        total = 0
        while text := await reader.read(1 << 16):
            total += len(text)
        writer.close()
        counted.set_result(total)

    async with (
        Stack.over(left, f"{LEFT}/64", clock=loop.now_us, secret=b"l" * 32) as one,
        Stack.over(right, f"{RIGHT}/64", clock=loop.now_us, secret=b"r" * 32) as other,
    ):
        await other.start_server(count, RIGHT, 7)
        _, writer = await one.open_connection(RIGHT, 7)
        writer.write(bytes(octets))
        writer.write_eof()
        total = await counted
        writer.close()
        await writer.wait_closed()
    return one, total


@pytest.mark.parametrize("impair", ["", "delay 10ms"])
@pytest.mark.parametrize("how", ["false", "raises"])
def test_none_of_the_packets_of_a_carrier_that_is_full_is_lost(how: str, impair: str) -> None:
    async def body(loop: VirtualLoop) -> None:
        room = 0
        carried: list[bytes] = []

        def send(one: bytes) -> bool:
            nonlocal room
            if not room:
                if how == "raises":
                    raise BlockingIOError(errno.EAGAIN, "full")
                return False
            room -= 1
            carried.append(one)
            return True

        async def refill() -> None:
            nonlocal room
            while True:
                room = 8
                left.ready()
                await asyncio.sleep(0.001)

        refilling = loop.create_task(refill())
        left, right = two_devices(send)
        device: PacketDevice = left
        if impair:
            device = ImpairedDevice(left, parsed(impair), clock=loop.now_us)
        one, total = await upload(loop, device, right, 1 << 20)
        refilling.cancel()
        assert total == 1 << 20
        counters = one.host.counters
        assert (counters.retrans_segs, counters.loss_probes) == (0, 0)
        data = [packet for packet in carried if len(packet) > 80]
        assert len(data) == len(set(data)) == -(-(1 << 20) // 1428)
        assert take_failures() == []

    run(body)


def test_ready_has_what_was_kept_sent_at_once() -> None:
    async def body(loop: VirtualLoop) -> None:
        full = True
        carried: list[bytes] = []

        def send(one: bytes) -> bool:
            if not full:
                carried.append(one)
            return not full

        device = CallableDevice(send)
        async with Stack.over(device, f"{LEFT}/64", clock=loop.now_us, grace=0) as stack:
            endpoint, _ = await stack.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(RIGHT, 9)
            )
            endpoint.sendto(b"one")
            await asyncio.sleep(0.5)
            full = False
            device.ready()
            device.ready()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(carried) == 1
            endpoint.close()

    run(body)


def test_what_its_send_raises_costs_that_packet_and_a_fault_is_told() -> None:
    async def body(loop: VirtualLoop) -> None:
        take_failures()
        failure: Exception | None = None
        carried: list[bytes] = []

        def send(one: bytes) -> None:
            if failure is not None and b"bad" in one:
                raise failure
            carried.append(one)

        device = CallableDevice(send)
        async with Stack.over(device, "10.0.0.1/24", clock=loop.now_us) as stack:
            endpoint, _ = await stack.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=("10.0.0.2", 9)
            )

            async def sent(*texts: bytes) -> list[bytes]:
                carried.clear()
                for text in texts:
                    endpoint.sendto(text)
                await asyncio.sleep(0.01)
                return [one[28:] for one in carried]

            failure = OSError(errno.EMSGSIZE, "too long")
            assert await sent(b"one", b"bad", b"two") == [b"one", b"two"]
            assert take_failures() == []
            failure = ConnectionResetError("without a number")
            assert await sent(b"one", b"bad", b"two") == [b"one", b"two"]
            assert take_failures() == []
            failure = ZeroDivisionError("of its own")
            assert await sent(b"one", b"bad", b"two") == [b"one", b"two"]
            assert {str(one["exception"]) for one in take_failures()} == {"of its own"}
            assert (await stack.drop_counters())["write_failed"] == 3
            failure = OSError(errno.EIO, "down")
            assert await sent(b"bad", b"one") == []
            assert (await stack.drop_counters())["link_down"] == 2
            endpoint.close()

    run(body)


@pytest.mark.parametrize("how", ["close", "send"])
def test_a_carrier_that_goes_away_ends_connections(how: str) -> None:
    async def body(loop: VirtualLoop) -> None:
        is_gone = False

        def send(one: bytes) -> None:
            if is_gone:
                raise OSError(errno.EBADF, "closed")

        left, right = two_devices(send)
        async with (
            Stack.over(left, f"{LEFT}/64", clock=loop.now_us) as one,
            Stack.over(right, f"{RIGHT}/64", clock=loop.now_us) as other,
        ):
            kept: list[object] = []  # a writer that is dropped ends its connection, from 3.13 on
            server = await other.start_server(lambda *both: kept.append(both), RIGHT, 7)
            reader, writer = await one.open_connection(RIGHT, 7)
            if how == "close":
                left.close()
            else:
                is_gone = True
                writer.write(b"to nobody")
            with pytest.raises(OSError, match="down") as caught:
                await reader.read()
            assert caught.value.errno == errno.ENETDOWN
            assert not left.received(packet(1)) or how == "send"
            server.abort_clients()  # type: ignore[attr-defined]

    run(body)


def test_another_thread_may_say_that_the_carrier_is_gone() -> None:
    async def main() -> None:
        device = CallableDevice(lambda one: None)
        async with Stack.over(device, f"{LEFT}/64", grace=0) as one:
            opening = asyncio.ensure_future(one.open_connection(RIGHT, 7))
            await asyncio.sleep(0)
            thread = threading.Thread(target=device.close)
            thread.start()
            with pytest.raises(OSError, match="down") as caught:
                await opening
            assert caught.value.errno == errno.ENETDOWN
            thread.join()

    asyncio.run(main())


def test_its_link_goes_down_comes_up_and_has_another_mtu() -> None:
    async def body(loop: VirtualLoop) -> None:
        left, right = two_devices()
        async with (
            Stack.over(left, f"{LEFT}/64", clock=loop.now_us) as one,
            Stack.over(right, f"{RIGHT}/64", clock=loop.now_us) as other,
        ):
            await other.start_server(lambda reader, writer: None, RIGHT, 7)
            left.set_link(up=False)
            opening = loop.create_task(one.open_connection(RIGHT, 7))
            await asyncio.sleep(0.5)
            assert left.sent == 0
            left.set_link(up=True, mtu=1300)
            _, writer = await opening
            assert one.host.mtu == 1300
            assert repr(left).startswith("<CallableDevice left sent ")
            left.set_link(up=False)
            assert repr(left).startswith("<CallableDevice left down sent ")
            writer.transport.abort()

    run(body)


def test_states_of_its_link_are_told_in_order() -> None:
    async def body(loop: VirtualLoop) -> None:
        device = CallableDevice(lambda one: None, mtu=1400)
        states: list[LinkState] = []
        end = device.follow_link(loop, states.append)
        await asyncio.sleep(0)
        device.set_link(up=False)
        await asyncio.sleep(0)
        device.close()
        await asyncio.sleep(0)
        assert states == [LinkState(True, True, 1400), LinkState(True, False, 1400), GONE]
        end()

    run(body)


def test_packets_may_come_from_another_thread_and_before_the_stack_is_open() -> None:
    async def body() -> None:
        got: list[bytes] = []
        device = CallableDevice(lambda one: None)
        assert device.received(bytearray(packet(0)))

        def bring() -> None:
            for number in range(1, 100):
                assert device.received(memoryview(packet(number)))

        rx = RxBatch(4)

        def read() -> None:
            assert threading.current_thread() is threading.main_thread()
            count = device.read(rx)
            got.extend(bytes(buffer) for buffer, _, _ in rx.packets(count))

        device.start(asyncio.get_running_loop(), read)
        thread = threading.Thread(target=bring)
        thread.start()
        await until(lambda: len(got) == 100)
        thread.join()
        assert got == [packet(number) for number in range(100)]
        assert device.arrived == 100

    asyncio.run(body())


def test_what_too_many_wait_before_is_lost_and_counted() -> None:
    device = CallableDevice(lambda one: None, queue_length=2)
    assert [device.received(packet(number)) for number in range(3)] == [True, True, False]
    assert (device.arrived, device.queue_full) == (2, 1)
    assert asyncio.run(device.drops()) == {"queue_full": 1}


def test_checksums_are_verified_unless_the_carrier_is_trusted() -> None:
    async def body(loop: VirtualLoop, *, verify: bool) -> int:
        def damaged(one: bytes) -> None:
            device.received(one[:-1] + bytes([one[-1] ^ 1]))

        device = CallableDevice(lambda one: None, verify_checksums=verify)
        sender = CallableDevice(damaged)
        async with (
            Stack.over(device, "10.0.0.1/24", clock=loop.now_us) as stack,
            Stack.over(sender, "10.0.0.2/24", clock=loop.now_us) as other,
        ):
            endpoint, _ = await other.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=("10.0.0.1", 9)
            )
            endpoint.sendto(b"damaged on the way")
            await asyncio.sleep(0.01)
            endpoint.close()
            return (await stack.drop_counters()).get("bad_udp_checksum", 0)

    async def both(loop: VirtualLoop) -> None:
        assert await body(loop, verify=True) == 1
        assert await body(loop, verify=False) == 0

    run(both)


def test_what_is_no_such_thing_is_told_in_one_line() -> None:
    with pytest.raises(TypeError, match="send=7: a callable was expected"):
        CallableDevice(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="mtu='big'"):
        CallableDevice(print, mtu="big")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mtu=1"):
        CallableDevice(print, mtu=1)
    with pytest.raises(ValueError, match="mtu=1"):
        CallableDevice(print).set_link(mtu=1)
    with pytest.raises(ValueError, match="queue_length=0"):
        CallableDevice(print, queue_length=0)
    with pytest.raises(TypeError, match="name=3"):
        CallableDevice(print, name=3)  # type: ignore[arg-type]
    device = CallableDevice(print)
    device.close()
    assert device.write(batch([ours(1)]), 0) == -errno.EBADF
