"""The servers of one page each: echo, discard, daytime, character generator.

Plain asyncio protocols, so they also show how much flow control a server has to care for.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, cast

_FIRST, _LAST = 0x20, 0x7E  # the printable characters of ASCII
_LINE_WIDTH: Final = 72


class Server(asyncio.Protocol):
    """What the four have in common: the transport, and whether it takes more."""

    transport: asyncio.Transport
    may_write = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        """The peer does not keep up."""
        self.may_write = False

    def resume_writing(self) -> None:
        """It has caught up."""
        self.may_write = True


class Echo(Server):
    """RFC 862: sends back what it gets. Reads no faster than the peer takes it back."""

    def data_received(self, data: bytes) -> None:
        """Back to the sender."""
        self.transport.write(data)

    def pause_writing(self) -> None:
        """Stop reading too, else we would buffer without bound."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self.transport.resume_reading()


class Discard(Server):
    """RFC 863: throws away what it gets, and never answers."""

    def data_received(self, data: bytes) -> None:
        """Nothing."""


class Daytime(Server):
    """RFC 867: says the time of day in one line and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """One line, and close."""
        super().connection_made(transport)
        self.transport.write(daytime(time.time()))
        self.transport.close()


class Chargen(Server):
    """RFC 864: lines of characters until the peer has enough; what it gets it throws away."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        self.resume_writing()

    def resume_writing(self) -> None:
        """As many patterns as the transport takes before it says stop."""
        self.may_write = True
        while self.may_write and not self.transport.is_closing():
            self.transport.write(PATTERN)

    def data_received(self, data: bytes) -> None:
        """Nothing."""


def daytime(seconds: float) -> bytes:
    """A line as RFC 867 shows it: weekday, month day, year, time and zone."""
    now = time.localtime(seconds)
    text = time.strftime(f"%A, %B {now.tm_mday}, %Y %H:%M:%S-%Z", now)
    return text.encode("ascii", "replace") + b"\r\n"


def pattern() -> bytes:
    """One turn of RFC 864's pattern: each line begins one character further, then it repeats."""
    ring = bytes(range(_FIRST, _LAST + 1))
    twice = ring + ring
    return b"".join(twice[at : at + _LINE_WIDTH] + b"\r\n" for at in range(len(ring)))


PATTERN: Final = pattern()
