"""A link in memory between two stacks of one program: no device of the kernel, no rights, no ports.

    cable = Cable("delay 20ms loss 1%", seed=7)
    async with (
        Stack.over(cable.left, "10.0.0.1/24") as client,
        Stack.over(cable.right, "10.0.0.2/24") as server,
    ):
        ...

Both stacks are on one loop. What one sends is what the other reads, after what the stages of
`pystack.path` have done to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from errno import EBADF
from random import Random

from pystack import arguments
from pystack.aio.devices.arrivals import QUEUE_LENGTH, Arrivals
from pystack.aio.devices.impaired import checked
from pystack.aio.drive.alarm import DeadlineAlarm, monotonic_us
from pystack.path.language.build import links
from pystack.path.language.spec import Impairment
from pystack.path.link import Stage, kept
from pystack.printed import printed
from pystack.wire.batch import Packet, RxBatch, TxBatch

Tap = Callable[[Iterable[Packet], int], None]


class Cable:
    """`left` and `right` are its ends, each a device for a `Stack`.

    `there` and `back` are the stages from left to right and from right to left: those of an
    impairment in the words of docs/impairments.md ("out" being from left to right), or one's own.
    `clock` and the loop must have the same time.
    """

    def __init__(
        self,
        impair: str | Impairment | tuple[Stage, Stage] | None = None,
        *,
        seed: int = 0,
        mtu: int = 1500,
        offload: bool = False,
        clock: Callable[[], int] = monotonic_us,
        names: tuple[str, str] = ("left", "right"),
    ) -> None:
        """`seed` decides what the words leave to chance. `mtu` in bytes. With `offload` runs pass
        in one piece; to most stages each is one packet then. Raises ValueError for words that
        mean nothing."""
        self.there, self.back = _stages(impair, seed, clock())
        self.left = CableEnd(names[0], mtu, offload, self.there, clock)
        self.right = CableEnd(names[1], mtu, offload, self.back, clock)
        self.left.other, self.right.other = self.right, self.left

    def __repr__(self) -> str:
        return printed(self, lambda: f"{self.left!r} {self.right!r}")


class CableEnd:
    """One end, a `PacketDevice`: what is written here is read at `other`.

    `name`, `mtu` (bytes) and `offload` are as `Cable` says, `stage` is what packets sent here go
    through. `sent` and `arrived` count packets, `octets` those of the packets sent; `taps` see
    packets as they are sent here, `arrival_taps` as they arrive here, with the time in µs.

    While some thousand packets wait to be read at `other` this end is full.
    """

    other: CableEnd

    def __init__(
        self, name: str, mtu: int, offload: bool, stage: Stage, clock: Callable[[], int]
    ) -> None:
        """See `Cable`, which makes both; `stage` is for what is sent here."""
        self.name = name
        self.mtu = mtu
        self.offload = offload
        self.stage = stage
        self.sent = 0
        self.arrived = 0
        self.octets = 0
        self.taps: list[Tap] = []
        self.arrival_taps: list[Tap] = []
        self._clock = clock
        self._arrivals = Arrivals()
        self._alarm = DeadlineAlarm(clock, self._on_time)
        self._was_full = False  # and has packets that were not taken
        self._closed = False

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        closed = " closed" if self._closed else ""
        return f"{self.name}{closed} sent {self.sent}, arrived {self.arrived}, octets {self.octets}"

    # -- what a driver asks of it ----------------------------------------------------------------
    def start(self, loop: asyncio.AbstractEventLoop, readable: Callable[[], None]) -> None:
        """See `PacketDevice.start`."""
        if self._closed:
            return
        self._alarm.start(loop)  # all that is on its way is there
        self._alarm.arm(self.stage.next_deadline())
        self._arrivals.start(loop, readable)

    def stop(self) -> None:
        """See `PacketDevice.stop`."""
        self._arrivals.stop()

    def read(self, rx: RxBatch, /) -> int:
        """See `PacketDevice.read`."""
        if self._closed:
            return -EBADF
        count = self._arrivals.read(rx)
        if self.other._was_full:
            self.other._on_room()
        return count

    def write(self, tx: TxBatch, first: int, /) -> int:
        """See `PacketDevice.write`."""
        if self._closed:
            return -EBADF
        if len(self.other._arrivals.packets) >= QUEUE_LENGTH:
            self._was_full = True
            return 0
        now_us = self._clock()
        packets = [kept(packet) for packet in list(tx)[first:]]
        self.sent += len(packets)
        self.octets += sum(len(packet[0]) for packet in packets)
        for tap in self.taps:
            tap(packets, now_us)
        self._hand_over(self.stage.feed_all(packets, now_us), now_us)
        return tx.count - first

    async def drops(self) -> dict[str, int]:
        """See `PacketDevice.drops`."""
        return {}

    def close(self) -> None:
        """What is on the way from here still arrives, what comes here is lost from now on."""
        if self._closed:
            return
        self._closed = True
        self._arrivals.stop()
        self._arrivals.packets.clear()
        if self.other._was_full:
            self.other._on_room()
        while at_us := self.stage.next_deadline():
            self._hand_over(self.stage.take(at_us), self._clock())
        self._alarm.close()

    # -- packets and time ------------------------------------------------------------------------
    def _hand_over(self, packets: list[Packet], now_us: int) -> None:
        """Packets leave the stage: they are at the other end, and ICMP errors are back here."""
        self.other._arrive(packets, now_us)
        if self.stage.answers:
            self._arrive(self.stage.take_answers(), now_us)
        self._alarm.arm(self.stage.next_deadline())

    def _arrive(self, packets: list[Packet], now_us: int) -> None:
        """Packets come out at this end."""
        if not packets or self._closed:
            return
        self.arrived += len(packets)
        for tap in self.arrival_taps:
            tap(packets, now_us)
        self._arrivals.add(packets)

    def _on_room(self) -> None:
        """Packets were read at the other end."""
        if len(self.other._arrivals.packets) < QUEUE_LENGTH:
            self._was_full = False
            self._arrivals.wake()

    def _on_time(self) -> None:
        now_us = self._clock()
        self._hand_over(self.stage.take(now_us), now_us)


def _stages(
    impair: str | Impairment | tuple[Stage, Stage] | None, seed: int, start_us: int
) -> tuple[Stage, Stage]:
    if isinstance(impair, tuple):
        if len(impair) != 2 or not all(isinstance(one, Stage) for one in impair):
            wanted = "two stages of pystack.path were expected, or words such as 'delay 20ms'"
            raise TypeError(arguments.unfit("impair", impair, wanted))
        return impair
    impairment = checked(impair)
    if impairment is None:
        return Stage(), Stage()
    inbound, outbound = links(impairment, start_us=start_us, seed=seed, make_source=Random)
    return outbound, inbound
