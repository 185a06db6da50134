"""How a socket hears of its connection, listener or endpoint."""

from __future__ import annotations

from typing import Protocol

from pystack.stack.owner import Owner


class Hearing(Protocol):
    """A socket of either kind."""

    def happened(self, events: int) -> None:
        """The stack tells of EVENT_… bits."""


class Ear(Owner):
    """Hears from the stack what happens to what a socket has there."""

    __slots__ = ("socket",)

    def __init__(self, socket: Hearing) -> None:
        self.socket = socket

    def notify(self, events: int) -> None:
        self.socket.happened(events)
