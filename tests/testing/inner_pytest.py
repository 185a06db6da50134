"""Runs of pytest inside of a test, with the plugin and no other one that has event loops."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

import pytest

import pystack.testing.bench  # noqa: F401  (else each run would load it anew)
from tests.surroundings import PATIENCE

IS_INSTALLED: Final = bool(entry_points(group="pytest11", name="pystack"))
PLUGIN: Final = () if IS_INSTALLED else ("-p", "pystack.testing.pytest_plugin")
ALONE: Final = (*PLUGIN, "-p", "no:asyncio", "-p", "no:anyio", "--strict-markers")

ECHO: Final = '''
import asyncio, time
import pytest


async def echo(reader, writer):
    while text := await reader.read(65536):
        writer.write(text)
        await writer.drain()
    writer.close()


async def connected(network):
    await network.server.start_server(echo, port=7)
    return await network.client.open_connection("server", 7)


async def closed(writer):
    writer.close()
    await writer.wait_closed()

'''


class Inner:
    """Makes files of tests, and runs pytest on them."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def run(self, source: str, *options: str, alone: bool = True) -> pytest.RunResult:
        """Run it in this process; `alone` is without other plugins that have loops."""
        self.write(source)
        return self.pytester.runpytest_inprocess(*(ALONE if alone else PLUGIN), *options)

    def run_apart(self, source: str, *options: str) -> pytest.RunResult:
        """Run it in a process of its own: libraries that it is the first to import would be
        forgotten with it, and be there a second time, with other exceptions, for later tests."""
        self.write(source)
        return self.pytester.runpytest_subprocess(*ALONE, *options, timeout=PATIENCE)

    def write(self, source: str) -> None:
        """A file of tests, which has `echo`, `connected` and `closed`."""
        self.pytester.makepyfile(test_inner=ECHO + source)

    def passes(self, source: str, count: int, *options: str) -> pytest.RunResult:
        """Run it; so many tests pass, and nothing is warned of."""
        result = self.run(source, *options)
        result.assert_outcomes(passed=count)
        return result

    def passes_apart(self, source: str, count: int) -> None:
        """As `passes`, in a process of its own."""
        self.run_apart(source).assert_outcomes(passed=count)
