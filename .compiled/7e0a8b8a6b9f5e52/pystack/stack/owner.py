"""Who is told what happens to a connection or a listener."""

from __future__ import annotations

from pystack.compiling import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class Owner:
    """Base of whoever owns a TCB or a listener (a socket). Told once per batch, after it."""

    __slots__ = ()

    def on_events(self, events: int) -> None:
        """`events`: EVENT_… bits of `tcp.states`. Must not raise; may make socket calls."""
