"""Runs tests of CPython's in this process; each result is a line of JSON on standard output.

`python -m scripts.asyncio_suites.cpython_child --loop pystack` in a network namespace of its own,
with the names of tests on standard input, one a line.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import time
import traceback
import unittest
from contextlib import nullcontext
from typing import Any, TextIO

from test.support import socket_helper

from pystack.aio.endpoint.stack import Stack
from scripts.asyncio_suites import rewriting
from scripts.asyncio_suites.cpython_tests import PACKAGE, name_of, tests_of
from scripts.asyncio_suites.on_pystack import LoopCounter, on_pystack
from scripts.asyncio_suites.places import OURS

BOUND = 60.0  # s, for one test


class Reported(unittest.TestResult):
    """Writes a line when a test begins, and one when it is over."""

    def __init__(self, out: TextIO, stack: Stack | None, loops: LoopCounter) -> None:
        super().__init__()
        self._out = out
        self._stack = stack
        self._loops = loops
        self._seen = self._made = 0
        self._began = 0.0
        self._problems: list[str] = []
        self._reason: str | None = None

    def _say(self, **fields: Any) -> None:
        self._out.write(json.dumps(fields) + "\n")
        self._out.flush()

    @property
    def _packets(self) -> int:
        """How many the stack has received."""
        return 0 if self._stack is None else self._stack.host.counters.in_packets

    def startTest(self, test: unittest.TestCase) -> None:
        """Called by unittest."""
        super().startTest(test)
        self._problems, self._reason = [], None
        if self._stack is not None and self._stack.is_open:
            self._stack.loop.close()  # the test before has not done it
        self._seen = self._packets
        self._made = self._loops.made
        self._began = time.monotonic()
        self._say(begins=name_of(test))
        faulthandler.dump_traceback_later(BOUND, exit=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        """Called by unittest."""
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        outcome = "failed" if self._problems else "passed" if self._reason is None else "skipped"
        self._say(
            name=name_of(test), outcome=outcome, seconds=time.monotonic() - self._began,
            packets=self._packets - self._seen, loops=self._loops.made - self._made,
            text="".join(self._problems) or self._reason,
        )  # fmt: skip

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        """Called by unittest."""
        self._reason = reason

    def _problem(self, error: Any) -> None:
        self._problems.append("".join(traceback.format_exception(*error)))

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        """Called by unittest."""
        self._problem(err)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        """Called by unittest."""
        self._problem(err)

    def addSubTest(
        self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any
    ) -> None:
        """Called by unittest."""
        if err is not None:
            self._problem(err)


def main(loop: str) -> None:
    """Run what stands on standard input."""
    wanted = sys.stdin.read().split()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what tests print is no result
    modules = dict.fromkeys(name.partition(".")[0] for name in wanted)
    loops = LoopCounter()
    if loop == "pystack":
        rewriting.install(PACKAGE)
        socket_helper.HOSTv4, socket_helper.HOSTv6 = OURS[4], OURS[6]
    with on_pystack() if loop == "pystack" else nullcontext() as stack:
        result = Reported(out, stack, loops)
        for module in modules:
            suite = unittest.TestSuite(
                test for test in tests_of(module) if name_of(test) in set(wanted)
            )
            suite.run(result)


if __name__ == "__main__":
    main(sys.argv[1])
