"""The states of RFC 9293 §3.3.2 and the one place where a connection changes them.

Writes `state` and `error`. CLOSED and LISTEN have no TCB (see `stack.listener`); a TCB that
reaches CLOSED, or TIME_WAIT, is on its way out: the stack removes it after the batch and
keeps a compact record for TIME_WAIT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pystack.tcp.tcb import Tcb

CLOSED: Final = 0
LISTEN: Final = 1
SYN_SENT: Final = 2
SYN_RECEIVED: Final = 3
ESTABLISHED: Final = 4
FIN_WAIT_1: Final = 5
FIN_WAIT_2: Final = 6
CLOSE_WAIT: Final = 7
CLOSING: Final = 8
LAST_ACK: Final = 9
TIME_WAIT: Final = 10

NAMES: Final = (
    "CLOSED", "LISTEN", "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1",
    "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT",
)  # fmt: skip

# The arrows of Figure 5 and of the text of §3.10; every state may also go to CLOSED (reset,
# abort, timeout). SYN_SENT to FIN_WAIT_1 or CLOSE_WAIT never happens in one step.
TRANSITIONS: Final = {
    CLOSED: frozenset({SYN_SENT, SYN_RECEIVED}),
    SYN_SENT: frozenset({CLOSED, SYN_RECEIVED, ESTABLISHED}),
    SYN_RECEIVED: frozenset({CLOSED, ESTABLISHED, FIN_WAIT_1}),
    ESTABLISHED: frozenset({CLOSED, FIN_WAIT_1, CLOSE_WAIT}),
    FIN_WAIT_1: frozenset({CLOSED, FIN_WAIT_2, CLOSING, TIME_WAIT}),
    FIN_WAIT_2: frozenset({CLOSED, TIME_WAIT}),
    CLOSE_WAIT: frozenset({CLOSED, LAST_ACK}),
    CLOSING: frozenset({CLOSED, TIME_WAIT}),
    LAST_ACK: frozenset({CLOSED}),
    TIME_WAIT: frozenset({CLOSED}),
}

# What the owner of a connection is told: bits of Tcb.events
EVENT_ESTABLISHED: Final = 1
EVENT_READABLE: Final = 2
EVENT_WRITABLE: Final = 4
EVENT_PEER_CLOSED: Final = 8  # the peer's FIN is in order: end of stream
EVENT_CLOSED: Final = 16  # gone; Tcb.error says how (0: both sides closed)
EVENT_URGENT: Final = 32
EVENT_SOFT_ERROR: Final = 64  # a report for the error queue
EVENT_ACCEPTABLE: Final = 128  # on a listener: somebody may be accepted


def set_state(tcb: Tcb, new: int) -> None:
    """Move to `new`. An arrow that the RFC does not have is a programming error."""
    old = tcb.state
    assert new in TRANSITIONS[old], f"{NAMES[old]} -> {NAMES[new]}"
    tcb.state = new
    if tcb.watch is not None:
        tcb.watch(tcb, old, new)


def end(tcb: Tcb, error: int) -> None:
    """To CLOSED at once. `error` is the errno that pending and later calls get, 0 for none."""
    if tcb.state == CLOSED:
        return
    if error and not tcb.error:
        tcb.error = error
    set_state(tcb, CLOSED)
    tcb.events |= EVENT_CLOSED
