"""The arenas in which packets come in and go out."""

from __future__ import annotations

import os

import pytest

from pystack.wire import codec, consts
from pystack.wire.batch import MAX_PACKET, RxBatch, TxBatch
from pystack.wire.segment import Segment
from tests.wire import crafted

KEY = crafted.key(crafted.OURS4, crafted.PEER4, 80, 40000)


def built(tx: TxBatch, text: bytes, gso_size: int = 0, state: int = 0, ident: int = 1) -> int:
    """Build a segment around `text` as output does it; the offset, or -1."""
    off = tx.reserve(40 + len(text), gso_size)
    if off >= 0:
        tx.view[off + 40 : off + 40 + len(text)] = text
        length = codec.build_tcp(
            tx.pinned, off, KEY, 7, 9, consts.ACK, 500, 0, 0, 64, ident, 1, 0, 0, 0, b"",
            len(text), state,
        )  # fmt: skip
        tx.commit(off, length + len(text), gso_size, state)
    return off


# -- in ----------------------------------------------------------------------------------------


def test_packets_from_memory_are_copied_parsed_and_given_back() -> None:
    rx = RxBatch(slots=3)
    first = bytearray(crafted.ipv4(crafted.tcp(seq=5, text=b"hello")))
    second = crafted.ipv6(crafted.tcp(crafted.PEER6, crafted.OURS6, text=bytes(3000)))
    assert rx.add(first, 0, consts.CHECKSUM_COMPLETE) == consts.KIND_TCP
    assert rx.add(memoryview(second), 1000, consts.CHECKSUM_PARTIAL) == consts.KIND_TCP
    assert rx.add(b"\x45junk", 0, consts.CHECKSUM_COMPLETE) == consts.KIND_BAD
    kept, first[:] = bytes(first), bytes(len(first))
    assert rx.count == 3
    packets = [(bytes(packet), gso, state) for packet, gso, state in rx.packets(3)]
    assert packets == [(kept, 0, 0), (second, 1000, 2), (b"\x45junk", 0, 0)]
    seg = Segment()
    assert seg.load(rx.view, rx.records, 0) == consts.KIND_TCP
    assert (seg.seq, seg.payload(1, 4)) == (5, b"ello")


def test_a_full_batch_takes_no_more_until_it_is_cleared() -> None:
    rx = RxBatch(slots=1)
    rx.add(crafted.ipv4(crafted.tcp()), 0, 0)
    with pytest.raises(IndexError):
        rx.add(crafted.ipv4(crafted.tcp()), 0, 0)
    rx.clear()
    assert rx.add(crafted.ipv4(crafted.tcp()), 0, 0) == consts.KIND_TCP


def test_the_largest_packets_of_both_families_fit_into_a_slot() -> None:
    rx = RxBatch(slots=1)
    largest = crafted.ipv6(crafted.tcp(crafted.PEER6, crafted.OURS6, text=bytes(65515)))
    assert len(largest) == MAX_PACKET
    assert rx.add(largest, 0, consts.CHECKSUM_COMPLETE) == consts.KIND_TCP


def test_a_packet_too_large_for_its_slot_is_bad_and_touches_no_other() -> None:
    rx = RxBatch(slots=2, slot_size=1516)
    small = crafted.ipv4(crafted.tcp())
    rx.add(small, 0, 0)
    rx.clear()
    assert rx.add(crafted.ipv4(crafted.tcp(text=bytes(1461))), 0, 0) == consts.KIND_BAD
    assert rx.arena[1516:] == bytes(1516)
    rx.clear()
    assert rx.add(crafted.ipv4(crafted.tcp(text=bytes(1460))), 0, 0) == consts.KIND_TCP


@pytest.mark.parametrize(("slots", "slot_size"), [(0, 65664), (1, 83)])
def test_a_batch_without_room_cannot_be_made(slots: int, slot_size: int) -> None:
    with pytest.raises(ValueError, match="no room"):
        RxBatch(slots, slot_size)


def test_a_run_can_be_taken_piece_by_piece_as_segments() -> None:
    rx = RxBatch(slots=1)
    text = b"".join(number.to_bytes(2) for number in range(1250))
    rx.add(crafted.ipv4(crafted.tcp(seq=5, text=text)), 1000, consts.CHECKSUM_PARTIAL)
    seg = Segment()
    seg.load(rx.view, rx.records, 0)
    assert (seg.segs, seg.gso_size, seg.length) == (3, 1000, 2500)
    first = seg.payload_offset
    seg.begin_pieces()
    for at, length, flags in ((0, 1000, consts.ACK), (2000, 500, consts.ACK | consts.PSH)):
        seg.take_piece(5 + at, first + at, length, flags)
        assert (seg.seq, seg.length, seg.flags) == (5 + at, length, flags)
        assert (seg.segs, seg.gso_size) == (1, 0)
        assert seg.payload(0, length) == text[at : at + length]
        assert seg.end == first + at + length


# -- out ---------------------------------------------------------------------------------------


def test_packets_come_out_as_they_were_built() -> None:
    tx = TxBatch()
    assert tx.checksum_state == consts.CHECKSUM_PARTIAL
    built(tx, b"one", state=consts.CHECKSUM_COMPLETE)
    built(tx, bytes(3000), 1000, consts.CHECKSUM_PARTIAL)
    packets = list(tx)
    assert [(len(packet), gso, state) for packet, gso, state in packets] == [
        (43, 0, 0),
        (3040, 1000, 2),
    ]
    assert crafted.checksums_hold(bytes(packets[0][0]))
    assert len(tx) == tx.count == 2


