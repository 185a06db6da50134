"""What a client of TCP Fast Open knows of servers (RFC 7413 §4.1.3): their cookies and MSS, and
where it has failed. Shared by all connections of a host, and bounded.

Cookies are kept by the pair of addresses, failures by the server's port too (§4.1.3.1): there a SYN
is plain for a minute, and twice as long after each failure that follows at once. Linux has no such
pause any more, but one for all servers, `tcp_fastopen_blackhole_timeout_sec`, which is off by
default; that one is here too.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from pystack.config import Config

MAX_ENTRIES: Final = 1024  # the one used longest ago makes room
_PAUSE_US: Final = 60_000_000
_MOST_DOUBLINGS: Final = 6


class KnownServer:
    """One server, as seen from one of our addresses."""

    mss: int  # that it has announced, in octets
    cookie: bytes  # b"" while there is none
    experimental: bool  # the cookie came by kind 254
    asks_experimental: int  # 1: the next request has kind 254; 2: that was in vain as well

    __slots__ = tuple(__annotations__)

    def __init__(self) -> None:
        self.mss = self.asks_experimental = 0
        self.cookie = b""
        self.experimental = False


class FastOpenCache:
    """The servers; `key` is the flow key of a connection, our side first."""

    __slots__ = ("config", "_servers", "_failures", "_paused_us", "_pauses")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._servers: OrderedDict[bytes, KnownServer] = OrderedDict()  # by both addresses
        # how many in a row, and when the last was; by both addresses and the server's port
        self._failures: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self._paused_us = 0  # when all of it was paused last
        self._pauses = 0  # since a connection of it went well

    def __len__(self) -> int:
        return len(self._servers)

    def find(self, key: bytes) -> KnownServer | None:
        """What is known of a server."""
        pair = key[:32]
        found = self._servers.get(pair)
        if found is not None:
            self._servers.move_to_end(pair)
        return found

    def _entry(self, key: bytes) -> KnownServer:
        found = self.find(key)
        if found is None:
            found = self._servers[key[:32]] = KnownServer()
            if len(self._servers) > MAX_ENTRIES:
                self._servers.popitem(last=False)
        return found

    def learn(self, key: bytes, mss: int, cookie: bytes, experimental: bool) -> None:
        """A SYN,ACK has come, with `cookie` or b""."""
        server = self._entry(key)
        server.mss = mss
        if cookie:
            server.cookie = cookie
            server.experimental = experimental

    def gave_none(self, key: bytes, asked_experimental: bool) -> None:
        """A request was answered by no cookie: the next one tries the other kind (Linux)."""
        server = self._entry(key)
        if not server.cookie:
            server.asks_experimental = max(server.asks_experimental, 2 if asked_experimental else 1)

    # -- failures -----------------------------------------------------------------------------
    def failed(self, key: bytes, now_us: int) -> None:
        """Data on a SYN was lost or not taken, or nothing has answered."""
        service = _service(key)
        count, _ = self._failures.pop(service, (0, 0))
        self._failures[service] = (count + 1, now_us)
        if len(self._failures) > MAX_ENTRIES:
            self._failures.popitem(last=False)

    def worked(self, key: bytes) -> None:
        """The server has answered as it should."""
        self._failures.pop(_service(key), None)

    def is_paused(self, key: bytes, now_us: int) -> bool:
        """Whether a SYN goes plain for failures of this server, or of all."""
        if self._all_paused(now_us):
            return True
        count, failed_us = self._failures.get(_service(key), (0, 0))
        if not count:
            return False
        return now_us < failed_us + (_PAUSE_US << min(count - 1, _MOST_DOUBLINGS))

    # -- all of it (Linux: tcp_fastopen_active_disable) ----------------------------------------
    def pause_all(self, now_us: int) -> bool:
        """Connections of it have gone silent: some middlebox does not bear it. Whether
        `tcp_fastopen_blackhole_timeout_sec` has it paused for that."""
        if not self.config.tcp_fastopen_blackhole_timeout_sec:
            return False
        self._paused_us = now_us
        self._pauses += 1
        return True

    @property
    def was_paused(self) -> bool:
        """Whether no connection has gone well since the last pause."""
        return self._pauses > 0

    def _all_paused(self, now_us: int) -> bool:
        """Whether it is paused for all servers: twice as long each time in a row."""
        timeout_us = self.config.tcp_fastopen_blackhole_timeout_sec * 1_000_000
        if not timeout_us or not self._pauses:
            return False
        return now_us < self._paused_us + (timeout_us << min(self._pauses - 1, _MOST_DOUBLINGS))

    def resume_all(self) -> None:
        """A connection after the pause has gone well."""
        self._pauses = 0


def _service(key: bytes) -> bytes:
    """The addresses and the server's port."""
    return key[:32] + key[34:36]
