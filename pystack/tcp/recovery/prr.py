"""Proportional rate reduction: how much may leave during recovery (RFC 9937).

Writes `prr_…`. The flight is led down to ssthresh in proportion to what is delivered; when losses
have made it smaller than that, it is built up again as data is delivered, a segment faster while
SND.UNA moves without new losses.
"""

from __future__ import annotations

from pystack.tcp.tcb import Tcb


def begin(tcb: Tcb) -> None:
    """The window was just cut (§6.1); `output` asks for `prr_allow` from now on."""
    tcb.prr_on = tcb.cc.uses_prr
    tcb.prr_delivered = 0
    tcb.prr_out = 0
    tcb.prr_allow = 0
    board = tcb.scoreboard
    # RecoverFS: in flight, with what the ACK that began it has delivered
    tcb.prr_flight = tcb.snd_nxt - tcb.snd_una - board.sacked_bytes + board.newly_delivered


def end(tcb: Tcb) -> None:
    """Recovery is over: cwnd alone counts again."""
    tcb.prr_on = False
    tcb.prr_allow = 0


def on_ack(tcb: Tcb, delivered: int, safe: bool) -> None:
    """`delivered` bytes were newly so (§6.2); `safe`: SND.UNA has moved and nothing more was
    lost."""
    ssthresh = tcb.cc.ssthresh
    pipe = tcb.pipe
    mss = tcb.eff_mss
    total = tcb.prr_delivered + delivered
    tcb.prr_delivered = total
    if pipe > ssthresh:
        allow = -(-total * ssthresh // max(tcb.prr_flight, 1)) - tcb.prr_out
    else:
        allow = max(total - tcb.prr_out, delivered)
        if safe:
            allow += mss
        allow = min(allow, ssthresh - pipe)
    if not tcb.prr_out:
        allow = max(allow, mss)  # the first repeat is never held back
    tcb.prr_allow = max(allow, 0)


def on_lost(tcb: Tcb, length: int) -> None:
    """So many bytes were found lost without an ACK. What the last ACK has let into the network
    stays (cwnd of §6.2), and that much of it is free."""
    if tcb.prr_out:
        tcb.prr_allow += length
    else:
        on_ack(tcb, 0, False)


def on_sent(tcb: Tcb, length: int) -> None:
    """So many bytes have left, repeats or not."""
    tcb.prr_out += length
    tcb.prr_allow = max(tcb.prr_allow - length, 0)
