"""The SACK blocks of our ACKs: which there are, how many fit, how they are written.

RFC 2018 §4, RFC 2883 §4. Writes `dsack`. The ranges received out of order are kept by
`state.recvbuf`.
"""

from __future__ import annotations

from pystack.tcp.policies.experimental_option import OPTIONS_MOST
from pystack.tcp.tcb import Tcb
from pystack.wire.seq import MASK

_TIMESTAMPS = 12  # octets of the timestamps option, padded
_MOST = 4  # blocks, where no other option is


def note_duplicate(tcb: Tcb, start: int, end: int) -> None:
    """Octets [start, end) came again: the next ACK reports them, once (RFC 2883 §4)."""
    if tcb.sack_ok and tcb.config.tcp_dsack:
        tcb.dsack = (start, end)


def that_fit(timestamps: bool, taken: int) -> int:
    """How many blocks fit beside `taken` octets of other options and the timestamps."""
    room = OPTIONS_MOST - (_TIMESTAMPS if timestamps else 0) - taken
    return min(max(room - 4, 0) // 8, _MOST)


def count(tcb: Tcb) -> int:
    """How many blocks there are to tell of."""
    return len(tcb.recvbuf.blocks()) + (tcb.dsack is not None)


def space(tcb: Tcb) -> int:
    """Option octets that the blocks of the next segment with payload take."""
    blocks = len(tcb.recvbuf.blocks()) + (tcb.dsack is not None)
    if blocks:
        taken = tcb.option.data_space() if tcb.option is not None else 0
        blocks = min(blocks, that_fit(tcb.ts_ok, taken))
    return 4 + 8 * blocks if blocks else 0


def take(tcb: Tcb, most: int) -> bytes:
    """The option for the ACK that is being built, of up to `most` blocks (1 at least)."""
    return option(_take(tcb, most))


def _take(tcb: Tcb, most: int) -> list[tuple[int, int]]:
    """D-SACK first, with the block around it if it lies beyond RCV.NXT, then the newest."""
    blocks = tcb.recvbuf.blocks()
    dsack = tcb.dsack
    if dsack is None:
        return blocks[:most]
    tcb.dsack = None  # reported in one ACK only
    tcb.shared.counters.dsack_sent += 1
    around = tcb.recvbuf.block_around(*dsack) if dsack[0] >= tcb.rcv_nxt else None
    rest = [block for block in blocks if block != around]
    return [dsack, *([around] if around else []), *rest][:most]


def option(blocks: list[tuple[int, int]]) -> bytes:
    """`nop,nop,sack` for up to four blocks of unwrapped numbers."""
    parts = [bytes((1, 1, 5, 2 + 8 * len(blocks)))]
    for left, right in blocks:
        parts.append((left & MASK).to_bytes(4, "big") + (right & MASK).to_bytes(4, "big"))
    return b"".join(parts)
