"""Processes that threads wait for, and their end when we are ended."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.live.namespace import Namespace


class Stopped(Exception):
    """All was stopped: there are no more outcomes."""


class Running:
    """The processes of one run of the program, of any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[str]] = set()
        self._is_stopped = False

    @contextmanager
    def process(
        self, namespace: Namespace, argv: Sequence[str], **options: Any
    ) -> Iterator[subprocess.Popen[str]]:
        """A process in a namespace, with pipes in text. Raises Stopped, before or after."""
        with self._lock:
            if self._is_stopped:
                raise Stopped
            process = namespace.popen(argv, stdout=subprocess.PIPE, text=True, **options)
            self._processes.add(process)
        try:
            yield process
        finally:
            with self._lock:
                self._processes.discard(process)
                is_stopped = self._is_stopped
        if is_stopped:
            raise Stopped

    def stop(self) -> None:
        """Kill them all, and let none be started."""
        with self._lock:
            self._is_stopped = True
            for process in self._processes:
                process.kill()
