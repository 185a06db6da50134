"""What the owner of a connection, a listener or a UDP endpoint is notified of: bits of `events`."""

from __future__ import annotations

from typing import Final, Protocol

EVENT_ESTABLISHED: Final = 1
EVENT_READABLE: Final = 2
EVENT_WRITABLE: Final = 4
EVENT_PEER_CLOSED: Final = 8  # the peer's FIN is in order: end of stream
EVENT_CLOSED: Final = 16  # gone; `error` says how (0: both sides closed)
EVENT_URGENT: Final = 32
EVENT_SOFT_ERROR: Final = 64  # a report for the error queue
EVENT_ACCEPTABLE: Final = 128  # on a listener: a connection may be accepted


class Owner(Protocol):
    """Owns a TCB, a listener or a UDP endpoint: a socket. Notified once per batch, after it."""

    def notify(self, events: int) -> None:
        """`events`: EVENT_… bits. Must not raise; may make socket calls."""
