"""Applications for experiments, on plain sockets: they send, ask or answer, and count.

Each begins at once when it is made; `World.at` makes one later. What they send is a pattern of 64
KB again and again, so that a receiver can tell whether it is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Final

from pystack import arguments
from pystack.events import EVENT_CLOSED, EVENT_PEER_CLOSED
from pystack.printed import printed, several
from pystack.sim.host import SimHost
from pystack.sockets import Socket
from pystack.sockets.constants import AF_INET, AF_INET6, IPPROTO_TCP, SHUT_WR, TCP_CONGESTION
from pystack.sockets.tcp import tcp_errors

PATTERN: Final = Random("pystack.sim.traffic").randbytes(65536)
_TWICE: Final = PATTERN + PATTERN  # any 64 KB of the stream, wherever they begin
_ENDS: Final = EVENT_CLOSED | EVENT_PEER_CLOSED


class Flow:
    """One end of a connection. `sent` counts bytes that the stack took, `received` those it gave.

    `began_us` is when it was made, `ended_us` when it was over, 0 before that; `error` is the errno
    that ended it, 0 for none. `wrong`: other bytes came than the pattern's. `socket` is that of
    `host`; `on_received`, to be set, is called when data has come.
    """

    def __init__(self, host: SimHost, socket: Socket, *, check: bool = False) -> None:
        self.host = host
        self.socket = socket
        self.sent = 0
        self.received = 0
        self.began_us = host.now_us
        self.ended_us = 0
        self.error = 0
        self.wrong = False
        self.on_received: Callable[[], None] | None = None
        self._check = check
        socket.on_events = self.happened

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        state = ", over" if self.over else ""
        error = f", error {self.error}" if self.error else ""
        words = f"sent {self.sent}, received {self.received}{state}{error}"
        return f"of {self.host.name}: {words}, {self.socket!r}"

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.ended_us > 0

    def happened(self, events: int) -> None:
        """EVENT_… bits of the socket."""
        if self.ended_us:
            return
        self._read()
        if events & _ENDS and (events & EVENT_CLOSED or self.socket.at_eof):
            self._end()
        else:
            self.go_on()

    def go_on(self) -> None:
        """Something was acknowledged or received: send what is next."""

    def write(self, octets: int) -> int:
        """Send up to `octets` bytes of the pattern; returns how many the stack took."""
        begin = self.sent
        send = self.socket.send
        end = begin + octets
        with suppress(BlockingIOError):
            while self.sent < end:
                at = self.sent & 0xFFFF
                if not at and end - self.sent >= len(PATTERN):
                    self.sent += send(PATTERN)  # the same object each time, so it is not copied
                else:
                    self.sent += send(_TWICE[at : at + min(end - self.sent, len(PATTERN))])
        return self.sent - begin

    def close(self) -> None:
        """Write nothing more; what was written is still delivered."""
        self.socket.close()
        self.ended_us = self.ended_us or self.host.now_us

    def _read(self) -> None:
        before = self.received
        if self._check:
            while chunk := self.socket.take_chunk():
                self._compare(chunk)
                self.received += len(chunk)
        else:
            self.received = before + self.socket.skip()
        if self.on_received is not None and self.received > before:
            self.on_received()

    def _compare(self, chunk: bytes | memoryview) -> None:
        at, end = self.received, self.received + len(chunk)
        while at < end:
            size = min(end - at, len(PATTERN))
            place, begin = at & 0xFFFF, at - self.received
            if chunk[begin : begin + size] != _TWICE[place : place + size]:
                self.wrong = True
            at += size

    def _end(self) -> None:
        self.error = tcp_errors.take(self.socket)
        self.ended_us = self.host.now_us
        self.socket.close()


class Sink:
    """Listens at a port of all addresses, takes every connection and reads everything.

    `flows` are its connections, `socket` is the one of `host` that listens. `make` makes another
    kind of `Flow` of a host and its socket.
    """

    def __init__(
        self,
        host: SimHost,
        port: int,
        *,
        check: bool = False,
        make: Callable[[SimHost, Socket], Flow] | None = None,
    ) -> None:
        _check(host)
        self.host = host
        self.flows: list[Flow] = []
        self._make = make or (lambda host, socket: Flow(host, socket, check=check))
        self.socket = host.socket(AF_INET6)  # and IPv4 as well
        self.socket.bind(("", port))
        self.socket.on_events = self._accept
        self.socket.listen(4096)

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        flows = several(len(self.flows), "connection")
        return f"of {self.host.name}: received {self.received} on {flows}, {self.socket!r}"

    @property
    def received(self) -> int:
        """Octets received on all connections."""
        return sum(flow.received for flow in self.flows)

    def close(self) -> None:
        """Take no more connections."""
        self.socket.close()

    def _accept(self, events: int) -> None:
        with suppress(BlockingIOError):
            while not self.socket.closed:
                socket, _ = self.socket.accept()
                flow = self._make(self.host, socket)
                self.flows.append(flow)
                flow.happened(0)


class Bulk(Flow):
    """A sender that always has data, or `octets` of it and then closes.

    `to` is a host, or an address; `cc` its congestion control, by default the host's.
    """

    def __init__(
        self,
        host: SimHost,
        to: SimHost | str,
        port: int,
        *,
        octets: int | None = None,
        cc: str | None = None,
    ) -> None:
        super().__init__(host, connecting(host, to, port, cc))
        self.octets = octets

    def go_on(self) -> None:
        """Keep the send buffer full."""
        if self.octets is None:
            self.write(1 << 30)
        elif self.sent < self.octets:
            self.write(self.octets - self.sent)
            if self.sent == self.octets:
                self.socket.shutdown(SHUT_WR)


class OnOff(Flow):
    """Sends `octets`, pauses `pause_us`, and again; without `repeat` (a count) for ever."""

    def __init__(
        self, host: SimHost, to: SimHost | str, port: int, *, octets: int, pause_us: int,
        repeat: int = 0, cc: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(host, connecting(host, to, port, cc))
        self.octets = octets
        self.pause_us = pause_us
        self.repeat = repeat
        self.bursts = 0  # begun
        self._until = 0  # octets that are to be sent before the next pause

    def go_on(self) -> None:
        """Send the rest of the burst."""
        if not self.bursts:
            self._burst()
        elif self.sent < self._until:
            self._send()

    def _burst(self) -> None:
        if not self.over:
            self.bursts += 1
            self._until += self.octets
            self._send()

    def _send(self) -> None:
        self.write(self._until - self.sent)
        if self.sent == self._until:
            if self.bursts == self.repeat:
                self.socket.shutdown(SHUT_WR)
            else:
                self.host.after_us(self.pause_us, self._burst)


class Requests(Flow):
    """Asks with `request` octets, waits for `response` of them, and again, `count` times.

    `latencies_us` has how long each took.
    """

    def __init__(
        self, host: SimHost, to: SimHost | str, port: int, *, request: int = 100,
        response: int = 10_000, count: int = 1, cc: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(host, connecting(host, to, port, cc))
        self.request = request
        self.response = response
        self.count = count
        self.latencies_us: list[int] = []
        self._asked = 0
        self._asked_us = 0
        self._finished = False

    def go_on(self) -> None:
        """Send the first request, or the next one when the whole answer has come."""
        done = len(self.latencies_us)
        if self._asked > done and self.received >= self._asked * self.response:
            self.latencies_us.append(self.host.now_us - self._asked_us)
            done += 1
        if done == self.count:
            if not self._finished:
                self._finished = True
                self.socket.shutdown(SHUT_WR)
            return
        if self._asked == done:
            self._asked += 1
            self._asked_us = self.host.now_us
        if self.sent < self._asked * self.request:
            self.write(self._asked * self.request - self.sent)


class Responder(Flow):
    """Answers each `request` octets with `response` of them; `Requests` is its other end."""

    def __init__(
        self, host: SimHost, socket: Socket, *, request: int = 100, response: int = 10_000
    ) -> None:
        super().__init__(host, socket)
        self.request = request
        self.response = response

    def go_on(self) -> None:
        """Send the rest of the answers."""
        owed = self.received // self.request * self.response - self.sent
        if owed:
            self.write(owed)


def _check(host: object) -> None:
    if not isinstance(host, SimHost):
        raise TypeError(arguments.unfit("host", host, "a host of a world was expected"))


def connecting(host: SimHost, to: SimHost | str, port: int, cc: str | None = None) -> Socket:
    """A socket on its way to a port of a host, or of an address. Raises TypeError for what is
    neither, OSError for what cannot be connected to."""
    _check(host)
    if not isinstance(to, (SimHost, str)):
        raise TypeError(arguments.unfit("to", to, "a host, or an address as text, was expected"))
    address = to if isinstance(to, str) else to.address
    socket = host.socket(AF_INET6 if ":" in address else AF_INET)
    if cc is not None:
        name = arguments.text("cc", cc, "reno")
        socket.setsockopt(IPPROTO_TCP, TCP_CONGESTION, name.encode())
    with suppress(BlockingIOError):
        socket.connect((address, port))
    return socket
