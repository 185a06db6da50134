"""A probe of the path's MTU: the next octets as one segment that is larger than the others (RFC
4821 §7, Linux: tcp_mtu_probe). Writes no variable; `recovery.mtu_probing` says how large.
"""

from __future__ import annotations

from typing import Final

from pystack.cc.base import OPEN
from pystack.tcp.output import emit, sent
from pystack.tcp.recovery import mtu_probing, recovery
from pystack.tcp.state.records import MtuSearch
from pystack.tcp.tcb import Tcb
from pystack.tcp.timing import pacing
from pystack.wire.batch import TxBatch

WAIT: Final = -1  # nothing goes before the next ACK, or before pacing lets it
FULL: Final = -2  # the batch is full

_LEAST_CWND_SEGS: Final = 11


def send_if_due(tcb: Tcb, search: MtuSearch, tx: TxBatch, now_us: int) -> int:
    """Send a probe if one is due and may be sent now. How many octets congestion control allows
    besides is returned, or WAIT, or FULL."""
    payload = _payload_now(tcb, search, now_us)
    if payload == WAIT:
        return WAIT
    if payload:
        nxt = tcb.snd_nxt
        if not emit.segment(tcb, tx, nxt, payload, 0, payload, now_us):
            return FULL
        mtu_probing.probe_sent(tcb, search, nxt, nxt + payload)
        sent.new_data_sent(tcb, nxt, nxt + payload, payload, payload, now_us)
        if tcb.release_us > now_us and pacing.holds(tcb, now_us):
            return WAIT
    return _allowance(tcb, search)


def _payload_now(tcb: Tcb, search: MtuSearch, now_us: int) -> int:
    """The payload of a probe that may be sent now; 0 for none, WAIT if one may soon.

    None while anything may be lost, nor while our segments carry SACK blocks, as then they differ
    in size; and only with enough behind it for three duplicate ACKs.
    """
    board = tcb.scoreboard
    mss = tcb.eff_mss
    if (
        search.probe_size
        or tcb.recovery != OPEN
        or tcb.cc.cwnd < _LEAST_CWND_SEGS * mss
        or tcb.dsack is not None
        or tcb.recvbuf.ooo_bytes
        or board.sacked_bytes
        or board.lost_bytes
        or board.retransmitted_bytes
        or tcb.dup_acks
    ):
        return 0
    payload = mtu_probing.next_payload(tcb, search, now_us)
    nxt = tcb.snd_nxt
    needed = payload + (tcb.loss.dup_thresh + 1) * mss
    if not payload or tcb.sndbuf.end_seq - nxt < needed or tcb.snd_wnd < needed:
        return 0
    if nxt + needed > tcb.snd_una + tcb.snd_wnd:
        return WAIT
    if recovery.allowance(tcb) < 2 * mss:
        return WAIT if nxt > tcb.snd_una else 0
    if tcb.sndbuf.eor is not None and tcb.sndbuf.record_end_after(nxt) < nxt + payload:
        return 0
    return payload


def _allowance(tcb: Tcb, search: MtuSearch) -> int:
    """`recovery.allowance` with a probe counted as two segments, however large it is (Linux)."""
    allowed = recovery.allowance(tcb)
    if search.probe_size:
        allowed += search.probe_end - search.probe_start - 2 * tcb.eff_mss
    return max(allowed, 0)
