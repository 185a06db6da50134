"""What makes a host run: packets from a device to it and back, its deadlines on the loop.

One wake-up takes batches for a millisecond, so that timers and other tasks get their turn, and
after each batch writes what it called for. There is one timer, armed anew only when something is
due earlier than it; it may come too early and then finds nothing to do, but an idle stack has
none. What is due within two milliseconds has a finer one (`alarm`).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sys
import weakref
from collections.abc import Callable, Iterable
from threading import get_ident
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from pystack.aio.drive.alarm import Alarm, finest_alarm, monotonic_us
from pystack.aio.drive.driver import NO_THREAD, Driver
from pystack.errors import EBADFD
from pystack.sockets import Host
from pystack.wire.batch import Packet, RxBatch, TxBatch

if TYPE_CHECKING:
    from pystack.device.link_state import LinkState

SLOTS: Final = 16  # packets read at once
BATCHES: Final = 64  # at most, per wake-up
FINE_US: Final = 2000  # deadlines nearer than this get a timer that is exact to some 30 µs
TURN_US: Final = 1000  # and no new one after that time: no timer is finer
FEW: Final = 3  # fewer packets than this: there were no more (`read_batch` has a bound of bytes)
_TRY_AGAIN: Final = 0.1  # seconds after an error that nothing is known of

_logger = logging.getLogger("pystack")


class PacketDevice(Protocol):
    """Where packets come from and go to. `TunDevice` is one; tests join two hosts by another."""

    name: str
    mtu: int  # bytes, when the stack starts; `follow_link` may tell of changes
    offload: bool  # it takes and brings runs of up to 64 KB, and partial checksums

    def start(self, loop: asyncio.AbstractEventLoop, readable: Callable[[], None]) -> None:
        """Call `readable` whenever `read` has something, until `stop`. May be started again."""

    def stop(self) -> None:
        """Call `readable` no more."""

    def read(self, rx: RxBatch, /) -> int:
        """As `codec.read_batch`: packets put into `rx`, or -errno."""

    def write(self, tx: TxBatch, first: int, /) -> int:
        """As `codec.write_batch`: packets from `first` on that were taken, or -errno."""

    async def drops(self) -> dict[str, int]:
        """Packets lost at the device, by why."""

    def close(self) -> None:
        """Gone for good."""


@runtime_checkable
class ReportsLink(Protocol):
    """A device whose link can change: go down, come up again, get another MTU, be removed. One
    without this method has a link that is always up."""

    def follow_link(
        self, loop: asyncio.AbstractEventLoop, changed: Callable[[LinkState], None], /
    ) -> Callable[[], None]:
        """Call `changed` on `loop` with the state of the link: soon, and after each change, until
        what this returns is called. Raises OSError."""


def follow_link(
    device: PacketDevice, loop: asyncio.AbstractEventLoop, changed: Callable[[LinkState], None]
) -> Callable[[], None]:
    """As `ReportsLink.follow_link`, of any device."""
    return device.follow_link(loop, changed) if isinstance(device, ReportsLink) else _nothing


def _nothing() -> None:
    """What ends the following of a link that cannot change."""


class DeviceDriver(Driver):
    """Moves packets and time between one host, one device and one loop.

    To be made and used in the thread of the loop. `tap(inbound, packets, now_us)` sees all
    packets; they are valid during the call only.
    """

    __slots__ = (
        "device", "tap", "lost_link_down", "lost_refused", "_clock", "_rx", "_busy", "_flushing",
        "_timer", "_timer_at_us", "_alarm", "_alarm_at_us", "_starting", "_has_device",
        "_unfollow",
    )  # fmt: skip

    def __init__(
        self,
        host: Host,
        device: PacketDevice,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], int] = monotonic_us,
        tap: Callable[[bool, Iterable[Packet], int], None] | None = None,
    ) -> None:
        super().__init__(host, loop)
        self.device = device
        self.tap = tap
        self.lost_link_down = 0  # packets of ours that the device did not take
        self.lost_refused = 0
        self._clock = clock
        self._rx = RxBatch(SLOTS)
        self._busy = False  # a transmit follows anyway
        self._flushing = False  # a call of _flush is on its way
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_us = 0
        self._alarm: Alarm | None = None
        self._alarm_at_us = 0
        self._starting: asyncio.Handle | None = None
        self._has_device = False  # until then another loop may
        self._unfollow = _nothing

    # -- begin and end ---------------------------------------------------------------------------
    def start(self) -> None:
        """Begin: packets pass from now on."""
        self.host.on_dirty = self._on_dirty
        if self.loop.is_running():
            self._take_device()
        self._starting = self.loop.call_soon(self._begin)
        _drivers.add(self)
        if self.host.dirty:  # of calls before this driver was there
            self._on_dirty()
        self._arm()

    def _begin(self) -> None:
        """In the loop's first turn: one that never runs takes no packets from others."""
        self._starting = None
        self._take_device()
        try:
            self._unfollow = follow_link(self.device, self.loop, self._on_link)
        except OSError as error:
            message = f"{self.device.name} can not be watched"
            self.loop.call_exception_handler({"message": message, "exception": error})

    def stop(self) -> None:
        """End: nothing passes any more, and the device is gone. May be called again."""
        self.let_go()
        self.device.close()

    def let_go(self) -> None:
        """End, but leave the device open for another driver. May be called again."""
        self.error = self.error or errno.ENETDOWN
        if self.thread == NO_THREAD:
            return
        self.thread = NO_THREAD
        self.host.on_dirty = None
        _drivers.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._alarm is not None:
            self._alarm.close()
        if self._starting is not None:
            self._starting.cancel()
        self._unfollow()
        if self._has_device:
            self.device.stop()

    # -- packets -----------------------------------------------------------------------------------
    def _readable(self) -> None:
        host = self.host
        rx = self._rx
        read = self.device.read
        until_us = self._clock() + TURN_US
        self._busy = True
        try:
            if self._flushing:  # what was written goes out before more comes in, as Linux has it:
                self._transmit(until_us - TURN_US)  # text for who has closed is a RST, and loses it
            for _ in range(BATCHES):
                count = read(rx)
                if count <= 0:
                    if count < 0:
                        self._read_failed(-count)
                    break
                now_us = self._clock()
                if self.tap is not None:
                    self.tap(True, rx.packets(count), now_us)
                host.receive_batch(rx, count, now_us)
                self._transmit(now_us)
                if count < FEW or now_us >= until_us:
                    break
        finally:
            self._busy = False
            self._arm()

    def _transmit(self, now_us: int) -> None:
        """All that the host has to send."""
        host = self.host
        while True:
            tx = host.transmit(now_us)
            count = tx.count
            if not count:
                return
            if self.tap is not None:
                self.tap(False, tx, now_us)
            first = 0
            while first < count:
                written = self.device.write(tx, first)
                if written > 0:
                    first += written
                elif self._goes_on_after(-written):
                    first += 1
                else:
                    self.lost_link_down += count - first
                    break
            if not host.dirty:
                return

    def _goes_on_after(self, error: int) -> bool:
        """Whether packets behind the one that was refused are worth a try."""
        if error in (errno.EIO, EBADFD, errno.EBADF):
            if error != errno.EIO:  # EIO: the link is down, what was sent is lost as on a wire
                self.loop.call_soon(self._gone)
            return False
        self.lost_refused += 1  # no memory, or a packet the kernel does not like
        return True

    def _read_failed(self, error: int) -> None:
        if error in (EBADFD, errno.EBADF):
            self._gone()
            return
        self.device.stop()  # EIO: down: `_on_link` hears when it is up again
        if error != errno.EIO:
            self.loop.call_later(_TRY_AGAIN, self._start_device)

    def _take_device(self) -> None:
        if not self._has_device:
            self._has_device = True
            self._start_device()

    def _start_device(self) -> None:
        if not self.error:
            self.device.start(self.loop, self._readable)

    def _gone(self) -> None:
        """The device was removed behind our back: all connections end."""
        if self.error:
            return
        self.error = errno.ENETDOWN
        self.device.stop()
        self._busy = True
        try:
            now_us = self._clock()
            self.host.fail_all(self.error)
            self._transmit(now_us)
        finally:
            self._busy = False

    def _on_link(self, state: LinkState) -> None:
        """The link: its MTU, up after down, gone."""
        if not state.present:
            self._gone()
            return
        if state.mtu != self.host.mtu:
            self.host.set_mtu(state.mtu)
        if state.up:
            self._start_device()

    # -- what a socket call has marked, and time -----------------------------------------------
    def _on_dirty(self) -> None:
        if self._busy or self._flushing:
            return
        self._flushing = True
        if get_ident() == self.thread:
            self.loop.call_soon(self.flush)
            return
        if not self.forked:
            self.loop.call_soon_threadsafe(self.flush)  # it is marked now, and not again
        self.refuse()

    def flush(self) -> None:
        """Send what waits to be sent."""
        self._flushing = False
        if self.thread == NO_THREAD:
            return
        self._busy = True
        try:
            self._transmit(self._clock())
        finally:
            self._busy = False
            self._arm()

    def _arm(self) -> None:
        """See to it that the timer comes no later than the next deadline."""
        at_us = self.host.next_deadline()
        if not at_us or (self._timer is not None and self._timer_at_us <= at_us):
            return
        if 0 < self._alarm_at_us <= at_us:
            return
        wait_us = at_us - self._clock()
        if 0 < wait_us < FINE_US:  # the loop's own timers are too coarse for pacing
            if self._alarm is None:
                self._alarm = finest_alarm(self.loop, self._clock, self._on_alarm)
            self._alarm_at_us = at_us
            self._alarm.set(at_us)
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at_us = at_us
        self._timer = self.loop.call_later(max(wait_us, 0) / 1e6, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._on_time()

    def _on_alarm(self) -> None:
        self._alarm_at_us = 0
        self._on_time()

    def _on_time(self) -> None:
        if self.thread == NO_THREAD:
            return
        self._busy = True
        try:
            now_us = self._clock()
            self.host.on_time(now_us)
            self._transmit(now_us)
        finally:
            self._busy = False
            self._arm()


_drivers: Final[weakref.WeakSet[DeviceDriver]] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """In a forked child: the loop's epoll is shared with the parent, so touch nothing at all."""
    for driver in list(_drivers):
        driver.leave_to_parent()
    _drivers.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_leave_to_parent)
