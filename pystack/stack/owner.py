"""Who is notified of what happens to a connection, a listener or a UDP endpoint."""

from __future__ import annotations

from pystack.compiling import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class Owner:
    """Base of what owns a TCB, a listener or a UDP endpoint: a socket. Notified once per batch,
    after it."""

    __slots__ = ()

    def notify(self, events: int) -> None:
        """`events`: EVENT_… bits of `pystack.events`. Must not raise; may make socket calls."""
