"""Packets as they would look on a wire: what offloading leaves to an interface, done here."""

from __future__ import annotations

from mmap import mmap
from typing import Final

from pystack.wire import codec, consts
from pystack.wire.arenas import zeros
from pystack.wire.batch import Packet
from pystack.wire.ip_fields import Buffer
from pystack.wire.segment import RECORD_SIZE, Segment

_LARGEST: Final = 0xFFFF + 40  # octets of a run, with its IP header
_HEADERS: Final = 120  # the largest there are, IPv4's and TCP's with all options
_PIECES: Final = 512  # of a run that is cut in place; others are cut in buffers made for them


def completed(packet: Packet) -> Buffer:
    """The packet's octets with a full transport checksum: its own buffer if it has one already."""
    buffer, _, checksum_state = packet
    if checksum_state != consts.CHECKSUM_PARTIAL:
        return buffer
    copy = bytearray(buffer)
    codec.complete_checksum(codec.pin(copy), 0, len(copy))
    return copy


def wire_packets(packet: Packet) -> list[Packet]:
    """The packets that an interface would send for it: cut by gso_size, with full checksums.

    What is no valid TCP segment larger than its gso_size comes back whole.
    """
    buffer, gso_size, checksum_state = packet
    if 0 < gso_size < len(buffer):
        whole = bytearray(buffer)
        arena = codec.pin(whole)
        record = bytearray(RECORD_SIZE)
        segment = Segment()
        codec.parse(arena, 0, len(whole), checksum_state, gso_size, codec.pin(record), 0)
        if segment.load(memoryview(whole), record, 0) == consts.KIND_TCP and segment.segs > 1:
            headers = segment.payload_offset - segment.start
            out = bytearray(segment.length + segment.segs * headers)
            lengths = bytearray(2 * segment.segs)
            codec.cut(arena, 0, len(whole), gso_size, codec.pin(out), 0, codec.pin(lengths))
            return _split(out, lengths, segment.segs)
    return [(completed(packet), 0, consts.CHECKSUM_COMPLETE)]


class Cutter:
    """Does what `wire_packets` does, in buffers that are used again and again."""

    __slots__ = (
        "_view", "_out", "_lengths", "_pinned", "_out_pinned", "_lengths_pinned",
    )  # fmt: skip

    def __init__(self) -> None:
        arena = zeros(_LARGEST)
        self._view = memoryview(arena)
        self._out = zeros(_LARGEST + _PIECES * _HEADERS)
        self._lengths = bytearray(2 * _PIECES)
        self._pinned = codec.pin(arena)
        self._out_pinned = codec.pin(self._out)
        self._lengths_pinned = codec.pin(self._lengths)

    def packets(self, packet: Packet) -> list[Packet]:
        """The packets that an interface would send for it."""
        buffer, gso_size, checksum_state = packet
        length = len(buffer)
        # a packet that claims a full checksum is verified first
        if checksum_state and 0 < gso_size < length <= _LARGEST and length < gso_size * _PIECES:
            self._view[:length] = buffer
            count = codec.cut(
                self._pinned, 0, length, gso_size, self._out_pinned, 0, self._lengths_pinned
            )
            if count > 1:
                return _split(self._out, self._lengths, count)
        return wire_packets(packet)


def _split(out: bytearray | mmap, lengths: bytearray, count: int) -> list[Packet]:
    packets: list[Packet] = []
    start = 0
    for at in range(0, 2 * count, 2):
        end = start + (lengths[at] | lengths[at + 1] << 8)
        packets.append((bytes(out[start:end]), 0, consts.CHECKSUM_COMPLETE))
        start = end
    return packets
