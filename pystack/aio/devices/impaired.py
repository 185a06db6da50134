"""A device with a bad way before it: what `pystack.path` has, on the loop's time.

    device = ImpairedDevice(device, parsed("delay 20ms loss 1%"), seed=7)

Packets go through a link in each direction and come out when that lets them go. The stack does not
notice; the kernel on the other side neither.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable
from errno import EBADF
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from pystack import arguments
from pystack.aio.devices.arrivals import Arrivals
from pystack.aio.drive.alarm import DeadlineAlarm, monotonic_us
from pystack.aio.drive.device import GoesToChild, PacketDevice, follow_link
from pystack.aio.drive.device_driver import BATCHES, FEW, SLOTS, TURN_US
from pystack.aio.drive.device_writer import DeviceWriter
from pystack.path.language.build import links
from pystack.path.language.parse import parse
from pystack.path.language.spec import Impairment
from pystack.path.link import kept
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
    """A `PacketDevice` before another one, `device`, which belongs to it from then on.

    `impairment` is what happens to packets; `name`, `index`, `mtu` and `offload` are those of
    `device`. With offload, a packet is not what it is on a wire: open `device` without if
    `impairment.needs_packets()`. Times of the impairment count from now. `clock`, in µs, and the
    loop must have the same time. `seed` decides every chance. What is on its way out when it is
    closed is sent at once: a host that ends does not take back what it has sent.
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
        self.index = getattr(device, "index", 0)
        self.mtu = device.mtu
        self.offload = device.offload
        self._inbound, self._outbound = links(
            impairment, start_us=clock(), seed=self.seed, make_source=Random
        )
        self._clock = clock
        self._rx = RxBatch(SLOTS)
        self._tx = TxBatch(gso=device.offload, checksum_offload=device.offload)
        self._writer = DeviceWriter(device, self._on_room, self._on_gone)
        self._late: deque[Packet] = deque()  # had their time when the device was full
        self._arrivals = Arrivals()
        self._alarm = DeadlineAlarm(clock, self._on_time)
        self._lost_late = 0
        self._failure: Exception | None = None  # for when all that arrived has been read
        self._closed = False

    def __repr__(self) -> str:
        return printed(self, lambda: f"{self.device!r} {self.impairment.text} (seed {self.seed})")

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """What was done to packets that came in, and to those that went out, by name."""
        return self._inbound.counts(), self._outbound.counts()

    # -- what a driver asks of it ----------------------------------------------------------------
    def start(self, loop: asyncio.AbstractEventLoop, readable: Callable[[], None]) -> None:
        """See `PacketDevice.start`."""
        if self._closed:
            return
        self._writer.start(loop)
        self._alarm.start(loop)  # all that is on its way is there
        self._arm()
        self.device.start(loop, self._on_readable)
        self._arrivals.start(loop, readable)

    def stop(self) -> None:
        """See `PacketDevice.stop`."""
        self._arrivals.stop()
        self._alarm.close()  # a fork must find nothing of ours on a loop
        self.device.stop()

    def read(self, rx: RxBatch, /) -> int:
        """See `PacketDevice.read`."""
        if self._closed:
            return -EBADF
        count = self._arrivals.read(rx)
        if count or self._failure is None:
            return count
        failure, self._failure = self._failure, None
        if isinstance(failure, OSError) and failure.errno:
            return -failure.errno
        raise failure

    def write(self, tx: TxBatch, first: int, /) -> int:
        """See `PacketDevice.write`."""
        if self._closed:
            return -EBADF
        if self._writer.is_waiting:
            return 0
        now_us = self._clock()
        self._send(self._outbound.feed_all(list(tx)[first:], now_us))
        if self._outbound.answers:
            self._bring_answers(now_us)
            self._arrivals.add(())
        self._arm()
        return tx.count - first

    def follow_link(
        self, loop: asyncio.AbstractEventLoop, changed: Callable[[LinkState], None], /
    ) -> Callable[[], None]:
        """See `ReportsLink.follow_link`."""
        return follow_link(self.device, loop, changed)

    async def drops(self) -> dict[str, int]:
        """See `PacketDevice.drops`."""
        late = self._lost_late + self._writer.lost_link_down + self._writer.lost_refused
        return {"late_write_failed": late, **await self.device.drops()}

    def close(self) -> None:
        """See `PacketDevice.close`."""
        if self._closed:
            return
        self._closed = True
        if self._writer.go_on():
            self._send_late()
        while at_us := self._outbound.next_deadline():
            self._send(self._outbound.take(at_us))
        self._writer.stop()
        self._lost_late += len(self._late)
        self._late.clear()
        self._arrivals.stop()
        self._arrivals.packets.clear()
        self._alarm.close()
        self.device.close()

    # -- packets ---------------------------------------------------------------------------------
    def _on_readable(self) -> None:
        """The device has packets, or room."""
        if self._writer.is_waiting and self._writer.go_on():
            self._on_room()
        rx = self._rx
        until_us = self._clock() + TURN_US
        for _ in range(BATCHES):
            try:
                count = self.device.read(rx)
            except Exception as failure:
                self._failure = failure
                break
            if count < 0:
                self._failure = OSError(-count, os.strerror(-count))
            if count <= 0:
                break
            now_us = self._clock()
            came = [(bytes(buffer), size, state) for buffer, size, state in rx.packets(count)]
            self._arrivals.packets.extend(self._inbound.feed_all(came, now_us))
            self._bring_answers(now_us)
            if count < FEW or now_us >= until_us:
                break
        self._hand_up()
        self._arm()

    def _on_time(self) -> None:
        """Something is due."""
        now_us = self._clock()
        self._arrivals.packets.extend(self._inbound.take(now_us))
        self._send(self._outbound.take(now_us))
        self._bring_answers(now_us)
        self._hand_up()
        self._arm()

    def _bring_answers(self, now_us: int) -> None:
        """ICMP errors go the other way."""
        if self._outbound.answers:
            answers = self._outbound.take_answers()
            self._arrivals.packets.extend(self._inbound.feed_all(answers, now_us))
        if self._inbound.answers:
            self._send(self._outbound.feed_all(self._inbound.take_answers(), now_us))

    def _hand_up(self) -> None:
        """Let the driver read what has arrived."""
        if self._arrivals.packets or self._failure is not None:
            self._arrivals.call()

    def _send(self, packets: Iterable[Packet]) -> None:
        """Give packets to the device, or keep them while it is full."""
        tx, writer = self._tx, self._writer
        for packet in packets:
            if writer.is_waiting:
                self._late.append(kept(packet))
                continue
            buffer, gso_size, checksum_state = packet
            length = len(buffer)
            at = tx.reserve(length)
            if at < 0:
                self._flush()
                if writer.is_waiting:
                    self._late.append(kept(packet))
                    continue
                at = tx.reserve(length)
            tx.view[at : at + length] = buffer
            tx.commit(at, length, gso_size, checksum_state)
        self._flush()

    def _flush(self) -> None:
        if self._tx.count:
            self._writer.write(self._tx)
            self._tx.clear()

    def _on_room(self) -> None:
        """The device has taken all that it had no room for: the driver may write again."""
        self._send_late()
        if not self._writer.is_waiting:
            self._arrivals.wake()

    def _send_late(self) -> None:
        late, self._late = self._late, deque()
        self._send(late)

    def _on_gone(self) -> None:
        self._failure = OSError(EBADF, os.strerror(EBADF))
        self._arrivals.wake()

    def keep_in_child(self, kept: bool, /) -> None:
        """See `GoesToChild`."""
        if isinstance(self.device, GoesToChild):
            self.device.keep_in_child(kept)

    # -- time ------------------------------------------------------------------------------------
    def _arm(self) -> None:
        """See to it that the alarm rings no later than the next deadline."""
        inbound, outbound = self._inbound.next_deadline(), self._outbound.next_deadline()
        self._alarm.arm(min(inbound, outbound) if inbound and outbound else inbound or outbound)
