"""What makes a host run: packets from a device to it and back, its deadlines on the loop.

One wake-up takes batches for a millisecond, so that timers and other tasks get their turn, and
after each batch writes what it called for. There is one timer, armed anew only when something is
due earlier than it; it may come too early and then finds nothing to do, but an idle stack has
none. What is due within two milliseconds has a finer one (`alarm`).
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
import weakref
from collections.abc import Callable, Iterable
from threading import get_ident
from typing import TYPE_CHECKING, Final

from pystack.aio.drive.alarm import Alarm, finest_alarm, monotonic_us
from pystack.aio.drive.device import DOWN, GONE, PacketDevice, follow_link, no_link
from pystack.aio.drive.device_writer import DeviceWriter
from pystack.aio.drive.driver import NO_THREAD, Driver
from pystack.sockets import Host
from pystack.wire.batch import Packet, RxBatch

if TYPE_CHECKING:
    from pystack.device.link_state import LinkState

SLOTS: Final = 16  # packets read at once
BATCHES: Final = 64  # at most, per wake-up
FINE_US: Final = 2000  # deadlines nearer than this get a timer that is exact to some 30 µs
TURN_US: Final = 1000  # and no new one after that time: no timer is finer
FEW: Final = 3  # fewer packets than this: there were no more (`read_batch` has a bound of bytes)
_TRY_AGAIN: Final = 0.1  # seconds after an error that nothing is known of


class DeviceDriver(Driver):
    """Moves packets and time between one host, one device and one loop.

    To be made and used in the thread of the loop. `tap(inbound, packets, now_us)` sees all
    packets; they are valid during the call only.
    """

    __slots__ = (
        "device", "tap", "_writer", "_clock", "_rx", "_busy", "_flushing", "_read_later",
        "_is_limited", "_timer", "_timer_at_us", "_alarm", "_alarm_at_us", "_starting",
        "_has_device", "_unfollow",
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
        self._writer = DeviceWriter(device, self.flush, self._on_gone)
        self._clock = clock
        self._rx = RxBatch(SLOTS)
        self._busy = False  # a transmit follows anyway
        self._flushing = False  # a call of flush is on its way
        self._read_later = False  # a call of _on_read_later is on its way
        self._is_limited = False  # batches are smaller, as the device was full
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_us = 0
        self._alarm: Alarm | None = None
        self._alarm_at_us = 0
        self._starting: asyncio.Handle | None = None
        self._has_device = False  # until then another loop may
        self._unfollow = no_link

    @property
    def lost_link_down(self) -> int:
        """Packets that were to be sent while the link was down, or the device gone or stuck."""
        return self._writer.lost_link_down

    @property
    def lost_refused(self) -> int:
        """Packets that the device did not like."""
        return self._writer.lost_refused

    # -- begin and end ---------------------------------------------------------------------------
    def start(self) -> None:
        """Begin: packets pass from now on."""
        self.host.on_dirty = self._on_dirty
        self.host.set_realtime(self._clock(), time.time_ns() // 1000)
        index = getattr(self.device, "index", 0)  # of an interface of the kernel's
        if index:
            self.host.set_interface(index, self.device.name)
        self._writer.start(self.loop)
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
        self._writer.stop()
        if self._has_device:
            self.device.stop()

    # -- packets -----------------------------------------------------------------------------------
    def _readable(self) -> None:
        if self._busy:  # called by a device from within its own `write`
            self._call_later()
            return
        host = self.host
        writer = self._writer
        rx = self._rx
        read = self.device.read
        until_us = self._clock() + TURN_US
        self._busy = True
        try:
            if writer.is_waiting:
                writer.go_on()
            if self._flushing:  # what was written goes out before more comes in, as Linux has it:
                self._transmit(until_us - TURN_US)  # text for who has closed is a RST, and loses it
            for _ in range(BATCHES):
                try:
                    count = read(rx)
                except Exception as error:
                    count = self._failed_reading(error)
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
        """All that the host has to send; while the device is full it waits in the host."""
        host = self.host
        writer = self._writer
        device = self.device
        while not writer.is_moving:
            tx = host.transmit(now_us)
            count = tx.count
            if not count:
                return
            if writer.is_waiting:
                writer.lose(tx)
                continue
            if self.tap is not None:
                self.tap(False, tx, now_us)
            try:
                written = device.write(tx, 0)
            except Exception as error:
                written = writer.outcome_of(error)
            if written != count:
                writer.write_rest(tx, written)
                if writer.is_waiting:  # what waits in the host is still in turns, and can be cut
                    self._is_limited = tx.limit(0)
            elif self._is_limited:
                self._is_limited = tx.limit(2 * tx.size)
            if not host.dirty:
                return

    def _on_gone(self) -> None:
        self.loop.call_soon(self._gone)

    def _call_later(self) -> None:
        if not self._read_later:
            self._read_later = True
            self.loop.call_soon(self._on_read_later)

    def _on_read_later(self) -> None:
        self._read_later = False
        if not self.error:
            self._readable()

    def _failed_reading(self, error: Exception) -> int:
        """What `device.read` should have returned instead of raising this."""
        if isinstance(error, OSError) and error.errno:
            return -error.errno
        message = f"{self.device.name} raised an exception where it was to bring packets"
        self.loop.call_exception_handler({"message": message, "exception": error})
        return -errno.EINVAL

    def _read_failed(self, error: int) -> None:
        if error in GONE:
            self._gone()
            return
        if error in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR):
            return
        self.device.stop()  # down: `_on_link` hears when it is up again
        if error != DOWN:
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
        self._writer.stop()
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
        if at_us and self._writer.is_waiting:  # what is due cannot be sent now
            at_us = max(at_us, self._clock() + FINE_US)
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
            self.host.on_time(now_us, self._writer.is_moving)
            self._transmit(now_us)
        finally:
            self._busy = False
            self._arm()


_drivers: Final[weakref.WeakSet[DeviceDriver]] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """In a forked child: the loop's epoll is shared with the parent, so touch nothing at all."""
    for driver in list(_drivers):
        driver.leave_to_parent()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_leave_to_parent)
