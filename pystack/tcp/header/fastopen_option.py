"""The option of TCP Fast Open (RFC 7413 §4.1.1): a cookie, or the request for one.

Kind 34, or as before that RFC kind 254 with an identifier (as Linux, which answers in the form that
it was asked in). Only on SYN and SYN,ACK; a cookie has 4 to 16 octets, an even number.
"""

from __future__ import annotations

from typing import Final

from pystack.wire.consts import (
    HAS_EXPERIMENT,
    HAS_FASTOPEN,
    OPT_EOL,
    OPT_EXPERIMENT_2,
    OPT_FASTOPEN,
    OPT_NOP,
)
from pystack.wire.segment import Segment

MAY_BE_THERE: Final = HAS_FASTOPEN | HAS_EXPERIMENT  # bits of Segment.options
_LEAST: Final = 4
_MOST: Final = 16
_IDENTIFIER: Final = b"\xf9\x89"


class FastOpenOption:
    """What an option says: `cookie` is b"" for the request of one; `experimental`: kind 254."""

    __slots__ = ("cookie", "experimental")

    def __init__(self, cookie: bytes, experimental: bool) -> None:
        self.cookie = cookie
        self.experimental = experimental

    def octets(self) -> bytes:
        """The whole option, in words of four octets."""
        if self.experimental:
            kind, body = OPT_EXPERIMENT_2, _IDENTIFIER + self.cookie
        else:
            kind, body = OPT_FASTOPEN, self.cookie
        option = bytes((kind, 2 + len(body))) + body
        return option + bytes((OPT_NOP,)) * (-len(option) % 4)


def read(seg: Segment) -> FastOpenOption | None:
    """The option of a SYN or SYN,ACK. None without one, and where it has no valid length."""
    if not seg.options & MAY_BE_THERE:
        return None
    found = None
    octets = seg.option_octets()
    at, end = 0, len(octets)
    while at < end and octets[at] != OPT_EOL:
        if octets[at] == OPT_NOP:
            at += 1
            continue
        after = at + octets[at + 1]
        experimental = (
            octets[at] == OPT_EXPERIMENT_2 and octets[at + 2 : at + 4] == _IDENTIFIER
        )
        if experimental or octets[at] == OPT_FASTOPEN:
            cookie = octets[at + (4 if experimental else 2) : after]
            if not cookie or (_LEAST <= len(cookie) <= _MOST and not len(cookie) % 2):
                found = FastOpenOption(cookie, experimental)
        at = after
    return found
