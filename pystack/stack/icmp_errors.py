"""What an ICMP error means to the connection it quotes (RFC 9293 §3.9.2.2, RFC 5927, Linux).

While connecting, an unreachable destination ends the attempt at once, as Linux does (RFC 5461
§4.1 knows it as the non-standard way most stacks go); a connection that exists is never ended
by ICMP: the error is soft (RFC 5927 §5.2). Quoted sequence numbers must be in flight.
"""

from __future__ import annotations

from errno import (
    EACCES,
    ECONNREFUSED,
    EHOSTDOWN,
    EHOSTUNREACH,
    EMSGSIZE,
    ENETUNREACH,
    ENOPROTOOPT,
    EOPNOTSUPP,
    EPROTO,
)
from typing import Final

from pystack.errors import ENONET
from pystack.ip.icmp import (
    REASSEMBLY_TIME,
    V4_FRAGMENTATION_NEEDED,
    V4_PARAMETER_PROBLEM,
    V4_TIME_EXCEEDED,
    V4_UNREACHABLE,
    V6_PACKET_TOO_BIG,
    V6_TIME_EXCEEDED,
    V6_UNREACHABLE,
    IcmpError,
)
from pystack.tcp import soft_errors
from pystack.tcp.header import options
from pystack.tcp.recovery import recovery
from pystack.tcp.state.states import SYN_RECEIVED, SYN_SENT
from pystack.tcp.tcb import Tcb
from pystack.tcp.user import user_calls
from pystack.wire.seq import unwrap

# errno per code of destination unreachable, as Linux maps them
_V4_UNREACHABLE: Final = (
    ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE, EOPNOTSUPP, ENETUNREACH,
    EHOSTDOWN, ENONET, ENETUNREACH, EHOSTUNREACH, ENETUNREACH, EHOSTUNREACH, EHOSTUNREACH,
    EHOSTUNREACH, EHOSTUNREACH,
)  # fmt: skip
_V6_UNREACHABLE: Final = (
    ENETUNREACH, EACCES, EHOSTUNREACH, EHOSTUNREACH, ECONNREFUSED, EACCES, EACCES,
)  # fmt: skip


def is_too_big(error: IcmpError) -> bool:
    """Whether it tells of a smaller path MTU."""
    if error.version == 4:
        return (error.type, error.code) == (V4_UNREACHABLE, V4_FRAGMENTATION_NEEDED)
    return error.type == V6_PACKET_TOO_BIG


def errno_of(error: IcmpError) -> int:
    """The errno that Linux gives for this message, 0 for one that says nothing."""
    if error.version == 4:
        if error.type == V4_UNREACHABLE:
            return _V4_UNREACHABLE[error.code]
        if error.type == V4_TIME_EXCEEDED:  # a lost fragment says nothing about the path
            return 0 if error.code == REASSEMBLY_TIME else EHOSTUNREACH
        return EPROTO if error.type == V4_PARAMETER_PROBLEM else 0
    if error.type == V6_UNREACHABLE:
        return _V6_UNREACHABLE[error.code] if error.code < len(_V6_UNREACHABLE) else EPROTO
    if error.type == V6_TIME_EXCEEDED:
        return EHOSTUNREACH
    return EPROTO  # parameter problem, and types yet unknown (RFC 4443 §2.4)


def quotes_flight(tcb: Tcb, error: IcmpError) -> bool:
    """RFC 5927 §4.1: SND.UNA =< quoted SEQ < SND.NXT, so that the error is not a guess."""
    seq = unwrap(error.quoted_seq, tcb.snd_una)
    return tcb.snd_una <= seq < tcb.snd_nxt


def deliver(tcb: Tcb, error: IcmpError) -> None:
    """An error whose quote was checked reaches its connection."""
    number = errno_of(error)
    if not number:
        return
    origin = soft_errors.ORIGIN_ICMP if error.version == 4 else soft_errors.ORIGIN_ICMP6
    soft_errors.report(tcb, number, origin, error.type, error.code, error.mtu, error.offender)
    if tcb.state == SYN_SENT or (tcb.state == SYN_RECEIVED and not tcb.passive):
        tcb.shared.counters.attempt_fails += 1
        user_calls.abandon(tcb, number)


def set_path_mtu(tcb: Tcb, mtu: int, locked: bool, lowered: bool) -> bool:
    """The path's MTU is now `mtu`; `locked`: routers are to fragment below it. When it has
    fallen below what is in flight, that is re-cut and sent again; whether there is something
    to send is returned."""
    before = tcb.eff_mss
    options.set_path_mtu(tcb, mtu, locked)
    if lowered and tcb.eff_mss < before and tcb.snd_nxt > tcb.snd_una:
        recovery.on_path_mtu(tcb)
        return True
    return False