def test_a_place_is_only_taken_by_commit() -> None:
    tx = TxBatch()
    assert tx.reserve(100) == tx.reserve(500) == 0
    built(tx, b"one")
    assert 43 <= tx.reserve(100) <= 64


def test_packets_lie_at_multiples_of_sixteen_without_gaps() -> None:
    tx = TxBatch()
    assert [built(tx, bytes(length)) for length in (8, 24, 25, 0)] == [0, 48, 112, 192]
    assert tx.used == 240


def test_a_batch_tells_when_its_arena_is_full_and_can_be_used_again() -> None:
    tx = TxBatch(16384)
    count = 0
    while built(tx, bytes(1000)) >= 0:
        count += 1
    assert count == 15
    assert tx.reserve(16384 - tx.used) >= 0
    assert tx.reserve(16384 - tx.used + 1) == -1
    tx.clear()
    assert not list(tx)
    assert tx.reserve(16384) == 0


def test_a_batch_tells_when_its_records_are_used_up() -> None:
    tx = TxBatch(16384)
    while built(tx, b"") >= 0:
        pass
    assert tx.count == tx.capacity
    assert tx.used < tx.size


def test_without_gso_a_run_is_cut_into_packets() -> None:
    tx = TxBatch(gso=False, checksum_offload=False)
    assert tx.checksum_state == consts.CHECKSUM_COMPLETE
    text = bytes(i & 0xFF for i in range(2500))
    built(tx, b"before")
    built(tx, text, 1000, consts.CHECKSUM_PARTIAL)
    built(tx, b"after")
    packets = [bytes(packet) for packet, _, _ in tx]
    assert [len(packet) - 40 for packet in packets] == [6, 1000, 1000, 500, 5]
    assert {(gso, state) for _, gso, state in tx} == {(0, 0)}
    assert all(crafted.checksums_hold(packet) for packet in packets)
    assert b"".join(packet[40:] for packet in packets) == b"before" + text + b"after"


def test_without_gso_what_fits_into_one_packet_is_built_in_place() -> None:
    tx = TxBatch(gso=False)
    assert built(tx, bytes(1000), 1000, consts.CHECKSUM_PARTIAL) == 0
    assert [(len(packet), gso, state) for packet, gso, state in tx] == [(1040, 0, 2)]


def test_without_gso_room_is_kept_for_all_pieces() -> None:
    tx = TxBatch(70_000, gso=False)
    assert tx.reserve(60_040, 1448) >= 0
    assert tx.reserve(60_040, 100) == -1  # so many headers find no room
    assert tx.reserve(30_040, 100) == -1  # so many records do not either
    while built(tx, bytes(20_000), 1448) >= 0:
        pass
    assert tx.count == 42
    assert tx.used <= tx.size


def test_the_largest_run_can_be_cut() -> None:
    tx = TxBatch(gso=False)
    built(tx, bytes(65_495), 536)
    assert sum(len(packet) - 40 for packet, _, _ in tx) == 65_495
    assert tx.reserve(MAX_PACKET + 1, 536) == -1


# -- a batch that is kept small -------------------------------------------------------------------


def test_a_limited_batch_takes_no_more_bytes_until_it_is_cleared() -> None:
    tx = TxBatch()
    assert tx.limit(300_000)
    built(tx, bytes(60_000), 1448)
    assert tx.reserve(300_000 - tx.used) == tx.used
    assert tx.reserve(300_000 - tx.used + 1) == -1
    tx.clear()
    assert tx.reserve(300_000) == 0
    assert tx.reserve(300_001) == -1


def test_no_limit_keeps_out_the_largest_run_cut_into_the_smallest_pieces() -> None:
    tx = TxBatch(gso=False)
    assert tx.limit(0)
    assert tx.reserve(256 * 1024) == 0
    assert tx.reserve(256 * 1024 + 1) == -1
    built(tx, bytes(65_495), 48)
    assert sum(len(packet) - 40 for packet, _, _ in tx) == 65_495
    assert tx.reserve(65_535, 48) == -1


def test_a_limit_is_raised_up_to_what_the_batch_was_made_with() -> None:
    tx = TxBatch(1 << 20)
    assert [tx.limit(size) for size in (0, 1 << 19, (1 << 20) - 1, 1 << 20, 1 << 21)] == [
        True, True, True, False, False,
    ]  # fmt: skip
    assert tx.reserve(1 << 20) == 0
    assert tx.reserve((1 << 20) + 1) == -1


def test_one_that_was_made_smaller_than_the_largest_run_cannot_be_limited() -> None:
    tx = TxBatch(70_000)
    assert not tx.limit(0)
    assert tx.reserve(70_000) == 0
    assert tx.reserve(70_001) == -1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without forks")
def test_after_a_fork_each_process_has_its_own() -> None:
    rx, tx = RxBatch(2), TxBatch(4096)
    child = os.fork()
    if not child:
        rx.view[:4] = tx.view[:4] = b"used"
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert bytes(rx.view[:4]) == bytes(tx.view[:4]) == bytes(4)
