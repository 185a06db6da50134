"""Congestion Experienced: the mark that a queue sets instead of dropping a packet (RFC 3168 §5)."""

from __future__ import annotations

from pystack.path.link import kept
from pystack.wire.batch import Packet
from pystack.wire.ip_fields import CE, ecn_field, with_ce


def marked(packet: Packet) -> Packet | None:
    """The packet with CE set; None when its sender does not take part in ECN.

    A packet that has CE already comes back as it is (as `bytes`).
    """
    octets, gso_size, checksum_state = kept(packet)
    field = ecn_field(octets) if len(octets) >= 20 else 0
    if not field:
        return None
    return (octets if field == CE else with_ce(octets)), gso_size, checksum_state
