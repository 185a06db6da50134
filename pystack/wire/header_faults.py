"""What is wrong with the options of an IP header, as an ICMP parameter problem tells it.

The parser drops such a packet and says no more than why; here it is read again, octet by octet.
RFC 791 §3.1 and RFC 1122 §3.2.2.5 for IPv4, RFC 8200 §4.2 and §4.4 for IPv6. What Linux drops in
silence, as a header that is longer than its packet, is no fault here either.
"""

from __future__ import annotations

from typing import Final

from pystack.wire import consts
from pystack.wire.ip_fields import Buffer
from pystack.wire.ip_headers import DESTINATION_OPTIONS, HOP_BY_HOP, ROUTING

ERRONEOUS_FIELD: Final = 0  # codes of both parameter problem messages, and of ICMPv6's
UNKNOWN_OPTION: Final = 2
_OPTIONS: Final = (HOP_BY_HOP, DESTINATION_OPTIONS)
_EXTENSIONS: Final = (*_OPTIONS, ROUTING, consts.IPPROTO_FRAGMENT)
_MULTICAST: Final = 0xFF  # the first octet of such an IPv6 address


def fault(packet: Buffer, version: int) -> tuple[int, int] | None:
    """Code and pointer of the message that is due; None where none is.

    `packet` is whole, from its IP header on, and has been refused for its options.
    """
    return _v4(packet) if version == 4 else _v6(packet)


def _v4(packet: Buffer) -> tuple[int, int] | None:
    """An option of impossible length: the pointer goes to its type."""
    at, end = consts.IPV4_HEADER, (packet[0] & 15) * 4
    while at < end and packet[at]:
        if packet[at] == 1:
            at += 1
            continue
        if end - at < 2 or not 2 <= packet[at + 1] <= end - at:
            return ERRONEOUS_FIELD, at
        at += packet[at + 1]
    return None


def _v6(packet: Buffer) -> tuple[int, int] | None:
    """The first header of the chain that is refused says what is told, perhaps nothing."""
    at, kind, end = consts.IPV6_HEADER, packet[6], len(packet)
    while kind in _EXTENSIONS and end - at >= 8:
        size = 8 if kind == consts.IPPROTO_FRAGMENT else (packet[at + 1] + 1) * 8
        if size > end - at:
            return None
        if kind == ROUTING and packet[at + 3]:
            return ERRONEOUS_FIELD, at + 2  # segments left, of a type that we don't know (§4.4)
        if kind in _OPTIONS:
            refused = _refused(packet, at + 2, at + size)
            if refused:
                # the highest bits: 1 discard, 2 and tell, 3 and tell unless sent to many (§4.2)
                action = packet[refused] >> 6
                tell = action == 2 or (action == 3 and packet[24] != _MULTICAST)
                return (UNKNOWN_OPTION, refused) if tell else None
        kind = packet[at]
        at += size
    return None


def _refused(packet: Buffer, at: int, end: int) -> int:
    """Where the first option is that may not be skipped, 0 if there is none; one that runs over
    the end is refused without a word."""
    while at < end:
        if not packet[at]:
            at += 1
            continue
        if end - at < 2 or packet[at + 1] + 2 > end - at:
            return 0
        if packet[at] >> 6:
            return at
        at += packet[at + 1] + 2
    return 0
