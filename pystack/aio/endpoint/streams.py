"""asyncio's streams on our transports: what serves one accepted connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

LIMIT: Final = 65536  # of a StreamReader, in bytes; asyncio's own default

ConnectedCallback = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None] | None
]


class Handlers:
    """Runs a callback for each connection; one that raises ends its own connection only.

    Python's releases differ in what becomes of a raising handler, so this is done here.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, callback: ConnectedCallback, limit: int
    ) -> None:
        self._loop = loop
        self._callback = callback
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()  # else nobody holds them

    def protocol(self) -> asyncio.StreamReaderProtocol:
        """A protocol for the next connection."""
        reader = asyncio.StreamReader(limit=self._limit, loop=self._loop)
        return asyncio.StreamReaderProtocol(reader, self._connected, loop=self._loop)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        result = self._callback(reader, writer)
        if asyncio.iscoroutine(result):
            task = self._loop.create_task(result)
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._done(done, writer.transport))

    def _done(self, task: asyncio.Task[None], transport: asyncio.WriteTransport) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            transport.close()
            return
        error = task.exception()
        if error is not None:
            self._loop.call_exception_handler(
                {
                    "message": "Unhandled exception in client_connected_cb",
                    "exception": error,
                    "transport": transport,
                }
            )
            transport.close()
