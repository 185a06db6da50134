"""How packets lie in the arenas that Python and C share: `batch` fills and reads them."""

from __future__ import annotations

from struct import Struct
from typing import Final

SLOT_HEADROOM: Final = 16  # octets before each received packet, in front of which C reads a header
TX_RECORD: Final = Struct("<IIHH")  # start, length, gso_size, checksum state
