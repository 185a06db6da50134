"""The name of a flow, made and read here alone: both addresses and both ports, our side first.

The parsers write it in the same form (`segment.RECORD`).
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from pystack.wire.address import place

KEY_SIZE: Final = 36  # octets
PORTS: Final = Struct("!HH")


def flow_key(local: bytes, remote: bytes, local_port: int, remote_port: int) -> bytes:
    """The 36-byte name of a connection. Addresses have 16 bytes."""
    return local + remote + PORTS.pack(local_port, remote_port)


def local_address(key: bytes) -> bytes:
    """Our address, 16 bytes."""
    return key[:16]


def remote_address(key: bytes) -> bytes:
    """The peer's address, 16 bytes."""
    return key[16:32]


def local_port(key: bytes) -> int:
    return key[32] << 8 | key[33]


def remote_port(key: bytes) -> int:
    return key[34] << 8 | key[35]


def local_end(key: bytes) -> tuple[bytes, int]:
    """Our address and port."""
    return key[:16], key[32] << 8 | key[33]


def remote_end(key: bytes) -> tuple[bytes, int]:
    """The peer's address and port."""
    return key[16:32], key[34] << 8 | key[35]


def ends(key: bytes, arrow: str) -> str:
    """Both ends in text, ours first, with an arrow between them."""
    return f"{place(*local_end(key))} {arrow} {place(*remote_end(key))}"
