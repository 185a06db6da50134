"""Datagrams that are sent (RFC 768), in fragments where the path's MTU asks for it, as in Linux."""

from __future__ import annotations

from errno import EAGAIN, EINVAL, EMSGSIZE
from typing import Final

from pystack.ip.fragments import fragment
from pystack.ip.reports import ORIGIN_LOCAL
from pystack.udp.endpoints import (
    OVERHEAD,
    PMTUD_DO,
    PMTUD_INTERFACE,
    PMTUD_PROBE,
    PMTUD_WANT,
    Stamp,
    UdpEndpoint,
    UdpTable,
)
from pystack.wire import udp
from pystack.wire.address import is_multicast, is_v4
from pystack.wire.consts import (
    IPV4_HEADER,
    IPV4_MIN_MTU,
    IPV6_HEADER,
    IPV6_MIN_MTU,
    UDP_HEADER,
)

_NEVER_CUT: Final = frozenset((PMTUD_DO, PMTUD_PROBE, PMTUD_INTERFACE))
MOST_SEGMENTS: Final = 128  # of one call (Linux: UDP_MAX_SEGMENTS)
_LARGEST: Final = IPV6_HEADER + 0xFFFF  # what a host may send to itself


class Sending:
    """How one call sends, where it differs from the endpoint's options: -1 is the endpoint's.

    `segment_size`: the payload is cut into datagrams of so many octets (UDP_SEGMENT), 0 for one.
    `stamps`: of which of TX_SOFTWARE and TX_SCHED the error queue tells the time; `stamp_id` names
    the datagram there.
    """

    __slots__ = ("tos", "ttl", "segment_size", "stamps", "stamp_id")

    def __init__(
        self, tos: int = -1, ttl: int = -1, segment_size: int = 0, stamps: int = 0,
        stamp_id: int = 0,
    ) -> None:  # fmt: skip
        self.tos = tos
        self.ttl = ttl
        self.segment_size = segment_size
        self.stamps = stamps
        self.stamp_id = stamp_id


def send(
    table: UdpTable, endpoint: UdpEndpoint, datagram: udp.Datagram, how: Sending | None = None
) -> int:
    """Queue a datagram for the next transmit; 0, or an errno: EAGAIN (the send buffer is full:
    EVENT_WRITABLE follows), EMSGSIZE, EINVAL (UDP_SEGMENT: too many)."""
    if how is not None and 0 < how.segment_size < len(datagram.payload):
        return _send_segments(table, endpoint, datagram, how)
    remote = datagram.destination
    v4 = is_v4(remote)
    most = udp.MAX_PAYLOAD_V4 if v4 else udp.MAX_PAYLOAD_V6
    size = (IPV4_HEADER if v4 else IPV6_HEADER) + UDP_HEADER + len(datagram.payload)
    mode = endpoint.pmtud(v4)
    mtu = _path_mtu(table, remote, v4, mode)
    if len(datagram.payload) > most or (size > mtu and mode in _NEVER_CUT):
        report = (EMSGSIZE, ORIGIN_LOCAL, 0, 0, mtu, b"", 0, 0)
        endpoint.report(report, remote, datagram.destination_port, datagram.payload, v4)
        return EMSGSIZE
    if not endpoint.has_room():
        return EAGAIN
    _queue(table, endpoint, datagram, how, v4, mtu, mode)
    return 0


def _send_segments(
    table: UdpTable, endpoint: UdpEndpoint, whole: udp.Datagram, how: Sending
) -> int:
    """Each piece as a datagram of its own; all of them or none (Linux: udp_send_skb)."""
    size = how.segment_size
    payload = whole.payload
    remote = whole.destination
    v4 = is_v4(remote)
    header = (IPV4_HEADER if v4 else IPV6_HEADER) + UDP_HEADER
    mode = endpoint.pmtud(v4)
    mtu = _path_mtu(table, remote, v4, mode)
    if header + size > mtu:
        return EMSGSIZE
    if len(payload) > size * MOST_SEGMENTS or (
        endpoint.unsummed if v4 else endpoint.unsummed_v6
    ):
        return EINVAL
    if not endpoint.has_room():
        return EAGAIN
    for at in range(0, len(payload), size):
        piece = udp.Datagram(
            whole.source, whole.source_port, remote, whole.destination_port, payload[at : at + size]
        )
        last = at + size >= len(payload)
        _queue(table, endpoint, piece, how if last else _without_stamps(how), v4, mtu, mode)
    return 0


