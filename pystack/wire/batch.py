"""Packets on their way in and out, in arenas of a fixed size that C may keep a pointer to.

`RxBatch` holds received packets and their parsed records, `TxBatch` the packets to be sent. Both
are filled, used and cleared again and again; nothing taken from one outlives its `clear`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pystack.printed import printed, several
from pystack.wire import codec, consts
from pystack.wire.arenas import SLOT_HEADROOM, TX_RECORD, zeros
from pystack.wire.ip_fields import Buffer
from pystack.wire.segment import CHECKSUM_STATE_OFFSET, RECORD_SIZE, Segment

Packet = tuple[Buffer, int, int]  # an IP packet, its gso_size (or 0), its checksum state

MAX_PACKET: Final = consts.IPV6_HEADER + 0xFFFF
_LARGEST_HEADERS: Final = 120  # IPv4 with all options and TCP with all options
_LARGEST_RUN: Final = 256 * 1024  # MAX_PACKET, cut into pieces of the least MSS that is taken, 48
_pack_record: Final = TX_RECORD.pack_into  # bound once: each packet goes through them
_unpack_record: Final = TX_RECORD.unpack_from
_RECORD: Final = TX_RECORD.size


class RxBatch:
    """`capacity` slots of `slot_size` bytes; packet i is described by record i of `records`.

    `codec.read_batch(fd, rx.pinned, rx.slot_size, rx.capacity, vnet, rx.records_pinned)` fills
    it from a descriptor, `add` from memory.
    """

    __slots__ = (
        "arena", "view", "pinned", "records", "records_pinned", "capacity", "slot_size", "count",
    )  # fmt: skip

    def __init__(self, slots: int = 16, slot_size: int = 65536 + 128) -> None:
        """`slot_size`: the largest packet plus SLOT_HEADROOM, in bytes."""
        if slots < 1 or slot_size < SLOT_HEADROOM + consts.IPV4_MIN_MTU:
            raise ValueError(f"no room for packets: {slots} slots of {slot_size} bytes")
        self.arena = zeros(slots * slot_size)
        self.view = memoryview(self.arena)
        self.pinned = codec.pin(self.arena)
        self.records = bytearray(slots * RECORD_SIZE)
        self.records_pinned = codec.pin(self.records)
        self.capacity = slots
        self.slot_size = slot_size
        self.count = 0

    def add(self, buffer: Buffer, gso_size: int, checksum_state: int) -> int:
        """Copy a packet into the next slot and parse it; its kind (KIND_…) is returned.

        A packet that is too large for a slot becomes one of KIND_BAD. Raises IndexError when
        all slots are taken.
        """
        index = self.count
        if index >= self.capacity:
            raise IndexError("all slots of the batch are taken")
        start = index * self.slot_size + SLOT_HEADROOM
        length = len(buffer)
        if length > self.slot_size - SLOT_HEADROOM:
            length = self.slot_size - SLOT_HEADROOM
            buffer = buffer[:length]
        self.view[start : start + length] = buffer
        self.count = index + 1
        return codec.parse(
            self.pinned, start, length, checksum_state, gso_size, self.records_pinned, index
        )

    def clear(self) -> None:
        """Give all slots free."""
        self.count = 0

    def __repr__(self) -> str:
        return printed(self, lambda: f"{several(self.count, 'packet')} of {self.capacity}")

    def packets(self, count: int) -> Iterator[Packet]:
        """The first `count` packets as they came in, to be captured or handed on."""
        segment = Segment()
        for index in range(count):
            segment.load(self.view, self.records, index)
            state = self.records[index * RECORD_SIZE + CHECKSUM_STATE_OFFSET]
            yield self.view[segment.start : segment.end], segment.gso_size, state


class TxBatch:
    """Packets to be sent, built in place: `reserve` a place, build there, `commit`.

    With `gso` a run larger than its MSS leaves as one packet with a gso_size; without it,
    `commit` cuts such a run into packets. `checksum_state` is what a builder is to leave in the
    checksum field. Iterating gives Packets; `codec.write_batch(fd, tx.pinned, tx.records_pinned,
    0, tx.count, vnet)` writes them.
    """

    __slots__ = (
        "arena", "view", "pinned", "records", "records_pinned", "capacity", "size", "count",
        "used", "gso", "checksum_state", "_most", "_lengths", "_lengths_pinned",
    )  # fmt: skip

    def __init__(
        self, size: int = 1 << 20, *, gso: bool = True, checksum_offload: bool = True
    ) -> None:
        """`size` in bytes; without `gso` a scratch tail for one run comes behind it."""
        self.size = self._most = size
        self.arena = zeros(size if gso else size + MAX_PACKET)
        self.view = memoryview(self.arena)
        self.pinned = codec.pin(self.arena)
        self.capacity = max(size // 256, 64)
        self.records = zeros(self.capacity * _RECORD)
        self.records_pinned = codec.pin(self.records)
        self._lengths = bytearray(0 if gso else self.capacity * 2)
        self._lengths_pinned = codec.pin(self._lengths)
        self.gso = gso
        self.checksum_state = (
            consts.CHECKSUM_PARTIAL if checksum_offload else consts.CHECKSUM_COMPLETE
        )
        self.count = 0
        self.used = 0

    def __repr__(self) -> str:
        return printed(self, lambda: f"{several(self.count, 'packet')} of {self.capacity}")

    def keep_first(self, count: int) -> None:
        """Forget all packets but the first `count`."""
        self.count = count

    def reserve(self, length: int, gso_size: int = 0) -> int:
        """The offset in the arena at which a packet of `length` bytes may be built.

        -1 if there is no room for it, or for the pieces that it will be cut into. Until the
        `commit` nothing is taken: another `reserve` gives the same place.
        """
        if gso_size and not self.gso and length > consts.IPV4_HEADER + 20 + gso_size:
            return self._reserve_run(length, gso_size)
        if length > self.size - self.used or self.count >= self.capacity:
            return -1
        return self.used

    def _reserve_run(self, length: int, gso_size: int) -> int:
        pieces = length // gso_size + 1
        if length > MAX_PACKET or self.count + pieces > self.capacity:
            return -1
        return self.size if length + pieces * _LARGEST_HEADERS <= self.size - self.used else -1

    def commit(self, off: int, length: int, gso_size: int, checksum_state: int) -> None:
        """Take the packet that was built at `off`, the offset that `reserve` gave."""
        if off >= self.size:
            self._commit_run(off, length, gso_size)
            return
        count = self.count
        _pack_record(
            self.records, count * _RECORD, off, length, gso_size if self.gso else 0, checksum_state
        )
        self.count = count + 1
        self.used = (off + length + 15) & -16

    def put(self, packet: bytes) -> bool:
        """Take a finished packet, checksum and all; False if there is no room for it."""
        off = self.reserve(len(packet))
        if off < 0:
            return False
        self.view[off : off + len(packet)] = packet
        self.commit(off, len(packet), 0, consts.CHECKSUM_COMPLETE)
        return True

    def _commit_run(self, off: int, length: int, gso_size: int) -> None:
        at = self.used
        pieces = codec.cut(
            self.pinned, off, length, gso_size, self.pinned, at, self._lengths_pinned
        )
        for index in range(pieces):
            size = self._lengths[2 * index] | self._lengths[2 * index + 1] << 8
            _pack_record(self.records, self.count * _RECORD, at, size, 0, consts.CHECKSUM_COMPLETE)
            self.count += 1
            at += size
        self.used = (at + 15) & -16

    def limit(self, size: int) -> bool:
        """Take no more than `size` bytes at once from now on, but the largest run in any case.
        Whether that is less than was asked for when it was made. Call it between `transmit`s."""
        self.size = min(max(size, _LARGEST_RUN), self._most)
        return self.size < self._most

    def clear(self) -> None:
        """Give all room free; packets taken by iterating are no longer valid."""
        self.count = 0
        self.used = 0

    def packet(self, index: int) -> Packet:
        """One of the packets."""
        start, length, gso_size, state = _unpack_record(self.records, index * _RECORD)
        return self.view[start : start + length], gso_size, state

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Packet]:
        view = self.view
        for index in range(self.count):
            start, length, gso_size, state = _unpack_record(self.records, index * _RECORD)
            yield view[start : start + length], gso_size, state
