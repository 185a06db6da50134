"""Cookies that a server of TCP Fast Open gives (RFC 7413 §4.1.2): 8 octets that only it can make.

As in Linux a cookie is the SipHash of the client's and the server's address under a key of 16
octets. There may be two keys: by the first all cookies are made, by the second one they are still
taken. So a key is replaced without a failure, and a cookie expires when its key is gone.
"""

from __future__ import annotations

from typing import Final

from pystack.config import Config
from pystack.ip.keyed_hash import keyed_hash
from pystack.ip.siphash import siphash
from pystack.wire.address import is_v4

KEY_SIZE: Final = 16
SIZE: Final = 8  # of our cookies; those of others have 4 to 16 octets

# how a cookie was found to be valid
INVALID: Final = 0
BY_FIRST_KEY: Final = 1
BY_SECOND_KEY: Final = 2


def keys_of(config: Config, secret: bytes) -> bytes:
    """The keys of a host, one after the other: those of `tcp_fastopen_key`, or one that comes from
    the host's secret."""
    if config.tcp_fastopen_key:
        return from_text(config.tcp_fastopen_key)
    halves = (b"fastopen key 1", b"fastopen key 2")
    return b"".join(keyed_hash(secret, b"", half).to_bytes(8, "big") for half in halves)


def from_text(text: str) -> bytes:
    """Keys as the sysctl has them: four words of eight digits each, joined by `-`; a second key
    behind a comma. Raises ValueError for another form."""
    keys = text.split(",")
    words = [word for key in keys for word in key.split("-")]
    if len(keys) > 2 or len(words) != 4 * len(keys) or any(len(word) > 8 for word in words):
        raise ValueError("not the form of tcp_fastopen_key")
    return b"".join(int(word, 16).to_bytes(4, "little") for word in words)


def cookie(key: bytes, flow: bytes) -> bytes:
    """What the client of the flow key `flow`, our side first, gets under `key`."""
    local, remote = flow[:16], flow[16:32]
    if is_v4(flow):
        local, remote = local[12:], remote[12:]
    return siphash(key, remote + local).to_bytes(SIZE, "little")


def check(keys: bytes, flow: bytes, shown: bytes) -> int:
    """INVALID, or by which of `keys` the client's cookie `shown` was made."""
    for at in range(0, len(keys), KEY_SIZE):
        if shown == cookie(keys[at : at + KEY_SIZE], flow):
            return BY_SECOND_KEY if at else BY_FIRST_KEY
    return INVALID