def _without_stamps(how: Sending) -> Sending:
    """As it, but for the timestamps, which the last piece has."""
    if not how.stamps:
        return how
    return Sending(how.tos, how.ttl)


def _queue(
    table: UdpTable, endpoint: UdpEndpoint, datagram: udp.Datagram, how: Sending | None, v4: bool,
    mtu: int, mode: int,
) -> None:  # fmt: skip
    """Build the packet of a datagram that may leave, and queue it."""
    remote = datagram.destination
    size = (IPV4_HEADER if v4 else IPV6_HEADER) + UDP_HEADER + len(datagram.payload)
    df = v4 and (
        mode in (PMTUD_DO, PMTUD_PROBE)
        or (size <= mtu and mode == PMTUD_WANT and not table.ip.path_mtus.is_locked(remote))
    )
    whole = df or (not v4 and size <= mtu)  # nobody cuts it: RFC 6864 §4.1
    ident = 0 if whole else table.ip.next_ident(remote)
    tos = endpoint.tos if v4 else endpoint.tclass
    ttl = -1
    if how is not None:
        tos = tos if how.tos < 0 else how.tos
        ttl = how.ttl
    if ttl < 0:
        ttl = _ttl(table, endpoint, remote, v4)
    checksum = not (endpoint.unsummed if v4 else endpoint.unsummed_v6)
    packet = udp.build(datagram, tos=tos, ttl=ttl, ident=ident, df=df, checksum=checksum)
    if how is not None and how.stamps:
        stamp = (how.stamps, how.stamp_id, remote, datagram.destination_port)
        _leave(table, endpoint, packet, remote, mtu, ident, stamp)
    else:
        _leave(table, endpoint, packet, remote, mtu, ident, None)
    table.counters.udp_out_datagrams += 1


def path_mtu(table: UdpTable, endpoint: UdpEndpoint, remote: bytes) -> int:
    """The largest packet for `remote` that need not be cut."""
    v4 = is_v4(remote)
    return _path_mtu(table, remote, v4, endpoint.pmtud(v4))


def _path_mtu(table: UdpTable, remote: bytes, v4: bool, mode: int) -> int:
    ip = table.ip
    if remote in ip.addresses.local:
        return _LARGEST
    known = ip.path_mtus.mtu(remote) if mode < PMTUD_PROBE else ip.mtu
    return max(known, IPV4_MIN_MTU if v4 else IPV6_MIN_MTU)


def _ttl(table: UdpTable, endpoint: UdpEndpoint, remote: bytes, v4: bool) -> int:
    if is_multicast(remote):
        ttl = endpoint.multicast_ttl if v4 else endpoint.multicast_hops
    else:
        ttl = endpoint.ttl if v4 else endpoint.hops
    if ttl >= 0:
        return ttl
    if table.ip.addresses.has_metrics:
        metrics = table.ip.addresses.metrics_for(remote)
        if metrics is not None and metrics.hoplimit:
            return metrics.hoplimit
    return table.config.ip_default_ttl


def _leave(
    table: UdpTable, endpoint: UdpEndpoint, packet: bytes, remote: bytes, mtu: int, ident: int,
    stamp: Stamp | None,
) -> None:  # fmt: skip
    """Queue a packet, or its fragments, for the next transmit."""
    cost = len(packet) + OVERHEAD
    endpoint.charge(cost)
    out = table.out
    addresses = table.ip.addresses
    if remote in addresses.local:
        out.append((packet, endpoint, cost, True, stamp))
    else:
        if remote in addresses.broadcast:
            out.append((packet, endpoint, 0, True, None))
        pieces = fragment(packet, mtu, ident)
        for piece in pieces[:-1]:
            out.append((piece, endpoint, 0, False, None))
        out.append((pieces[-1], endpoint, cost, False, stamp))
    table.wake()
