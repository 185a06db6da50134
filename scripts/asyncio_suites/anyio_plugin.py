"""A pytest plugin that puts anyio's tests on a stack, and writes each result as a line of JSON.

Environment variables tell it what to do: the names below.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pystack.aio.endpoint.stack import Stack
from scripts.asyncio_suites import skips
from scripts.asyncio_suites.on_pystack import LoopCounter, on_pystack

RESULTS = "ASYNCIO_SUITES_RESULTS"  # the file for the lines
LOOP = "ASYNCIO_SUITES_LOOP"  # pystack or asyncio
ALL = "ASYNCIO_SUITES_ALL"  # set: run those as well that are skipped


class _Plugin:
    def __init__(self, results: Path, stack: Stack | None, loops: LoopCounter) -> None:
        self._results = results
        self._stack = stack
        self._loops = loops
        self._skipped_too = ALL in os.environ

    @property
    def _packets(self) -> int:
        return 0 if self._stack is None else self._stack.host.counters.in_packets

    def _say(self, **fields: Any) -> None:
        with self._results.open("a", encoding="utf-8") as out:
            out.write(json.dumps(fields) + "\n")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Those of the asyncio backend."""
        items[:] = [one for one in items if "trio" not in one.name and "uvloop" not in one.name]
        for one in items:
            if why := self._why_not(one):
                one.add_marker(pytest.mark.skip(reason=why))

    def _why_not(self, item: pytest.Item) -> str:
        return "" if self._skipped_too else skips.reason(skips.ANYIO, _name(item.nodeid))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """A test with its fixtures."""
        self._kind, self._text = "passed", ""
        packets, made = self._packets, self._loops.made
        self._say(begins=_name(item.nodeid))
        try:
            return (yield)
        finally:
            by_us = self._kind == "skipped" and self._why_not(item)
            self._say(
                name=_name(item.nodeid), outcome=self._kind, text=by_us or self._text,
                by_us=bool(by_us),
                packets=self._packets - packets, loops=self._loops.made - made,
            )  # fmt: skip

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What became of its set-up, of itself and of its tear-down."""
        if report.failed:
            self._kind, self._text = "failed", report.longreprtext
        elif report.skipped and self._kind == "passed":
            self._kind = "skipped"
            if isinstance(report.longrepr, tuple):
                self._text = report.longrepr[2].removeprefix("Skipped: ")


def _name(nodeid: str) -> str:
    """anyio.test_sockets.TestTCPStream.test_send_receive[asyncio-ipv4]"""
    path, _, rest = nodeid.partition("::")
    module = path.rpartition("/")[2].removesuffix(".py")
    return f"anyio.{module}.{rest.replace('::', '.')}"


_end = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Called by pytest before it imports the tests."""
    loops = LoopCounter()
    stack = _end.enter_context(on_pystack()) if os.environ[LOOP] == "pystack" else None
    results = Path(os.environ[RESULTS])
    results.write_text("")
    config.pluginmanager.register(_Plugin(results, stack, loops))


def pytest_unconfigure() -> None:
    """Called by pytest at the end."""
    _end.close()
