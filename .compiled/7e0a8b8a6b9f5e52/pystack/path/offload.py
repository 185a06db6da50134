"""Packets as they would look on a wire: what offloading leaves to an interface, done here."""

from __future__ import annotations

from pystack.wire import codec, consts
from pystack.wire.batch import Buffer, Packet
from pystack.wire.segment import RECORD_SIZE, Segment


def completed(packet: Packet) -> Buffer:
    """The packet's octets with a full transport checksum; the very buffer if it has one."""
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
            headers = segment.text - segment.start
            out = bytearray(segment.length + segment.segs * headers)
            lengths = bytearray(2 * segment.segs)
            codec.cut(arena, 0, len(whole), gso_size, codec.pin(out), 0, codec.pin(lengths))
            return _split(out, lengths)
    return [(completed(packet), 0, consts.CHECKSUM_COMPLETE)]


def _split(out: bytearray, lengths: bytearray) -> list[Packet]:
    packets: list[Packet] = []
    start = 0
    for at in range(0, len(lengths), 2):
        end = start + (lengths[at] | lengths[at + 1] << 8)
        packets.append((bytes(out[start:end]), 0, consts.CHECKSUM_COMPLETE))
        start = end
    return packets
