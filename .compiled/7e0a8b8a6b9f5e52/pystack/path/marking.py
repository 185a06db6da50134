"""Congestion Experienced: the mark by which a queue says what it would otherwise say by a loss.

RFC 3168 §5 has the codepoints, RFC 1624 how IPv4's header checksum follows.
"""

from __future__ import annotations

from typing import Final

from pystack.path.link import kept
from pystack.wire.batch import Packet

_CE: Final = 3


def marked(packet: Packet) -> Packet | None:
    """The packet with CE set; None when its sender does not take part in ECN.

    One that has CE already comes back as it is (`bytes`, whoever fed it).
    """
    octets, gso_size, checksum_state = kept(packet)
    if len(octets) < 20:
        return None
    version = octets[0] >> 4
    if version == 4:
        more = _CE - (octets[1] & _CE)
    elif version == 6:
        more = _CE - (octets[1] >> 4 & _CE)
    else:
        return None
    if more == _CE:
        return None
    if not more:
        return octets, gso_size, checksum_state
    copy = bytearray(octets)
    if version == 6:
        copy[1] |= _CE << 4
        return bytes(copy), gso_size, checksum_state
    copy[1] |= _CE
    # HC' = ~(~HC + ~m + m'), where the word m has become larger by `more`
    total = ((copy[10] << 8 | copy[11]) ^ 0xFFFF) + more
    total = (total & 0xFFFF) + (total >> 16)
    copy[10:12] = (total ^ 0xFFFF).to_bytes(2, "big")
    return bytes(copy), gso_size, checksum_state
