"""Packets that are not TCP segments: bad ones, fragments, ICMP, UDP, and other protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystack.ip.icmp import IcmpError
from pystack.stack import icmp_errors
from pystack.stack.demux import is_addressed_well
from pystack.stack.half_open import HalfOpen
from pystack.tcp.tcb import Tcb
from pystack.udp import udp_input
from pystack.wire.batch import RxBatch
from pystack.wire.consts import (
    CHECKSUM_COMPLETE,
    DROP_ICMP_QUOTE,
    DROP_UNKNOWN_PROTOCOL,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    KIND_BAD,
    KIND_FRAGMENT,
    KIND_TCP,
)
from pystack.wire.segment import Segment

if TYPE_CHECKING:
    from pystack.stack.host import HostCore


def not_tcp(host: HostCore, seg: Segment, now_us: int) -> None:
    """Handle a record of any kind but KIND_TCP."""
    kind = seg.kind
    if kind == KIND_BAD:
        host.counters.in_errs += 1
        host.counters.dropped[seg.reason] += 1
    elif kind == KIND_FRAGMENT:
        _on_fragment(host, seg, now_us)
    else:
        _on_other_protocol(host, seg, now_us)


def _on_fragment(host: HostCore, seg: Segment, now_us: int) -> None:
    if not is_addressed_well(host, seg):
        return
    whole = host.reassembly.add(seg.arena[seg.start : seg.end], seg.version, now_us)
    if whole is None:
        return
    host.counters.reassembled += 1
    rx = RxBatch(1)
    rx.add(whole, 0, CHECKSUM_COMPLETE)
    again = Segment()
    kind = again.load(rx.view, rx.records, 0)
    if kind == KIND_TCP:
        host.one_segment(again, now_us)
    elif kind != KIND_FRAGMENT:  # what comes whole out of reassembly is no fragment
        not_tcp(host, again, now_us)


def _on_other_protocol(host: HostCore, seg: Segment, now_us: int) -> None:
    protocol = seg.protocol
    if protocol in (IPPROTO_ICMP, IPPROTO_ICMPV6):
        host.counters.icmp_in += 1
        error = host.icmp.receive(seg)
        if error is not None:
            _on_icmp_error(host, error, now_us)
        return
    if protocol == IPPROTO_UDP:
        udp_input.packet_arrives(host, seg, now_us)
    elif is_addressed_well(host, seg):
        host.counters.dropped[DROP_UNKNOWN_PROTOCOL] += 1
        host.icmp.protocol_unreachable(seg.arena[seg.start : seg.end], seg.version, now_us)


def _on_icmp_error(host: HostCore, error: IcmpError, now_us: int) -> None:
    """Bring an error to the one connection that it quotes (RFC 9293 MUST-54)."""
    if error.quoted_protocol == IPPROTO_UDP:
        udp_input.icmp_error_arrives(host, error, now_us)
    if error.quoted_protocol != IPPROTO_TCP:
        return
    connection = host.connections.get(error.quoted_key)
    known = False
    if type(connection) is Tcb:
        known = icmp_errors.quotes_flight(connection, error)
    elif type(connection) is HalfOpen:
        known = error.quoted_seq == connection.iss
    if not known:
        host.counters.dropped[DROP_ICMP_QUOTE] += 1
        return
    if icmp_errors.is_too_big(error):
        destination = error.quoted_key[16:32]
        if host.path_mtus.learn(destination, error.mtu, now_us, error.quoted_length):
            host.path_mtu_changed(destination, True)
        elif type(connection) is Tcb and connection.path_mtu > host.path_mtus.mtu(destination):
            host.take_path_mtu(connection, True)
    elif type(connection) is Tcb:
        icmp_errors.deliver(connection, error)
        host.touch(connection)
