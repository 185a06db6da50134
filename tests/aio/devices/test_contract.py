"""docs/devices.md: what every device does, whatever it carries packets over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from errno import EBADF

import pytest

from pystack.aio.drive.device import PacketDevice, follow_link
from pystack.device.link_state import LinkState
from pystack.wire.batch import RxBatch
from tests.aio.devices.carriers import KINDS, Carrier, batch, carrier, ours, packet, until
from tests.live.namespace import Namespace

TUNS = ("tun", "impaired tun")
EVERY = [*KINDS, *(pytest.param(kind, marks=pytest.mark.live) for kind in TUNS)]
Body = Callable[[Carrier], Awaitable[None]]


class Reader:
    """Reads one batch, and no more, whenever it is called."""

    def __init__(self, device: PacketDevice) -> None:
        self.device = device
        self.rx = RxBatch(4)
        self.got: list[bytes] = []
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        count = self.device.read(self.rx)
        self.got += [bytes(buffer) for buffer, _, _ in self.rx.packets(count)]


@pytest.fixture(params=EVERY)
def of_each_kind(request: pytest.FixtureRequest) -> Callable[[Body], None]:
    """Runs a body with a device of a kind."""
    kind = request.param
    namespace: Namespace | None = None
    if kind in TUNS:
        namespace = request.getfixturevalue("namespace")

    def run(body: Body) -> None:
        async def main() -> None:
            async with carrier(kind, namespace) as made:
                await body(made)

        asyncio.run(main())

    return run


Run = Callable[[Body], None]


def test_what_arrives_is_read_whole_and_in_order_by_calls_again_and_again(
    of_each_kind: Run,
) -> None:
    async def body(made: Carrier) -> None:
        reader = Reader(made.device)
        made.device.start(asyncio.get_running_loop(), reader)
        packets = [packet(number) for number in range(30)]
        made.bring(packets)
        await until(lambda: len(reader.got) >= len(packets))
        assert reader.got == packets
        assert reader.calls >= 8  # four at a time
        assert made.device.read(reader.rx) == 0

    of_each_kind(body)


def test_nothing_is_called_from_within_start_or_write(of_each_kind: Run) -> None:
    async def body(made: Carrier) -> None:
        reader = Reader(made.device)
        made.bring([packet(1)])
        loop = asyncio.get_running_loop()
        made.device.start(loop, reader)
        assert reader.calls == 0
        made.device.start(loop, reader)  # once more: as one that was started once
        made.device.write(batch([ours(1)]), 0)
        assert reader.calls == 0
        await until(lambda: reader.got)
        assert reader.got == [packet(1)]

    of_each_kind(body)


def test_what_comes_after_a_stop_waits_for_the_next_start(of_each_kind: Run) -> None:
    async def body(made: Carrier) -> None:
        reader = Reader(made.device)
        loop = asyncio.get_running_loop()
        made.device.start(loop, reader)
        made.bring([packet(1)])
        await until(lambda: reader.got)
        made.device.stop()
        made.device.stop()
        made.bring([packet(2)])
        calls = reader.calls
        await asyncio.sleep(0.02)
        assert reader.calls == calls
        made.device.start(loop, reader)
        await until(lambda: len(reader.got) == 2)
        assert reader.got == [packet(1), packet(2)]

    of_each_kind(body)


def test_it_goes_from_loop_to_loop(of_each_kind: Run) -> None:
    async def body(made: Carrier) -> None:
        def elsewhere() -> list[bytes]:
            async def read() -> list[bytes]:
                reader = Reader(made.device)
                made.device.start(asyncio.get_running_loop(), reader)
                await until(lambda: len(reader.got) == 2)
                made.device.stop()
                return reader.got

            return asyncio.run(read())

        loop = asyncio.get_running_loop()
        first = Reader(made.device)
        made.device.start(loop, first)
        await asyncio.sleep(0)
        made.device.stop()
        made.bring([packet(1), packet(2)])
        assert await asyncio.to_thread(elsewhere) == [packet(1), packet(2)]
        assert first.got == []
        made.device.start(loop, first)
        made.bring([packet(3)])
        await until(lambda: first.got)
        assert first.got == [packet(3)]

    of_each_kind(body)


def test_what_is_written_is_carried_from_the_given_one_on_though_the_batch_is_used_again(
    of_each_kind: Run,
) -> None:
    async def body(made: Carrier) -> None:
        made.device.start(asyncio.get_running_loop(), Reader(made.device))
        tx = batch(ours(number) for number in range(6))
        assert made.device.write(tx, 2) == 4
        tx.view[: tx.used] = bytes(tx.used)
        tx.clear()
        await until(lambda: len(made.taken) >= 4)
        assert made.taken == [ours(number) for number in range(2, 6)]

    of_each_kind(body)


@pytest.mark.parametrize("of_each_kind", KINDS, indirect=True)  # the kernel's is never full
def test_a_full_one_takes_the_rest_once_it_has_called(of_each_kind: Run) -> None:
    async def body(made: Carrier) -> None:
        assert made.fill is not None
        assert made.drain is not None
        device = made.device
        reader = Reader(device)
        device.start(asyncio.get_running_loop(), reader)
        made.fill()
        written = 0
        tx = batch(ours(number) for number in range(64))
        for _ in range(10_000 // 64):  # more than any queue of ours
            taken = device.write(tx, 0)
            written += max(taken, 0)
            if taken < tx.count:
                break
            await asyncio.sleep(0.002)  # what is delayed has its time
        else:
            raise AssertionError("it takes whatever it is given")
        assert device.write(tx, max(taken, 0)) == 0
        calls = reader.calls
        made.drain()
        await until(lambda: reader.calls > calls)
        assert device.write(tx, max(taken, 0)) == tx.count - max(taken, 0)
        written += tx.count - max(taken, 0)
        await until(lambda: len(made.taken) >= written)
        assert made.taken == [ours(number % 64) for number in range(written)]

    of_each_kind(body)


def test_it_tells_of_its_link_until_it_is_followed_no_more(of_each_kind: Run) -> None:
    async def body(made: Carrier) -> None:
        states: list[LinkState] = []
        end = follow_link(made.device, asyncio.get_running_loop(), states.append)
        assert states == []  # soon, and not at once
        await asyncio.sleep(0.05)
        assert states in ([], [LinkState(present=True, up=True, mtu=1500)])
        end()
        made.device.close()
        count = len(states)
        await asyncio.sleep(0.01)
        assert len(states) == count

    of_each_kind(body)


def test_what_is_lost_at_it_is_counted_by_name(of_each_kind: Run) -> None:
    async def body(made: Carrier) -> None:
        drops = await made.device.drops()
        assert all(name.isidentifier() and count == 0 for name, count in drops.items())

    of_each_kind(body)


def test_a_closed_one_is_gone_and_may_be_closed_again(of_each_kind: Run) -> None:
    async def body(made: Carrier) -> None:
        device = made.device
        reader = Reader(device)
        device.start(asyncio.get_running_loop(), reader)
        made.bring([packet(1)])
        await until(lambda: reader.got)
        device.close()
        device.close()
        assert device.write(batch([ours(1)]), 0) == -EBADF
        assert device.read(reader.rx) == -EBADF
        device.stop()
        calls = reader.calls
        await asyncio.sleep(0.01)
        assert reader.calls == calls
        assert made.taken == []

    of_each_kind(body)
