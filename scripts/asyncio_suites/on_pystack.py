"""A process in which asyncio is on a stack, as `pystack run` has it."""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pystack.aio.endpoint.stack import Stack
from pystack.aio.handles.lazy_socket import LazySocket
from pystack.aio.loop.install import ProgramLoop, installed
from scripts.asyncio_suites.places import ADDRESSES_ONLY, open_stack
from scripts.asyncio_suites.suite_socket import MainThread, SuiteSocket


class LoopCounter:
    """Counts the event loops that are made from now on, in `made`."""

    def __init__(self) -> None:
        self.made = 0
        base: Any = BaseSelectorEventLoop
        make = base.__init__

        def counted(loop: Any, *args: Any, **options: Any) -> None:
            self.made += 1
            make(loop, *args, **options)

        base.__init__ = counted


@contextmanager
def on_pystack() -> Iterator[Stack]:
    """Meanwhile asyncio's loops and Python's sockets are those of a stack."""
    stack = open_stack()
    with installed(stack):
        patched: Any = asyncio.selector_events
        patched.BaseSelectorEventLoop = ProgramLoop
        if ADDRESSES_ONLY not in os.environ:
            socket.socket = SuiteSocket  # type: ignore[misc]
            LazySocket.router = MainThread(lambda: (stack,))
        yield stack
