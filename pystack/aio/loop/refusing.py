"""Refusals while a program runs no loop: while it imports, and between two of its loops.

A kernel refuses connections then; a stack on no loop would leave them waiting in the device. So
a second host, with the same addresses and nothing on it, answers for the first, on a loop of its
own in a thread of its own. Of the program's host it only asks whether anything is bound there: then
what comes waits in the device, as it does in the backlog of any listener.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from pystack.aio.drive.device import PacketDevice, follow_link
from pystack.aio.endpoint.stack import Stack, driver_of, new_host
from pystack.aio.loop.event_loop import EventLoop
from pystack.aio.loop.install import ProgramLoop
from pystack.sockets import Host
from pystack.wire.batch import RxBatch, TxBatch

if TYPE_CHECKING:
    from pystack.device.link_state import LinkState

_PATIENCE: Final = 3.0  # seconds until a listener without a loop is no program that still begins


class Refuser:
    """Answers for a stack, from `start` to `stop`. Both may be called again, by whoever holds
    `ProgramLoop.changing`."""

    def __init__(self, stack: Stack, hint: Callable[[], None]) -> None:
        """`stack` is open, and on no loop. `hint` is called when its program listens and no loop
        takes it within 3 seconds: once, in a thread."""
        self._stack = stack
        self._hint: Callable[[], None] | None = hint
        self._host = new_host(stack)
        self._device = _UntilBound(stack.device, stack.host)
        self._loop = EventLoop()
        self._over: asyncio.Event
        self._thread: threading.Thread | None = None
        self._paused = False
        self._pid = os.getpid()  # in a forked child the device and the loop are the parent's

    def start(self) -> None:
        """The program's host is on no loop that has run."""
        if self._thread is None and os.getpid() == self._pid and not self._loop.is_closed():
            self._over = asyncio.Event()
            self._thread = threading.Thread(target=self._work, name="pystack refuses", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """When this returns, the device is free for the program's loop."""
        if self._thread is not None and os.getpid() == self._pid:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()
            self._thread = None

    def pause(self) -> None:
        """Have no thread until `go_on`."""
        self._paused = self._thread is not None
        self.stop()

    def go_on(self) -> None:
        """As it was before `pause`."""
        if self._paused:
            self.start()

    def close(self) -> None:
        """Stop, for good."""
        self.stop()
        if os.getpid() == self._pid:
            self._loop.close()

    def _work(self) -> None:
        self._loop.run_until_complete(self._refuse())

    async def _refuse(self) -> None:
        driver = driver_of(self._stack, self._host, self._device, self._loop)
        driver.start()
        while self._hint is not None and not await self._ended_within(_PATIENCE):
            if self._stack.host.listeners:
                self._hint()
                self._hint = None
        await self._over.wait()
        driver.let_go()

    async def _ended_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)
        return self._over.is_set()


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
        if self._is_bound():
            self.stop()
            return 0
        count = self._device.read(rx)
        if count > 0 and self._is_bound():
            # bound just now, perhaps before these came: lost as on a wire, and not refused by who
            # listens
            self.stop()
            return 0
        return count

    def _is_bound(self) -> bool:
        return bool(self._host.listeners or self._host.udp.by_port)

    def follow_link(
        self, loop: asyncio.AbstractEventLoop, changed: Callable[[LinkState], None], /
    ) -> Callable[[], None]:
        return follow_link(self._device, loop, changed)

    async def drops(self) -> dict[str, int]:
        return await self._device.drops()

    def close(self) -> None:
        """Never: it is the program's."""


def _before_fork() -> None:
    """No thread of ours beside a fork: a child could inherit locks that it holds."""
    ProgramLoop.changing.acquire()
    if ProgramLoop.refuser is not None:
        ProgramLoop.refuser.pause()


def _after_fork() -> None:
    if ProgramLoop.refuser is not None:
        ProgramLoop.refuser.go_on()
    ProgramLoop.changing.release()


def _in_child() -> None:
    ProgramLoop.changing = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)


@contextmanager
def refusing(stack: Stack, hint: Callable[[], None]) -> Iterator[None]:
    """Meanwhile connections to `stack` are refused whenever no `ProgramLoop` has it. To be used
    within `installed`. A loop that stands still, and was not closed, has it.

    `hint` is called once when the program listens and no loop takes the stack within 3 seconds, so
    that nobody is answered.
    """
    refuser = Refuser(stack, hint)
    with ProgramLoop.changing:
        ProgramLoop.refuser = refuser
        refuser.start()
    try:
        yield
    finally:
        with ProgramLoop.changing:
            ProgramLoop.refuser = None
            refuser.close()
