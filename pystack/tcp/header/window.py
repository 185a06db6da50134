"""The window we offer (RFC 9293 §3.8.6, §3.8.6.2.2) and how the receive buffer grows.

Writes `rcv_wnd`, `rcv_adv`, `rcv_ssthresh`, `last_ack_sent` and `rcv_space`. The
promised right edge never moves left (SHLD-14); small openings are not offered (MUST-39). The
choices are Linux's: half of the buffer is window, and buffers grow with what the user reads per
round trip (dynamic right-sizing).
"""

from __future__ import annotations

from typing import Final

from pystack.ip.route_metrics import RouteMetrics
from pystack.tcp.state.records import ReceiveSpace
from pystack.tcp.tcb import Tcb

MAX_UNSCALED: Final = 65535  # the largest value of the field
_WORTH_GROWING = 128


def full_space(tcb: Tcb) -> int:
    """The largest window that the present buffer allows."""
    space = tcb.recvbuf.limit >> 1
    clamp = tcb.window_clamp
    return clamp if clamp and clamp < space else space


def initial_window(
    limit: int, clamp: int, mss: int, wscale: int, route: RouteMetrics | None = None
) -> int:
    """What a SYN offers, in bytes: whole segments, never above 65535 (RFC 7323 §2.2), nor above
    what the route has."""
    space = limit >> 1
    if clamp:
        space = min(space, clamp)
    space = min(space, MAX_UNSCALED << wscale)
    if space > mss:
        space -= space % mss
    if route is not None and route.initrwnd:
        space = min(space, route.initrwnd * mss)
    return min(space, MAX_UNSCALED)


def _candidate(tcb: Tcb) -> int:
    """What the buffer would let us offer now, silly windows avoided."""
    allowed = tcb.recvbuf.limit >> 1
    full = full_space(tcb)
    free = allowed - tcb.recvbuf.held
    mss = tcb.rcv_mss
    if mss > full:
        mss = full
        if mss <= 0:
            return 0
    scale = tcb.rcv_wscale
    if free < full >> 1:
        free = free >> scale << scale if free > 0 else 0
        if free < allowed >> 4 or free < mss:
            return 0
    if free > tcb.rcv_ssthresh:
        free = min(full, tcb.rcv_ssthresh)
    if scale:
        return -(-free >> scale) << scale
    # unscaled: only move by whole segments, so that each offer is worth one
    current = tcb.rcv_wnd
    if current <= free - mss or current > free:
        return free - free % mss
    if mss == full and free > current + (full >> 1):
        return free
    return current


def select(tcb: Tcb) -> int:
    """Take the window to offer with the segment being sent; its 16-bit field is returned."""
    rcv_nxt = tcb.rcv_nxt
    scale = tcb.rcv_wscale
    left = tcb.rcv_adv - rcv_nxt
    if left < 0:
        left = 0
    wnd = _candidate(tcb)
    if wnd < left:
        wnd = -(-left >> scale) << scale
    limit = MAX_UNSCALED << scale
    if wnd > limit:
        wnd = limit
    tcb.rcv_wnd = wnd
    adv = rcv_nxt + wnd
    if adv > tcb.rcv_adv:
        tcb.rcv_adv = adv
    tcb.last_ack_sent = rcv_nxt
    return wnd >> scale


def offer_on_syn(tcb: Tcb, wnd: int) -> None:
    """The unscaled window that our SYN or SYN,ACK has offered."""
    tcb.rcv_wnd = wnd
    tcb.rcv_ssthresh = wnd
    tcb.rcv_adv = tcb.rcv_nxt + wnd
    tcb.last_ack_sent = tcb.rcv_nxt


def grow(tcb: Tcb, length: int) -> None:
    """Payload of some size came in order: offer more than at first, as far as the buffer goes
    (Linux: tcp_grow_window; a peer that sends crumbs does not get the whole buffer)."""
    room = full_space(tcb) - tcb.rcv_ssthresh
    if room > 0 and length >= _WORTH_GROWING:
        tcb.rcv_ssthresh += min(room, 2 * max(length, tcb.adv_mss))


def update_is_worth_it(tcb: Tcb) -> bool:
    """After a read: whether the offer can at least double (Linux: tcp_cleanup_rbuf)."""
    left = tcb.rcv_adv - tcb.rcv_nxt
    if left < 0:
        left = 0
    if 2 * left > full_space(tcb):
        return False
    wnd = _candidate(tcb)
    return wnd > 0 and wnd >= 2 * left


def measure_read(tcb: Tcb, now_us: int) -> None:
    """Once per round trip: let the buffer hold twice what the user took in it."""
    read_seq = tcb.recvbuf.read_seq
    space = tcb.rcv_space
    if space is None:
        tcb.rcv_space = ReceiveSpace(now_us, read_seq)
        return
    elapsed_us = now_us - space.at_us
    if elapsed_us < max(tcb.srtt_us, 1000):
        return
    copied = read_seq - space.seq
    if copied > space.most:
        grown = space.most and copied * (copied - space.most) // space.most
        space.most = copied
        if tcb.config.tcp_moderate_rcvbuf and not tcb.user.rcvbuf_locked:
            wanted = 2 * copied + 16 * tcb.adv_mss + 2 * min(grown, copied)
            limit = min(2 * wanted, tcb.config.tcp_rmem[2])
            if limit > tcb.recvbuf.limit:
                tcb.recvbuf.set_limit(limit)
    space.seq = read_seq
    space.at_us = now_us
