"""An end of a connection that writes, reads and closes as a plan says, and notes how it ended."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass

from pystack.sim import World
from pystack.sockets import Socket
from pystack.sockets.constants import (
    IPPROTO_TCP,
    SHUT_WR,
    SO_KEEPALIVE,
    SO_LINGER,
    SOL_SOCKET,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
)
from pystack.tcp.state.states import ESTABLISHED


@dataclass(frozen=True)
class Plan:
    """What one end does.

    It writes `text` in pieces of `sizes` octets, in turn, `pause_us` after each; it reads up to
    `bite` octets at once, with the same pause after each read. When all is written it shuts down
    its side. At `end_us` from the beginning, if that is not 0, it does what `ending` says: "close",
    "abort" (with a RST) or "shutdown".
    """

    text: bytes
    sizes: tuple[int, ...]
    pause_us: int
    bite: int
    ending: str
    end_us: int


class Speaker:
    """Follows a plan on a socket. `over` tells that nothing more will happen here."""

    def __init__(self, world: World, socket: Socket, plan: Plan) -> None:
        self.world = world
        self.socket = socket
        self.plan = plan
        self.written = 0
        self.received = bytearray()
        self.at_eof = False
        self.gave_up = False  # it closed before it had heard the end
        self.error: OSError | None = None
        self._writes = 0
        self._may_write = True
        self._may_read = True
        self._shut = False
        for option, value in ((TCP_KEEPIDLE, 60), (TCP_KEEPINTVL, 10), (TCP_KEEPCNT, 5)):
            socket.setsockopt(IPPROTO_TCP, option, value)
        socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
        socket.on_events = lambda events: self.act()
        if plan.end_us:
            world.after(plan.end_us / 1e6, self._end_early)

    @property
    def over(self) -> bool:
        """Whether the socket is closed."""
        return self.socket.closed

    def act(self) -> None:
        """Do what can be done now."""
        if self.over:
            return
        try:
            self._write()
            self._read()
        except OSError as error:
            self.error = error
            self.socket.close()
            return
        if self.at_eof and self._shut:
            self.socket.close()

    def _write(self) -> None:
        plan = self.plan
        with suppress(BlockingIOError):
            while self._may_write and not self._shut:
                if self.written == len(plan.text):
                    self._shut_down()
                    return
                size = plan.sizes[self._writes % len(plan.sizes)]
                self.written += self.socket.send(plan.text[self.written : self.written + size])
                self._writes += 1
                if plan.pause_us:
                    self._may_write = False
                    self.world.after(plan.pause_us / 1e6, self._write_again)

    def _read(self) -> None:
        plan = self.plan
        with suppress(BlockingIOError):
            while self._may_read and not self.at_eof:
                text = self.socket.recv(plan.bite)
                self.received += text
                self.at_eof = not text
                if plan.pause_us and text:
                    self._may_read = False
                    self.world.after(plan.pause_us / 1e6, self._read_again)

    def _write_again(self) -> None:
        self._may_write = True
        self.act()

    def _read_again(self) -> None:
        self._may_read = True
        self.act()

    def _shut_down(self) -> None:
        self.socket.shutdown(SHUT_WR)
        self._shut = True

    def _end_early(self) -> None:
        if self.over:
            return
        if self.plan.ending == "shutdown" and self.socket.state >= ESTABLISHED:
            if not self._shut:
                self._shut_down()
            return
        self.gave_up = True
        if self.plan.ending == "abort":
            self.socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
