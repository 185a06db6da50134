"""The 16 bytes of an address that a user of asyncio's calls gives (`pystack.wire.address`)."""

from __future__ import annotations

import socket
from typing import Any

from pystack.wire.address import ANY_V4, ANY_V6, V4_PREFIX


def packed(host: str) -> bytes:
    """16 bytes of an address in figures, whatever its scope. Raises ValueError for a name."""
    try:
        if ":" in host:
            return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        return V4_PREFIX + socket.inet_pton(socket.AF_INET, host)
    except OSError:
        raise ValueError(f"{host!r} is not an address in figures") from None


def address_of(where: Any) -> bytes | None:
    """As `packed`, of what a user gave: None for a name, or what is no address tuple; "" is any."""
    if not isinstance(where, tuple) or not where or not isinstance(where[0], str):
        return None
    if not where[0]:
        return ANY_V4 if len(where) == 2 else ANY_V6
    try:
        return packed(where[0])
    except ValueError:
        return None
