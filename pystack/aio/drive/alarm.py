"""Being called at a time, to within some tens of µs where the kernel has a timerfd.

asyncio's own timers wait in whole milliseconds, rounded up, as epoll does: on 2 cores they came
0.1 to 1 ms late where a timerfd came 0.03 ms late.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Final, Protocol

_CLOCK_MONOTONIC: Final = 1  # <time.h>, <sys/timerfd.h>
_TFD_NONBLOCK: Final[int] = getattr(os, "O_NONBLOCK", 0)
_TFD_CLOEXEC: Final[int] = getattr(os, "O_CLOEXEC", 0)
_TFD_TIMER_ABSTIME: Final = 1


def monotonic_us() -> int:
    """The time as a host wants it: µs, above 0, never going back."""
    return time.monotonic_ns() // 1000 + 1


class Alarm(Protocol):
    """One deadline. `set` replaces the one before; the callback may set it anew."""

    def set(self, at_us: int) -> None:
        """Ring at this time of the clock, at once if it has passed."""

    def close(self) -> None:
        """Ring no more."""


class LoopAlarm:
    """By the loop's own timers, for a loop and a clock of any kind."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], int], ring: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at_us: int) -> None:
        self.close()
        delay = max(at_us - self._clock(), 0) / 1e6
        self._handle = self._loop.call_later(delay, self._ring)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


class TimerAlarm:
    """By a timerfd, for `monotonic_us` as the clock. Raises OSError where there is none, and
    NotImplementedError on a loop that waits for no descriptors.

    Python has one from 3.13 on (`os.timerfd_create`); this is libc's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            create, self._settime = libc.timerfd_create, libc.timerfd_settime
        except (AttributeError, OSError) as error:
            raise OSError(f"libc has no timerfd: {error}") from None
        self._settime.argtypes = (
            ctypes.c_int, ctypes.c_int, ctypes.POINTER(_Itimerspec), ctypes.c_void_p,
        )  # fmt: skip
        self._fd: int = create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._spec = _Itimerspec()
        self._loop = loop
        self._ring = ring
        try:
            loop.add_reader(self._fd, self._on_readable)
        except BaseException:
            os.close(self._fd)
            raise

    def set(self, at_us: int) -> None:
        # `monotonic_us` is one more than the clock's µs; a time of 0 would disarm it
        seconds, micros = divmod(max(at_us - 1, 1), 1_000_000)
        value = self._spec.it_value
        value.tv_sec, value.tv_nsec = seconds, micros * 1000
        self._settime(self._fd, _TFD_TIMER_ABSTIME, self._spec, None)

    def close(self) -> None:
        if self._fd >= 0:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_readable(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return  # it was set anew since it rang
        self._ring()


def finest_alarm(
    loop: asyncio.AbstractEventLoop, clock: Callable[[], int], ring: Callable[[], None]
) -> Alarm:
    """The most exact alarm there is for `clock`, the loop's time as `monotonic_us` or another."""
    if clock is monotonic_us and sys.platform == "linux":
        try:
            return TimerAlarm(loop, ring)
        except (OSError, NotImplementedError):
            pass  # a libc, a kernel or a loop without it: a little later, then
    return LoopAlarm(loop, clock, ring)


class DeadlineAlarm:
    """The alarm of a device with deadlines of its own, which may go from loop to loop.

    `arm` sets it, `ring` is called then, or somewhat earlier: whoever is called arms it anew.
    """

    __slots__ = ("_clock", "_ring", "_loop", "_alarm", "_at_us")

    def __init__(self, clock: Callable[[], int], ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alarm: Alarm | None = None
        self._at_us = 0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ring on this loop from now on; `arm` it then."""
        if self._alarm is not None and loop is not self._loop:
            self.close()
        if self._alarm is None:
            self._loop = loop
            self._alarm = finest_alarm(loop, self._clock, self._on_time)

    def arm(self, at_us: int) -> None:
        """Ring no later than this time of the clock; 0 asks for nothing. Before `start` too."""
        if at_us and self._alarm is not None and not 0 < self._at_us <= at_us:
            self._at_us = at_us
            self._alarm.set(at_us)

    def close(self) -> None:
        """Ring no more, until it is started again."""
        if self._alarm is not None:
            self._alarm.close()
            self._alarm, self._at_us = None, 0

    def _on_time(self) -> None:
        self._at_us = 0
        self._ring()
