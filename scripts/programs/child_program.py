"""A program of ours that is talked with in lines on its stdin and stdout, in JSON or not."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Self

from tests.live.namespace import Namespace

PATIENCE = 60.0  # s, for a program to start, or to end once its time is over


class Program:
    """A running program, a context manager; `name` is for messages."""

    def __init__(self, process: subprocess.Popen[str], name: str) -> None:
        """`process` has pipes for stdin and stdout, in text."""
        self.process = process
        self.name = name

    @classmethod
    def within(cls, namespace: Namespace, module: str, arguments: Sequence[str]) -> Self:
        """`python -m module …` in a namespace."""
        process = namespace.popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return cls(process, f"{module.rpartition('.')[2]} {' '.join(arguments)}")

    def line(self, patience: float = PATIENCE) -> str:
        """The next line it prints. Raises RuntimeError when it prints none."""
        output: IO[str] = self.process.stdout  # type: ignore[assignment]
        text = output.readline() if select.select([output], [], [], patience)[0] else ""
        if not text:
            raise RuntimeError(f"{self.name}: no answer, see its messages above")
        return text

    def say(self, text: str = "") -> None:
        """Write a line to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def ask(self, text: str = "") -> Any:
        """What it answers to a line, in JSON."""
        self.say(text)
        return json.loads(self.line())

    def work(self) -> dict[str, float]:
        """How long it has been on a processor (s), and how often it was woken, until now."""
        nanoseconds = wake_ups = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            nanoseconds += int((task / "schedstat").read_text().split()[0])
            for text in (task / "status").read_text().splitlines():
                if text.startswith("voluntary_ctxt_switches"):
                    wake_ups += int(text.split()[1])
        return {"cpu_s": nanoseconds / 1e9, "wake_ups": wake_ups}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close its stdin and wait for it; kill it if that does not help, or if we are ended."""
        if kind is not None and not issubclass(kind, Exception):
            self.process.kill()
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
