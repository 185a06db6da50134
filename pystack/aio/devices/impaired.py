"""A device with a bad way before it: what `pystack.path` has, on the loop's time.

    device = ImpairedDevice(device, parsed("delay 20ms loss 1%"), seed=7)

Packets go through a link in each direction and come out when that lets them go. The stack does not
notice; the kernel on the other side neither.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from pystack import arguments
from pystack.aio.drive.alarm import Alarm, finest_alarm, monotonic_us
from pystack.aio.drive.device_driver import (
    BATCHES,
    FEW,
    SLOTS,
    TURN_US,
    PacketDevice,
    follow_link,
)
from pystack.errors import EBADFD
from pystack.path.language.build import links
from pystack.path.language.parse import parse
from pystack.path.language.spec import Impairment
from pystack.printed import printed
from pystack.wire.batch import Packet, RxBatch, TxBatch

if TYPE_CHECKING:
    from pystack.device.link_state import LinkState


def parsed(text: str) -> Impairment:
    """An impairment whose files are read. Raises ValueError, and OSError for a trace's file."""
    return parse(text, lambda name: Path(name).read_text(errors="replace"))


def checked(given: str | Impairment | None) -> Impairment | None:
    """What `impair=` was given. Raises ValueError as `parsed`, TypeError for what is no text."""
    if given is None or isinstance(given, Impairment):
        return given
    return parsed(arguments.text("impair", given, "delay 20ms loss 1%"))


