"""Ports: which are bound, which are used by connections, and which to take (RFC 6056).

The search for an ephemeral port begins at a keyed hash of the addresses plus a counter (RFC 6056
§3.3.3): outsiders can't guess it, and a port is used again for the same peer only after long.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EADDRINUSE

from pystack.config import Config
from pystack.ip.keyed_hash import keyed_hash
from pystack.wire.address import ANY_V4, ANY_V6, is_v4

# address, SO_REUSEADDR, IPV6_V6ONLY and SO_REUSEPORT of a socket that is bound to a port
Bound = tuple[bytes, bool, bool, bool]


class Ports:
    """Ports of one host."""

    __slots__ = ("config", "_secret", "_bound", "_used", "_next")

    def __init__(self, config: Config, secret: bytes) -> None:
        self.config = config
        self._secret = secret
        self._bound: dict[int, list[Bound]] = {}  # by port
        self._used: dict[int, int] = {}  # port -> connections and TIME_WAIT records
        self._next = 0

    def use(self, port: int) -> None:
        """A connection with this local port exists."""
        self._used[port] = self._used.get(port, 0) + 1

    def drop(self, port: int) -> None:
        """A connection with this local port is gone."""
        count = self._used.get(port, 0) - 1
        if count > 0:
            self._used[port] = count
        else:
            self._used.pop(port, None)

    def bind(
        self, local: bytes, port: int, reuse: bool, v6only: bool = False, reuse_port: bool = False,
        within: tuple[int, int] | None = None,
    ) -> int:  # fmt: skip
        """Take `port` (0: any free one, of those `within`) at `local`; the port is returned.

        Several may have the same if all have `reuse` (SO_REUSEADDR) or all `reuse_port`
        (SO_REUSEPORT). Without either a port that connections or TIME_WAIT still use is refused,
        as in Linux. Raises OSError EADDRINUSE.
        """
        if port == 0:
            port = self._free_port(local, v6only, within or self.config.ip_local_port_range)
        elif self._conflicts(local, port, reuse, v6only, reuse_port):
            raise OSError(EADDRINUSE, f"port {port} is in use")
        self._bound.setdefault(port, []).append((local, reuse, v6only, reuse_port))
        return port

    def _conflicts(
        self, local: bytes, port: int, reuse: bool, v6only: bool, reuse_port: bool
    ) -> bool:
        for other, shared, other_v6only, port_shared in self._bound.get(port, ()):
            if (
                overlap(local, v6only, other, other_v6only)
                and not (reuse and shared)
                and not (reuse_port and port_shared)
            ):
                return True
        return not reuse and not reuse_port and port in self._used

    def release(
        self, local: bytes, port: int, reuse: bool, v6only: bool = False, reuse_port: bool = False
    ) -> None:
        """Undo one `bind` with the same arguments."""
        entries = self._bound.get(port)
        entry = (local, reuse, v6only, reuse_port)
        if entries is None or entry not in entries:
            return
        entries.remove(entry)
        if not entries:
            del self._bound[port]

    def _free_port(self, local: bytes, v6only: bool, within: tuple[int, int]) -> int:
        low, high = within
        count = high - low + 1
        self._next += 1
        offset = keyed_hash(self._secret, local + self._next.to_bytes(8, "big"), b"bind port")
        for step in range(count):
            port = low + (offset + step) % count
            if not self._conflicts(local, port, False, v6only, False):
                return port
        raise OSError(EADDRINUSE, "all ports of ip_local_port_range are in use")

    def ephemeral(
        self, local: bytes, remote: bytes, remote_port: int, within: tuple[int, int] | None = None
    ) -> Iterator[int]:
        """Ports for a connection, of those `within`, in the order in which they are to be tried:
        each that no socket is bound to. Take the first whose 4-tuple is not in use."""
        low, high = within or self.config.ip_local_port_range
        count = high - low + 1
        name = local + remote + remote_port.to_bytes(2, "big")
        offset = keyed_hash(self._secret, name, b"connect port")
        for _ in range(count):
            self._next += 1
            port = low + (offset + self._next) % count
            if port not in self._bound:
                yield port


def overlap(a: bytes, a_v6only: bool, b: bytes, b_v6only: bool) -> bool:
    """Whether two bound addresses may get the same packets."""
    if a == b:
        return True
    for wide, v6only, other in ((a, a_v6only, b), (b, b_v6only, a)):
        if wide == ANY_V4 and is_v4(other):
            return True
        if wide == ANY_V6 and (not v6only or not is_v4(other)):
            return True
    return False
