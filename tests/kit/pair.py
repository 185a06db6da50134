"""Two hosts back to back in virtual time, with faults on the way, both watched all the time.

    pair = Pair(near, far, there=Link(Loss(0.01, random), Delay(5_000)), back=Delay(5_000))
    pair.run(until=lambda: ..., within_s=60)

Whatever either sends is taken apart (`decode`: lengths, checksums, options) and must be what it
may send (`stream`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pystack.path.link import Stage
from pystack.sockets import Host
from tests.kit.decode import Packet, decode
from tests.kit.encode import TCP
from tests.kit.stream import Streams

START_US = 1_000_000
ENDLESS = 10_000  # so many steps without time moving on are an endless loop


class Pair:
    """`near` and `far`; `there` is the way from near to far, `back` the other."""

    def __init__(self, near: Host, far: Host, there: Stage, back: Stage) -> None:
        self.near = near
        self.far = far
        self.now_us = START_US
        self.packets = 0
        self.history: list[tuple[int, str, Packet]] = []  # the last ones, for a look at a failure
        self._ways = ((near, far, there), (far, near, back))
        self._streams = Streams()

    # -- time ------------------------------------------------------------------------------------
    def run(
        self,
        until: Callable[[], bool],
        *,
        within_s: float,
        wake_at_us: Callable[[], int] = lambda: 0,
    ) -> bool:
        """Let time pass until `until()`, asked after each event; False when it is over before.

        `wake_at_us` says when the applications want something to happen, 0 for never.
        """
        end_us = self.now_us + round(within_s * 1e6)
        still = 0
        while True:
            self._send()
            over = until()
            self._send()  # what the applications did meanwhile
            if over:
                return True
            at_us = self._next_us(wake_at_us())
            if not at_us or at_us > end_us:
                self.now_us = end_us
                return False
            still = still + 1 if at_us <= self.now_us else 0
            assert still < ENDLESS, "time does not move on"
            self.now_us = max(self.now_us, at_us)
            self._arrive()

    def _next_us(self, wake_at_us: int) -> int:
        times = [wake_at_us]
        for sender, _, way in self._ways:
            times += [sender.next_deadline(), way.next_deadline()]
        return min((at for at in times if at), default=0)

    def _send(self) -> None:
        for sender, receiver, way in self._ways:
            while True:
                tx = sender.transmit(self.now_us)
                if not tx.count:
                    break
                arrived: list[Any] = []
                for buffer, gso_size, checksum_state in tx:
                    packet = bytes(buffer)
                    self._watch(sender, packet, gso_size, checksum_state)
                    arrived += way.feed((packet, gso_size, checksum_state), self.now_us)
                if arrived:
                    receiver.receive(arrived, self.now_us)

    def _arrive(self) -> None:
        for sender, receiver, way in self._ways:
            packets = way.take(self.now_us)
            if packets:
                receiver.receive(packets, self.now_us)
            at_us = sender.next_deadline()
            if at_us and at_us <= self.now_us:
                sender.on_time(self.now_us)

    # -- what is sent ------------------------------------------------------------------------------
    def _watch(self, sender: Host, octets: bytes, gso_size: int, checksum_state: int) -> None:
        for packet in decode(octets, gso_size, checksum_state):
            self.packets += 1
            self.history.append((self.now_us, "far" if sender is self.far else "near", packet))
            if packet.protocol == TCP:
                self._streams.note(packet)
        del self.history[:-2000]
