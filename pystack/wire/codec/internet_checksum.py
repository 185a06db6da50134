"""The Internet checksum (RFC 1071): Python twin of csrc/checksum.c."""

from __future__ import annotations

from typing import Any, Final

from pystack.wire.codec.layout import Layout

_CHUNK: Final = 4096  # even


def sum16(view: memoryview | bytes | bytearray) -> int:
    """The folded 16-bit one's complement sum of the octets, not complemented.

    A number's residue modulo 0xFFFF is the one's complement sum of its 16-bit digits; in chunks,
    as a long division costs more than additions.
    """
    length = len(view)
    even = length & ~1
    number = 0
    for at in range(0, even, _CHUNK):
        number += int.from_bytes(view[at : min(at + _CHUNK, even)], "big")
    if length > even:
        number += view[even] << 8
    return number % 0xFFFF or (0xFFFF if number else 0)


def add(*sums: int) -> int:
    """The folded sum of several folded sums."""
    total = sum(sums)
    return total % 0xFFFF or (0xFFFF if total else 0)


def pseudo_sum(ip: memoryview, at: Layout, length: int) -> int:
    """The pseudo-header's sum for an upper layer of `length` bytes (RFC 9293 §3.1)."""
    addresses = ip[12:20] if at.version == 4 else ip[8:40]
    return add(sum16(addresses), at.protocol, length)


def checksum(arena: Any, off: int, length: int, initial: int = 0, /) -> int:
    return add(initial, sum16(memoryview(arena)[off : off + length]))
