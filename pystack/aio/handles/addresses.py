"""The 16 bytes of an address that a user of asyncio's calls gives (`pystack.wire.address`)."""

from __future__ import annotations

from typing import Any

from pystack.wire.address import ANY_V4, ANY_V6, pack


def address_of(where: Any) -> bytes | None:
    """16 bytes of what a user gave: None for a name, or what is no address tuple; "" is any."""
    if not isinstance(where, tuple) or not where or not isinstance(where[0], str):
        return None
    if not where[0]:
        return ANY_V4 if len(where) == 2 else ANY_V6
    try:
        return pack(where[0])
    except ValueError:
        return None
