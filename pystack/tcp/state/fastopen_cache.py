"""What a client of TCP Fast Open knows of servers (RFC 7413 §4.1.3): their cookies and MSS, and
where it has failed. Shared by all connections of a host, and bounded.

Failures are kept by the pair of addresses (§4.1.3.1): there a SYN is plain for a minute, and twice
as long after each failure that follows at once. Linux has no such pause any more, but one for all
servers, `tcp_fastopen_blackhole_timeout_sec`, which is off by default; that one is here too.
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
    failures: int  # in a row
    failed_us: int  # when it failed last

    __slots__ = tuple(__annotations__)

    def __init__(self) -> None:
        self.mss = self.asks_experimental = self.failures = self.failed_us = 0
        self.cookie = b""
        self.experimental = False

    def is_paused(self, now_us: int) -> bool:
        """Whether a SYN goes plain for its failures."""
        if not self.failures:
            return False
        return now_us < self.failed_us + (_PAUSE_US << min(self.failures - 1, _MOST_DOUBLINGS))


class FastOpenCache:
    """The servers, by the first 32 octets of a flow key."""

    __slots__ = ("config", "_servers", "_paused_us", "_pauses")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._servers: OrderedDict[bytes, KnownServer] = OrderedDict()
        self._paused_us = 0  # when all of it was paused last
        self._pauses = 0  # since a connection of it went well

    def __len__(self) -> int:
        return len(self._servers)

    def find(self, pair: bytes) -> KnownServer | None:
        """What is known of a server."""
        found = self._servers.get(pair)
        if found is not None:
            self._servers.move_to_end(pair)
        return found

    def _entry(self, pair: bytes) -> KnownServer:
        found = self.find(pair)
        if found is None:
            found = self._servers[pair] = KnownServer()
            if len(self._servers) > MAX_ENTRIES:
                self._servers.popitem(last=False)
        return found

    def learn(self, pair: bytes, mss: int, cookie: bytes, experimental: bool) -> None:
        """A SYN,ACK has come, with `cookie` or b""."""
        server = self._entry(pair)
        server.mss = mss
        if cookie:
            server.cookie = cookie
            server.experimental = experimental

    def worked(self, pair: bytes) -> None:
        """The server has answered as it should."""
        self._entry(pair).failures = 0

    def failed(self, pair: bytes, now_us: int) -> None:
        """Data on a SYN was lost or not taken, or nothing has answered."""
        server = self._entry(pair)
        server.failures += 1
        server.failed_us = now_us

    def gave_none(self, pair: bytes, asked_experimental: bool) -> None:
        """A request was answered by no cookie: the next one tries the other kind (Linux)."""
        server = self._entry(pair)
        if not server.cookie:
            server.asks_experimental = max(server.asks_experimental, 2 if asked_experimental else 1)

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

    def all_paused(self, now_us: int) -> bool:
        """Whether it is paused for all servers: twice as long each time in a row."""
        timeout_us = self.config.tcp_fastopen_blackhole_timeout_sec * 1_000_000
        if not timeout_us or not self._pauses:
            return False
        return now_us < self._paused_us + (timeout_us << min(self._pauses - 1, _MOST_DOUBLINGS))

    def resume_all(self) -> None:
        """A connection after the pause has gone well."""
        self._pauses = 0
