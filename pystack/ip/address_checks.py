"""Which packets a host takes, by their addresses (RFC 1122 §3.2.1.3).

What is not taken is dropped in silence, and counted.
"""

from __future__ import annotations

from pystack.ip.ip_state import IpState
from pystack.wire.address import is_unicast_source
from pystack.wire.consts import DROP_BAD_SOURCE, DROP_NOT_FOR_US
from pystack.wire.segment import Segment


def is_for_host(ip: IpState, seg: Segment) -> bool:
    """Whether a packet is for one of the host's own addresses and has a valid source (RFC 9293
    MUST-57, MUST-63)."""
    if seg.local not in ip.addresses.local:
        ip.counters.dropped[DROP_NOT_FOR_US] += 1
        return False
    return has_valid_source(ip, seg)


def has_valid_source(ip: IpState, seg: Segment) -> bool:
    """Whether a packet comes from an address that one other host can have."""
    addresses = ip.addresses
    source = seg.remote
    if (
        not is_unicast_source(source)
        or source in addresses.broadcast
        or (source in addresses.local and not ip.receiving_loopback)
    ):
        ip.counters.dropped[DROP_BAD_SOURCE] += 1
        return False
    return True
