"""The one place where a connection changes its state (RFC 9293 §3.3.2).

Writes `state` and `error`. CLOSED and LISTEN have no TCB (see `stack.listener`). A TCB that
reaches CLOSED or TIME_WAIT is about to go: the stack removes it after the batch and keeps a
compact record for TIME_WAIT.
"""

from __future__ import annotations

from pystack.events import EVENT_CLOSED
from pystack.tcp.state.states import CLOSED, NAMES, TRANSITIONS
from pystack.tcp.tcb import Tcb


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
