"""The states of RFC 9293 §3.3.2, and the arrows between them."""

from __future__ import annotations

from typing import Final

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

# The arrows of Figure 5 and of §3.10; every state may also go to CLOSED (reset,
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
