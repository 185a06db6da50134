"""One number for a whole run: what passed on each line, and when."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from pystack.path.offload import completed
from pystack.printed import printed, several
from pystack.sim.link_direction import Line
from pystack.wire.batch import Packet


class Digest:
    """SHA-256 over every packet that was sent into a line or came out of it, with its time.

    Each line has two sums of its own, for what enters and what leaves, and the digest is that of
    all of them in the order of the lines: so what counts is what each end of a line could see.
    """

    def __init__(self) -> None:
        self._sums: list[tuple[str, Any, Any]] = []

    def __repr__(self) -> str:
        return printed(
            self, lambda: f"{self.hexdigest()[:16]} of {several(len(self._sums), 'line')}"
        )

    def watch(self, line: Line) -> None:
        """Include a line from now on."""
        entering, leaving = sha256(), sha256()
        self._sums.append((line.name, entering, leaving))

        def enters(line: Line, packet: Packet, now_us: int) -> None:
            entering.update(now_us.to_bytes(8, "big") + completed(packet))

        def leaves(line: Line, packet: Packet, now_us: int) -> None:
            leaving.update(now_us.to_bytes(8, "big") + completed(packet))

        line.taps.append(enters)
        line.arrival_taps.append(leaves)

    def hexdigest(self) -> str:
        """The digest of all until now, in hexadecimal."""
        total = sha256()
        for name, entering, leaving in self._sums:
            total.update(name.encode() + b"\0" + entering.digest() + leaving.digest())
        return total.hexdigest()
