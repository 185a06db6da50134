"""Datagrams that are sent (RFC 768), in fragments where the path's MTU asks for it, as in Linux."""

from __future__ import annotations

from errno import EAGAIN, EMSGSIZE
from typing import Final

from pystack.ip.fragments import fragment
from pystack.ip.reports import ORIGIN_LOCAL
from pystack.udp.endpoints import (
    OVERHEAD,
    PMTUD_DO,
    PMTUD_INTERFACE,
    PMTUD_PROBE,
    PMTUD_WANT,
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
_LARGEST: Final = IPV6_HEADER + 0xFFFF  # what a host may send to itself


def send(table: UdpTable, endpoint: UdpEndpoint, datagram: udp.Datagram) -> int:
    """Queue a datagram for the next transmit; 0, or an errno: EAGAIN (the send buffer is full:
    EVENT_WRITABLE follows), EMSGSIZE."""
    remote = datagram.destination
    v4 = is_v4(remote)
    most = udp.MAX_PAYLOAD_V4 if v4 else udp.MAX_PAYLOAD_V6
    size = (IPV4_HEADER if v4 else IPV6_HEADER) + UDP_HEADER + len(datagram.payload)
    mode = endpoint.pmtud(v4)
    mtu = _path_mtu(table, remote, v4, mode)
    if len(datagram.payload) > most or (size > mtu and mode in _NEVER_CUT):
        report = (EMSGSIZE, ORIGIN_LOCAL, 0, 0, mtu, b"")
        endpoint.report(report, remote, datagram.destination_port, datagram.payload, v4)
        return EMSGSIZE
    if not endpoint.has_room():
        return EAGAIN
    df = v4 and (
        mode in (PMTUD_DO, PMTUD_PROBE)
        or (size <= mtu and mode == PMTUD_WANT and not table.ip.path_mtus.is_locked(remote))
    )
    ident = 0 if df else table.ip.next_ident(remote)  # nobody cuts it: RFC 6864 §4.1
    tos = endpoint.tos if v4 else endpoint.tclass
    packet = udp.build(datagram, tos=tos, ttl=_ttl(table, endpoint, remote, v4), ident=ident, df=df)
    _leave(table, endpoint, packet, remote, mtu, ident)
    table.counters.udp_out_datagrams += 1
    return 0


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
    return table.config.ip_default_ttl if ttl < 0 else ttl


def _leave(
    table: UdpTable, endpoint: UdpEndpoint, packet: bytes, remote: bytes, mtu: int, ident: int
) -> None:
    """Queue a packet, or its fragments, for the next transmit."""
    cost = len(packet) + OVERHEAD
    endpoint.charge(cost)
    out = table.out
    addresses = table.ip.addresses
    if remote in addresses.local:
        out.append((packet, endpoint, cost, True))
    else:
        if remote in addresses.broadcast:
            out.append((packet, endpoint, 0, True))
        pieces = fragment(packet, mtu, ident)
        for piece in pieces[:-1]:
            out.append((piece, endpoint, 0, False))
        out.append((pieces[-1], endpoint, cost, False))
    table.wake()
