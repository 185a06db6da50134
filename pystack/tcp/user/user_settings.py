"""The user's settings: what setsockopt sets for a connection (RFC 9293 §3.9.1, Linux's options).

Writes the record `user`, `cc` and the settings that segments need. Takes no time: what needs a
clock is marked and put into effect by the next transmit. The caller marks the connection dirty
afterwards.
"""

from __future__ import annotations

from pystack.cc.base import CongestionControl
from pystack.ip.route_metrics import RouteMetrics
from pystack.tcp.header import options
from pystack.tcp.policies.experimental_option import ExperimentalOption
from pystack.tcp.tcb import ARM, BEGIN_KEEPALIVE, WINDOW_UPDATE, Tcb
from pystack.tcp.timing import delayed_ack


def set_nodelay(tcb: Tcb, on: bool) -> None:
    """TCP_NODELAY (RFC 9293 MUST-17). Set, it also lets go what TCP_CORK or MSG_MORE holds."""
    tcb.nodelay = on
    if on:
        tcb.flush_seq = tcb.sndbuf.end_seq


def set_cork(tcb: Tcb, on: bool) -> None:
    """TCP_CORK: partial segments wait, 200 ms at the most."""
    tcb.cork = on


def set_max_seg(tcb: Tcb, mss: int) -> None:
    """TCP_MAXSEG: caps what is announced and what is sent."""
    tcb.user.max_seg = mss
    options.set_eff_mss(tcb)


def set_keepalive(tcb: Tcb, on: bool) -> None:
    """SO_KEEPALIVE. Its first probe is due in TCP_KEEPIDLE from now, however long nothing has come
    (Linux: tcp_set_keepalive)."""
    if on and not tcb.user.keepalive:
        tcb.pending |= BEGIN_KEEPALIVE
    tcb.user.keepalive = on
    tcb.pending |= ARM


def set_keepalive_times(
    tcb: Tcb, time_us: int | None = None, intvl_us: int | None = None, probes: int | None = None
) -> None:
    """TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT. The first counts since something came last, and
    puts the next probe at its time anew; the others wait for the next one (Linux)."""
    if time_us is not None:
        tcb.user.keepalive_time_us = time_us
        if tcb.user.keepalive:
            tcb.pending = tcb.pending & ~BEGIN_KEEPALIVE | ARM
    if intvl_us is not None:
        tcb.user.keepalive_intvl_us = intvl_us
    if probes is not None:
        tcb.user.keepalive_probes = probes


def set_user_timeout(tcb: Tcb, timeout_us: int) -> None:
    """TCP_USER_TIMEOUT; 0 for tcp_retries2 (RFC 9293 MUST-21)."""
    tcb.user_timeout_us = timeout_us


def set_syn_retries(tcb: Tcb, count: int) -> None:
    """TCP_SYNCNT."""
    tcb.user.syn_retries = count


def set_linger2(tcb: Tcb, timeout_us: int) -> None:
    """TCP_LINGER2; negative: no FIN_WAIT_2 for an orphan at all."""
    tcb.user.linger2_us = timeout_us


def set_quick_ack(tcb: Tcb, on: bool) -> None:
    """TCP_QUICKACK."""
    delayed_ack.set_quick(tcb, on)


def set_window_clamp(tcb: Tcb, clamp: int) -> None:
    """TCP_WINDOW_CLAMP, bytes; 0 for none."""
    tcb.window_clamp = clamp


def set_max_pacing_rate(tcb: Tcb, rate: int) -> None:
    """SO_MAX_PACING_RATE, bytes/s."""
    tcb.max_pacing_rate = rate


def set_notsent_lowat(tcb: Tcb, lowat: int) -> None:
    """TCP_NOTSENT_LOWAT, bytes."""
    tcb.notsent_lowat = lowat


def set_oob_inline(tcb: Tcb, on: bool) -> None:
    """SO_OOBINLINE."""
    tcb.user.oob_inline = on


def set_recverr(tcb: Tcb, on: bool) -> None:
    """IP_RECVERR: queue soft errors for MSG_ERRQUEUE (RFC 9293 SHLD-20: or not)."""
    tcb.user.recverr = on


def set_ip(
    tcb: Tcb, *, tos: int | None = None, ttl: int | None = None, df: int | None = None
) -> None:
    """IP_TOS / IPV6_TCLASS, IP_TTL / IPV6_UNICAST_HOPS, IP_MTU_DISCOVER."""
    if tos is not None:
        tcb.tos = tos
    if ttl is not None:
        tcb.ttl = ttl
    if df is not None:
        tcb.df = df


def take_route(tcb: Tcb, metrics: RouteMetrics) -> None:
    """What the route to the peer asks for, where the user has not chosen (Linux): before our SYN,
    or with the record of a half-open connection. Its congestion control is made by the stack."""
    config = tcb.config
    tcb.user.route = metrics
    if tcb.ttl == config.ip_default_ttl:
        tcb.ttl = default_ttl(tcb)
    if metrics.window and not tcb.window_clamp:
        tcb.window_clamp = metrics.window
    if metrics.rto_min_us:
        tcb.rto_min_us = metrics.rto_min_us


def default_ttl(tcb: Tcb) -> int:
    """The TTL or hop limit where the user has set none: the route's, or `ip_default_ttl`."""
    route = tcb.user.route
    return route.hoplimit if route is not None and route.hoplimit else tcb.config.ip_default_ttl


def set_sndbuf(tcb: Tcb, limit: int) -> None:
    """SO_SNDBUF, already doubled; ends autotuning."""
    tcb.sndbuf.set_limit(limit)
    tcb.sndbuf_locked = True


def set_rcvbuf(tcb: Tcb, limit: int) -> None:
    """SO_RCVBUF, already doubled; ends autotuning."""
    tcb.recvbuf.set_limit(limit)
    tcb.user.rcvbuf_locked = True
    tcb.pending |= WINDOW_UPDATE


def set_experimental_option(tcb: Tcb, option: ExperimentalOption | None) -> None:
    """The option of RFC 6994, one object per connection, before its SYN or with its SYN,ACK."""
    tcb.option = option


def set_congestion(tcb: Tcb, cc: CongestionControl) -> None:
    """TCP_CONGESTION: `cc`, made with the present cwnd, takes over."""
    cc.take_over_from(tcb.cc)
    tcb.cc = cc
