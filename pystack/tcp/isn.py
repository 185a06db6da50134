"""Numbers that outsiders must not guess: ISN (RFC 6528) and timestamp offset (RFC 7323 §7.1).

Both are a keyed hash of the connection's addresses and ports; the ISN adds a clock of 4 µs
per tick. The hash is BLAKE2b of the standard library with the host's secret as its key.
"""

from __future__ import annotations

from hashlib import blake2b

from pystack.wire.seq import MASK


def keyed_hash(secret: bytes, key: bytes, purpose: bytes) -> int:
    """64 bits from `key` that nobody without `secret` can compute. `purpose`: up to 16 bytes."""
    digest = blake2b(key, digest_size=8, key=secret, person=purpose).digest()
    return int.from_bytes(digest, "big")


def initial_sequence(secret: bytes, key: bytes, now_us: int) -> int:
    """ISN = M + F(local, remote, secret), M counting 4 µs (RFC 9293 MUST-8, MUST-9, SHLD-1)."""
    return (now_us // 4 + keyed_hash(secret, key, b"isn")) & MASK


def timestamp_offset(secret: bytes, key: bytes) -> int:
    """The random offset of this connection's TSval."""
    return keyed_hash(secret, key, b"timestamps") & MASK
