"""Batches on a descriptor, with the virtio header of Linux's TUN device.

A pair of datagram sockets stands for the device: one read is one packet there too.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from pystack.wire import consts
from pystack.wire.segment import RECORD_SIZE, Segment
from tests.wire import crafted
from tests.wire.codecs import Codec

SLOT = 4096
NEEDS_CSUM, DATA_VALID = 1, 2
TCPV4, UDP_GSO, TCPV6, ECN = 1, 3, 4, 0x80
KEY4 = crafted.key(crafted.OURS4, crafted.PEER4, 80, 40000)
KEY6 = crafted.key(crafted.OURS6, crafted.PEER6, 80, 40000)


class Device:
    """A descriptor, and what is on its other side."""

    def __init__(self, codec: Codec, slots: int = 4) -> None:
        self.codec = codec
        self.ours, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ours.setblocking(False)
        self.far.setblocking(False)
        self.arena = bytearray(slots * SLOT)
        self.records = bytearray(slots * RECORD_SIZE)
        self.slots = slots

    def read(self, vnet: int = 0, slot_size: int = SLOT) -> int:
        pin = self.codec.module.pin
        found: int = self.codec.module.read_batch(
            self.ours.fileno(), pin(self.arena), slot_size, self.slots, vnet, pin(self.records)
        )
        return found

    def segment(self, index: int) -> Segment:
        segment = Segment()
        segment.load(memoryview(self.arena), self.records, index)
        return segment

    def write(self, packets: list[tuple[bytes, int, int]], vnet: int = 0, first: int = 0) -> int:
        arena, records = bytearray(7), bytearray(12 * first)
        for packet, gso_size, state in packets:
            records += struct.pack("<IIHH", len(arena), len(packet), gso_size, state)
            arena += packet + b"\0"
        pin = self.codec.module.pin
        found: int = self.codec.module.write_batch(
            self.ours.fileno(), pin(arena), pin(records), first, len(packets), vnet
        )
        return found

    def taken(self) -> list[bytes]:
        packets = []
        while True:
            try:
                packets.append(self.far.recv(1 << 17))
            except BlockingIOError:
                return packets

    def close(self) -> None:
        self.ours.close()
        self.far.close()


@pytest.fixture
def device(codec: Codec) -> Iterator[Device]:
    device = Device(codec)
    yield device
    device.close()


def vnet_header(flags: int = 0, gso_type: int = 0, hdr_len: int = 0, gso_size: int = 0) -> bytes:
    return struct.pack("=BBHHHH", flags, gso_type, hdr_len, gso_size, 20, 16)


# -- reading ---------------------------------------------------------------------------------


def test_each_read_fills_a_slot_and_its_record(device: Device) -> None:
    packets = [crafted.ipv4(crafted.tcp(seq=seq, text=b"x" * seq)) for seq in range(3)]
    for packet in packets:
        device.far.send(packet)
    assert device.read() == 3
    for index, packet in enumerate(packets):
        seg = device.segment(index)
        assert (seg.kind, seg.seq, seg.length) == (consts.KIND_TCP, index, index)
        assert seg.start == index * SLOT + 16
        assert device.arena[seg.start : seg.end] == packet


def test_no_more_is_read_than_there_are_slots(device: Device) -> None:
    for _ in range(5):
        device.far.send(crafted.ipv4(crafted.tcp()))
    assert device.read() == 4
    assert device.read() == 1
    assert device.read() == 0


def test_the_error_of_the_first_read_is_returned(device: Device) -> None:
    pin = device.codec.module.pin
    directory = os.open("/", os.O_RDONLY)
    got = device.codec.module.read_batch(
        directory, pin(device.arena), SLOT, 4, 0, pin(device.records)
    )
    os.close(directory)
    assert got == -errno.EISDIR


def test_an_error_behind_packets_leaves_them_to_be_handled(device: Device) -> None:
    """A terminal whose other side has gone has what was written there, and then EIO."""
    ours, far = os.openpty()
    try:
        tty.setraw(far)
        packet = crafted.ipv4(crafted.tcp(text=b"hello"))
        os.write(far, packet)
    finally:
        os.close(far)
    pin = device.codec.module.pin
    words = ours, pin(device.arena), SLOT, 4, 0, pin(device.records)
    counts = [device.codec.module.read_batch(*words) for _ in range(2)]
    os.close(ours)
    assert counts == [1, -errno.EIO]
    seg = device.segment(0)
    assert (seg.kind, device.arena[seg.start : seg.end]) == (consts.KIND_TCP, packet)


def test_no_more_is_read_at_once_than_a_cache_holds(codec: Codec, tmp_path: Path) -> None:
    """192 KiB, whatever the number of slots: of a file each read fills a slot."""
    size = SLOT + 16
    file = tmp_path / "octets"
    file.write_bytes(bytes(60 * SLOT))
    arena, records = bytearray(64 * size), bytearray(64 * RECORD_SIZE)
    pin = codec.module.pin
    with file.open("rb", buffering=0) as reader:
        words = reader.fileno(), pin(arena), size, 64, 0, pin(records)
        assert [codec.module.read_batch(*words) for _ in range(3)] == [48, 12, 0]


@pytest.mark.parametrize("slot_size", [0, 16])
def test_a_slot_without_room_is_refused(device: Device, slot_size: int) -> None:
    assert device.read(slot_size=slot_size) == -errno.EINVAL


def test_a_packet_larger_than_its_slot_stays_inside_of_it(device: Device) -> None:
    device.far.send(crafted.ipv4(crafted.tcp(text=bytes(SLOT))))
    device.arena[SLOT:] = b"\xa5" * (3 * SLOT)
    assert device.read() == 1
    assert device.segment(0).reason == consts.DROP_TRUNCATED
    assert device.arena[SLOT:] == b"\xa5" * (3 * SLOT)


@pytest.mark.parametrize(
    ("flags", "kind", "state"),
    [
        (0, consts.KIND_BAD, consts.CHECKSUM_COMPLETE),
        (NEEDS_CSUM, consts.KIND_TCP, consts.CHECKSUM_PARTIAL),
        (DATA_VALID, consts.KIND_TCP, consts.CHECKSUM_VALID),
        (NEEDS_CSUM | DATA_VALID, consts.KIND_TCP, consts.CHECKSUM_PARTIAL),
    ],
)
def test_the_virtio_header_says_what_is_known_of_the_checksum(
    device: Device, flags: int, kind: int, state: int
) -> None:
    device.far.send(vnet_header(flags) + crafted.ipv4(crafted.tcp(checksum=1)))
    assert device.read(vnet=1) == 1
    seg = device.segment(0)
    assert (seg.kind, seg.start) == (kind, 16)
    assert device.records[91] == state


@pytest.mark.parametrize(
    ("gso_type", "gso_size"),
    [(0, 0), (TCPV4, 1000), (TCPV4 | ECN, 1000), (TCPV6, 1000), (UDP_GSO, 0)],
)
def test_a_run_brings_its_segment_size_and_the_header_length_is_not_believed(
    device: Device, gso_type: int, gso_size: int
) -> None:
    packet = crafted.ipv4(crafted.tcp(text=bytes(2500)))
    device.far.send(vnet_header(0, gso_type, 9999, 1000) + packet)
    assert device.read(vnet=1) == 1
    seg = device.segment(0)
    assert (seg.kind, seg.gso_size, seg.length) == (consts.KIND_TCP, gso_size, 2500)
    assert seg.segs == (3 if gso_size else 1)


@pytest.mark.parametrize("size", [1, 9, 10])
def test_a_read_shorter_than_the_virtio_header_is_a_truncated_packet(
    device: Device, size: int
) -> None:
    device.far.send(bytes(size))
    assert device.read(vnet=1) == 1
    assert device.segment(0).reason == consts.DROP_TRUNCATED


# -- writing ---------------------------------------------------------------------------------


def test_each_packet_is_one_write(device: Device) -> None:
    packets = [crafted.ipv4(crafted.tcp(seq=seq)) for seq in range(3)]
    assert device.write([(packet, 0, 0) for packet in packets]) == 3
    assert device.taken() == packets
    assert device.write([]) == 0


def test_writing_begins_at_the_record_asked_for(device: Device) -> None:
    assert device.write([(b"abc", 0, 0)], first=2) == 1
    assert device.taken() == [b"abc"]


def test_without_virtio_header_a_partial_checksum_is_completed(device: Device) -> None:
    partial = device.codec.build(KEY4, text=b"hello", state=consts.CHECKSUM_PARTIAL)
    assert device.write([(partial, 0, consts.CHECKSUM_PARTIAL)]) == 1
    assert device.taken() == [device.codec.build(KEY4, text=b"hello")]


@pytest.mark.parametrize(
    ("key", "size", "gso_size", "state", "flags", "header"),
    [
        (KEY4, 100, 0, 0, 0x10, (0, 0, 0, 0, 0, 0)),
        (KEY4, 100, 0, 2, 0x10, (NEEDS_CSUM, 0, 0, 0, 20, 16)),
        (KEY6, 100, 0, 2, 0x10, (NEEDS_CSUM, 0, 0, 0, 40, 16)),
        (KEY4, 2001, 1000, 2, 0x10, (NEEDS_CSUM, TCPV4, 40, 1000, 20, 16)),
        (KEY6, 2001, 1000, 2, 0x10, (NEEDS_CSUM, TCPV6, 60, 1000, 40, 16)),
        (KEY6, 2001, 1000, 2, 0x90, (NEEDS_CSUM, TCPV6 | ECN, 60, 1000, 40, 16)),
        (KEY4, 1000, 1000, 2, 0x10, (NEEDS_CSUM, 0, 0, 0, 20, 16)),
        (KEY4, 1001, 1000, 0, 0x10, (0, TCPV4, 40, 1000, 0, 0)),
    ],
)
def test_the_virtio_header_tells_the_kernel_what_is_left_to_do(
    device: Device, key: bytes, size: int, gso_size: int, state: int, flags: int,
    header: tuple[int, ...],
) -> None:  # fmt: skip
    packet = device.codec.build(key, text=bytes(size), state=state, flags=flags)
    assert device.write([(packet, gso_size, state)], vnet=1) == 1
    assert device.taken() == [struct.pack("=BBHHHH", *header) + packet]


def test_a_udp_datagram_may_be_left_to_the_kernel_as_well(device: Device) -> None:
    datagram = crafted.ipv4(crafted.udp(crafted.PEER4, crafted.OURS4, 1, 2, b"x"), protocol=17)
    assert device.write([(datagram, 0, consts.CHECKSUM_PARTIAL)], vnet=1) == 1
    assert device.taken() == [struct.pack("=BBHHHH", NEEDS_CSUM, 0, 0, 0, 20, 6) + datagram]


def test_what_is_no_packet_goes_out_with_an_empty_virtio_header(device: Device) -> None:
    assert device.write([(b"nonsense", 1000, consts.CHECKSUM_PARTIAL)], vnet=1) == 1
    assert device.taken() == [bytes(10) + b"nonsense"]


def test_an_error_of_the_first_write_is_returned(device: Device) -> None:
    device.far.close()
    assert device.write([(b"abc", 0, 0)]) == -errno.ECONNREFUSED


def test_a_later_error_stops_and_leaves_the_count(device: Device) -> None:
    many = [(b"x" * 1000, 0, 0)] * 10_000
    written = device.write(many)
    assert 0 < written < 10_000
    assert len(device.taken()) == written
