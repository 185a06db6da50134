"""Opening and using a stack over a TUN device, cancelled at each suspension in turn."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from pystack.aio.endpoint.stack import Stack
from pystack.aio.loop.event_loop import attached
from tests.aio.cancelling import cancelled_everywhere
from tests.aio.leftovers import descriptors, only_new_ones, timers
from tests.live.over_tun import OURS, PEER, OverTun, echo
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live


@pytest.mark.parametrize("woken", [False, True], ids=["while it waits", "as it is woken"])
def test_wherever_it_is_cancelled_no_device_and_no_descriptor_is_left(
    any_tun: OverTun, woken: bool
) -> None:
    namespace = any_tun.namespace
    listening = any_tun.kernel_socket()
    listening.bind(("0.0.0.0", 0))  # at whatever device there will be
    listening.listen()
    port = listening.getsockname()[1]

    async def program() -> None:
        stack = Stack.over_tun(
            "tun0", f"{OURS[4]}/24", addr6=f"{OURS[6]}/64", netns=namespace.path, grace=0.1
        )
        async with stack:
            with attached(stack):
                async with await asyncio.start_server(echo, OURS[4], 7):
                    reader, writer = await asyncio.open_connection(PEER[4], port)
                    with contextlib.closing(writer):
                        writer.write(b"text")
                        assert await reader.read(4) == b"text"
            await stack.drop_counters()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        kernels = await asyncio.start_server(echo, sock=listening)
        await program()
        await asyncio.sleep(0.1)
        with only_new_ones():
            before, tasks = descriptors(), len(asyncio.all_tasks())

            async def check(at: int) -> None:
                for _ in range(40):  # the kernel's end of a connection needs its time
                    if descriptors() == before and len(asyncio.all_tasks()) <= tasks + 1:
                        break
                    await asyncio.sleep(0.05)
                assert descriptors() == before, at
                assert timers(loop) == 1, at  # that of the whole test
                links = await namespace.arun(["ip", "-o", "link"])
                assert b"tun0" not in links[1], at

            assert await cancelled_everywhere(program, woken, check) > 5
        kernels.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
