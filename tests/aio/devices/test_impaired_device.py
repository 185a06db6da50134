"""A device with a bad way before it, in virtual time: exact delays, both directions, errors."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable

import pytest

from pystack.aio.devices.impaired import ImpairedDevice, parsed
from pystack.aio.drive.device_driver import SLOTS
from pystack.aio.endpoint.stack import Stack
from pystack.sim.vloop import VirtualLoop
from pystack.wire import consts
from pystack.wire.batch import RxBatch, TxBatch
from tests.aio.memory_device import DELAY, MemoryDevice, joined_devices
from tests.aio.recorder import connected
from tests.aio.two_stacks import LEFT, RIGHT, run
from tests.path.traffic import number_of, sized

MS = 1000


def impaired(text: str, loop: VirtualLoop, device: MemoryDevice, seed: int = 1) -> ImpairedDevice:
    return ImpairedDevice(device, parsed(text), seed=seed, clock=loop.now_us)


class Reader:
    """Reads a device as a driver would, and notes when what came."""

    def __init__(self, loop: VirtualLoop, device: ImpairedDevice) -> None:
        self.loop = loop
        self.device = device
        self.rx = RxBatch(SLOTS)
        self.came: list[tuple[int, int]] = []  # µs since the beginning, number
        self.errors: list[int] = []
        self.begin_us = loop.now_us()
        device.start(loop, self.readable)

    def readable(self) -> None:
        count = self.device.read(self.rx)
        if count < 0:
            self.errors.append(-count)
        for packet in self.rx.packets(max(count, 0)):
            self.came.append((self.loop.now_us() - self.begin_us, number_of(packet)))


def written(device: ImpairedDevice, *lengths: int) -> None:
    """Write packets of these lengths, in one batch, numbered from 0 on."""
    tx = TxBatch(gso=False, checksum_offload=False)
    for number, length in enumerate(lengths):
        octets = sized(length, number=number)[0]
        at = tx.reserve(length)
        tx.view[at : at + length] = octets
        tx.commit(at, length, 0, consts.CHECKSUM_COMPLETE)
    assert device.write(tx, 0) == len(lengths)


def in_virtual_time(body: Callable[[VirtualLoop], Awaitable[None]]) -> Callable[[], None]:
    """Make a test of an async function of a loop."""

    def test() -> None:
        run(body)

    test.__name__ = body.__name__
    return test


@in_virtual_time
async def test_packets_are_delayed_in_both_directions(loop: VirtualLoop) -> None:
    left, right = joined_devices()
    device = impaired("in: delay 20ms out: delay 5ms", loop, left)
    reader = Reader(loop, device)
    out = Reader(loop, impaired("delay 0", loop, right))
    left.deliver([sized(100, number=7)])
    written(device, 100)
    await asyncio.sleep(1)
    assert reader.came == [(20 * MS, 7)]
    assert out.came == [(5 * MS + round(DELAY * 1e6), 0)]


@in_virtual_time
async def test_a_rate_spaces_packets_to_the_microsecond(loop: VirtualLoop) -> None:
    left, right = joined_devices()
    device = impaired("rate 8mbit limit 3", loop, left)
    device.start(loop, lambda: None)
    out = Reader(loop, impaired("delay 0", loop, right))
    written(device, 250, 250, 250, 250, 250)
    await asyncio.sleep(1)
    wire = round(DELAY * 1e6)
    assert out.came == [(250 * n + 250 + wire, n) for n in range(4)]
    assert device.counts() == ({"dropped": 0}, {"dropped": 1})


@in_virtual_time
async def test_all_that_arrives_together_is_read_in_as_many_turns_as_it_takes(
    loop: VirtualLoop,
) -> None:
    left, _ = joined_devices()
    device = impaired("in: spike 0 10ms", loop, left)
    reader = Reader(loop, device)
    left.deliver([sized(100, number=n) for n in range(5 * SLOTS)])
    await asyncio.sleep(1)
    assert reader.came == [(10 * MS, n) for n in range(5 * SLOTS)]


@in_virtual_time
async def test_with_nothing_to_do_it_has_no_timer(loop: VirtualLoop) -> None:
    left, _ = joined_devices()
    device = impaired("delay 20ms rate 1mbit", loop, left)
    Reader(loop, device)
    written(device, 100)
    await asyncio.sleep(10)
    pending = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
    assert pending == []


@in_virtual_time
async def test_what_is_on_the_way_out_goes_when_it_is_closed(loop: VirtualLoop) -> None:
    left, right = joined_devices()
    device = impaired("rate 1mbit delay 1s spike 0 5s", loop, left)
    device.start(loop, lambda: None)
    out = Reader(loop, impaired("delay 0", loop, right))
    written(device, 100, 100, 100)
    device.stop()
    device.close()
    assert left.closed
    await asyncio.sleep(10)
    assert out.came == [(round(DELAY * 1e6), n) for n in range(3)]


class Full(MemoryDevice):
    """Has room for so many packets."""

    room = 0

    def write(self, tx: TxBatch, first: int, /) -> int:
        taken = min(self.room, tx.count - first)
        self.room -= taken
        for number in range(first, first + taken):
            self.carried.append(number_of(tx.packet(number)))
        return taken

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.carried: list[int] = []


@pytest.mark.parametrize(("room", "gone"), [(0, 0), (1, 1), (3, 3), (4, 4), (6, 6), (100, 6)])
def test_what_waits_for_room_when_it_is_closed_goes_as_far_as_there_is_room(
    room: int, gone: int
) -> None:
    async def body(loop: VirtualLoop) -> None:
        full = Full("full")
        device = impaired("out: rate 1mbit", loop, full)
        device.start(loop, lambda: None)
        written(device, *[125] * 6)  # one is due each ms
        await asyncio.sleep(0.0045)  # 4 have met a full device, 2 are on their way
        assert full.carried == []
        full.room = room
        device.stop()
        device.close()
        assert full.closed
        assert full.carried == list(range(gone))
        assert (await device.drops())["late_write_failed"] == 6 - gone
        await asyncio.sleep(10)
        assert full.carried == list(range(gone))

    run(body)


@in_virtual_time
async def test_errors_of_the_device_reach_the_driver_behind_what_had_arrived(
    loop: VirtualLoop,
) -> None:
    left, _ = joined_devices()
    reader = Reader(loop, impaired("in: loss 0%", loop, left))
    left.deliver([sized(100, number=3)])
    left.set_down(True)
    await asyncio.sleep(1)
    assert [number for _, number in reader.came] == [3]
    assert reader.errors == [errno.EIO]


@in_virtual_time
async def test_what_the_device_does_not_take_when_its_time_has_come_is_counted(
    loop: VirtualLoop,
) -> None:
    left, _ = joined_devices()
    device = impaired("out: delay 10ms", loop, left)
    device.start(loop, lambda: None)
    written(device, 100, 100)
    left.set_down(True)
    await asyncio.sleep(1)
    assert (await device.drops())["late_write_failed"] == 2


@in_virtual_time
async def test_an_icmp_error_of_the_way_out_comes_in_and_the_other_way_round(
    loop: VirtualLoop,
) -> None:
    left, right = joined_devices()
    device = impaired("mtu 500", loop, left)
    came: list[bytes] = []
    rx = RxBatch(SLOTS)

    def readable() -> None:
        came.extend(bytes(packet[0]) for packet in rx.packets(device.read(rx)))

    device.start(loop, readable)
    far = impaired("delay 0", loop, right)
    answered: list[bytes] = []
    far_rx = RxBatch(SLOTS)
    far.start(loop, lambda: answered.extend(
        bytes(packet[0]) for packet in far_rx.packets(far.read(far_rx))
    ))  # fmt: skip
    written(device, 501)
    await asyncio.sleep(1)
    left.deliver([sized(600)])
    await asyncio.sleep(1)
    for packets, length in ((came, 501), (answered, 600)):
        assert [packet[20:22] for packet in packets] == [b"\x03\x04"]
        assert packets[0][30:32] == length.to_bytes(2, "big")  # of the packet that is quoted


@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "delay 20ms",
        "delay 20ms 3ms loss 3% duplicate 1% corrupt 1% reorder 5% rate 20mbit limit 50",
        "rate 10mbit queue fq_codel in: ack-thin 4 out: mtu 900",
        "loss gemodel 1% 30% outage 300ms 200ms spike 1s 400ms",
    ],
)
def test_two_stacks_talk_over_it(text: str, offload: bool) -> None:
    data = bytes(range(256)) * 1000

    async def body(loop: VirtualLoop) -> None:
        whole = offload and not parsed(text).needs_packets()
        left, right = joined_devices(offload=whole)
        bad = impaired(text, loop, left, seed=3)
        one = Stack.over(bad, f"{LEFT}/24", clock=loop.now_us, secret=bytes(32))
        other = Stack.over(right, f"{RIGHT}/24", clock=loop.now_us, secret=bytes(16))
        async with one, other:
            client, server = await connected(one, other)
            client.transport.write(data)
            server.transport.write(data[::-1])
            async with asyncio.timeout(300):
                while len(server.data) + len(client.data) < 2 * len(data):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert server.data == data
            assert client.data == data[::-1]
        assert one.host.counters.owner_errors == other.host.counters.owner_errors == 0

    run(body)


def test_the_round_trip_is_the_delay_of_both_directions() -> None:
    async def body(loop: VirtualLoop) -> None:
        left, right = joined_devices()
        bad = impaired("delay 20ms", loop, left)
        one = Stack.over(bad, f"{LEFT}/24", clock=loop.now_us)
        other = Stack.over(right, f"{RIGHT}/24", clock=loop.now_us)
        async with one, other:
            client, _ = await connected(one, other)
            info = client.transport.get_extra_info("tcp_info")
            assert info.tcpi_rtt == 40 * MS + 2 * round(DELAY * 1e6)
            client.transport.close()

    run(body)


def test_the_same_seed_repeats_a_whole_run() -> None:
    def lost(seed: int) -> tuple[dict[str, int], list[int]]:
        result: list[tuple[dict[str, int], list[int]]] = []

        async def body(loop: VirtualLoop) -> None:
            left, _ = joined_devices()
            device = impaired("loss 30%", loop, left, seed)
            reader = Reader(loop, device)
            left.deliver([sized(100, number=n) for n in range(50)])
            await asyncio.sleep(1)
            result.append((device.counts()[0], [number for _, number in reader.came]))

        run(body)
        return result[0]

    assert lost(1) == lost(1)
    assert lost(1) != lost(2)
    assert lost(1)[0]["lost"] == 50 - len(lost(1)[1])


def test_a_seed_that_the_words_name_goes_before_any_other() -> None:
    async def body(loop: VirtualLoop) -> None:
        left, right = joined_devices()
        assert impaired("loss 1% seed 9", loop, left, seed=1).seed == 9
        device = ImpairedDevice(right, parsed("loss 1%"), clock=loop.now_us)
        another = ImpairedDevice(right, parsed("loss 1%"), clock=loop.now_us)
        assert device.seed != another.seed

    run(body)


def test_numbers_of_a_trace_are_read_from_its_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "a trace"
    file.write_text("4\n8\n")
    assert parsed(f"trace '{file}'").inbound.timeline[0][1].trace == (4, 8)
    with pytest.raises(FileNotFoundError):
        parsed(f"trace {tmp_path}/missing")


def test_delays_go_on_where_a_device_moves_to_another_loop() -> None:
    left, _ = joined_devices()
    device = ImpairedDevice(left, parsed("delay 1ms"), seed=1)

    async def moment(number: int) -> None:
        came: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        rx = RxBatch(SLOTS)

        def readable() -> None:
            (packet,) = rx.packets(device.read(rx))
            came.set_result(number_of(packet))

        device.start(asyncio.get_running_loop(), readable)
        left.deliver([sized(100, number=number)])
        assert await asyncio.wait_for(came, 20) == number
        device.stop()

    for number in (1, 2):
        asyncio.run(moment(number))
    device.close()
