"""Packets that are not TCP segments: bad ones, fragments, ICMP, UDP, and other protocols."""

from __future__ import annotations

from pystack.ip.address_checks import is_for_host
from pystack.stack.connections import ConnectionTable
from pystack.stack.demux import deliver
from pystack.stack.icmp_input import icmp_error_arrives
from pystack.udp import udp_input
from pystack.wire.batch import RxBatch
from pystack.wire.consts import (
    CHECKSUM_COMPLETE,
    DROP_BAD_IP_OPTION,
    DROP_UNKNOWN_PROTOCOL,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_UDP,
    KIND_BAD,
    KIND_FRAGMENT,
    KIND_TCP,
)
from pystack.wire.segment import Segment


def packet_arrives(host: ConnectionTable, seg: Segment, now_us: int) -> None:
    """Handle a record of any kind but KIND_TCP."""
    kind = seg.kind
    if kind == KIND_BAD:
        host.counters.in_errs += 1
        host.counters.dropped[seg.reason] += 1
        if seg.reason == DROP_BAD_IP_OPTION:
            host.ip.icmp.bad_options(seg.packet(), now_us)
    elif kind == KIND_FRAGMENT:
        _on_fragment(host, seg, now_us)
    else:
        _on_other_protocol(host, seg, now_us)


def _on_fragment(host: ConnectionTable, seg: Segment, now_us: int) -> None:
    if not is_for_host(host.ip, seg):
        return
    whole = host.ip.reassembly.add(seg.packet(), seg.version, now_us)
    if whole is None:
        return
    host.counters.reassembled += 1
    rx = RxBatch(1)
    rx.add(whole, 0, CHECKSUM_COMPLETE)
    again = Segment()
    kind = again.load(rx.view, rx.records, 0)
    if kind == KIND_TCP:
        host.counters.in_segs += 1
        deliver(host, again, now_us)
    elif kind != KIND_FRAGMENT:  # what comes whole out of reassembly is no fragment
        packet_arrives(host, again, now_us)


def _on_other_protocol(host: ConnectionTable, seg: Segment, now_us: int) -> None:
    protocol = seg.protocol
    if protocol in (IPPROTO_ICMP, IPPROTO_ICMPV6):
        host.counters.icmp_in += 1
        error = host.ip.icmp.receive(seg)
        if error is not None:
            icmp_error_arrives(host, error, now_us)
    elif protocol == IPPROTO_UDP:
        udp_input.packet_arrives(host.udp, seg, now_us)
    elif is_for_host(host.ip, seg):
        host.counters.dropped[DROP_UNKNOWN_PROTOCOL] += 1
        host.ip.icmp.protocol_unreachable(seg.packet(), seg.version, now_us)
