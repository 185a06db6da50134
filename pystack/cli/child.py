"""A program beside a command of ours, which ends with it at the latest.

Not one of asyncio's: a thread of asyncio waits for those, and where `kill` finds that one has just
ended, the thread comes too late and logs a word about it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Self

from pystack.cli import private_network
from pystack.cli.terminal.call_thread import Blocking


class Child:
    """A program that runs within the `with`, its stdout and stderr caught; killed at the end.

    To be made in the main thread: it would end with any other one.
    """

    def __init__(self, command: Sequence[str]) -> None:
        """Raises OSError when it cannot be started."""
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=private_network.die_with_parent,
            process_group=0,  # Ctrl-C is for us, who end it
        )  # fmt: skip
        self._reading = Blocking("pystack-child")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()  # it has no say in this, so there is nothing to wait for

    async def first_line(self) -> str:
        """The first line that it writes to stdout; "" when it ends without one."""
        stdout = self._process.stdout
        assert stdout is not None
        line: bytes = await self._reading.call(stdout.readline)
        return line.decode(errors="replace")

    async def output(self) -> tuple[int, str, str]:
        """Exit status, stdout and stderr, when it has ended."""
        out, err = await self._reading.call(self._process.communicate)
        return self._process.returncode, *(text.decode(errors="replace") for text in (out, err))