class ImpairedDevice:
    """A `PacketDevice` before another one, which is its own from then on.

    Only with offload off is a packet what it is on a wire: open `device` so if
    `impairment.needs_packets()`. Times of the impairment count from now. `clock` and the loop must
    have the same time. What is on the way out when it is closed goes at once: a host that ends does
    not take back what it has sent.
    """

    def __init__(
        self,
        device: PacketDevice,
        impairment: Impairment,
        *,
        seed: int | None = None,
        clock: Callable[[], int] = monotonic_us,
    ) -> None:
        """`seed` goes for an impairment that names none; None takes a new one."""
        if seed is None:
            seed = int.from_bytes(os.urandom(4), "big")
        self.device = device
        self.impairment = impairment
        self.seed = seed if impairment.seed is None else impairment.seed
        self.name = device.name
        self.mtu = device.mtu
        self.offload = device.offload
        self.lost_late = 0  # packets that the device did not take when their time had come
        self._inbound, self._outbound = links(
            impairment, start_us=clock(), seed=self.seed, make_source=Random
        )
        self._clock = clock
        self._rx = RxBatch(SLOTS)
        self._tx = TxBatch(gso=device.offload, checksum_offload=device.offload)
        self._arrived: deque[Packet] = deque()
        self._error = 0  # of the device, to be told when all that arrived has been read
        self._loop: asyncio.AbstractEventLoop | None = None
        self._readable: Callable[[], None] | None = None
        self._calling = False  # a call of _hand_up is on its way
        self._alarm: Alarm | None = None
        self._alarm_at_us = 0

    def __repr__(self) -> str:
        return printed(self, lambda: f"{self.device!r} {self.impairment.text} (seed {self.seed})")

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """What was done to packets that came in, and to those that went out, by name."""
        return self._inbound.counts(), self._outbound.counts()

    # -- what a driver asks of it ----------------------------------------------------------------
    def start(self, loop: asyncio.AbstractEventLoop, readable: Callable[[], None]) -> None:
        if self._alarm is not None and loop is not self._loop:  # all that is on its way is there
            self._alarm.close()
            self._alarm, self._alarm_at_us = None, 0
            self._calling = False
        self._loop = loop
        self._readable = readable
        if self._alarm is None:
            self._alarm = finest_alarm(loop, self._clock, self._on_time)
            self._arm()
        self.device.start(loop, self._on_readable)
        self._call_soon()

    def stop(self) -> None:
        self._readable = None
        self.device.stop()

    def read(self, rx: RxBatch, /) -> int:
        rx.clear()
        arrived = self._arrived
        while arrived and rx.count < rx.capacity:
            rx.add(*arrived.popleft())
        if rx.count or not self._error:
            return rx.count
        error, self._error = self._error, 0
        return -error

    def write(self, tx: TxBatch, first: int, /) -> int:
        now_us = self._clock()
        self._send(self._outbound.feed_all(list(tx)[first:], now_us))
        if self._outbound.answers:
            self._bring_answers(now_us)
            self._call_soon()
        self._arm()
        return tx.count - first

    def follow_link(
        self, loop: asyncio.AbstractEventLoop, changed: Callable[[LinkState], None], /
    ) -> Callable[[], None]:
        return follow_link(self.device, loop, changed)

    async def drops(self) -> dict[str, int]:
        return {"late_write_failed": self.lost_late, **await self.device.drops()}

    def close(self) -> None:
        while at_us := self._outbound.next_deadline():
            self._send(self._outbound.take(at_us))
        self._arrived.clear()
        if self._alarm is not None:
            self._alarm.close()
        self.device.close()

    # -- packets ---------------------------------------------------------------------------------
    def _on_readable(self) -> None:
        """The device has packets."""
        rx = self._rx
        until_us = self._clock() + TURN_US
        for _ in range(BATCHES):
            count = self.device.read(rx)
            if count <= 0:
                self._error = -count
                break
            now_us = self._clock()
            came = [(bytes(buffer), size, state) for buffer, size, state in rx.packets(count)]
            self._arrived.extend(self._inbound.feed_all(came, now_us))
            self._bring_answers(now_us)
            if count < FEW or now_us >= until_us:
                break
        self._hand_up()
        self._arm()

    def _on_time(self) -> None:
        """Something is due."""
        self._alarm_at_us = 0
        now_us = self._clock()
        self._arrived.extend(self._inbound.take(now_us))
        self._send(self._outbound.take(now_us))
        self._bring_answers(now_us)
        self._hand_up()
        self._arm()

    def _bring_answers(self, now_us: int) -> None:
        """ICMP errors go the other way."""
        if self._outbound.answers:
            answers = self._outbound.take_answers()
            self._arrived.extend(self._inbound.feed_all(answers, now_us))
        if self._inbound.answers:
            self._send(self._outbound.feed_all(self._inbound.take_answers(), now_us))

    def _hand_up(self) -> None:
        """Let the driver read what has arrived; what it leaves, in another turn of the loop."""
        self._calling = False
        if self._readable is not None and (self._arrived or self._error):
            self._readable()
            self._call_soon()

    def _call_soon(self) -> None:
        if self._arrived and self._readable is not None and not self._calling:
            assert self._loop is not None
            self._calling = True
            self._loop.call_soon(self._hand_up)

    def _send(self, packets: Iterable[Packet]) -> None:
        """Give packets to the device."""
        tx = self._tx
        for buffer, gso_size, checksum_state in packets:
            length = len(buffer)
            at = tx.reserve(length)
            if at < 0:
                self._flush()
                at = tx.reserve(length)
            tx.view[at : at + length] = buffer
            tx.commit(at, length, gso_size, checksum_state)
        self._flush()

    def _flush(self) -> None:
        tx = self._tx
        first, count = 0, tx.count
        while first < count:
            written = self.device.write(tx, first)
            if written > 0:
                first += written
            elif -written in (errno.EIO, EBADFD, errno.EBADF):
                self.lost_late += count - first  # down or gone, which the watcher hears as well
                break
            else:
                self.lost_late += 1
                first += 1
        tx.clear()

    # -- time ------------------------------------------------------------------------------------
    def _arm(self) -> None:
        """See to it that the alarm rings no later than the next deadline."""
        inbound, outbound = self._inbound.next_deadline(), self._outbound.next_deadline()
        at_us = min(inbound, outbound) if inbound and outbound else inbound or outbound
        if at_us and self._alarm is not None and not 0 < self._alarm_at_us <= at_us:
            self._alarm_at_us = at_us
            self._alarm.set(at_us)
