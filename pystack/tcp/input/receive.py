"""The seventh and eighth steps of SEGMENT ARRIVES: payload and FIN (RFC 9293 §3.10.7.4).

Writes `rcv_nxt`, `fin_received`, `fin_at_seq`, `data_segs_in`, `bytes_received`,
`ooo_segs`, `last_data_us`. Keeps payload that came out of order (SHLD-31) and tells what the SACK
option is to say (RFC 2018, RFC 2883). Never sends; marks.
"""

from __future__ import annotations

from pystack.events import EVENT_PEER_CLOSED, EVENT_READABLE
from pystack.tcp.ecn import ecn
from pystack.tcp.header import sack_blocks, window
from pystack.tcp.input import urgent
from pystack.tcp.state.states import (
    CLOSE_WAIT,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    TIME_WAIT,
)
from pystack.tcp.tcb import ACK_NOW, Tcb
from pystack.tcp.timing import delayed_ack
from pystack.tcp.transitions import set_state
from pystack.wire.consts import DROP_RECEIVE_BUFFER
from pystack.wire.segment import Segment


def in_order(tcb: Tcb, seg: Segment, now_us: int) -> None:
    """Payload that begins at RCV.NXT and fits the window, nothing being held out of order."""
    length = seg.length
    recvbuf = tcb.recvbuf
    if recvbuf.held + length > recvbuf.bound:
        _no_memory(tcb)
        return
    if tcb.ecn is not None:
        ecn.on_payload(tcb, tcb.ecn, seg)
    tcb.data_segs_in += seg.segs
    tcb.bytes_received += length
    if tcb.urgent_byte == urgent.NOT_YET:
        urgent.on_payload(tcb, seg, tcb.rcv_nxt)
    at = seg.payload_offset
    recvbuf.append(bytes(seg.arena[at : at + length]))
    tcb.events |= EVENT_READABLE
    tcb.rcv_nxt += length
    window.grow(tcb, length)
    delayed_ack.on_payload(tcb, seg, now_us)
    tcb.last_data_us = now_us
    delayed_ack.schedule(tcb, now_us)


def on_syn_payload(tcb: Tcb, seg: Segment, now_us: int) -> None:
    """Data on a SYN or SYN,ACK, as far as the window goes that we offer (RFC 7413 §4.2)."""
    payload = seg.payload(0, min(seg.length, tcb.rcv_wnd))
    if not payload:
        return
    tcb.data_segs_in += 1
    tcb.bytes_received += len(payload)
    tcb.recvbuf.append(payload)
    tcb.events |= EVENT_READABLE
    tcb.rcv_nxt += len(payload)
    tcb.last_data_us = now_us


def on_payload(tcb: Tcb, seg: Segment, seq: int, now_us: int) -> None:
    """Seventh: payload numbered from `seq`, of which at least a part lies in the window."""
    rcv_nxt = tcb.rcv_nxt
    recvbuf = tcb.recvbuf
    length = min(seg.length, tcb.rcv_adv - seq)  # beyond the window: cut off
    if seq == rcv_nxt and length == seg.length and not recvbuf.has_holes:
        in_order(tcb, seg, now_us)
        return
    skip = max(rcv_nxt - seq, 0)
    if length <= skip:  # nothing new: wholly old, or the window is closed
        if skip and seg.length:
            _duplicate(tcb, seq, seq + min(skip, seg.length))
        tcb.pending |= ACK_NOW
        return
    if recvbuf.held + recvbuf.ooo_bytes + length - skip > recvbuf.bound:
        _no_memory(tcb)
        return
    if skip:
        sack_blocks.note_duplicate(tcb, seq, rcv_nxt)
    if tcb.ecn is not None:
        ecn.on_payload(tcb, tcb.ecn, seg)
    tcb.data_segs_in += seg.segs
    if tcb.urgent_byte == urgent.NOT_YET:
        urgent.on_payload(tcb, seg, seq)
    payload = seg.payload(skip, length - skip)
    start = seq + skip
    if start > rcv_nxt:
        _hold(tcb, start, payload)
        return
    tcb.bytes_received += len(payload)
    recvbuf.append(payload)
    tcb.events |= EVENT_READABLE
    if recvbuf.has_holes:
        left, right = recvbuf.lowest_block()
        if start + len(payload) > left:
            sack_blocks.note_duplicate(tcb, left, min(start + len(payload), right))
        before = recvbuf.held
        tcb.rcv_nxt = recvbuf.fill(rcv_nxt + len(payload))
        tcb.bytes_received += recvbuf.held - before
        tcb.pending |= ACK_NOW  # a gap closed or narrowed (RFC 5681 §4.2)
        if tcb.fin_at_seq and tcb.rcv_nxt >= tcb.fin_at_seq:
            if tcb.rcv_nxt == tcb.fin_at_seq:
                on_fin(tcb, tcb.fin_at_seq, now_us)
                return
            tcb.fin_at_seq = 0  # payload lies where it was (Linux drops such a FIN too)
            recvbuf.drop_fin()
    else:
        tcb.rcv_nxt = rcv_nxt + len(payload)
    window.grow(tcb, len(payload))
    delayed_ack.on_payload(tcb, seg, now_us)
    tcb.last_data_us = now_us
    if length < seg.length:
        tcb.pending |= ACK_NOW  # some did not fit: tell the peer how far we are
    delayed_ack.schedule(tcb, now_us)


