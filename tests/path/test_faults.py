"""Faults of a path: how often, what, and that what is damaged stays damaged."""

from __future__ import annotations

from random import Random

import pytest

from pystack.path.faults import Corruption, Cut, Duplication, Loss, Reordering
from pystack.path.link import Stage
from pystack.wire import consts
from pystack.wire.batch import Packet, RxBatch
from tests.path.traffic import ECT0, numbered, numbers, partial, sized
from tests.wire import crafted


def all_through(stage: Stage, packets: list[Packet]) -> list[Packet]:
    return [out for at, packet in enumerate(packets) for out in stage.feed(packet, 1 + at)]


def test_loss_loses_at_its_rate_and_counts() -> None:
    loss = Loss(0.25, Random(1))
    packets = all_through(loss, numbered(4000))
    assert loss.lost == 4000 - len(packets)
    assert 900 < loss.lost < 1100
    assert numbers(packets) == sorted(numbers(packets))


@pytest.mark.parametrize(("rate", "left"), [(0.0, 20), (1.0, 0)])
def test_loss_of_none_and_of_all(rate: float, left: int) -> None:
    assert len(all_through(Loss(rate, Random(1)), numbered(20))) == left


def test_whoever_wants_no_marks_has_packets_of_ecn_senders_lost_too() -> None:
    loss = Loss(1.0, Random(1))
    assert all_through(loss, [sized(1000, ecn=ECT0)]) == []
    assert loss.counts() == {"lost": 1, "marked": 0}


def test_duplication_lets_a_packet_come_twice() -> None:
    duplication = Duplication(0.5, Random(1))
    seen = numbers(all_through(duplication, numbered(1000)))
    assert len(seen) == 1000 + duplication.duplicated
    assert sorted(set(seen)) == list(range(1000))
    assert 400 < duplication.duplicated < 600
    assert seen == sorted(seen)


class Nth:
    """A random source by which the n-th packet is struck."""

    def __init__(self, *struck: int) -> None:
        self._struck = struck
        self._drawn = -1

    def random(self) -> float:
        self._drawn += 1
        return 0.0 if self._drawn in self._struck else 0.999

    def randrange(self, stop: int, /) -> int:
        return stop - 1


def test_a_reordered_packet_comes_behind_so_many_others() -> None:
    stage = Reordering(0.5, Nth(1), behind=3)
    assert numbers(all_through(stage, numbered(7))) == [0, 2, 3, 4, 1, 5, 6]
    assert stage.reordered == 1
    assert stage.next_deadline() == 0


def test_a_reordered_packet_is_not_held_for_ever_when_no_other_comes() -> None:
    stage = Reordering(0.5, Nth(0), behind=3, hold_us=2_000)
    first, second = numbered(2)
    assert stage.feed(first, 100) == []
    assert numbers(stage.feed(second, 150)) == [1]
    assert stage.next_deadline() == 2_100
    assert stage.take(2_099) == []
    assert numbers(stage.take(2_100)) == [0]
    assert stage.next_deadline() == 0


def test_packets_held_together_come_out_together_in_their_order() -> None:
    stage = Reordering(0.5, Nth(0, 1), behind=2)
    assert numbers(all_through(stage, numbered(5))) == [2, 3, 0, 1, 4]


def test_a_corrupted_packet_differs_in_one_bit_and_is_found_out() -> None:
    corruption = Corruption(1.0, Random(5))
    rx = RxBatch(slots=1)
    for packet in numbered(500):
        (damaged, gso_size, state) = corruption.feed(packet, 1)[0]
        difference = int.from_bytes(damaged, "big") ^ int.from_bytes(packet[0], "big")
        assert difference.bit_count() == 1
        assert (gso_size, state) == (0, consts.CHECKSUM_COMPLETE)
        rx.clear()
        assert rx.add(damaged, 0, state) == consts.KIND_BAD
    assert corruption.corrupted == 500


@pytest.mark.parametrize("version", [4, 6])
def test_a_checksum_left_to_offload_is_completed_before_the_damage(version: int) -> None:
    packet = partial(b"some text", version=version)
    (damaged, _, state) = Corruption(1.0, Nth(0)).feed(packet, 1)[0]
    assert state == consts.CHECKSUM_COMPLETE
    octets = bytearray(damaged)
    assert not crafted.checksums_hold(bytes(octets))
    octets[-1] ^= 0x80  # the bit that Nth chose
    assert crafted.checksums_hold(bytes(octets))


def test_a_run_is_cut_and_one_of_its_packets_damaged() -> None:
    run = partial(bytes(range(250)) * 12, gso_size=1000)
    pieces = Corruption(1.0, Nth(0)).feed(run, 1)
    assert [len(piece[0]) for piece in pieces] == [1040, 1040, 1040]
    holds = [crafted.checksums_hold(bytes(piece[0])) for piece in pieces]
    assert holds == [True, True, False]


def test_the_source_of_a_corrupted_packet_is_left_alone() -> None:
    arena = bytearray(numbered(1)[0][0])
    before = bytes(arena)
    Corruption(1.0, Random(1)).feed((memoryview(arena), 0, consts.CHECKSUM_COMPLETE), 1)
    assert arena == before


@pytest.mark.parametrize("version", [4, 6])
def test_cut_makes_of_a_run_what_an_interface_would_send(version: int) -> None:
    text = bytes(range(256)) * 200
    pieces = Cut().feed(partial(text, gso_size=1448, version=version), 1)
    headers = 40 if version == 4 else 60
    assert len(pieces) == -(-len(text) // 1448)
    assert all(crafted.checksums_hold(bytes(piece[0])) for piece in pieces)
    assert b"".join(bytes(piece[0][headers:]) for piece in pieces) == text
    assert all(piece[1:] == (0, consts.CHECKSUM_COMPLETE) for piece in pieces)


def test_cut_leaves_what_is_no_run_in_one_piece() -> None:
    ping = crafted.ipv4(bytes(3000), protocol=1)
    assert Cut().feed((ping, 1000, consts.CHECKSUM_COMPLETE), 1)[0][0] == ping
    small = partial(b"text", gso_size=1000)
    assert [len(piece[0]) for piece in Cut().feed(small, 1)] == [44]


def test_cut_makes_two_packets_of_a_run_of_one_octet_more_than_fits() -> None:
    for length, lengths in (1000, [1040]), (1001, [1040, 41]), (2000, [1040, 1040]):
        pieces = Cut().feed(partial(bytes(length), gso_size=1000), 1)
        assert [len(piece[0]) for piece in pieces] == lengths


def test_a_run_with_a_wrong_checksum_is_not_mended_by_being_cut() -> None:
    wrong = crafted.ipv4(crafted.tcp(text=bytes(3000), checksum=0x1234))
    assert Cut().feed((wrong, 1000, consts.CHECKSUM_COMPLETE), 1)[0][0] == wrong


def test_nonsense_passes_every_fault() -> None:
    source = Random(2)
    for octets in (b"", b"\0", b"\x45", bytes(70_000)):
        for stage in (Cut(), Loss(0, source), Duplication(1, source), Corruption(1, source)):
            assert stage.feed((octets, 500, consts.CHECKSUM_PARTIAL), 1)


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    for fault in (Loss, Duplication, Corruption, Reordering):
        with pytest.raises(ValueError, match="between 0 and 1"):
            fault(rate, Random(1))
