"""Runs are cut as an interface would cut them, whoever does it."""

from __future__ import annotations

import pytest

from pystack.sim import World
from pystack.sim.traffic import Bulk, Sink
from pystack.wire.batch import Packet
from pystack.wire.consts import CHECKSUM_COMPLETE, CHECKSUM_PARTIAL, CHECKSUM_VALID
from pystack.wire.offload import Cutter, completed, wire_packets
from tests.kit.packets.decode import decode


def runs(family: int, mtu: int) -> list[Packet]:
    """What a host with offload sends of a long text."""
    world = World()
    one, other = world.host("one"), world.host("other")
    line, _ = world.link(one, other, delay="1ms", mtu=mtu, uncut=True)
    sent: list[Packet] = []
    line.taps.append(lambda line, packet, now_us: sent.append(packet))
    Sink(other, 1)
    Bulk(one, other.addresses[family], 1, octets=100_000)
    world.run(for_s=1)
    return sent


@pytest.mark.parametrize("family", [0, 1])
@pytest.mark.parametrize("mtu", [1280, 1500, 9000])
def test_a_cutter_gives_what_cutting_with_a_look_gives(family: int, mtu: int) -> None:
    cutter = Cutter()
    sent = runs(family, mtu)
    assert any(size and len(buffer) > 2 * mtu for buffer, size, _ in sent)
    for buffer, size, _ in sent:
        for state in (CHECKSUM_PARTIAL, CHECKSUM_VALID)[: 1 + (size > 0)]:
            pieces = cutter.packets((buffer, size, state))
            assert pieces == wire_packets((buffer, size, state))
            for piece in pieces:
                assert len(piece[0]) <= mtu
                assert piece[1:] == (0, CHECKSUM_COMPLETE)
                decode(*piece)


def test_what_is_no_run_is_left_whole() -> None:
    cutter = Cutter()
    for packet in (
        (b"", 0, CHECKSUM_COMPLETE),
        (b"\x45" + bytes(100), 10, CHECKSUM_PARTIAL),
        (bytes(200), 10, CHECKSUM_VALID),
        (bytes(60_000), 1, CHECKSUM_VALID),
    ):
        assert cutter.packets(packet) == [(completed(packet), 0, CHECKSUM_COMPLETE)]


@pytest.mark.parametrize("family", [0, 1])
def test_a_run_whose_checksum_is_wrong_is_not_made_right(family: int) -> None:
    buffer, size, _ = max(runs(family, 1500), key=lambda packet: len(packet[0]))
    claims = (buffer, size, CHECKSUM_COMPLETE)
    assert Cutter().packets(claims) == [(buffer, 0, CHECKSUM_COMPLETE)]
