"""Numbers that outsiders must not guess: ISN (RFC 6528) and timestamp offset (RFC 7323 §7.1).

Both are a keyed hash of the connection's addresses and ports; the ISN adds a clock of 4 µs
per tick. The hash is BLAKE2b of the standard library with the host's secret as its key. How ISNs
are made can be replaced, per stack.
"""

from __future__ import annotations

from pystack.compiling import mypyc_attr
from pystack.ip.keyed_hash import keyed_hash
from pystack.tcp.policies.part import Part
from pystack.wire.seq import MASK


@mypyc_attr(allow_interpreted_subclasses=True)
class IsnGenerator(Part):
    """A subclass chooses initial sequence numbers; a stack has one, made with its `secret`."""

    __slots__ = ("secret",)

    def __init__(self, secret: bytes) -> None:
        """`secret`: 16 to 64 bytes that nobody outside knows."""
        self.secret = secret

    def initial_sequence(self, key: bytes, now_us: int) -> int:
        """The ISS of a connection; `key` is its `wire.flow_key`, our side first. The low
        32 bits count."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Rfc6528(IsnGenerator):
    """ISN = M + F(local, remote, secret), M counting 4 µs (RFC 9293 MUST-8, MUST-9, SHLD-1)."""

    __slots__ = ()

    def initial_sequence(self, key: bytes, now_us: int) -> int:
        return (now_us // 4 + keyed_hash(self.secret, key, b"isn")) & MASK


def timestamp_offset(secret: bytes, key: bytes) -> int:
    """The random offset of this connection's TSval."""
    return keyed_hash(secret, key, b"timestamps") & MASK
