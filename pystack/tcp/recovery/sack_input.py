"""The SACK blocks of an ACK, onto the scoreboard (RFC 2018 §5, RFC 2883 §5). Writes no variable."""

from __future__ import annotations

from pystack.tcp.recovery import undo
from pystack.tcp.tcb import Tcb
from pystack.wire.segment import Segment
from pystack.wire.seq import unwrap


def take_sack(tcb: Tcb, seg: Segment, ack: int, now_us: int) -> bool:
    """Put the SACK blocks of an ACK on the scoreboard; whether the first is a D-SACK.

    It is judged against this packet's own ACK number (RFC 2883 §5). Blocks are taken from the
    lowest up, so that several new ones are not mistaken for reordering.
    """
    una = tcb.snd_una
    snd_nxt = tcb.snd_nxt
    board = tcb.scoreboard
    blocks = [(unwrap(left, una), unwrap(right, una)) for left, right in seg.sack_blocks()]
    left, right = blocks[0]
    duplicate = left < right and (
        right <= ack or (len(blocks) > 1 and blocks[1][0] <= left and right <= blocks[1][1])
    )
    if duplicate:
        if left < tcb.snd_una - tcb.max_snd_wnd or right > snd_nxt:
            duplicate = False  # never sent, or too long ago to mean anything
        else:
            duplicate = undo.on_dsack(tcb, left, right)
        del blocks[0]
    if len(blocks) > 1:
        blocks.sort()
    for left, right in blocks:
        if una < right and left < right <= snd_nxt:
            board.sacked(left, right, now_us)
    return duplicate
