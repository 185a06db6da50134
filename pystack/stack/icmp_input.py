"""ICMP errors that came: the connection that one quotes is found, and what it does to it decided.

RFC 9293 §3.9.2.2 (MUST-54), RFC 5927, Linux. While connecting, an unreachable destination ends the
attempt at once, as Linux does (RFC 5461 §4.1 knows it as the non-standard way most stacks go); a
connection that exists is never ended by ICMP: the error is soft (RFC 5927 §5.2). Quoted sequence
numbers must be in flight. `ip.icmp` has read the message.
"""

from __future__ import annotations

from pystack.ip.icmp_messages import IcmpError, errno_of, is_too_big
from pystack.ip.reports import ORIGIN_ICMP, ORIGIN_ICMP6
from pystack.stack.connections import ConnectionTable
from pystack.stack.half_open import HalfOpen
from pystack.tcp import soft_errors
from pystack.tcp.fastopen import active, passive
from pystack.tcp.state.states import SYN_RECEIVED, SYN_SENT
from pystack.tcp.tcb import Tcb
from pystack.tcp.user import user_calls
from pystack.udp import udp_input
from pystack.wire.consts import DROP_ICMP_QUOTE, IPPROTO_TCP, IPPROTO_UDP
from pystack.wire.flow_key import remote_address
from pystack.wire.seq import unwrap


def icmp_error_arrives(host: ConnectionTable, error: IcmpError, now_us: int) -> None:
    """Bring an error to the one connection that it quotes."""
    if error.quoted_protocol == IPPROTO_TCP:
        _for_tcp(host, error, now_us)
    elif error.quoted_protocol == IPPROTO_UDP:
        if udp_input.icmp_error_arrives(host.udp, error, now_us):
            host.path_mtu_changed(remote_address(error.quoted_key), True)


def _for_tcp(host: ConnectionTable, error: IcmpError, now_us: int) -> None:
    connection = host.connections.get(error.quoted_key)
    known = False
    if type(connection) is Tcb:
        known = _quotes_flight(connection, error)
    elif type(connection) is HalfOpen:
        known = error.quoted_seq == connection.iss
    if not known:
        host.counters.dropped[DROP_ICMP_QUOTE] += 1
        return
    path_mtus = host.ip.path_mtus
    if is_too_big(error):
        destination = remote_address(error.quoted_key)
        if path_mtus.learn(destination, error.mtu, now_us, error.quoted_length):
            host.path_mtu_changed(destination, True)
        elif type(connection) is Tcb and connection.path_mtu > path_mtus.mtu(destination):
            host.take_path_mtu(connection, True)
    elif type(connection) is Tcb:
        _tell(connection, error, now_us)
        host.touch(connection)


def _quotes_flight(tcb: Tcb, error: IcmpError) -> bool:
    """RFC 5927 §4.1: SND.UNA =< quoted SEQ < SND.NXT, so that the error is not a guess."""
    una = tcb.iss if passive.is_open(tcb) else tcb.snd_una  # the SYN,ACK is out too
    return una <= unwrap(error.quoted_seq, una) < tcb.snd_nxt


def _tell(tcb: Tcb, error: IcmpError, now_us: int) -> None:
    number = errno_of(error)
    if not number:
        return
    origin = ORIGIN_ICMP if error.version == 4 else ORIGIN_ICMP6
    soft_errors.report(tcb, number, origin, error.type, error.code, error.mtu, error.offender)
    unseen = not tcb.passive or (tcb.fast_accept is not None and tcb.owner is None)
    if tcb.state == SYN_SENT or (tcb.state == SYN_RECEIVED and unseen):
        tcb.shared.counters.attempt_fails += 1
        active.on_refused(tcb, now_us)
        user_calls.abandon(tcb, number)
