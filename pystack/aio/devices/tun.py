"""A TUN device as a driver wants it: its descriptor on the loop, read and written in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Self

from pystack.device.link_state import LinkState
from pystack.device.tun import Tun, open_tun
from pystack.printed import printed
from pystack.wire import codec
from pystack.wire.batch import RxBatch, TxBatch

DEFAULT_QUEUE_LENGTH: Final = 4096  # packets; 500 clients at once send more than 1000


class TunDevice:
    """`Tun` as a `PacketDevice`: `name`, `mtu` and `offload` are the device's.

    It is never full: what the kernel has no room for it drops, and counts.
    """

    __slots__ = ("tun", "name", "index", "mtu", "offload", "_fd", "_loop")

    @classmethod
    async def open(
        cls, name: str, addresses: Iterable[tuple[str, str | None]], *, mtu: int,
        netns: str | None, offload: bool, queue_length: int | None,
    ) -> Self:  # fmt: skip
        """Make the device; see `device.open_tun`. Raises SetupError."""
        length = DEFAULT_QUEUE_LENGTH if queue_length is None else queue_length
        return cls(
            await open_tun(
                name, addresses=addresses, mtu=mtu, netns=netns, offload=offload,
                queue_length=length,
            )
        )  # fmt: skip

    def __init__(self, tun: Tun) -> None:
        self.tun = tun
        self.name = tun.name
        self.index = tun.index
        self.mtu = tun.mtu
        self.offload = tun.offload
        self._fd = tun.fd
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return printed(self, lambda: repr(self.tun))

    def start(self, loop: asyncio.AbstractEventLoop, readable: Callable[[], None]) -> None:
        """See `PacketDevice.start`."""
        if self._loop is None:
            self._loop = loop
            loop.add_reader(self._fd, readable)

    def stop(self) -> None:
        """See `PacketDevice.stop`."""
        loop, self._loop = self._loop, None
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self._fd)

    def read(self, rx: RxBatch, /) -> int:
        """See `PacketDevice.read`."""
        return codec.read_batch(
            self._fd, rx.pinned, rx.slot_size, rx.capacity, self.offload, rx.records_pinned
        )

    def write(self, tx: TxBatch, first: int, /) -> int:
        """See `PacketDevice.write`."""
        return codec.write_batch(
            self._fd, tx.pinned, tx.records_pinned, first, tx.count - first, self.offload
        )

    def follow_link(
        self, loop: asyncio.AbstractEventLoop, changed: Callable[[LinkState], None], /
    ) -> Callable[[], None]:
        """See `ReportsLink.follow_link`."""
        return self.tun.follow_link(loop, changed)

    def keep_in_child(self, kept: bool, /) -> None:
        self.tun.kept_in_child = kept

    async def drops(self) -> dict[str, int]:
        """See `PacketDevice.drops`."""
        counters = await self.tun.counters()
        return {
            "queue_full": counters.read_dropped,
            "kernel_refused": counters.written_dropped,
        }

    def close(self) -> None:
        """See `PacketDevice.close`."""
        self.stop()
        self._fd = -1  # the number may soon be another file's
        self.tun.close()
