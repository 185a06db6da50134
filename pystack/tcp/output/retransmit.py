"""What is sent again: lost ranges, what the detector wants besides, and the tail loss probe.

Writes no variable; `sent` notes what has left.
"""

from __future__ import annotations

from pystack.cc.base import FAST, LOSS
from pystack.tcp.header import sack_blocks
from pystack.tcp.header.options import MAX_RUN
from pystack.tcp.output import emit, sent
from pystack.tcp.recovery import recovery, tlp
from pystack.tcp.scoreboard.sent_range import SentRange
from pystack.tcp.tcb import PROBE_TAIL, RETRANSMIT_NOW, Tcb
from pystack.tcp.timeouts import retry_limits
from pystack.tcp.timing import pacing, timers
from pystack.wire.batch import TxBatch
from pystack.wire.consts import FIN, PSH


def retransmit_lost(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """Lost ranges again, as far as cwnd - pipe allows; the first at once when marked so. False: the
    batch is full."""
    board = tcb.scoreboard
    mss = tcb.eff_mss - (sack_blocks.space(tcb) if tcb.sack_ok else 0)
    run_most = min(MAX_RUN, pacing.run_bytes(tcb, mss))
    while board.lost_bytes:
        lost = board.first_lost(run_most)
        if lost is None:
            break
        allow = recovery.allowance(tcb)
        wnd_left = tcb.snd_una + tcb.snd_wnd - lost.start
        if tcb.pending & RETRANSMIT_NOW:
            allow = max(allow, mss) if tcb.by_sack or tcb.recovery == LOSS else mss
            if lost.start == tcb.snd_una and wnd_left <= 0:
                wnd_left = mss  # the head also serves as the window's probe
        if allow < mss:
            if allow <= 0 or lost.end - lost.start > allow:
                break
        limit = min(allow, wnd_left, run_most)
        if limit <= 0:
            break
        length = lost.end - lost.start
        if length > limit:
            length = limit - limit % mss or min(limit, length)
        if length > mss and emit.must_not_coalesce(tcb):
            length = mss
        start = lost.start
        if not _retransmit(tcb, tx, lost, length, mss, now_us):
            return False
        tcb.pending &= ~RETRANSMIT_NOW
        if tcb.rto_at_us == 0 or start <= tcb.snd_una or (tcb.recovery == FAST and not tcb.by_sack):
            timers.arm_rto(tcb, retry_limits.next_rto_at(tcb, now_us))
        if tcb.release_us > now_us and pacing.holds(tcb, now_us):
            break
    return True


def retransmit_extra(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """In recovery, with window to spare and nothing else to send: what the detector wants. False:
    the batch is full."""
    board = tcb.scoreboard
    mss = tcb.eff_mss - sack_blocks.space(tcb)
    data_end = tcb.sndbuf.end_seq
    board.data_end = data_end
    while recovery.allowance(tcb) >= mss:
        extra = tcb.loss.extra(board)
        if extra is None:
            return True
        if extra.end > tcb.snd_una + tcb.snd_wnd:
            return True
        length = extra.end - extra.start
        if min(extra.end, data_end) - extra.start > mss:
            length = mss
        if not _retransmit(tcb, tx, extra, length, mss, now_us):
            return False
    return True


def probe_tail(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """A tail loss probe: a segment of new data if the window takes it, else the last one again
    (RFC 8985 §7.3). False: the batch is full."""
    if not tlp.is_wanted(tcb):
        tcb.pending &= ~PROBE_TAIL
        return True
    nxt = tcb.snd_nxt
    mss = tcb.eff_mss - sack_blocks.space(tcb)
    data_end = tcb.sndbuf.end_seq
    length = min(data_end - nxt, mss)
    if length > 0 and nxt + length <= tcb.snd_una + tcb.snd_wnd:
        flags = PSH if nxt + length == data_end else 0
        if not emit.segment(tcb, tx, nxt, length, flags, mss, now_us):
            return False
        sent.new_data_sent(tcb, nxt, nxt + length, length, mss, now_us)
        tlp.sent(tcb, False)
    else:
        tcb.scoreboard.data_end = data_end
        tail = tcb.scoreboard.cut_tail(mss)
        if tail is None or (tail.start > tcb.snd_una and tail.end > tcb.snd_una + tcb.snd_wnd):
            tcb.pending &= ~PROBE_TAIL
            return True  # all has come meanwhile, or the window has shrunk
        if not _retransmit(tcb, tx, tail, tail.end - tail.start, mss, now_us):
            return False
        tlp.sent(tcb, True)
    tcb.pending &= ~PROBE_TAIL
    tcb.shared.counters.loss_probes += 1
    timers.arm_rto(tcb, retry_limits.next_rto_at(tcb, now_us))
    return True


def _retransmit(
    tcb: Tcb, tx: TxBatch, old: SentRange, length: int, mss: int, now_us: int
) -> bool:
    """The first `length` numbers of `old` again, up to the end of a record (MSG_EOR). False: the
    batch is full."""
    seq = old.start
    end = seq + length
    data_end = tcb.sndbuf.end_seq
    if tcb.sndbuf.eor is not None:
        record_end = tcb.sndbuf.record_end_after(seq)
        if record_end < min(end, data_end):
            end = record_end
            length = end - seq
    flags = 0
    payload = length
    if end > data_end:
        flags = FIN
        payload -= 1
    if end >= data_end and payload:
        flags |= PSH
    if not emit.segment(tcb, tx, seq, payload, flags, mss, now_us):
        return False
    sent.retransmission_sent(tcb, old, length, payload, mss, now_us)
    return True
