"""Proportional rate reduction: how much may leave during recovery (RFC 9937).

The flight is led down to ssthresh in proportion to what is delivered. When losses have made it
smaller than that, it is built up again as data is delivered, a segment faster while SND.UNA moves
without new losses. Writes `prr` and its record.
"""

from __future__ import annotations

from pystack.tcp.state.records import Prr
from pystack.tcp.tcb import Tcb


def begin(tcb: Tcb, delivered: int) -> None:
    """The window was just cut (§6.1); `output` asks for `allow` from now on, unless the congestion
    control leads by itself. `delivered`: bytes that the ACK which began it has delivered."""
    if not tcb.cc.uses_prr:
        tcb.prr = None
        return
    board = tcb.scoreboard
    tcb.prr = Prr(tcb.snd_nxt - tcb.snd_una - board.sacked_bytes + delivered)


def end(tcb: Tcb) -> None:
    """Recovery is over: cwnd alone counts again."""
    tcb.prr = None


def on_ack(tcb: Tcb, prr: Prr, delivered: int, safe: bool) -> None:
    """An ACK has delivered `delivered` bytes (§6.2); `safe`: SND.UNA has moved and nothing more was
    lost."""
    ssthresh = tcb.cc.ssthresh
    pipe = tcb.pipe
    mss = tcb.eff_mss
    total = prr.delivered + delivered
    prr.delivered = total
    if pipe > ssthresh:
        allow = -(-total * ssthresh // max(prr.flight, 1)) - prr.out
    else:
        allow = max(total - prr.out, delivered)
        if safe:
            allow += mss
        allow = min(allow, ssthresh - pipe)
    if not prr.out:
        allow = max(allow, mss)  # the first retransmission always goes
    prr.allow = max(allow, 0)


def on_lost(tcb: Tcb, prr: Prr, length: int) -> None:
    """`length` bytes were found lost without an ACK. What the last ACK has let into the network
    stays (cwnd of §6.2), and that much of it is free."""
    if prr.out:
        prr.allow += length
    else:
        on_ack(tcb, prr, 0, False)


def on_sent(prr: Prr, length: int) -> None:
    """`length` bytes have left, for the first time or again."""
    prr.out += length
    prr.allow = max(prr.allow - length, 0)
