"""A direction that carries a run of segments as one object; the outcome is that of packets.

With a fixed rate and a plain queue, when a packet arrives is known when it comes. So all that a run
needs is the time of each of its pieces; it is cut only where a piece is dropped or lost.
"""

from __future__ import annotations

from collections import deque
from random import Random

from pystack.path.queues.bottleneck import OCTET
from pystack.sim.network.events import Events
from pystack.sim.network.link_direction import LinkDirection, LinkEnd
from pystack.stack.run_input import RunInput
from pystack.wire.batch import Packet
from pystack.wire.ip_fields import tcp_headers

_NEVER = 1 << 62


class GsoLinkDirection(LinkDirection):
    """Does what a `StageLinkDirection` with a `Pipe` and `Loss` behind it does, in less time.

    It sends `rate_bps` bits a second, and each packet takes `delay_us` besides. The queue holds
    `limit` packets (with `in_bytes`: bytes) beside the packet that is being sent; `loss` is the
    probability that a packet does not arrive, drawn from `source`. `dropped` counts packets that
    found the queue full, `lost` the others that never arrived, `in_runs` those that were sent as
    parts of one object.
    """

    __slots__ = (
        "rate_bps", "limit", "in_bytes", "delay_us", "loss", "dropped", "lost", "in_runs",
        "_source", "_free", "_waiting", "_held", "_flight", "_piece", "_armed_us", "_input", "_now",
    )  # fmt: skip

    def __init__(
        self, events: Events, name: str, near: LinkEnd, far: LinkEnd, mtu: int, *, rate_bps: int,
        limit: int, in_bytes: bool, delay_us: int, loss: float, source: Random,
    ) -> None:  # fmt: skip
        super().__init__(events, name, near, far, mtu)
        self.rate_bps = rate_bps
        self.limit = limit
        self.in_bytes = in_bytes
        self.delay_us = delay_us
        self.loss = loss
        self.dropped = 0
        self.lost = 0
        self.in_runs = 0
        self._source = source
        self._free = 0  # when the direction is, in units of 1/rate µs
        self._waiting: deque[tuple[int, int]] = deque()  # (when it begins to be sent, its cost)
        self._held = 0  # the cost of all that wait
        # (when the first piece arrives, packet, when each piece does: None for a single packet)
        self._flight: deque[tuple[int, Packet, list[int] | None]] = deque()
        self._piece = 0  # the next one of the first in flight
        self._armed_us = 0  # when an event is due, 0 for none
        self._input = RunInput(far.host) if far.takes_runs else None
        self._now: list[Packet] = []  # arrives at the present moment, before all others

    def send(self, packet: Packet, now_us: int) -> None:
        """See `LinkDirection.send`."""
        now = now_us * self.rate_bps
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            self._held -= waiting.popleft()[1]
        if not packet[1]:
            self._send((bytes(packet[0]), 0, packet[2]), now_us, now)
        elif not self._send_run(packet, now_us, now):
            for piece in self.cut(packet):
                self._send(piece, now_us, now)
        if not self._armed_us and self._flight:
            self._arm(self._flight[0][0])

    def _send(self, packet: Packet, now_us: int, now: int) -> None:
        length = len(packet[0])
        if length > self.mtu:
            self.too_large += 1
            return
        self.sent += 1
        self.octets += length
        for tap in self.taps:
            tap(self, packet, now_us)
        cost = length if self.in_bytes else 1
        if self._held + cost > self.limit:
            self.dropped += 1
            return
        free = self._free
        if free <= now:
            free = now
        else:
            self._held += cost
            self._waiting.append((free, cost))
        self._free = free = free + OCTET * length
        if self.loss and self._source.random() < self.loss:
            self.lost += 1
            return
        self._flight.append((-(-free // self.rate_bps) + self.delay_us, packet, None))

    def _send_run(self, packet: Packet, now_us: int, now: int) -> bool:
        """Send a run in one piece; False, and nothing done, where it has to be cut."""
        buffer, gso_size, _ = packet
        length = len(buffer)
        headers = tcp_headers(buffer)
        size = headers + gso_size
        text = length - headers
        if self._input is None or not headers or size > self.mtu:
            return False
        pieces = -(-text // gso_size)
        octets = text + pieces * headers
        if self._held + (octets if self.in_bytes else pieces) > self.limit:
            return False
        rate_bps, delay_us, waiting = self.rate_bps, self.delay_us, self._waiting
        free = self._free
        times: list[int] = []
        left = octets
        while left > 0:
            if size > left:
                size = left
            if free > now:
                cost = size if self.in_bytes else 1
                self._held += cost
                waiting.append((free, cost))
            else:
                free = now
            free += OCTET * size
            times.append(-(-free // rate_bps) + delay_us)
            left -= size
        self._free = free
        self.sent += pieces
        self.octets += octets
        if self.loss and (lost := self._losses(pieces)):
            for index, piece in enumerate(self.cut(packet)):
                if index not in lost:
                    self._flight.append((times[index], piece, None))
        else:
            self.in_runs += pieces
            self._flight.append((times[0], (bytes(buffer), gso_size, packet[2]), times))
        if self.taps:
            for piece in self.cut(packet):
                for tap in self.taps:
                    tap(self, piece, now_us)
        return True

    def _losses(self, pieces: int) -> list[int]:
        """Which of the next pieces get lost."""
        draw, loss = self._source.random, self.loss
        lost = [index for index in range(pieces) if draw() < loss]
        self.lost += len(lost)
        return lost

    def hand_over(self, packets: list[Packet]) -> None:
        """See `LinkDirection.hand_over`."""
        self._now += packets
        if self._now:
            self.events.at(self.events.now_us, self.rank, self)

    def _arm(self, at_us: int) -> None:
        self._armed_us = at_us
        self.events.at(at_us, self.rank, self)

    def due(self, now_us: int) -> None:
        """See `LinkDirection.due`: this packet, and those that follow until something else is due
        first."""
        if self._now:
            packets, self._now = self._now, []
            self._arrive(packets, now_us)
        if now_us != self._armed_us:
            return
        self._armed_us = 0
        flight = self._flight
        events = self.events
        rank = self.rank
        while True:
            _, packet, times = flight[0]
            piece = self._piece
            if times is not None and piece + 1 < len(times):
                self._piece = piece + 1
                next_us = times[piece + 1]
            else:
                self._piece = 0
                flight.popleft()
                next_us = flight[0][0] if flight else _NEVER
            if next_us <= now_us:
                next_us = self._arrive_together(packet, times, piece, now_us)
            elif times is not None:
                self._arrive_piece(packet, piece, now_us)
            elif self.arrival_taps:
                self._arrive([packet], now_us)
            else:
                self.arrived += 1
                self.far.arrive_alone(packet, now_us)
            if next_us == _NEVER:
                return
            if not events.goes_on(next_us, rank):
                self._arm(next_us)
                return
            now_us = next_us

    def _step(self) -> None:
        """Go on to the next packet or piece."""
        times = self._flight[0][2]
        if times is not None and self._piece + 1 < len(times):
            self._piece += 1
        else:
            self._piece = 0
            self._flight.popleft()

    def _next_us(self) -> int:
        """When the next packet or piece arrives."""
        if not self._flight:
            return _NEVER
        at_us, _, times = self._flight[0]
        return at_us if times is None else times[self._piece]

    def _arrive_piece(self, packet: Packet, piece: int, now_us: int) -> None:
        """A piece of a run arrives."""
        run = self._input
        assert run is not None
        if not (run.packet is packet or run.load(packet)):
            self._arrive([self.cut(packet)[piece]], now_us)
            return
        self.arrived += 1
        if self.arrival_taps:
            cut = self.cut(packet)[piece]
            for tap in self.arrival_taps:
                tap(self, cut, now_us)
        self.far.arrive_piece(run, piece, now_us)

    def _arrive_together(
        self, packet: Packet, times: list[int] | None, piece: int, now_us: int
    ) -> int:
        """A packet and all others that arrive at the same moment; when the next one does."""
        together: list[Packet] = []
        while True:
            together.append(packet if times is None else self.cut(packet)[piece])
            if self._next_us() > now_us:
                break
            _, packet, times = self._flight[0]
            piece = self._piece
            self._step()
        self._arrive(together, now_us)
        return self._next_us()

    def counts(self) -> dict[str, int]:
        """How many were dropped, and lost."""
        return {"dropped": self.dropped, "lost": self.lost}

    def _arrive(self, packets: list[Packet], now_us: int) -> None:
        self.arrived += len(packets)
        for tap in self.arrival_taps:
            for packet in packets:
                tap(self, packet, now_us)
        self.far.arrive(packets, now_us)
