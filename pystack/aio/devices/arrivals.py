"""Packets that wait to be read from a device in memory, and the calls that tell its driver so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from threading import get_ident
from typing import Final

from pystack.printed import printed, several
from pystack.wire.batch import Packet, RxBatch

QUEUE_LENGTH: Final = 4096  # packets, where none is given


class Arrivals:
    """The reading half of a `PacketDevice`: `start`, `stop` and `read` are the device's.

    `packets` is the queue. What is added outlives `stop`, for whoever starts it next. `add` and
    `wake` may be called from any thread, the rest in that of the loop.
    """

    __slots__ = ("packets", "_loop", "_readable", "_thread", "_calling")

    def __init__(self) -> None:
        self.packets: deque[Packet] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._readable: Callable[[], None] | None = None
        self._thread = 0
        self._calling = False  # a call of _call is on its way

    def __repr__(self) -> str:
        return printed(self, lambda: f"{several(len(self.packets), 'packet')} to be read")

    def start(self, loop: asyncio.AbstractEventLoop, readable: Callable[[], None]) -> None:
        """See `PacketDevice.start`."""
        if loop is not self._loop:  # which made that call is another one's
            self._calling = False
        self._loop = loop
        self._thread = get_ident()
        self._readable = readable
        if self.packets:
            self.wake()

    def stop(self) -> None:
        """See `PacketDevice.stop`."""
        self._readable = None

    def read(self, rx: RxBatch, /) -> int:
        """See `PacketDevice.read`."""
        rx.clear()
        packets = self.packets
        while packets and rx.count < rx.capacity:
            rx.add(*packets.popleft())
        return rx.count

    def add(self, packets: Iterable[Packet]) -> None:
        """Packets that nobody else changes have come."""
        self.packets.extend(packets)
        if self.packets:
            self.wake()

    def wake(self) -> None:
        """Have the driver called soon: to read, or to write what there was no room for."""
        if self._readable is None or self._calling:
            return
        assert self._loop is not None
        self._calling = True
        if get_ident() == self._thread:
            self._loop.call_soon(self._call)
        else:
            self._loop.call_soon_threadsafe(self._call)

    def call(self) -> None:
        """Have the driver read now; what it leaves, in another turn of the loop."""
        if self._readable is not None:
            self._readable()
            if self.packets:
                self.wake()

    def _call(self) -> None:
        self._calling = False
        self.call()
