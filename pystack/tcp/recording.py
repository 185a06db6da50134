"""A connection's observer, told of its sender: one call per ACK, per run sent, per timeout.

Writes `recorder`. It is None on a connection without an observer. The caller looks at that first,
so that nothing is spent there.
"""

from __future__ import annotations

from typing import Final, Protocol

from pystack.errors import PartError
from pystack.tcp.tcb import Tcb

# what has just happened, and all that followed from it
SENT: Final = 1  # new numbers left
RETRANSMITTED: Final = 2
ACKED: Final = 4  # an ACK came while something was in flight
RTO: Final = 8  # the retransmission timer expired
LOOKED: Final = 16  # the loss detector's timer: something may be lost now


class Observer(Protocol):
    """Watches one connection, and changes nothing. `name` is for the message when it raises."""

    name: str

    def note(self, tcb: Tcb, event: int, now_us: int) -> None:
        """The event of this module has happened to `tcb` at `now_us`."""


def attach(tcb: Tcb, observer: Observer | None) -> None:
    """Let `observer` watch from now on, in the place of any other; None ends it."""
    tcb.recorder = observer


def note(tcb: Tcb, event: int, now_us: int) -> None:
    """Tell the observer, which there is. Raises PartError for one that raises."""
    try:
        tcb.recorder.note(tcb, event, now_us)
    except Exception as error:
        raise PartError("recorder", tcb.recorder.name, error) from error
