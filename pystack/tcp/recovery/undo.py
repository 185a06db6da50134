"""Was it a loss at all? Eifel (RFC 3522), D-SACK (RFC 2883, 3708) and F-RTO (RFC 5682).

When all retransmissions were needless, the windows become what they were before the cut (RFC 4015,
as Linux: at once), and the timer is no longer backed off. Writes the record `undo` and its counts
in `stats`.
"""

from __future__ import annotations

from typing import Final

from pystack.cc.base import FAST, LOSS
from pystack.tcp.ecn import ecn
from pystack.tcp.header import options
from pystack.tcp.scoreboard.ack_result import AckResult
from pystack.tcp.tcb import Tcb
from pystack.tcp.timing import rtt
from pystack.wire.consts import HAS_TIMESTAMPS
from pystack.wire.segment import Segment
from pystack.wire.seq import ts_older

# what `frto_verdict` says
REAL: Final = 0
SPURIOUS: Final = 1
TRY_NEW: Final = 2  # new data goes next, and what comes back for it will tell

_NOTHING_RETRANSMITTED: Final = -1


def begin(tcb: Tcb) -> None:
    """The windows are about to be cut: remember them, and what is retransmitted from now on."""
    cut = tcb.undo
    cut.seq = tcb.snd_una
    cut.cwnd = tcb.cc.cwnd
    cut.ssthresh = tcb.cc.ssthresh
    cut.retransmitted = tcb.scoreboard.retransmitted_bytes or _NOTHING_RETRANSMITTED
    cut.ts = -1


def forget(tcb: Tcb) -> None:
    """There was congestion for certain: nothing is undone."""
    tcb.undo.seq = -1


def on_retransmission(tcb: Tcb, length: int, now_us: int) -> None:
    """`length` bytes have left again."""
    cut = tcb.undo
    if cut.seq >= 0:
        cut.retransmitted = max(cut.retransmitted, 0) + length
        if cut.ts < 0 and tcb.ts_ok:
            cut.ts = options.now_ts(tcb, now_us)


def on_dsack(tcb: Tcb, left: int, right: int) -> bool:
    """Bytes [left, right) came twice. False: not by our doing, as fewer were retransmitted than
    came twice; the network has doubled something (Linux; RFC 3708 §3)."""
    stats = tcb.stats
    stats.bytes_spurious += right - left
    stats.dsack_dups += 1
    tcb.shared.counters.dsack_recv += 1
    if right <= tcb.sndbuf.end_seq and stats.bytes_spurious > stats.bytes_retrans:
        return False
    cut = tcb.undo
    if cut.seq >= 0 and right > cut.seq and cut.retransmitted > 0:
        cut.retransmitted = max(cut.retransmitted - (right - left), 0)
    return True


def is_proven(tcb: Tcb, seg: Segment, acked: int) -> bool:
    """Whether all retransmissions were needless, or this ACK answers what was sent before the first
    of them (or covers new data without any)."""
    cut = tcb.undo
    if cut.seq < 0:
        return False
    if cut.retransmitted == 0 or (acked and cut.retransmitted == _NOTHING_RETRANSMITTED):
        return True
    return (
        acked > 0
        and cut.ts >= 0
        and bool(seg.options & HAS_TIMESTAMPS)
        and seg.tsecr != 0
        and ts_older(seg.tsecr, cut.ts)
    )


def take_back(tcb: Tcb) -> None:
    """Windows and timer as they were before."""
    cut = tcb.undo
    tcb.stats.undos += 1
    tcb.cc.on_undo(cut.cwnd, cut.ssthresh)
    ecn.cut_undone(tcb)
    cut.seq = -1
    cut.frto = cut.new_data_first = False
    rtt.undo_back_off(tcb, cut.rto_us)


# -- F-RTO ---------------------------------------------------------------------------------------
def on_rto(tcb: Tcb, first: bool) -> None:
    """The timer expired. A timeout within a recovery goes the conventional way (RFC 5682 §3.1)."""
    cut = tcb.undo
    fresh = tcb.recovery != FAST and tcb.recovery != LOSS
    if fresh or cut.seq < 0:
        begin(tcb)
    if first:
        cut.rto_us = tcb.rto_us
    cut.frto = bool(tcb.config.tcp_frto) and (fresh or not first)
    cut.new_data_first = False


def frto_failed(tcb: Tcb) -> None:
    """The loss was real (step 3), or no new data can be sent to find out, or it is over."""
    tcb.undo.frto = tcb.undo.new_data_first = False


def frto_verdict(tcb: Tcb, ack: AckResult, acked: int, recovered: bool) -> int:
    """What an ACK after the timeout tells (RFC 5682 §2.1 and, with SACK, §3.1)."""
    tcb.undo.new_data_first = False  # it lasts until the next ACK
    if ack.first_copy_end <= tcb.recover and (tcb.by_sack or not ack.retransmission_acked):
        return SPURIOUS  # data that was never retransmitted has arrived
    if tcb.snd_nxt > tcb.recover:  # new data is out since
        if not acked or tcb.scoreboard.sacked_bytes:
            frto_failed(tcb)
    elif acked and not recovered:
        if tcb.sndbuf.end_seq > tcb.snd_nxt and tcb.snd_una + tcb.snd_wnd > tcb.snd_nxt:
            tcb.undo.new_data_first = True
            return TRY_NEW
        frto_failed(tcb)
    return REAL
