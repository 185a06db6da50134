"""Numbers that outsiders can't guess, made from a secret (RFC 6528, RFC 7739, RFC 6056)."""

from __future__ import annotations

from hashlib import blake2b


def keyed_hash(secret: bytes, key: bytes, purpose: bytes) -> int:
    """64 bits from `key` that nobody without `secret` can compute. `purpose`: up to 16 bytes."""
    digest = blake2b(key, digest_size=8, key=secret, person=purpose).digest()
    return int.from_bytes(digest, "big")
