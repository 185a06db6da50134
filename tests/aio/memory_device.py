"""Two ends of a wire in memory, each a device for a `Stack`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from errno import EBADFD, EIO

from pystack.device.link_state import LinkState
from pystack.wire.batch import Packet, RxBatch, TxBatch

DELAY = 0.001  # seconds from one end to the other


class MemoryDevice:
    """One end. What it writes is read at `other` a millisecond later.

    `lose` says of each outgoing packet whether it gets lost. `set_down`, `set_mtu` and `remove`
    are what an administrator might do to it.
    """

    def __init__(self, name: str, *, mtu: int = 1500, offload: bool = False) -> None:
        self.name = name
        self.mtu = mtu
        self.offload = offload
        self.other: MemoryDevice
        self.lose: Callable[[Packet], bool] = lambda packet: False
        self.written: list[int] = []  # sizes of the batches
        self.reads = 0
        self.starts = 0
        self.closed = False
        self._error = 0
        self._queue: deque[Packet] = deque()
        self._flying: deque[list[Packet]] = deque()  # to the other end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._readable: Callable[[], None] | None = None
        self._up = True
        self._present = True
        self._changed: Callable[[LinkState], None] | None = None

    # -- what a driver asks of it ------------------------------------------------------------------
    def start(self, loop: asyncio.AbstractEventLoop, readable: Callable[[], None]) -> None:
        self._loop = loop
        self._readable = readable
        self.starts += 1
        if self._queue:
            loop.call_soon(self._call)

    def stop(self) -> None:
        self._readable = None

    def _call(self) -> None:
        if self._readable is not None and (self._queue or self._error):
            self._readable()
            if self._queue:
                assert self._loop is not None
                self._loop.call_soon(self._call)

    def read(self, rx: RxBatch, /) -> int:
        self.reads += 1
        if self._error:
            return -self._error
        rx.clear()
        while self._queue and rx.count < rx.capacity:
            rx.add(*self._queue.popleft())
        return rx.count

    def write(self, tx: TxBatch, first: int, /) -> int:
        if self._error:
            return -self._error
        packets = [
            (bytes(buffer), gso_size, state)
            for buffer, gso_size, state in list(tx)[first:]
            if not self.lose((buffer, gso_size, state))
        ]
        self.written.append(tx.count - first)
        if self._loop is not None:
            self._flying.append(packets)
            self._loop.call_later(DELAY, self._deliver_first)  # two timers of one time may swap
        return tx.count - first

    def follow_link(
        self, loop: asyncio.AbstractEventLoop, changed: Callable[[LinkState], None], /
    ) -> Callable[[], None]:
        self._changed = changed
        self._tell()
        return self._unfollow

    def _unfollow(self) -> None:
        self._changed = None

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed(LinkState(self._present, self._up, self.mtu if self._present else 0))

    async def drops(self) -> dict[str, int]:
        return {"queue_full": 0}

    def close(self) -> None:
        self.closed = True

    # -- what happens to it ------------------------------------------------------------------------
    def _deliver_first(self) -> None:
        self.other.deliver(self._flying.popleft())

    def deliver(self, packets: list[Packet]) -> None:
        """Packets come out at this end."""
        if self._up and self._loop is not None and not self._loop.is_closed():
            self._queue.extend(packets)
            self._call()

    def set_down(self, down: bool) -> None:
        """Take the link down, or up again."""
        self._up = not down
        self._error = EIO if down else 0
        self._tell()
        self._call()

    def set_mtu(self, mtu: int) -> None:
        """Change the MTU of this end."""
        self.mtu = mtu
        self._tell()

    def remove(self) -> None:
        """Delete the device under whoever uses it."""
        self._present = False
        self._error = EBADFD
        self._tell()
        self._call()


def joined_devices(*, mtu: int = 1500, offload: bool = False) -> tuple[MemoryDevice, MemoryDevice]:
    """Both ends of a wire."""
    left = MemoryDevice("left", mtu=mtu, offload=offload)
    right = MemoryDevice("right", mtu=mtu, offload=offload)
    left.other, right.other = right, left
    return left, right
