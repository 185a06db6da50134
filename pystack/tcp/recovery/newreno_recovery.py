"""Losses found without SACK, by counting duplicate ACKs (RFC 5681 §3.2, RFC 6582, RFC 3042).

Used where the peer has no SACK, and with the detector `newreno`. Instead of inflating cwnd by a
segment for each duplicate ACK, the same octets are counted in `dup_bytes` as having left the
network. So `pipe` falls and `output` may send: flight <= cwnd + dup_bytes. Writes `dup_acks`,
`dup_bytes` and `limited_from`; `recovery` calls it and writes the rest.
"""

from __future__ import annotations

from pystack.cc.base import CWR, FAST, LOSS, OPEN
from pystack.tcp.recovery import undo
from pystack.tcp.tcb import RETRANSMIT_NOW, Tcb


def count_dup_ack(tcb: Tcb) -> bool:
    """A duplicate ACK by RFC 5681 §2. True: it is the one that begins fast recovery."""
    mss = tcb.eff_mss
    if tcb.recovery == LOSS:
        undo.frto_failed(tcb)
        search = tcb.mtu_search
        only_probe = search is not None and search.repair_end > tcb.snd_una
        if only_probe or tcb.dup_bytes + tcb.recover < tcb.snd_nxt:  # for what was sent since
            tcb.dup_bytes += mss
            bound(tcb)
        return False
    tcb.dup_acks += 1
    if tcb.dup_acks == 1:
        tcb.limited_from = tcb.snd_nxt
    thresh = tcb.loss.dup_thresh
    if tcb.recovery == FAST:
        tcb.dup_bytes += mss
    elif tcb.dup_acks < thresh:
        if tcb.dup_acks < 3:
            tcb.dup_bytes += mss  # limited transmit (RFC 3042): one new segment each
    elif tcb.dup_acks == thresh:
        if tcb.snd_una > tcb.recover or tcb.recover == tcb.iss or tcb.recovery == CWR:
            tcb.dup_bytes = thresh * mss
            return True
        tcb.dup_bytes = 0  # needless retransmissions after a timeout (RFC 6582 §3.2 step 1)
    bound(tcb)
    return False


def retransmit_head(tcb: Tcb) -> None:
    """The first segment in flight is lost: it goes at once."""
    tcb.scoreboard.mark_first_lost(tcb.eff_mss)
    tcb.pending |= RETRANSMIT_NOW
    bound(tcb)


def after_ack(tcb: Tcb, before: int, acked: int) -> None:
    """An ACK of `acked` new bytes was taken; `before` was the state of recovery when it came."""
    if tcb.recovery == LOSS:
        # the retransmission was one segment of it; duplicates have told of the rest
        tcb.dup_bytes = max(tcb.dup_bytes - max(acked - tcb.eff_mss, 0), 0)
        bound(tcb)
        return
    if before == OPEN or tcb.recovery == CWR:
        forget(tcb)
    elif tcb.recovery == FAST:
        # partial ACK: the next hole is lost too; deflate by what was acknowledged, less one MSS
        mss = tcb.eff_mss
        if acked >= mss:
            acked -= mss
        tcb.dup_bytes = max(tcb.dup_bytes - acked, 0)
        retransmit_head(tcb)


def forget(tcb: Tcb) -> None:
    """Counting starts over."""
    tcb.dup_acks = 0
    tcb.dup_bytes = 0


def bound(tcb: Tcb) -> None:
    """No more can have left the network than is out and not lost."""
    most = tcb.snd_nxt - tcb.snd_una - tcb.scoreboard.lost_bytes
    if tcb.dup_bytes > most:
        tcb.dup_bytes = most
