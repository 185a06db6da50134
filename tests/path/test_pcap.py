"""Captures, read back by dpkt's reader and, where it is installed, by tshark."""

from __future__ import annotations

import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from dpkt import pcapng

from pystack.path.pcap import INBOUND, OUTBOUND, Capture
from pystack.wire import consts
from tests.path.traffic import numbered, partial
from tests.wire import crafted

MIDNIGHT_US = 1_700_000_000_000_000


def read(file: BytesIO) -> list[tuple[float, bytes]]:
    file.seek(0)
    return [(float(stamp), octets) for stamp, octets in pcapng.Reader(file)]


def test_packets_come_back_with_their_wall_clock_times() -> None:
    file = BytesIO()
    capture = Capture(file, wall_offset_us=MIDNIGHT_US)
    packets = numbered(3)
    capture.write(packets[:2], 250_000, INBOUND)
    capture.write(packets[2:], 1_000_001, OUTBOUND)
    assert read(file) == [
        (1_700_000_000.25, packets[0][0]),
        (1_700_000_000.25, packets[1][0]),
        (1_700_000_001.000001, packets[2][0]),
    ]


@pytest.mark.parametrize("version", [4, 6])
def test_checksums_left_to_offload_are_shown_complete(version: int) -> None:
    file = BytesIO()
    packet = partial(b"text", version=version)
    before = bytes(packet[0])
    Capture(file, wall_offset_us=0).write([packet], 1, OUTBOUND)
    octets = read(file)[0][1]
    assert octets != before
    assert crafted.checksums_hold(octets)
    assert packet[0] == before


def test_a_run_is_one_packet_with_a_complete_checksum() -> None:
    file = BytesIO()
    run = partial(bytes(60_000), gso_size=1448)
    Capture(file, wall_offset_us=0).write([run], 1, OUTBOUND)
    octets = read(file)[0][1]
    assert len(octets) == 60_040
    assert crafted.checksums_hold(octets)


def test_wrong_checksums_that_came_in_are_shown_as_they_are() -> None:
    file = BytesIO()
    wrong = crafted.ipv4(crafted.tcp(checksum=1))
    Capture(file, wall_offset_us=0).write([(wrong, 0, consts.CHECKSUM_COMPLETE)], 1, INBOUND)
    assert read(file)[0][1] == wrong


def test_a_view_of_an_arena_may_be_captured() -> None:
    file = BytesIO()
    packet = numbered(1)[0][0]
    arena = bytearray(b"before" + packet + b"behind")
    view = memoryview(arena)[6 : 6 + len(packet)]
    Capture(file, wall_offset_us=0).write([(view, 0, consts.CHECKSUM_VALID)], 1, INBOUND)
    arena[:] = bytes(len(arena))
    assert read(file)[0][1] == packet


def test_a_full_disk_is_told_to_the_caller() -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space"):
        Capture(full, wall_offset_us=0)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_a_capture_with_directions_and_good_checksums(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcapng"
    with path.open("wb") as file:
        capture = Capture(file, wall_offset_us=MIDNIGHT_US, interface="tun7")
        capture.write(numbered(1), 123_456, INBOUND)
        capture.write([partial(b"text"), partial(bytes(9000), 1448, version=6)], 123_457, OUTBOUND)
    fields = (
        "frame.time_epoch", "frame.interface_name", "frame.packet_flags_direction",
        "tcp.checksum.status", "tcp.len",
    )  # fmt: skip
    argv = ["tshark", "-n", "-o", "tcp.check_checksum:TRUE", "-r", str(path), "-T", "fields"]
    for field in fields:
        argv += ["-e", field]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert [line.split("\t") for line in shown.splitlines()] == [
        ["1700000000.123456000", "tun7", "0x00000001", "1", "10"],
        ["1700000000.123457000", "tun7", "0x00000002", "1", "4"],
        ["1700000000.123457000", "tun7", "0x00000002", "1", "9000"],
    ]
