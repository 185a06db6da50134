"""What is a device to the stack? The contract of `Stack.over`; docs/devices.md tells all of it.

Packets are whole IP packets, IPv4 or IPv6, with nothing before them. All calls are made in the
thread of the loop, and none of them may block.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from pystack.errors import EBADFD
from pystack.wire.batch import RxBatch, TxBatch

if TYPE_CHECKING:
    from pystack.device.link_state import LinkState

# What an errno of `read` and `write` means. Any other: that packet alone was refused.
FULL: Final = frozenset({0, errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR, errno.ENOBUFS})
DOWN: Final = errno.EIO
GONE: Final = frozenset({errno.EBADF, EBADFD, errno.ENODEV})


class PacketDevice(Protocol):
    """Where packets come from and go to. `TunDevice`, `CableEnd`, `ImpairedDevice` and
    `CallableDevice` are devices; a device serves one stack at a time.

    `name` is for messages. A device that is an interface of the kernel's has its number as `index`:
    sockets know it by both (scope ids, SO_BINDTODEVICE). `mtu` is the largest packet that is given
    to `write`, in bytes, when the stack opens; `follow_link` may tell of changes. With `offload`
    packets of `write` may be runs of up to 64 KB with a gso_size, and have partial checksums;
    `read` may bring such packets in any case.
    """

    name: str
    mtu: int
    offload: bool

    def start(self, loop: asyncio.AbstractEventLoop, readable: Callable[[], None]) -> None:
        """Call `readable` on `loop` whenever `read` has packets, until `stop`, and again as long
        as some are left; also when `write` takes packets again after it was full.

        Not from within `start` or `write`: `loop.call_soon` is the way. A call too many does no
        harm. May be called while it is started, and after a `stop`, then perhaps with another
        loop: packets that came meanwhile are still there.
        """

    def stop(self) -> None:
        """Call `readable` no more. May be called again."""

    def read(self, rx: RxBatch, /) -> int:
        """Clear `rx`, `add` up to `rx.capacity` packets, and return their number, or -errno.

        EAGAIN and EINTR are as 0: nothing is there. EIO: the link is down; EBADF, EBADFD or
        ENODEV: the device is gone; another one: ask again in a moment. An OSError that is raised
        means the same, another exception is reported to the loop's exception handler as well.
        """

    def write(self, tx: TxBatch, first: int, /) -> int:
        """Take packets from number `first` on (`tx.packet(number)`), and return how many were
        taken, or -errno if it was none. They are valid during the call only.

        0, EAGAIN, EINTR or ENOBUFS: the carrier is full. Packets that were not taken are kept by
        the driver, which offers them again when `readable` is called, and in a few ms anyway;
        further ones wait in the stack, or are lost once nothing has been taken for 5 s.
        EIO: the link is down, and all are lost, as on a wire. EBADF, EBADFD or ENODEV: the device
        is gone, which ends all connections. Any other errno: packet `first` is lost, the next one
        is offered. An OSError that is raised means the same; another exception is reported to the
        loop's exception handler, and is as a refusal.
        """

    async def drops(self) -> dict[str, int]:
        """Packets lost at the device since it was made, by why: `Stack.drop_counters` shows them
        by these names."""

    def close(self) -> None:
        """Gone for good: packets that wait to be read are lost, `write` fails with EBADF. May be
        called again."""


@runtime_checkable
class ReportsLink(Protocol):
    """A device whose link can change: go down, come up again, get another MTU, be removed. One
    without this method has a link that is always up."""

    def follow_link(
        self, loop: asyncio.AbstractEventLoop, changed: Callable[[LinkState], None], /
    ) -> Callable[[], None]:
        """Call `changed` on `loop` with the state of the link: soon, and after each change, until
        what this returns is called. Raises OSError."""


@runtime_checkable
class GoesToChild(Protocol):
    """A device that a fork can give to the child, while it is started on no loop."""

    def keep_in_child(self, kept: bool, /) -> None:
        """Whether children that are forked from now on have it, too."""


def follow_link(
    device: PacketDevice, loop: asyncio.AbstractEventLoop, changed: Callable[[LinkState], None]
) -> Callable[[], None]:
    """As `ReportsLink.follow_link`, of any device."""
    return device.follow_link(loop, changed) if isinstance(device, ReportsLink) else no_link


def no_link() -> None:
    """What ends the following of a link that cannot change."""
