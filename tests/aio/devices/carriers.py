"""Each kind of device with its far side: how packets come to it, and what it has sent."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from pystack.aio.devices.cable import Cable
from pystack.aio.devices.callable_device import CallableDevice
from pystack.aio.devices.impaired import ImpairedDevice, parsed
from pystack.aio.devices.tun import TunDevice
from pystack.aio.drive.device import PacketDevice
from pystack.device.netns import call_in, open_namespace
from pystack.wire.batch import RxBatch, TxBatch
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

PROTOCOL = 253  # for experiments (RFC 3692)
OURS, THEIRS = "198.18.0.2", "198.18.0.1"


def packet(number: int, source: str = THEIRS, target: str = OURS) -> bytes:
    """An IPv4 packet with a number in it, by default one that comes to us."""
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 24, 1 + number, 0, 64, PROTOCOL, 0, socket.inet_aton(source),
        socket.inet_aton(target),
    )  # fmt: skip
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return header[:10] + checksum.to_bytes(2, "big") + header[12:] + number.to_bytes(4, "big")


def ours(number: int) -> bytes:
    """One that we send."""
    return packet(number, OURS, THEIRS)


class Carrier:
    """A device and its far side. `bring` has packets arrive; `taken` are those that the device
    has carried away. `fill` makes it full until `drain`, where it can be."""

    fill: Callable[[], None] | None = None
    drain: Callable[[], None] | None = None

    def __init__(self, device: PacketDevice) -> None:
        self.device = device
        self.taken: list[bytes] = []

    def bring(self, packets: Iterable[bytes]) -> None:
        raise NotImplementedError


class _OverCallables(Carrier):
    """A `CallableDevice`, or an `ImpairedDevice` before it."""

    def __init__(self, impair: str = "") -> None:
        self.room = 1 << 30
        self.inner = CallableDevice(self._send)
        super().__init__(ImpairedDevice(self.inner, parsed(impair)) if impair else self.inner)

    def _send(self, one: bytes) -> bool:
        if self.room <= 0:
            return False
        self.room -= 1
        self.taken.append(one)
        return True

    def bring(self, packets: Iterable[bytes]) -> None:
        for one in packets:
            assert self.inner.received(one)

    def fill(self) -> None:
        self.room = 0

    def drain(self) -> None:
        self.room = 1 << 30
        self.inner.ready()


class _OverCable(Carrier):
    """An end of a `Cable`, or an `ImpairedDevice` before it. Nobody reads at the other end while
    it is full."""

    def __init__(self, impair: str = "") -> None:
        cable = Cable()
        end, self.far = cable.left, cable.right
        super().__init__(ImpairedDevice(end, parsed(impair)) if impair else end)
        self.far.start(asyncio.get_running_loop(), self._read)

    def _read(self) -> None:
        rx = RxBatch()
        while count := self.far.read(rx):
            self.taken += [bytes(buffer) for buffer, _, _ in rx.packets(count)]

    def bring(self, packets: Iterable[bytes]) -> None:
        tx = batch(packets)
        assert self.far.write(tx, 0) == tx.count

    def fill(self) -> None:
        self.far.stop()

    def drain(self) -> None:
        self.far.start(asyncio.get_running_loop(), self._read)


class _OverTun(Carrier):
    """A TUN device. The kernel is never full."""

    def __init__(self, device: TunDevice, raw: socket.socket) -> None:
        super().__init__(device)
        self.raw = raw
        asyncio.get_running_loop().add_reader(raw, self._read)

    def _read(self) -> None:
        self.taken.append(self.raw.recv(65535))

    def bring(self, packets: Iterable[bytes]) -> None:
        for one in packets:
            self.raw.sendto(one, (OURS, 0))


KINDS = ("callable", "cable", "impaired callable", "impaired cable")


@asynccontextmanager
async def carrier(kind: str, namespace: Namespace | None = None) -> AsyncIterator[Carrier]:
    """One of KINDS, or of "tun" and "impaired tun" in a namespace."""
    impair = "delay 1ms" if kind.startswith("impaired") else ""
    if not kind.endswith("tun"):
        made = _OverCallables(impair) if kind.endswith("callable") else _OverCable(impair)
        try:
            yield made
        finally:
            made.device.close()
        return
    assert namespace is not None
    tun = await TunDevice.open(
        "tun0", [(f"{OURS}/24", None)], mtu=1500, netns=namespace.path, offload=False,
        queue_length=None,
    )  # fmt: skip
    inside = open_namespace(namespace.path)
    raw = call_in(inside, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, PROTOCOL))
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
    raw.setblocking(False)
    over = _OverTun(tun, raw)
    if impair:
        over.device = ImpairedDevice(tun, parsed(impair))
    try:
        yield over
    finally:
        asyncio.get_running_loop().remove_reader(raw)
        raw.close()
        os.close(inside)
        over.device.close()


def batch(packets: Iterable[bytes]) -> TxBatch:
    """A batch of whole packets."""
    tx = TxBatch(gso=False, checksum_offload=False)
    for one in packets:
        at = tx.reserve(len(one))
        tx.view[at : at + len(one)] = one
        tx.commit(at, len(one), 0, 0)
    return tx


async def until(condition: Callable[[], object]) -> None:
    """Wait for it; the limit is a safety net."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 (no callback tells of it)
            await asyncio.sleep(0.001)
