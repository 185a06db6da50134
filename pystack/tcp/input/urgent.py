"""The urgent mechanism as Linux has it (RFC 9293 §3.8.5, RFC 6093): one out-of-band octet.

Writes `rcv_up`, the number of the urgent octet, and `urgent_byte`. The pointer names the octet
after the urgent one (MUST-62). Unless SO_OOBINLINE is set the octet is taken out of the stream.
"""

from __future__ import annotations

from typing import Final

from pystack.events import EVENT_URGENT
from pystack.tcp.tcb import Tcb
from pystack.wire.segment import Segment

NONE: Final = -1
NOT_YET: Final = -2  # announced, still on its way
WAS_READ: Final = -3  # read by MSG_OOB, its place in the stream still ahead


def on_urgent(tcb: Tcb, seg: Segment, seq: int) -> None:
    """Sixth step: a segment with URG whose first octet has number `seq`."""
    if not seg.urgent:
        return
    at_seq = seq + seg.urgent - 1
    if at_seq < tcb.recvbuf.read_seq or at_seq < tcb.rcv_nxt:
        return  # old news
    if tcb.urgent_byte != NONE and at_seq <= tcb.rcv_up:
        return
    recvbuf = tcb.recvbuf
    if tcb.urgent_byte != NONE and tcb.rcv_up == recvbuf.read_seq and not tcb.user.oob_inline:
        recvbuf.take(1)  # its place in the stream goes with it (Linux)
    tcb.rcv_up = at_seq
    tcb.urgent_byte = NOT_YET
    tcb.events |= EVENT_URGENT


def on_payload(tcb: Tcb, seg: Segment, seq: int) -> None:
    """Payload came while the urgent octet is awaited: take it if it is here."""
    offset = tcb.rcv_up - seq
    if 0 <= offset < seg.length:
        tcb.urgent_byte = seg.arena[seg.payload_offset + offset]
        tcb.events |= EVENT_URGENT


def take_byte(tcb: Tcb, peek: bool) -> int:
    """The out-of-band octet; NONE, NOT_YET or WAS_READ when there is none to have."""
    byte = tcb.urgent_byte
    if byte >= 0 and not peek:
        tcb.urgent_byte = WAS_READ
    return byte


def at_mark(tcb: Tcb) -> bool:
    """SIOCATMARK: whether the next octet to read is the urgent one (MUST-33)."""
    return tcb.urgent_byte != NONE and tcb.recvbuf.read_seq == tcb.rcv_up


def readable_before_mark(tcb: Tcb, inline: bool) -> int:
    """How much may be read in one call: reading stops at the mark. Steps over the urgent octet
    when it is next, out of band, and here."""
    recvbuf = tcb.recvbuf
    held = recvbuf.held
    if tcb.urgent_byte == NONE:
        return held
    before = tcb.rcv_up - recvbuf.read_seq
    if before > 0:
        return min(held, before)
    if before == 0 and held:
        if not inline:
            recvbuf.take(1)
            held -= 1
        tcb.urgent_byte = NONE
    return held