def _no_memory(tcb: Tcb) -> None:
    """The whole buffer is taken, which is twice what the window says: rounding windows up gives
    a peer that sends crumbs a little more each time (Linux: TCPRcvQDrop)."""
    tcb.shared.counters.dropped[DROP_RECEIVE_BUFFER] += 1
    tcb.pending |= ACK_NOW


def _hold(tcb: Tcb, start: int, payload: bytes) -> None:
    """Payload beyond a hole: keep it and answer at once with what is missing."""
    recvbuf = tcb.recvbuf
    counters = tcb.shared.counters
    tcb.stats.ooo_segs += 1
    counters.ooo_queued += 1
    before = recvbuf.ooo_bytes
    again = recvbuf.hold(start, payload)
    if again is not None:
        sack_blocks.note_duplicate(tcb, *again)
    elif recvbuf.ooo_bytes == before:
        counters.dropped[DROP_RECEIVE_BUFFER] += 1
    tcb.pending |= ACK_NOW


def _duplicate(tcb: Tcb, start: int, end: int) -> None:
    ecn.on_duplicate(tcb, start)
    sack_blocks.note_duplicate(tcb, start, end)
    delayed_ack.on_duplicate(tcb)


def on_old_segment(tcb: Tcb, seq: int, length: int) -> None:
    """First step: a segment before the window; the ACK that answers it reports its octets, a FIN
    being one. `length` is SEG.LEN."""
    if length and seq < tcb.rcv_nxt:
        _duplicate(tcb, seq, min(seq + length, tcb.rcv_nxt))


def on_fin(tcb: Tcb, fin_seq: int, now_us: int) -> None:
    """Eighth: a FIN numbered `fin_seq`. Ahead of a hole it waits (RFC 9293 §3.10.7.4)."""
    if fin_seq != tcb.rcv_nxt:
        if tcb.rcv_nxt < fin_seq < tcb.rcv_adv and not tcb.fin_at_seq:
            tcb.fin_at_seq = fin_seq
            tcb.recvbuf.hold_fin(fin_seq)
            tcb.pending |= ACK_NOW
        return
    if tcb.fin_received:
        return
    tcb.fin_received = True
    tcb.rcv_nxt = fin_seq + 1
    tcb.recvbuf.clear_held()
    tcb.events |= EVENT_PEER_CLOSED | EVENT_READABLE
    state = tcb.state
    if state == ESTABLISHED:
        delayed_ack.on_fin(tcb, now_us)
        set_state(tcb, CLOSE_WAIT)
        return
    tcb.pending |= ACK_NOW
    if state == FIN_WAIT_1:
        # our FIN being acknowledged, the fifth step has made this FIN_WAIT_2 already
        set_state(tcb, CLOSING)
    elif state == FIN_WAIT_2:
        set_state(tcb, TIME_WAIT)
