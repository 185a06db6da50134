"""Applications for a soak: each writes and reads in irregular steps, woken by events only.

A lost event, a lost octet or one too many shows as a talk that never ends or as a mismatch.
"""

from __future__ import annotations

from random import Random

from pystack.sockets import Socket
from pystack.sockets.constants import SHUT_WR

LARGEST_WRITE = 20_000
LARGEST_READ = 40_000
LONGEST_PAUSE_US = 1_500_000


class Talker:
    """One end of a connection: writes `outgoing`, expects `incoming`, then the end."""

    def __init__(self, sock: Socket, outgoing: bytes, incoming: bytes, random: Random) -> None:
        self.sock = sock
        self.outgoing = outgoing
        self.incoming = incoming
        self.random = random
        self.written = 0
        self.read = 0
        self.shut = False
        self.at_end = False
        self.awake = True
        self.paused_until_us = 0
        sock.on_events = self._on_events

    def _on_events(self, events: int) -> None:
        self.awake = True

    @property
    def done(self) -> bool:
        """All is written and read, and both ends know."""
        return self.shut and self.at_end

    def act(self, now_us: int) -> None:
        """What an application does when its event loop wakes it."""
        if not self.awake and not (self.paused_until_us and now_us >= self.paused_until_us):
            return
        self.awake = False
        self._write()
        if now_us >= self.paused_until_us:
            self.paused_until_us = 0
            self._read(now_us)

    def _write(self) -> None:
        while self.written < len(self.outgoing):
            size = self.random.randrange(1, LARGEST_WRITE)
            part = self.outgoing[self.written : self.written + size]
            try:
                self.written += self.sock.send(part)
            except BlockingIOError:
                return
        if not self.shut:
            self.sock.shutdown(SHUT_WR)
            self.shut = True

    def _read(self, now_us: int) -> None:
        while not self.at_end:
            try:
                part = self.sock.recv(self.random.randrange(1, LARGEST_READ))
            except BlockingIOError:
                return
            assert part == self.incoming[self.read : self.read + len(part)], "other octets"
            self.read += len(part)
            self.at_end = not part
            if self.random.random() < 0.02:
                self.paused_until_us = now_us + self.random.randrange(1, LONGEST_PAUSE_US)
                return
        assert self.read == len(self.incoming), "the stream ended too early, or too late"
