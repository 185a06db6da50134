"""A node: a whole host without asyncio, on the clock of a world. Hosts and routers are nodes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from errno import ENETDOWN
from typing import Final

from pystack.compiling import mypyc_attr
from pystack.printed import printed, several
from pystack.sim.network.events import Events
from pystack.sim.network.link_direction import LinkDirection, LinkEnd
from pystack.sockets import Host
from pystack.stack.run_input import RunInput
from pystack.wire.address import text
from pystack.wire.batch import Packet

MTU = 1500

# called by links and the clock
_INSIDE: Final = frozenset((
    "arrive", "arrive_alone", "arrive_piece", "due", "flush", "send", "takes_runs",
))  # fmt: skip

_logger = logging.getLogger("pystack")


@mypyc_attr(allow_interpreted_subclasses=True)
class Node(LinkEnd):
    """Moves packets and time between a `sockets.Host` and the links to its neighbours.

    `host` is the host itself: sockets, settings, counters. `name` is unique in its world.
    `directions` are those of its links that leave here; `unsent` counts packets for which there was
    none. `up` tells whether it is switched on. `dir` leaves out what links and the clock call.
    """

    def __init__(self, events: Events, name: str, host: Host) -> None:
        self.name = name
        self.host = host
        self.directions: list[LinkDirection] = []
        self.up = True
        self.unsent = 0
        self._events = events
        self._rank = events.new_rank()
        self._wake_us = 0
        self._busy = False  # a transmit follows anyway
        self.host.on_dirty = self._on_dirty
        self.host.on_part_failed = self._part_failed

    def __dir__(self) -> list[str]:
        """Without what is called by links and the clock."""
        return [name for name in super().__dir__() if name not in _INSIDE]

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        host = self.host
        return (
            f"{self.name} at {', '.join(self.addresses)}{'' if self.up else ', off'}:"
            f" {several(len(host.connections), 'connection')},"
            f" {several(len(host.listeners), 'listener')}, {several(len(self.directions), 'link')}"
        )

    @property
    def addresses(self) -> list[str]:
        """Its addresses as text, in the order in which they were given."""
        return [text(address) for address in self.host.addresses.all()]

    @property
    def now_us(self) -> int:
        """The present."""
        return self._events.now_us

    def after_us(self, delay_us: int, function: Callable[[], object]) -> None:
        """Call `function` after a time."""
        self._events.call_at(self._events.now_us + delay_us, function)

    def send(self, packet: Packet, now_us: int) -> None:
        """The host itself sends a packet over its one link; without a link it is lost. The
        packet's buffer may change afterwards."""
        if self.directions:
            self.directions[0].send(packet, now_us)
        else:
            self.unsent += 1

    def arrive(self, packets: list[Packet], now_us: int) -> None:
        """See `LinkEnd.arrive`."""
        if self.up:
            self._busy = True
            self.host.receive(packets, now_us)
            self._transmit(now_us)

    def arrive_alone(self, packet: Packet, now_us: int) -> None:
        """See `LinkEnd.arrive_alone`."""
        if self.up:
            self._busy = True
            self.host.receive_packet(packet, now_us)
            self._transmit(now_us)

    def arrive_piece(self, run: RunInput, piece: int, now_us: int) -> None:
        """See `LinkEnd.arrive_piece`."""
        if self.up:
            self._busy = True
            run.piece(piece, now_us)
            self._transmit(now_us)

    def due(self, now_us: int) -> None:
        """A deadline of the host's may have come, or a socket call wants something sent."""
        if now_us != self._wake_us or not self.up:
            return
        self._wake_us = 0
        self._busy = True
        at_us = self.host.next_deadline()
        if at_us and at_us <= now_us:
            self.host.on_time(now_us)
        self._transmit(now_us)

    def _part_failed(self, reason: str, error: Exception) -> None:
        """A replaceable part has raised and ended its connection."""
        _logger.error("%s: %s", self.name, reason, exc_info=error)

    def flush(self) -> None:
        """Send at once what socket calls have left to be sent."""
        if self.up and not self._busy:
            self._busy = True
            self._transmit(self._events.now_us)

    def stop(self) -> None:
        """Switch it off: every connection ends here with ENETDOWN, and nothing is sent any more."""
        if self.up:
            self.host.fail_all(ENETDOWN)
            self.host.on_dirty = None
            self.up = False

    def _on_dirty(self) -> None:
        if not self._busy:
            self._wake(self._events.now_us)

    def _transmit(self, now_us: int) -> None:
        """Send all that the host has to send; then set its alarm."""
        host = self.host
        while True:
            tx = host.transmit(now_us)
            count = tx.count
            if count == 1:
                self.send(tx.packet(0), now_us)
            elif count:
                for packet in tx:
                    self.send(packet, now_us)
            if not count or not host.dirty:
                break
        self._busy = False
        at_us = host.next_deadline()
        if at_us and (at_us < self._wake_us or not self._wake_us):
            self._wake(at_us if at_us > now_us else now_us)

    def _wake(self, at_us: int) -> None:
        wake_us = self._wake_us
        if not wake_us or at_us < wake_us:
            self._wake_us = at_us
            self._events.at(at_us, self._rank, self)
