"""How far do segments overtake each other on this path? (Linux: tcp_check_sack_reordering.)

What was never sent again, and is delivered after something that was sent later, has been overtaken.
The distance in segments is the degree of reordering, `tcp_reordering` at first and
`tcp_max_reordering` at most. Until some was seen, RACK takes so many segments beyond a hole for a
loss; with a degree above `tcp_reordering` the window grows by blocks too. Writes the scoreboard's
`reordering` and `reord_seen`.
"""

from __future__ import annotations

from pystack.cc.base import LOSS
from pystack.tcp.scoreboard.ack_result import NEVER, AckResult
from pystack.tcp.tcb import Tcb


def on_ack(tcb: Tcb, ack: AckResult) -> None:
    """An ACK has told of what came late. By blocks it counts after a timeout only while that may be
    undone."""
    if ack.reord_sacked != NEVER and (tcb.recovery != LOSS or tcb.undo.seq >= 0):
        note(tcb, ack.reord_sacked)
    if ack.reord_acked != NEVER:
        note(tcb, ack.reord_acked)


def note(tcb: Tcb, low: int) -> None:
    """What begins at number `low` has come after the highest that was delivered."""
    board = tcb.scoreboard
    distance = board.fack - low
    if distance <= 0:
        return
    mss = tcb.eff_mss
    if distance > board.reordering * mss:
        board.reordering = min(-(-distance // mss), tcb.config.tcp_max_reordering)
    board.reord_seen += 1
