"""Refusals while a program runs no loop: while it imports, and between two of its loops.

A kernel refuses connections then; a stack on no loop would leave them waiting in the device. So
a second host, with the same addresses and nothing on it, answers for the first, on a loop of its
own in a thread of its own. Of the program's host it only asks whether anything is bound there: then
what comes waits in the device, as it does in the backlog of any listener.

The thread is none of `threading`'s: a program that waits for all threads waits for its own. It is
idle while a loop has the stack, since to begin a thread takes longer than to wake one, and ends
before a fork.
"""

from __future__ import annotations

import _thread
import os
import selectors
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pystack.aio.drive.device import PacketDevice, follow_link
from pystack.aio.drive.device_driver import DeviceDriver
from pystack.aio.endpoint.stack import Stack, driver_of, new_host
from pystack.aio.loop.event_loop import EventLoop
from pystack.sockets import Host
from pystack.wire.batch import RxBatch, TxBatch

if TYPE_CHECKING:
    import asyncio

    from pystack.aio.loop.ownership import Ownership
    from pystack.device.link_state import LinkState

_PATIENCE: Final = 5.0  # seconds of doing nothing until a listener without a loop will have none
_IDLE_TICKS: Final = 10  # of 10 ms: with more of the processor's time it still begins
_SOON: Final = 0.005  # seconds
_LOOK_AGAIN: Final = 0.2  # seconds, while a child has the stack
_END_PAUSE: Final = 50e-6  # seconds, until the thread is gone


