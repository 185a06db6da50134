"""One line per connection event, at a rate that a reader can follow whatever the network does."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Callable
from typing import Any, Final

from pystack.cli.report.connection_facts import bytes_out, bytes_taken, hostport, negotiated

LINES_AT_ONCE: Final = 40
LINES_PER_SECOND: Final = 10


class EventLog:
    """Writes lines with their time of day; what comes too fast is counted instead.

    There is no timer while nothing is held back.
    """

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._tokens = float(LINES_AT_ONCE)
        self._last = clock()
        self._kept_back = 0
        self._timer: asyncio.TimerHandle | None = None

    def line(self, text: str) -> None:
        """Write a line, or count it."""
        now = self._clock()
        gained = (now - self._last) * LINES_PER_SECOND
        self._tokens = min(self._tokens + gained, float(LINES_AT_ONCE))
        self._last = now
        if self._kept_back or self._tokens < 1:
            self._kept_back += 1
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(1, self._say_how_many)
            return
        self._tokens -= 1
        self._write(f"{_time_of_day()}  {text}")

    def close(self) -> None:
        """Say what is still held back."""
        if self._timer is not None:
            self._timer.cancel()
            self._say_how_many()

    def _say_how_many(self) -> None:
        self._timer = None
        count, self._kept_back = self._kept_back, 0
        self._write(f"{_time_of_day()}  … {count:,} more events")


class Watched(asyncio.Protocol):
    """A server's protocol, with the beginning and the end of its connection in the log."""

    def __init__(self, inner: asyncio.Protocol, service: str, log: EventLog) -> None:
        self._inner = inner
        self._service = service
        self._log = log
        self._begun = time.monotonic()
        self._transport: Any = None
        # all else passes by without a detour
        self.data_received = inner.data_received  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opened."""
        self._transport = transport
        self._say("opened", negotiated(transport.get_extra_info("tcp_info")))
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed, reset, timed out …"""
        info = self._transport.get_extra_info("tcp_info")
        seconds = time.monotonic() - self._begun
        out = bytes_taken(info) if exc is None else bytes_out(info)
        text = f"in {info.tcpi_bytes_received:,} B, out {out:,} B"
        if info.tcpi_total_retrans:
            text += f", {info.tcpi_total_retrans:,} retransmitted"
        self._say(_ending(exc), f"{text}, {seconds:.3f} s")
        self._inner.connection_lost(exc)

    def _say(self, event: str, detail: str) -> None:
        peer = hostport(self._transport.get_extra_info("peername"))
        self._log.line(f"{self._service:<8} {peer:<22} {event:<10} {detail}")


def _ending(error: Exception | None) -> str:
    if error is None:
        return "closed"
    if isinstance(error, ConnectionResetError):
        return "reset"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError):
        return os.strerror(error.errno or errno.EIO).lower()
    return "failed"


def _time_of_day() -> str:
    now = time.time()
    return time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03}"
