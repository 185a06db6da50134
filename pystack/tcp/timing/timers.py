"""Every deadline of a connection: armed and cancelled by storing an int, 0 being off.

Writes all `*_at_us`. The stack keeps one lazy heap over `next_at`; what happens when a
deadline passes is in `expiry`.
"""

from __future__ import annotations

from pystack.tcp.tcb import Tcb


def next_at(tcb: Tcb) -> int:
    """The earliest deadline of this connection, 0 when there is none."""
    least = tcb.rto_at_us
    at = tcb.delack_at_us
    if at and (at < least or not least):
        least = at
    at = tcb.persist_at_us
    if at and (at < least or not least):
        least = at
    at = tcb.keepalive_at_us
    if at and (at < least or not least):
        least = at
    at = tcb.fin_wait_2_at_us
    if at and (at < least or not least):
        least = at
    at = tcb.rack_at_us
    if at and (at < least or not least):
        least = at
    at = tcb.tlp_at_us
    if at and (at < least or not least):
        least = at
    at = tcb.pace_at_us
    if at and (at < least or not least):
        least = at
    return least


def arm_rto(tcb: Tcb, at_us: int) -> None:
    """Retransmit at `at_us`; 0 cancels."""
    tcb.rto_at_us = at_us


def arm_persist(tcb: Tcb, at_us: int) -> None:
    """Probe the zero window at `at_us`; 0 cancels."""
    tcb.persist_at_us = at_us


def arm_delack(tcb: Tcb, at_us: int) -> None:
    """Acknowledge at `at_us` at the latest; 0 cancels."""
    tcb.delack_at_us = at_us


def arm_keepalive(tcb: Tcb, at_us: int) -> None:
    """Look at `at_us` whether the peer is still there; 0 cancels."""
    tcb.keepalive_at_us = at_us


def arm_fin_wait_2(tcb: Tcb, at_us: int) -> None:
    """Give up waiting for the peer's FIN at `at_us`; 0 cancels."""
    tcb.fin_wait_2_at_us = at_us


def arm_rack(tcb: Tcb, at_us: int) -> None:
    """Look for losses at `at_us` without an ACK; 0 cancels."""
    tcb.rack_at_us = at_us


def arm_tlp(tcb: Tcb, at_us: int) -> None:
    """Probe the tail at `at_us`; 0 cancels."""
    tcb.tlp_at_us = at_us


def put_off_retransmission(tcb: Tcb, now_us: int) -> None:
    """What is in flight may not have left this host: look again later, as Linux does for a segment
    that is still in one of its queues (`skb_still_in_host_queue`)."""
    if tcb.rto_at_us and tcb.rto_at_us <= now_us:
        arm_rto(tcb, now_us + tcb.rto_us)
    if tcb.tlp_at_us and tcb.tlp_at_us <= now_us:
        arm_tlp(tcb, now_us + (tcb.rto_us >> 1))


def arm_pace(tcb: Tcb, at_us: int) -> None:
    """Go on sending at `at_us`; 0 cancels."""
    tcb.pace_at_us = at_us


def stop_all(tcb: Tcb) -> None:
    """The connection is gone."""
    tcb.rto_at_us = 0
    tcb.persist_at_us = 0
    tcb.delack_at_us = 0
    tcb.keepalive_at_us = 0
    tcb.fin_wait_2_at_us = 0
    tcb.rack_at_us = 0
    tcb.tlp_at_us = 0
    tcb.pace_at_us = 0
