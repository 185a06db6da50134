"""One number for a whole run: what passed in each direction of each link, and when."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from pystack.printed import printed, several
from pystack.sim.network.link_direction import LinkDirection
from pystack.wire.batch import Packet
from pystack.wire.offload import completed


class Digest:
    """SHA-256 over every packet that was sent in a direction of a link or arrived, with its time.

    Each direction has two sums, of what was sent and of what arrived. The digest is that of all
    sums in the order in which the links were made: what counts is what each end of a link could
    see.
    """

    def __init__(self) -> None:
        self._sums: list[tuple[str, Any, Any]] = []

    def __repr__(self) -> str:
        return printed(
            self, lambda: f"{self.hexdigest()[:16]} of {several(len(self._sums), 'direction')}"
        )

    def watch(self, direction: LinkDirection) -> None:
        """Include a direction from now on."""
        entering, leaving = sha256(), sha256()
        self._sums.append((direction.name, entering, leaving))

        def enters(direction: LinkDirection, packet: Packet, now_us: int) -> None:
            entering.update(now_us.to_bytes(8, "big") + completed(packet))

        def leaves(direction: LinkDirection, packet: Packet, now_us: int) -> None:
            leaving.update(now_us.to_bytes(8, "big") + completed(packet))

        direction.taps.append(enters)
        direction.arrival_taps.append(leaves)

    def hexdigest(self) -> str:
        """The digest of all until now, in hexadecimal."""
        total = sha256()
        for name, entering, leaving in self._sums:
            total.update(name.encode() + b"\0" + entering.digest() + leaving.digest())
        return total.hexdigest()
