"""The alarm by a timerfd, on the clock of the machine; and the one by the loop's timers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest

from pystack.aio.drive.alarm import Alarm, LoopAlarm, TimerAlarm, monotonic_us
from tests.surroundings import PATIENCE

Make = Callable[[asyncio.AbstractEventLoop, Callable[[], None]], Alarm]


@pytest.fixture(params=["timerfd", "loop"])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param == "timerfd":
        return TimerAlarm
    return lambda loop, ring: LoopAlarm(loop, monotonic_us, ring)


async def rung(alarm: list[Alarm], make: Make, at_us: list[int]) -> list[int]:
    """When it rings, set to each of the times in turn."""
    loop = asyncio.get_running_loop()
    rings: asyncio.Queue[int] = asyncio.Queue()
    alarm.append(make(loop, lambda: rings.put_nowait(monotonic_us())))
    times = []
    for at in at_us:
        alarm[0].set(at)
        times.append(await asyncio.wait_for(rings.get(), PATIENCE))
    alarm[0].close()
    return times


def test_it_rings_at_its_time_and_never_before(make: Make) -> None:
    async def main() -> None:
        now_us = monotonic_us()
        asked = [now_us + 500 * n for n in range(1, 20)]
        times = await rung([], make, asked)
        assert all(rang >= at for rang, at in zip(times, asked, strict=True))

    asyncio.run(main())


def test_it_rings_at_once_when_the_time_has_passed(make: Make) -> None:
    async def main() -> None:
        await rung([], make, [monotonic_us() - 5, 1])

    asyncio.run(main())


def test_a_new_time_replaces_the_one_before(make: Make) -> None:
    async def main() -> None:
        rings: list[int] = []
        rang = asyncio.Event()

        def ring() -> None:
            rings.append(monotonic_us())
            rang.set()

        alarm = make(asyncio.get_running_loop(), ring)
        now_us = monotonic_us()
        alarm.set(now_us + 1_000)
        alarm.set(now_us + 100_000)
        alarm.set(now_us + 30_000)
        await rang.wait()
        assert rings[0] >= now_us + 30_000
        await asyncio.sleep(0.1)
        assert len(rings) == 1
        alarm.close()

    asyncio.run(main())


def test_a_closed_one_does_not_ring_and_leaves_no_descriptor(make: Make) -> None:
    async def main() -> None:
        before = set(os.listdir("/proc/self/fd"))
        rings: list[int] = []
        alarm = make(asyncio.get_running_loop(), lambda: rings.append(1))
        alarm.set(monotonic_us() + 1_000)
        alarm.close()
        alarm.close()
        await asyncio.sleep(0.02)
        assert rings == []
        assert set(os.listdir("/proc/self/fd")) == before

    asyncio.run(main())
