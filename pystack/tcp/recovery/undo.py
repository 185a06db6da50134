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
    tcb.undo_seq = tcb.snd_una
    tcb.undo_cwnd = cc.cwnd
    tcb.undo_ssthresh = cc.ssthresh
    tcb.undo_bytes = tcb.scoreboard.repeated_bytes or _NOTHING_REPEATED
    tcb.undo_ts = -1


def forget(tcb: Tcb) -> None:
    """There was congestion for certain: nothing is undone."""
    tcb.undo_seq = -1


def on_repeat(tcb: Tcb, length: int, now_us: int) -> None:
    """So many bytes leave again."""
    if tcb.undo_seq >= 0:
        tcb.undo_bytes = max(tcb.undo_bytes, 0) + length
        if tcb.undo_ts < 0 and tcb.ts_ok:
            tcb.undo_ts = options.now_ts(tcb, now_us)


def on_dsack(tcb: Tcb, left: int, right: int) -> bool:
    """Bytes [left, right) came twice. False: not by our doing, as that many were never repeated;
    the network has doubled something (Linux; RFC 3708 §3)."""
    tcb.bytes_spurious += right - left
    tcb.dsack_dups += 1
    tcb.shared.counters.dsack_recv += 1
    if right <= tcb.sndbuf.end_seq and tcb.bytes_spurious > tcb.bytes_retrans:
        return False
    if tcb.undo_seq >= 0 and right > tcb.undo_seq and tcb.undo_bytes > 0:
        tcb.undo_bytes = max(tcb.undo_bytes - (right - left), 0)
    return True


def is_proven(tcb: Tcb, seg: Segment, acked: int) -> bool:
    """Whether all repeats were needless, or this ACK answers what was sent before the first (or
    moves on without any)."""
    if tcb.undo_seq < 0:
        return False
    if tcb.undo_bytes == 0 or (acked and tcb.undo_bytes == _NOTHING_REPEATED):
        return True
    return (
        acked > 0
        and tcb.undo_ts >= 0
        and bool(seg.options & HAS_TIMESTAMPS)
        and seg.tsecr != 0
        and ts_older(seg.tsecr, tcb.undo_ts)
    )


def undo(tcb: Tcb) -> None:
    """Windows and timer as before."""
    tcb.undos += 1
    tcb.cc.on_undo(tcb.undo_cwnd, tcb.undo_ssthresh)
    ecn.cut_undone(tcb)
    tcb.undo_seq = -1
    tcb.frto = False
    tcb.frto_hold = False
    rtt.undo_back_off(tcb, tcb.undo_rto_us)


# -- F-RTO ---------------------------------------------------------------------------------------
def on_rto(tcb: Tcb, first: bool) -> None:
    """The timer expired. A timeout within a recovery goes the conventional way (RFC 5682 §3.1)."""
    fresh = tcb.recovery != FAST and tcb.recovery != LOSS
    if fresh or tcb.undo_seq < 0:
        begin(tcb)
    if first:
        tcb.undo_rto_us = tcb.rto_us
    tcb.frto = bool(tcb.config.tcp_frto) and (fresh or not first)
    tcb.frto_hold = False


def frto_failed(tcb: Tcb) -> None:
    """The loss was real (step 3), or nothing new can tell, or it is over."""
    tcb.frto = False
    tcb.frto_hold = False


def frto_verdict(tcb: Tcb, acked: int, recovered: bool) -> int:
    """What an ACK after the timeout tells (RFC 5682 §2.1 and, with SACK, §3.1)."""
    board = tcb.scoreboard
    tcb.frto_hold = False  # it lasts until the next ACK
    if board.first_copy_end <= tcb.recover and (tcb.by_sack or not board.repeat_acked):
        return SPURIOUS  # data that was never repeated has arrived
    if tcb.snd_nxt > tcb.recover:  # new data is out since
        if not acked or board.sacked_bytes:
            frto_failed(tcb)
    elif acked and not recovered:
        if tcb.sndbuf.end_seq > tcb.snd_nxt and tcb.snd_una + tcb.snd_wnd > tcb.snd_nxt:
            tcb.frto_hold = True
            return TRY_NEW
        frto_failed(tcb)
    return REAL
