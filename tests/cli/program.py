"""A `pystack` that runs beside the test, as its users start it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO, Any, Self

from tests.surroundings import PATIENCE

PYSTACK = [sys.executable, "-m", "pystack.cli.main"]


class Program:
    """`pystack` with arguments, its stdout and stderr caught; killed at the end of the `with`."""

    def __init__(
        self,
        *arguments: str,
        prefix: Sequence[str] = (),
        stdin: int | IO[Any] = subprocess.DEVNULL,
        command: Sequence[str] = PYSTACK,
    ) -> None:
        """`command` in place of `pystack`."""
        self._process = subprocess.Popen(
            [*prefix, *command, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.pid = self._process.pid
        self.out = ""
        self.err = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    @property
    def stdin(self) -> IO[bytes]:
        """Its stdin, when that was asked to be a pipe."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """Its stdout, for who reads it without `until`."""
        assert self._process.stdout is not None
        return self._process.stdout

    def until(self, text: str) -> str:
        """What it has written to stdout, as soon as `text` is in it."""
        self._read(lambda: text in self.out)
        assert text in self.out, f"no {text!r} in {self.out!r}\nstderr: {self.err}"
        return self.out

    def until_err(self, text: str) -> str:
        """The same for stderr."""
        self._read(lambda: text in self.err)
        assert text in self.err, f"no {text!r} in {self.err!r}"
        return self.err

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self, number: int = 0) -> int:
        """Its exit status, after signal `number` if one is given."""
        if number:
            self.signal(number)
        self._read(lambda: False)
        return self._process.wait(PATIENCE)

    def wait(self) -> int:
        """Its exit status, when `stdout` is not to be read any more."""
        return self._process.wait(PATIENCE)

    def stop(self) -> int:
        """End it as Ctrl-C does."""
        return self.end(signal.SIGINT)

    def _read(self, enough: Any) -> None:
        """Take in both streams until `enough()`, their end, or the end of all patience."""
        assert self._process.stderr is not None
        streams = {self._process.stdout: "out", self._process.stderr: "err"}
        end = time.monotonic() + PATIENCE
        while streams and not enough():
            ready, _, _ = select.select([*streams], [], [], max(end - time.monotonic(), 0))
            if not ready:
                return
            for stream in ready:
                data = os.read(stream.fileno(), 65536)  # type: ignore[union-attr]
                if not data:
                    del streams[stream]
                name = "out" if stream is self._process.stdout else "err"
                setattr(self, name, getattr(self, name) + data.decode(errors="replace"))
