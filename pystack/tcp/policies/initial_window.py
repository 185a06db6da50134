"""The initial congestion window: how much may leave before the first ACK of data (RFC 5681 §3.1).

It is also what cwnd falls back to at the most after idle (the restart window, RFC 5681 §4.1).
Writes nothing; `handshake` and `output` tell the congestion control.
"""

from __future__ import annotations

from typing import ClassVar

from pystack.compiling import mypyc_attr
from pystack.config import Config
from pystack.tcp.policies.contracts import InitialWindow


@mypyc_attr(allow_interpreted_subclasses=True)
class Linux(InitialWindow):
    """`tcp_initial_cwnd` segments, 10 unless set, however large they are. (RFC 6928 has 10 too,
    but stops at 14600 bytes where two segments are no more than that.)"""

    shared: ClassVar[bool] = True
    __slots__ = ()

    def in_bytes(self, mss: int, config: Config) -> int:
        return config.tcp_initial_cwnd * mss


@mypyc_attr(allow_interpreted_subclasses=True)
class Rfc6928(InitialWindow):
    """RFC 6928 §2: min(10 MSS, max(2 MSS, 14600))."""

    shared: ClassVar[bool] = True
    __slots__ = ()

    def in_bytes(self, mss: int, config: Config) -> int:
        return min(10 * mss, max(2 * mss, 14600))


@mypyc_attr(allow_interpreted_subclasses=True)
class Rfc3390(InitialWindow):
    """RFC 3390 §1: min(4 MSS, max(2 MSS, 4380))."""

    shared: ClassVar[bool] = True
    __slots__ = ()

    def in_bytes(self, mss: int, config: Config) -> int:
        return min(4 * mss, max(2 * mss, 4380))


@mypyc_attr(allow_interpreted_subclasses=True)
class Rfc5681(InitialWindow):
    """RFC 5681 §3.1: two segments of more than 2190 bytes, three of more than 1095, else four."""

    shared: ClassVar[bool] = True
    __slots__ = ()

    def in_bytes(self, mss: int, config: Config) -> int:
        return (2 if mss > 2190 else 3 if mss > 1095 else 4) * mss


class OfRoute(InitialWindow):
    """`initcwnd` segments, as the route to the peer has it."""

    __slots__ = ("segs",)

    def __init__(self, segs: int) -> None:
        self.segs = segs
        self.name = "route"

    def in_bytes(self, mss: int, config: Config) -> int:
        return self.segs * mss
