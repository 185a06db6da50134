"""How packets lie in the arenas that Python and C share: `batch` fills and reads them."""

from __future__ import annotations

import mmap
import sys
from struct import Struct
from typing import Final

SLOT_HEADROOM: Final = 16  # octets before each received packet, in front of which C reads a header
TX_RECORD: Final = Struct("<IIHH")  # start, length, gso_size, checksum state


# after a fork each process has its own; Windows has no forks
_OWN: Final = {"flags": mmap.MAP_PRIVATE} if sys.platform != "win32" else {}


def zeros(size: int) -> mmap.mmap:
    """So many bytes of memory, of which only the pages that are written to cost anything (a
    bytearray is written to as it is made). Most batches are small, and a world has many hosts."""
    return mmap.mmap(-1, size, **_OWN)
