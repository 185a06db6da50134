"""SipHash-2-4 (Aumasson and Bernstein 2012). By it cookies of TCP Fast Open are those of Linux, so
that servers of both kinds behind one address can share a key."""

from __future__ import annotations

from struct import Struct
from typing import Final

_WORD: Final = 0xFFFF_FFFF_FFFF_FFFF
_TWO: Final = Struct("<2Q")


def _rounds(
    v0: int, v1: int, v2: int, v3: int, count: int
) -> tuple[int, int, int, int]:
    for _ in range(count):
        v0 = v0 + v1 & _WORD
        v1 = (v1 << 13 | v1 >> 51) & _WORD ^ v0
        v0 = (v0 << 32 | v0 >> 32) & _WORD
        v2 = v2 + v3 & _WORD
        v3 = (v3 << 16 | v3 >> 48) & _WORD ^ v2
        v0 = v0 + v3 & _WORD
        v3 = (v3 << 21 | v3 >> 43) & _WORD ^ v0
        v2 = v2 + v1 & _WORD
        v1 = (v1 << 17 | v1 >> 47) & _WORD ^ v2
        v2 = (v2 << 32 | v2 >> 32) & _WORD
    return v0, v1, v2, v3


def siphash(key: bytes, data: bytes) -> int:
    """64 bits from `data` that nobody without `key`, 16 octets, can compute."""
    k0, k1 = _TWO.unpack(key)
    v0, v1 = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
    v2, v3 = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573
    whole = len(data) & ~7
    words = [data[at : at + 8] for at in range(0, whole, 8)]
    words.append(data[whole:].ljust(7, b"\0") + bytes((len(data) & 0xFF,)))
    for octets in words:
        word = int.from_bytes(octets, "little")
        v0, v1, v2, v3 = _rounds(v0, v1, v2, v3 ^ word, 2)
        v0 ^= word
    v0, v1, v2, v3 = _rounds(v0, v1, v2 ^ 0xFF, v3, 4)
    return v0 ^ v1 ^ v2 ^ v3
