"""Was it a loss at all? Eifel (RFC 3522), D-SACK (RFC 2883, 3708) and F-RTO (RFC 5682).

Writes `undo_…`, `frto`, `frto_hold`, `dsack_dups`, `undos`, `bytes_spurious`. When all was
spurious, the windows become what they were before (RFC 4015, as Linux: at once), and so does the
timer's backing off.
"""

from __future__ import annotations

from typing import Final

from pystack.cc.base import FAST, LOSS
from pystack.tcp.ecn import ecn
from pystack.tcp.header import options
from pystack.tcp.tcb import Tcb
from pystack.tcp.timing import rtt
from pystack.wire.consts import HAS_TIMESTAMPS
from pystack.wire.segment import Segment
from pystack.wire.seq import ts_older

# what `frto_verdict` says
REAL: Final = 0
SPURIOUS: Final = 1
TRY_NEW: Final = 2  # new data goes next, and what comes back for it will tell

_NOTHING_REPEATED: Final = -1


def begin(tcb: Tcb) -> None:
    """The windows are about to be cut: remember them, and what is repeated from now on."""
    cc = tcb.cc
    tcb.undo.seq = tcb.snd_una
    tcb.undo.cwnd = cc.cwnd
    tcb.undo.ssthresh = cc.ssthresh
    tcb.undo.retransmitted = tcb.scoreboard.repeated_bytes or _NOTHING_REPEATED
    tcb.undo.ts = -1


def forget(tcb: Tcb) -> None:
    """There was congestion for certain: nothing is undone."""
    tcb.undo.seq = -1


def on_repeat(tcb: Tcb, length: int, now_us: int) -> None:
    """So many bytes leave again."""
    if tcb.undo.seq >= 0:
        tcb.undo.retransmitted = max(tcb.undo.retransmitted, 0) + length
        if tcb.undo.ts < 0 and tcb.ts_ok:
            tcb.undo.ts = options.now_ts(tcb, now_us)


def on_dsack(tcb: Tcb, left: int, right: int) -> bool:
    """Bytes [left, right) came twice. False: not by our doing, as that many were never repeated;
    the network has doubled something (Linux; RFC 3708 §3)."""
    tcb.stats.bytes_spurious += right - left
    tcb.stats.dsack_dups += 1
    tcb.shared.counters.dsack_recv += 1
    if right <= tcb.sndbuf.end_seq and tcb.stats.bytes_spurious > tcb.stats.bytes_retrans:
        return False
    if tcb.undo.seq >= 0 and right > tcb.undo.seq and tcb.undo.retransmitted > 0:
        tcb.undo.retransmitted = max(tcb.undo.retransmitted - (right - left), 0)
    return True


def is_proven(tcb: Tcb, seg: Segment, acked: int) -> bool:
    """Whether all repeats were needless, or this ACK answers what was sent before the first (or
    moves on without any)."""
    if tcb.undo.seq < 0:
        return False
    if tcb.undo.retransmitted == 0 or (acked and tcb.undo.retransmitted == _NOTHING_REPEATED):
        return True
    return (
        acked > 0
        and tcb.undo.ts >= 0
        and bool(seg.options & HAS_TIMESTAMPS)
        and seg.tsecr != 0
        and ts_older(seg.tsecr, tcb.undo.ts)
    )


def undo(tcb: Tcb) -> None:
    """Windows and timer as before."""
    tcb.stats.undos += 1
    tcb.cc.on_undo(tcb.undo.cwnd, tcb.undo.ssthresh)
    ecn.cut_undone(tcb)
    tcb.undo.seq = -1
    tcb.undo.frto = False
    tcb.undo.new_data_first = False
    rtt.undo_back_off(tcb, tcb.undo.rto_us)


# -- F-RTO ---------------------------------------------------------------------------------------
def on_rto(tcb: Tcb, first: bool) -> None:
    """The timer expired. A timeout within a recovery goes the conventional way (RFC 5682 §3.1)."""
    fresh = tcb.recovery != FAST and tcb.recovery != LOSS
    if fresh or tcb.undo.seq < 0:
        begin(tcb)
    if first:
        tcb.undo.rto_us = tcb.rto_us
    tcb.undo.frto = bool(tcb.config.tcp_frto) and (fresh or not first)
    tcb.undo.new_data_first = False


def frto_failed(tcb: Tcb) -> None:
    """The loss was real (step 3), or nothing new can tell, or it is over."""
    tcb.undo.frto = False
    tcb.undo.new_data_first = False


def frto_verdict(tcb: Tcb, acked: int, recovered: bool) -> int:
    """What an ACK after the timeout tells (RFC 5682 §2.1 and, with SACK, §3.1)."""
    board = tcb.scoreboard
    tcb.undo.new_data_first = False  # it lasts until the next ACK
    if board.first_copy_end <= tcb.recover and (tcb.by_sack or not board.repeat_acked):
        return SPURIOUS  # data that was never repeated has arrived
    if tcb.snd_nxt > tcb.recover:  # new data is out since
        if not acked or board.sacked_bytes:
            frto_failed(tcb)
    elif acked and not recovered:
        if tcb.sndbuf.end_seq > tcb.snd_nxt and tcb.snd_una + tcb.snd_wnd > tcb.snd_nxt:
            tcb.undo.new_data_first = True
            return TRY_NEW
        frto_failed(tcb)
    return REAL