class Refuser:
    """Answers for a stack, from `start` to `stop`. Both may be called again, by whoever holds
    `ProgramLoop.changing`."""

    def __init__(self, stack: Stack, ownership: Ownership, hint: Callable[[], None]) -> None:
        """`stack` is open, and on no loop. `hint` is called when its program listens, does nothing
        for 5 seconds, and no loop takes it: once, in a thread."""
        self._stack = stack
        self._ownership = ownership
        self._hint: Callable[[], None] | None = hint
        self._host = new_host(stack)
        self._device = _UntilBound(stack.device, stack.host)
        poll: Any = selectors  # Windows has no PollSelector, and no `pystack run`
        self._loop = EventLoop(selector=poll.PollSelector())  # an epoll is shared by a fork
        self._loop.set_debug(False)  # python -X dev is for the program's loops
        self._loop.add_reader(ownership.wanted_fd, self._wanted)
        self._driver: DeviceDriver | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._trying: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._thread_id = 0  # the kernel's, of the thread; 0 where there is none
        self._done = _thread.allocate_lock()  # held, but at the end of what the thread is asked for
        self._done.acquire()
        self._mutex = _thread.allocate_lock()  # for what follows
        self._is_on = False
        self._since = 0.0  # by the clock of the loop
        self._is_armed = False  # a call of _begin is on its way
        self._has_begun = False
        self._goes_on = False  # after a fork

    def start(self) -> None:
        """The program's host is on no loop that has run."""
        if not self._thread_id:
            _thread.start_new_thread(self._work, ())
            self._done.acquire()
        self._goes_on = False
        with self._mutex:
            self._is_on = True
            self._since = self._loop.time()
            armed, self._is_armed = self._is_armed, True
        if not armed:
            self._loop.call_soon_threadsafe(self._begin_soon)

    def stop(self) -> None:
        """When this returns, the device is free for the program's loop."""
        self._goes_on = False
        with self._mutex:
            self._is_on = False
            begun, self._has_begun = self._has_begun, False
        if begun:
            self._loop.call_soon_threadsafe(self._end)
            self._done.acquire()

    def pause(self) -> None:
        """Have no thread until `go_on`."""
        goes_on = self._is_on or self._goes_on
        self.stop()
        self._goes_on = goes_on
        if self._thread_id:
            task = Path(f"/proc/self/task/{self._thread_id}")
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._done.acquire()
            while task.exists():  # Python counts those that end, too
                time.sleep(_END_PAUSE)
            self._thread_id = 0

    def go_on(self) -> None:
        """As it was before `pause`, if it was neither started nor stopped since."""
        if self._goes_on:
            self.start()

    def close(self) -> None:
        """Stop, for good."""
        self.stop()
        self.pause()
        self._loop.close()

    def forget(self) -> None:
        """To be called in a forked child, where it is of no use."""
        self._loop.close()

    # -- in the thread -----------------------------------------------------------------------------
    def _work(self) -> None:
        self._thread_id = _thread.get_native_id()
        self._tell_done()
        try:
            self._loop.run_forever()
        finally:
            self._tell_done()

    def _tell_done(self) -> None:
        if self._done.locked():  # not where Ctrl-C has ended the waiting
            self._done.release()

    def _begin_soon(self) -> None:
        self._loop.call_later(_SOON, self._begin)

    def _begin(self) -> None:
        """Not at once: most programs that run a loop after another do so without delay."""
        with self._mutex:
            wait = self._since + _SOON - self._loop.time()
            self._is_armed = self._is_on and wait > 0
            if not self._is_on:
                return
            if wait > 0:
                self._loop.call_later(wait, self._begin)
                return
            self._has_begun = True
        self._try()

    def _try(self) -> None:
        """Refuse; while another process has the stack, look again later."""
        self._trying = None
        if self._ownership.read_device():
            driver = driver_of(self._stack, self._host, self._device, self._loop)
            driver.start()
            self._driver = driver
            self._ticks = self._used_ticks()
            self._look_later()
        else:
            self._trying = self._loop.call_later(_LOOK_AGAIN, self._try)

    def _wanted(self) -> None:
        """A child asks for the device."""
        wanted = self._ownership.take_wish()
        if wanted and self._driver is not None and self._ownership.user():
            self._let_go()
            self._try()

    def _let_go(self) -> None:
        if self._driver is not None:
            self._driver.let_go()
            self._driver = None
            self._ownership.leave_device()
        if self._looking is not None:  # patience begins anew when nobody has the stack again
            self._looking.cancel()
            self._looking = None

    def _end(self) -> None:
        self._let_go()
        if self._trying is not None:
            self._trying.cancel()
            self._trying = None
        self._tell_done()

    # -- a server without a loop -------------------------------------------------------------------
    def _look(self) -> None:
        self._looking = None
        ticks, self._ticks = self._ticks, self._used_ticks()
        idle = self._ticks - ticks <= _IDLE_TICKS
        if self._hint is not None and self._device.is_bound() and not self._ownership.user():
            if idle:
                hint, self._hint = self._hint, None
                hint()
        self._look_later()

    def _look_later(self) -> None:
        if self._hint is not None:
            self._looking = self._loop.call_later(_PATIENCE, self._look)

    def _used_ticks(self) -> int:
        """What the program has had of the processor's time, with its children."""
        pids = [os.getpid(), *self._ownership.children()]
        return sum(_ticks_of(pid) for pid in pids)


def _ticks_of(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])  # utime and stime (proc(5))


class _UntilBound:
    """A device from which nothing is read any more once anything is bound on `host`."""

    def __init__(self, device: PacketDevice, host: Host) -> None:
        self.name = device.name
        self.mtu = device.mtu
        self.offload = device.offload
        self._device = device
        self._host = host
        self.start = device.start
        self.stop = device.stop
        self.write: Callable[[TxBatch, int], int] = device.write

    def read(self, rx: RxBatch, /) -> int:
        if self.is_bound():
            self.stop()
            return 0
        count = self._device.read(rx)
        if count > 0 and self.is_bound():
            # bound just now, perhaps before these came: lost as on a wire, and not refused by who
            # listens
            self.stop()
            return 0
        return count

    def is_bound(self) -> bool:
        """Whether the program's host has a listener, or a port of UDP."""
        return bool(self._host.listeners or self._host.udp.by_port)

    def follow_link(
        self, loop: asyncio.AbstractEventLoop, changed: Callable[[LinkState], None], /
    ) -> Callable[[], None]:
        return follow_link(self._device, loop, changed)

    async def drops(self) -> dict[str, int]:
        return await self._device.drops()

    def close(self) -> None:
        """Never: it is the program's."""
