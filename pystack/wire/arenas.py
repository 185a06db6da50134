"""How packets lie in the arenas that Python and C share: `batch` fills and reads them."""

from __future__ import annotations

import mmap
from struct import Struct
from typing import Any, Final

SLOT_HEADROOM: Final = 16  # octets before each received packet, in front of which C reads a header
TX_RECORD: Final = Struct("<IIHH")  # start, length, gso_size, checksum state


_PRIVATE: Final = getattr(mmap, "MAP_PRIVATE", 0)  # after a fork each process has its own
_OWN: Final[dict[str, Any]] = {"flags": _PRIVATE} if _PRIVATE else {}  # Windows has neither


def zeros(size: int) -> mmap.mmap:
    """So many bytes of memory, of which only the pages that are written to cost anything (a
    bytearray is written to as it is made). Most batches are small, and a world has many hosts."""
    return mmap.mmap(-1, size, **_OWN)
