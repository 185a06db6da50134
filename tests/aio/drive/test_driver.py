"""The driver: what it asks of the device and of the loop, and when."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterable
from functools import partial

import pytest

from pystack.aio.drive.device_driver import BATCHES, SLOTS, TURN_US, DeviceDriver
from pystack.aio.endpoint.stack import Stack
from pystack.sim.vloop import VirtualLoop
from pystack.sockets import Host
from pystack.wire.batch import Packet
from tests.aio.memory_device import DELAY, MemoryDevice, joined_devices
from tests.aio.recorder import Recorder, connected
from tests.aio.two_stacks import RIGHT, device_of, run, two_stacks


class CountingLoop(VirtualLoop):
    """Counts the timers that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.timers = 0
        self.soon = 0

    def call_at(self, *args, **options):  # type: ignore[no-untyped-def]
        self.timers += 1
        return super().call_at(*args, **options)


@two_stacks()
async def test_an_idle_stack_has_no_timer_and_reads_nothing(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    await asyncio.sleep(10_000)  # whatever was armed has fired
    loop = asyncio.get_running_loop()
    reads = device_of(left).reads, device_of(right).reads
    pending = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
    assert pending == []
    await asyncio.sleep(10_000)
    assert (device_of(left).reads, device_of(right).reads) == reads
    client.transport.abort()
    server.transport.abort()


def test_many_round_trips_need_few_timers() -> None:
    async def body(loop: CountingLoop) -> None:
        left, right = joined_devices()
        make = partial(Stack.over, clock=loop.now_us)
        async with make(left, "198.18.0.1/24") as one, make(right, "198.18.0.2/24") as other:
            client, server = await connected(one, other)
            before = loop.timers
            sent = len(left.written) + len(right.written)
            for _ in range(100):
                client.transport.write(b"ping")
                await server.made
                while len(server.data) < 4:
                    await asyncio.sleep(0)
                    loop.events.now_us += 100
                server.data.clear()
            sent = len(left.written) + len(right.written) - sent
            assert loop.timers - before - sent < 20  # the wire itself has one for each packet

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(body(runner.get_loop()))  # type: ignore[arg-type]


@two_stacks()
async def test_many_socket_calls_in_one_turn_are_one_batch(left: Stack, right: Stack) -> None:
    clients = [(await connected(left, right, port=7000 + n))[0] for n in range(5)]
    await asyncio.sleep(1)
    before = len(device_of(left).written)
    for client in clients:
        client.transport.write(b"a")
        client.transport.write(b"b")
    await asyncio.sleep(0)
    assert device_of(left).written[before:] == [5]


@two_stacks()
async def test_an_answer_goes_out_before_text_that_comes_later_finds_the_connection_closed(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    late: list[Packet] = []

    def keep(packet: Packet) -> bool:
        late.append((bytes(packet[0]), *packet[1:]))
        return True

    device_of(left).lose = keep
    client.transport.write(b"more of the upload")
    await asyncio.sleep(DELAY)
    device_of(left).lose = lambda packet: False
    server.transport.write(b"413 too large")
    server.transport.close()
    device_of(right).deliver(late)  # in the same turn of the loop
    await client.lost
    assert client.data == b"413 too large"


def test_one_wake_up_reads_a_bounded_number_of_batches() -> None:
    class Endless(MemoryDevice):
        """Has a packet that is no use, again and again."""

        def read(self, rx, /) -> int:  # type: ignore[no-untyped-def]
            self.reads += 1
            rx.clear()
            for _ in range(rx.capacity):
                rx.add(b"\x45" + bytes(30), 0, 0)
            return SLOTS

    async def body(loop: VirtualLoop) -> None:
        step = 0

        def clock() -> int:
            loop.events.now_us += step
            return loop.now_us()

        device = Endless("endless")
        async with Stack.over(device, "198.18.0.1/24", clock=clock) as stack:
            device.deliver([(b"", 0, 0)])
            assert device.reads == BATCHES
            assert sum(stack.host.counters.dropped) == BATCHES * SLOTS
            step = TURN_US // 4  # as long does each batch take
            device.reads = 0
            device.deliver([])
            assert device.reads == 4
            device._queue.clear()

    run(body)


@two_stacks()
async def test_while_the_link_is_down_nothing_is_read_and_what_is_written_is_lost(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    device = device_of(left)
    device.set_down(True)
    client.transport.write(b"patience")
    await asyncio.sleep(10)
    reads = device.reads
    assert (await left.drop_counters())["link_down"] > 0
    await asyncio.sleep(10)
    assert device.reads == reads
    device.set_down(False)
    await asyncio.sleep(60)
    assert server.data == b"patience"
    assert not client.lost.done()


@two_stacks()
async def test_after_an_unknown_error_reading_is_tried_again(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    device = device_of(right)
    device._error = errno.ENOMEM
    client.transport.write(b"patience")
    await asyncio.sleep(0.05)
    reads = device.reads
    await asyncio.sleep(0.04)
    assert device.reads == reads
    device._error = 0
    await asyncio.sleep(0.1)
    assert server.data == b"patience"


@two_stacks()
async def test_a_deleted_device_fails_every_connection_and_every_later_call(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    connecting = asyncio.create_task(left.create_connection(Recorder, "198.18.0.77", 7000))
    await asyncio.sleep(0.1)
    device_of(left).remove()
    await client.lost
    assert isinstance(client.error, OSError)
    assert client.error.errno == errno.ENETDOWN
    with pytest.raises(OSError, match="down") as caught:
        await connecting
    assert caught.value.errno == errno.ENETDOWN
    for call in left.create_connection, left.create_server:
        with pytest.raises(OSError, match="down"):
            await call(Recorder, RIGHT, 7000)
    reads = device_of(left).reads
    await asyncio.sleep(100)
    assert device_of(left).reads == reads
    server.transport.abort()


@two_stacks()
async def test_a_device_found_deleted_when_writing_is_the_same(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    device_of(left)._error = errno.EBADFD
    client.transport.write(b"text")
    await client.lost
    assert isinstance(client.error, OSError)
    assert client.error.errno == errno.ENETDOWN
    server.transport.abort()


@two_stacks()
async def test_a_packet_that_the_device_refuses_does_not_hold_up_the_next(
    left: Stack, right: Stack
) -> None:
    clients = [(await connected(left, right, port=7000 + n)) for n in range(3)]
    device = device_of(left)
    write = device.write
    refused: list[int] = []

    def refuse_the_second(tx, first, /) -> int:  # type: ignore[no-untyped-def]
        if tx.count == 3 and not refused:
            if first == 1:
                refused.append(first)
                return -errno.EINVAL
            tx.count = 1
            taken = write(tx, first)
            tx.count = 3
            return taken
        return write(tx, first)

    device.write = refuse_the_second  # type: ignore[method-assign]
    for client, _ in clients:
        client.transport.write(b"text")
    await asyncio.sleep(0.01)
    assert [bytes(server.data) for _, server in clients] == [b"text", b"", b"text"]
    assert await left.drop_counters() == {"write_failed": 1}
    await asyncio.sleep(1)
    assert clients[1][1].data == b"text"


@two_stacks()
async def test_a_changed_mtu_reaches_the_host(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    device_of(left).set_mtu(600)
    await asyncio.sleep(0.1)
    assert left.host.mtu == 600
    sizes: list[int] = []
    device_of(left).lose = lambda packet: bool(sizes.append(len(packet[0])))
    client.transport.write(bytes(10_000))
    client.transport.write_eof()
    await server.ended
    assert len(server.data) == 10_000
    assert max(sizes) == 600


@two_stacks()
async def test_the_tap_sees_all_packets_of_both_directions(left: Stack, right: Stack) -> None:
    seen: list[tuple[bool, int]] = []

    def tap(inbound: bool, packets: Iterable[Packet], now_us: int) -> None:
        assert now_us > 0
        seen.extend((inbound, len(packet[0])) for packet in packets)

    driver = left.driver
    assert driver is not None
    driver.tap = tap
    await connected(left, right)
    assert [inbound for inbound, _ in seen] == [False, True, False]  # SYN, SYN,ACK, ACK
    assert all(size >= 40 for _, size in seen)


@two_stacks()
async def test_another_thread_is_refused_at_once_and_told_how_to_do_it(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    loop = asyncio.get_running_loop()
    # virtual time refuses other threads; this one is waited for, so that nothing is left to chance
    loop.call_soon_threadsafe = loop.call_soon  # type: ignore[method-assign,assignment]
    wrong = {
        "write": lambda: client.transport.write(b"text"),
        "close": client.transport.close,
        "abort": client.transport.abort,
        "write_eof": client.transport.write_eof,
        "pause_reading": client.transport.pause_reading,
        "create_connection": lambda: asyncio.run(left.create_connection(Recorder, RIGHT, 7000)),
        "start_server": lambda: asyncio.run(left.start_server(print, RIGHT, 7001)),  # type: ignore[arg-type]
        "socket": lambda: left.host.socket().connect((RIGHT, 7000)),
    }
    told: dict[str, str] = {}

    def in_thread() -> None:
        for name, call in wrong.items():
            try:
                call()
            except RuntimeError as error:
                told[name] = str(error)

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    client.transport.write(b"the right thread")  # nothing of the wrong one holds it up
    await asyncio.sleep(3 * DELAY)
    assert server.data == b"the right thread"
    assert told.keys() == wrong.keys()
    assert all("call_soon_threadsafe" in text for text in told.values())
    assert all("run_coroutine_threadsafe" in text for text in told.values())
    assert loop is left.loop


def refusals_in_child(*calls: Callable[[], object]) -> list[str]:
    """The text of the RuntimeError that each call raises in a forked child."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        answers = []
        for call in calls:
            try:
                call()
                answers.append("nothing")
            except RuntimeError as error:
                answers.append(str(error))
        os.write(write_end, "\n".join(answers).encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end, encoding="utf-8") as file:
        answers = file.read().split("\n")
    os.waitpid(child, 0)
    return answers


@two_stacks()
async def test_a_forked_child_touches_nothing_and_is_told_why(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    answers = refusals_in_child(lambda: client.transport.write(b"text"), lambda: left.loop)
    assert len(answers) == 2
    assert all("parent process" in answer for answer in answers)
    client.transport.write(b"the parent goes on")
    await asyncio.sleep(1)
    assert server.data == b"the parent goes on"


def test_a_driver_can_be_used_without_a_stack() -> None:
    async def body(loop: VirtualLoop) -> None:
        drivers = []
        for device, address in zip(joined_devices(), ("198.18.0.1", "198.18.0.2"), strict=True):
            host = Host([f"{address}/24"], secret=bytes(32))
            drivers.append(DeviceDriver(host, device, loop, loop.now_us))
            drivers[-1].start()
        sockets = [driver.host.socket() for driver in drivers]  # type: ignore[attr-defined]
        sockets[1].bind(("198.18.0.2", 7000))
        sockets[1].listen(1)
        sockets[0].connect_ex(("198.18.0.2", 7000))
        await asyncio.sleep(1)
        accepted, _ = sockets[1].accept()
        accepted.send(b"hello")
        await asyncio.sleep(1)
        assert sockets[0].recv(100) == b"hello"
        for driver in drivers:
            driver.stop()
            driver.stop()

    run(body)


def test_a_loop_that_has_not_run_leaves_the_device_to_another() -> None:
    device, _ = joined_devices()
    ran, made = VirtualLoop(), VirtualLoop()
    drivers = [
        DeviceDriver(Host(["198.18.0.1/24"], secret=bytes(32)), device, loop, loop.now_us)
        for loop in (ran, made)
    ]
    drivers[1].start()
    assert device.starts == 0
    drivers[0].start()
    ran.run_until_complete(asyncio.sleep(1))
    assert device.starts > 0
    drivers[1].let_go()  # never ran: what it has not taken it does not give back
    device.deliver([(b"\x45", 0, 0)])
    ran.run_until_complete(asyncio.sleep(1))
    assert device.reads > 0
    drivers[0].let_go()
    for loop in (ran, made):
        loop.close()
