"""A segment that no connection takes: whether a RST answers it, and the RST (RFC 9293 §3.10.7.1).

The RST is decided on, built and counted here. A segment also comes here when the RFC says, for the
state that a connection is in, that a RST answers it.
"""

from __future__ import annotations

from pystack.stack.host_state import HostState
from pystack.tcp.output import emit
from pystack.wire.consts import ACK, RST
from pystack.wire.segment import Segment
from pystack.wire.seq import MASK


def send_reset(host: HostState, seg: Segment) -> None:
    """Answer `seg` by a RST, unless it is one itself or the batch is full."""
    flags = seg.flags
    if flags & RST:
        return
    if flags & ACK:
        seq, ack, answer = seg.ack, 0, RST
    else:
        seq, ack, answer = 0, (seg.seq + seg.seg_len) & MASK, RST | ACK
    ttl = host.config.ip_default_ttl
    if emit.bare(host.tx, seg.key, seq, ack, answer, 0, b"", 0, ttl, 0):
        host.counters.out_rsts += 1
