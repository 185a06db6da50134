"""Packets from a host to one of its own addresses: they never reach the device."""

from __future__ import annotations

from collections.abc import Container

from pystack.wire.arenas import TX_RECORD
from pystack.wire.batch import Packet, TxBatch
from pystack.wire.ip_fields import destination_of


def take_local(tx: TxBatch, local: Container[bytes]) -> list[Packet]:
    """Take the packets to `local` addresses out of a batch, as copies in their order."""
    size = TX_RECORD.size
    taken: list[Packet] = []
    kept = 0
    for index in range(tx.count):
        start, length, gso_size, checksum_state = TX_RECORD.unpack_from(tx.records, index * size)
        packet = tx.view[start : start + length]
        if destination_of(packet) in local:
            taken.append((bytes(packet), gso_size, checksum_state))
            continue
        if kept != index:
            TX_RECORD.pack_into(tx.records, kept * size, start, length, gso_size, checksum_state)
        kept += 1
    tx.keep_first(kept)
    return taken
