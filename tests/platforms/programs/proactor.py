"""As `cable.py`, on a loop that waits for no descriptors; what cannot be had there says so."""

import asyncio
import runpy
import sys
from asyncio import proactor_events
from pathlib import Path

import pytest

from pystack import Stack
from pystack.aio.devices.cable import Cable

Loop = proactor_events.BaseProactorEventLoop


async def refusals() -> None:
    cable = Cable()
    async with (
        Stack.over(cable.left, "10.0.0.1/24") as client,
        Stack.over(cable.right, "10.0.0.2/24") as server,
    ):
        listening = await server.start_server(lambda reader, writer: None, port=7)
        _, writer = await client.open_connection("10.0.0.2", 7)
        for call in (client.socket, lambda: client.bridge_fd(writer)):
            with pytest.raises(NotImplementedError, match=r"asyncio\.SelectorEventLoop"):
                call()
        writer.close()
        listening.close()


with asyncio.Runner(loop_factory=Loop) as runner:
    runner.run(refusals())


def run(main: object) -> None:
    """In place of `asyncio.run`, as Windows has it."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main)


asyncio.run = run
sys.path.insert(0, str(Path(__file__).parent))
runpy.run_path(str(Path(__file__).with_name("cable.py")), run_name="__main__")
