"""Sequence and timestamp arithmetic modulo 2**32 (RFC 9293 §3.4, RFC 7323 §5.2).

Inside the stack, sequence numbers are *unwrapped*: plain ints that start at the ISS (or IRS)
and never wrap, so that every comparison is `<`. They are unwrapped once, where a segment
comes in, and masked once, where one is built. Nothing else does modular arithmetic on them; the
files that see every segment write `unwrap` out, which saves the call.
"""

from __future__ import annotations

from typing import Final

MASK: Final = 0xFFFF_FFFF
HALF: Final = 0x8000_0000


def unwrap(wire: int, near: int) -> int:
    """The unwrapped number closest to `near` whose low 32 bits are `wire`."""
    return near + ((wire - near + HALF) & MASK) - HALF


def ts_older(a: int, b: int) -> bool:
    """Whether 32-bit timestamp `a` is older than `b` (RFC 7323 §5.2: 0 < b - a < 2**31)."""
    return 0 < ((b - a) & MASK) < HALF
