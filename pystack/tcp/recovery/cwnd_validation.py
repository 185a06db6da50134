"""How far the congestion window is used: one that is not says nothing of the path, so it does not
grow (RFC 7661 §4.3, Linux: tcp_cwnd_validate). It stays while ACKs come; after idle times see
`output`, and a loss cuts what was in flight.

Writes `cwnd_…`.
"""

from __future__ import annotations

from pystack.tcp.tcb import Tcb


def note_use(tcb: Tcb, full: bool) -> None:
    """New data has left as far as it may; `full`: the window takes no segment more. One that was
    full once counts so until what was sent by then is acknowledged."""
    flight = tcb.snd_nxt - tcb.snd_una
    if full or tcb.snd_una >= tcb.cwnd_seq or (not tcb.cwnd_limited and flight > tcb.cwnd_most):
        tcb.cwnd_limited = full
        tcb.cwnd_most = flight
        tcb.cwnd_seq = tcb.snd_nxt


def is_used(tcb: Tcb) -> bool:
    """Whether the last flight was bounded by the window; in slow start more than half of it is use
    enough (Linux), as it is to double."""
    cc = tcb.cc
    return tcb.cwnd_limited or (cc.cwnd < cc.ssthresh and cc.cwnd < 2 * tcb.cwnd_most)
