"""TCP Fast Open of a listener (RFC 7413 §4.2): how many connections may be half open, by which keys
cookies are made, and whether a SYN begins a connection at once."""

from __future__ import annotations

from collections import deque
from typing import Final

from pystack.config import Config
from pystack.counters import Counters
from pystack.tcp.header.fastopen_option import FastOpenOption
from pystack.tcp.policies import fastopen_cookies as cookies
from pystack.wire.segment import Segment

# bits of tcp_fastopen
SERVER: Final = 2
NO_COOKIE_NEEDED: Final = 0x200
ALL_LISTENERS: Final = 0x400

_RESET_US: Final = 60_000_000  # how long one counts that was reset (RFC 7413 §5.1)


class FastAccepts:
    """What TCP_FASTOPEN and its relatives set for a listener; connections count from their SYN to
    the end of their handshake, and 60 s longer when a RST has ended that: whoever forges addresses
    of others uses the limit up, and TCP Fast Open pauses."""

    __slots__ = ("limit", "no_cookie", "keys", "half_open", "_resets")

    def __init__(self) -> None:
        self.limit = 0  # TCP_FASTOPEN: so many may be half open, 0 for off
        self.no_cookie = False  # TCP_FASTOPEN_NO_COOKIE
        self.keys = b""  # TCP_FASTOPEN_KEY: one key or two; b"" for the host's
        self.half_open = 0
        self._resets: deque[int] = deque()  # until when those that were reset count

    def configure(self, limit: int, no_cookie: bool, keys: bytes) -> None:
        """The options as they are now."""
        self.limit = limit
        self.no_cookie = no_cookie
        self.keys = keys

    def begin(self) -> None:
        """One more is half open."""
        self.half_open += 1

    def end(self, counts_on: bool, now_us: int) -> None:
        """One is half open no longer; `counts_on`: a RST has ended it."""
        self.half_open -= 1
        if counts_on:
            self._resets.append(now_us + _RESET_US)

    def has_room(self, now_us: int) -> bool:
        """Whether one more may be half open."""
        resets = self._resets
        if self.half_open + len(resets) < self.limit:
            return True
        if resets and resets[0] <= now_us:
            resets.popleft()
            return True
        return False


class Answer:
    """`at_once`: the SYN begins a connection; `option`: what the SYN,ACK tells, or None."""

    __slots__ = ("at_once", "option")

    def __init__(self, at_once: bool = False, option: FastOpenOption | None = None) -> None:
        self.at_once = at_once
        self.option = option


def answer(
    accepts: FastAccepts, seg: Segment, option: FastOpenOption | None, config: Config,
    secret: bytes, counters: Counters, now_us: int,
) -> Answer:  # fmt: skip
    """What a SYN with data or with the option leads to (Linux: tcp_try_fastopen)."""
    if option is not None and not option.cookie:
        counters.fastopen_cookie_reqd += 1
    if not config.tcp_fastopen & SERVER or not accepts.limit:
        return Answer()
    if not seg.length and option is None:
        return Answer()  # another experiment's option
    if not accepts.has_room(now_us):
        counters.fastopen_listen_overflow += 1
        return Answer()
    if config.tcp_fastopen & NO_COOKIE_NEEDED or accepts.no_cookie:
        return Answer(at_once=True)
    if option is None:
        return Answer()
    keys = accepts.keys or cookies.keys_of(config, secret)
    new = FastOpenOption(cookies.cookie(keys[: cookies.KEY_SIZE], seg.key), option.experimental)
    if not option.cookie:
        return Answer(option=new)
    found = cookies.check(keys, seg.key, option.cookie)
    if found == cookies.INVALID:
        counters.fastopen_passive_fail += 1
        return Answer(option=new)
    if found == cookies.BY_SECOND_KEY:
        counters.fastopen_passive_alt_key += 1
        return Answer(True, new)
    return Answer(True)
