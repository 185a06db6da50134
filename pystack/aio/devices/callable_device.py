"""A device over two callables: for a socket, a stream, or whatever else carries packets.

    sock.setblocking(False)  # a connected UDP socket
    device = CallableDevice(sock.send, mtu=1400)
    loop.add_reader(sock, lambda: device.received(sock.recv(65535)))
    async with Stack.over(device, "10.0.0.1/24") as stack:
        ...

What else there is to know stands in docs/devices.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from errno import EBADF, EINVAL, EIO

from pystack import arguments
from pystack.aio.devices.arrivals import QUEUE_LENGTH, Arrivals
from pystack.aio.drive.device import FULL
from pystack.device.link_state import GONE, LinkState
from pystack.printed import printed
from pystack.wire.batch import RxBatch, TxBatch
from pystack.wire.consts import CHECKSUM_COMPLETE, CHECKSUM_VALID
from pystack.wire.ip_fields import Buffer


class CallableDevice:
    """A `PacketDevice` that sends by a callable, and receives what `received` is given.

    `name` is for messages, `mtu` is in bytes, `offload` is false: packets are whole and cut.
    `sent` and `arrived` count packets that were taken by `send` and by `received`, `queue_full`
    those that `received` did not take.
    """

    __slots__ = (
        "name", "mtu", "sent", "arrived", "queue_full", "_send", "_state", "_queue_length",
        "_arrivals", "_was_full", "_up", "_closed", "_loop", "_changed", "__weakref__",
    )  # fmt: skip

    offload = False

    def __init__(
        self,
        send: Callable[[bytes], object],
        *,
        mtu: int = 1500,
        name: str = "callable",
        verify_checksums: bool = True,
        queue_length: int = QUEUE_LENGTH,
    ) -> None:
        """`send(packet)` carries one IP packet away, in the thread of the loop; it may not block.

        False or BlockingIOError mean that the carrier is full: the packet is kept, and given to
        `send` again after `ready`, or in a few ms. OSError with EBADF or ENODEV means that the
        carrier is gone, which ends all connections, with EIO that it is down. Any other exception
        costs that packet; one that is no OSError is reported to the loop's exception handler.

        Without `verify_checksums` packets are trusted to have arrived whole, as over TLS or within
        one machine. `queue_length` is how many packets may wait to be read. Raises TypeError and
        ValueError.
        """
        if not callable(send):
            wanted = "a callable was expected that carries a packet away, such as sock.send"
            raise TypeError(arguments.unfit("send", send, wanted))
        self.name = arguments.text("name", name, "callable")
        self.sent = 0
        self.arrived = 0
        self.queue_full = 0
        self.mtu = arguments.mtu(mtu)
        self._send = send
        self._state = CHECKSUM_COMPLETE if verify_checksums else CHECKSUM_VALID
        self._queue_length = arguments.whole(
            "queue_length", queue_length, "a number of packets was expected", 1
        )
        self._arrivals = Arrivals()
        self._was_full = False
        self._up = True
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: Callable[[LinkState], None] | None = None

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        state = " closed" if self._closed else "" if self._up else " down"
        return f"{self.name}{state} sent {self.sent}, arrived {self.arrived}"

    # -- what the carrier calls ------------------------------------------------------------------
    def received(self, packet: Buffer) -> bool:
        """A packet has come; it is copied. May be called from any thread, and before the stack is
        open. False when it is lost, as too many wait to be read, or the device is closed."""
        if self._closed:
            return False
        if len(self._arrivals.packets) >= self._queue_length:
            self.queue_full += 1
            return False
        self.arrived += 1
        self._arrivals.add(((bytes(packet), 0, self._state),))
        return True

    def ready(self) -> None:
        """The carrier has room again. May be called from any thread, and without need."""
        if self._was_full:
            self._arrivals.wake()

    def set_link(self, *, up: bool | None = None, mtu: int | None = None) -> None:
        """The link goes down or comes up, or has another MTU, in bytes. While it is down what is
        sent is lost, and connections wait. May be called from any thread. Raises ValueError and
        TypeError."""
        if mtu is not None:
            self.mtu = arguments.mtu(mtu)
        if up is not None:
            self._up = up
        self._tell()

    def close(self) -> None:
        """The carrier is gone: all connections end with ENETDOWN. Stacks call it at their end. May
        be called from any thread, and again."""
        if self._closed:
            return
        self._closed = True
        self._arrivals.packets.clear()
        self._tell()

    # -- what a driver asks of it ----------------------------------------------------------------
    def start(self, loop: asyncio.AbstractEventLoop, readable: Callable[[], None]) -> None:
        """See `PacketDevice.start`."""
        if not self._closed:
            self._arrivals.start(loop, readable)

    def stop(self) -> None:
        """See `PacketDevice.stop`."""
        self._arrivals.stop()

    def read(self, rx: RxBatch, /) -> int:
        """See `PacketDevice.read`."""
        return -EBADF if self._closed else self._arrivals.read(rx)

    def write(self, tx: TxBatch, first: int, /) -> int:
        """See `PacketDevice.write`."""
        if self._closed:
            return -EBADF
        if not self._up:
            return -EIO
        self._was_full = False
        taken = 0
        for index in range(first, tx.count):
            try:
                outcome = self._send(bytes(tx.packet(index)[0]))
            except OSError as error:
                code = error.errno or EINVAL
                self._was_full = code in FULL
                return taken or -code
            except Exception:
                if taken:
                    break  # it is raised again, with this packet as the first
                raise
            if outcome is False:
                self._was_full = True
                break
            taken += 1
            self.sent += 1
        return taken

    def follow_link(
        self, loop: asyncio.AbstractEventLoop, changed: Callable[[LinkState], None], /
    ) -> Callable[[], None]:
        """See `ReportsLink.follow_link`."""
        self._loop = loop
        self._changed = changed
        self._tell()
        return self._unfollow

    async def drops(self) -> dict[str, int]:
        """See `PacketDevice.drops`."""
        return {"queue_full": self.queue_full}

    def _unfollow(self) -> None:
        self._changed = None

    def _tell(self) -> None:
        if self._changed is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._tell_now)

    def _tell_now(self) -> None:
        if self._changed is not None:
            self._changed(GONE if self._closed else LinkState(True, self._up, self.mtu))
