"""What a program sees of its loop: its own tasks only, and `stop` and `close` in any order."""

from __future__ import annotations

import asyncio

import pytest

from pystack.aio import EventLoop, Stack, attached
from pystack.aio.devices.cable import Cable
from tests.aio.memory_device import joined_devices
from tests.surroundings import PATIENCE

LEFT, RIGHT = "198.18.0.1", "198.18.0.2"


def others() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


@pytest.mark.parametrize("impair", [None, "delay 1ms"])
def test_no_task_of_ours_is_among_those_of_a_program(impair: str | None) -> None:
    async def main() -> None:
        cable = Cable(impair)
        async with (
            Stack.over(cable.left, f"{LEFT}/24") as left,
            Stack.over(cable.right, f"{RIGHT}/24") as right,
        ):
            assert others() == set()
            done = asyncio.Event()

            def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.close()
                done.set()

            server = await right.start_server(serve, RIGHT, 80)
            with attached(left):
                await asyncio.open_connection(RIGHT, 80)
            left.bridge_fd((await left.open_connection(RIGHT, 80))[1]).close()
            await left.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(RIGHT, 53)
            )  # type: ignore[call-overload]
            await asyncio.wait_for(done.wait(), PATIENCE)
            assert others() == set()
            server.close()
        assert others() == set()

    asyncio.run(main())


def test_who_cancels_all_other_tasks_still_has_a_link_that_is_followed() -> None:
    async def main() -> None:
        device, _ = joined_devices()
        async with Stack.over(device, f"{LEFT}/24") as stack:
            await asyncio.sleep(0)
            for task in others():
                task.cancel()
            await asyncio.get_running_loop().shutdown_asyncgens()
            device.set_mtu(1300)
            await asyncio.sleep(0)
            assert stack.host.mtu == 1300

    asyncio.run(main())


def test_tasks_that_close_a_loop_are_not_seen_by_what_runs_meanwhile() -> None:
    seen: list[set[asyncio.Task[object]]] = []

    class Looks(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            seen.append(asyncio.all_tasks())

    cable = Cable()
    stacks = [Stack.over(cable.left, f"{LEFT}/24"), Stack.over(cable.right, f"{RIGHT}/24")]
    loop = EventLoop(*stacks)

    async def main() -> None:
        await loop.create_server(asyncio.Protocol, RIGHT, 80)
        await loop.create_connection(Looks, RIGHT, 80)

    loop.run_until_complete(main())
    loop.stop()  # nothing runs: it is for the next run, and close() is none
    loop.close()
    assert loop.is_closed()
    assert seen == [set()]
    assert not any(stack.is_open for stack in stacks)
