"""Packets from a host to one of its own addresses: they never reach the device."""

from __future__ import annotations

from collections.abc import Container

from pystack.wire.address import V4_PREFIX
from pystack.wire.batch import Packet, TxBatch
from pystack.wire.descriptor import TX_RECORD


def take_local(tx: TxBatch, local: Container[bytes]) -> list[Packet]:
    """Take the packets to `local` addresses out of a batch, as copies in their order."""
    size = TX_RECORD.size
    arena = tx.arena
    taken: list[Packet] = []
    kept = 0
    for index in range(tx.count):
        start, length, gso_size, checksum_state = TX_RECORD.unpack_from(tx.records, index * size)
        if arena[start] >> 4 == 4:
            destination = V4_PREFIX + arena[start + 16 : start + 20]
        else:
            destination = bytes(arena[start + 24 : start + 40])
        if destination in local:
            taken.append((bytes(arena[start : start + length]), gso_size, checksum_state))
            continue
        if kept != index:
            TX_RECORD.pack_into(tx.records, kept * size, start, length, gso_size, checksum_state)
        kept += 1
    tx.count = kept
    return taken
