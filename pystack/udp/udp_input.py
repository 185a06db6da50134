"""Datagrams that arrive, and ICMP errors about those that were sent (RFC 768, RFC 1122 §4.1)."""

from __future__ import annotations

from errno import EMSGSIZE
from typing import Final

from pystack.events import EVENT_READABLE, EVENT_SOFT_ERROR
from pystack.ip.address_checks import has_valid_source, is_for_host
from pystack.ip.icmp_messages import (
    V4_PARAMETER_PROBLEM,
    V4_UNREACHABLE,
    V6_PARAMETER_PROBLEM,
    V6_UNREACHABLE,
    IcmpError,
    errno_of,
    is_too_big,
)
from pystack.ip.reports import ORIGIN_ICMP, ORIGIN_ICMP6
from pystack.udp.endpoints import PMTUD_DONT, PMTUD_INTERFACE, UdpEndpoint, UdpTable
from pystack.wire import udp
from pystack.wire.address import is_v4
from pystack.wire.consts import DROP_BAD_UDP_CHECKSUM, DROP_ICMP_QUOTE, DROP_SOCKET_BUFFER
from pystack.wire.flow_key import local_end, remote_end
from pystack.wire.segment import Segment

# Codes of destination unreachable that may pass: the others are an error for a connected socket
# (RFC 1122 §4.1.3.3 leaves it open; Linux calls those fatal).
_V4_PASSING: Final = frozenset((0, 1, 5, 11, 12))  # net, host, source route, and those for a TOS
_V6_PASSING: Final = frozenset((0, 2, 3))  # no route, beyond scope, address


def packet_arrives(table: UdpTable, seg: Segment, now_us: int) -> None:
    """A packet of protocol 17: to the endpoint that has the port, else "port unreachable" is sent
    (RFC 1122 §4.1.3.1)."""
    ip = table.ip
    to_all = seg.local in ip.addresses.broadcast
    if not (has_valid_source(ip, seg) if to_all else is_for_host(ip, seg)):
        return
    counters = table.counters
    datagram = udp.read(seg)
    if isinstance(datagram, int):
        counters.udp_in_errors += 1
        counters.udp_csum_errors += datagram == DROP_BAD_UDP_CHECKSUM
        counters.dropped[datagram] += 1
        return
    flow = (
        datagram.destination, datagram.destination_port, datagram.source, datagram.source_port,
    )  # fmt: skip
    if to_all:
        for endpoint in table.find_all(*flow):
            _deliver(table, endpoint, datagram, now_us)
        return
    found = table.find(*flow)
    if found is not None:
        _deliver(table, found, datagram, now_us)
        return
    if not datagram.checked and seg.version == 6:
        _bad_checksum(table)
        return
    counters.udp_no_ports += 1
    ip.icmp.port_unreachable(seg.packet(), seg.version, now_us)


def _deliver(
    table: UdpTable, endpoint: UdpEndpoint, datagram: udp.Datagram, now_us: int
) -> None:
    counters = table.counters
    if not datagram.checked and not is_v4(datagram.source) and not endpoint.unchecked_v6:
        _bad_checksum(table)
        return
    if not endpoint.put(datagram, now_us):
        counters.udp_in_errors += 1
        counters.udp_rcvbuf_errors += 1
        counters.dropped[DROP_SOCKET_BUFFER] += 1
        return
    counters.udp_in_datagrams += 1
    table.note(endpoint, EVENT_READABLE)


def _bad_checksum(table: UdpTable) -> None:
    """One of IPv6 without a checksum, for nobody who takes that (RFC 8200 §8.1)."""
    table.counters.udp_in_errors += 1
    table.counters.udp_csum_errors += 1
    table.counters.dropped[DROP_BAD_UDP_CHECKSUM] += 1


def icmp_error_arrives(table: UdpTable, error: IcmpError, now_us: int) -> bool:
    """An error that quotes a datagram of ours, to the endpoint that has sent it. Whether it has
    lowered the MTU of the path.

    Without IP_RECVERR only a connected endpoint gets it, and lasting errors alone.
    """
    local, port = local_end(error.quoted_key)
    remote, remote_port = remote_end(error.quoted_key)
    endpoint = table.find(local, port, remote, remote_port)
    if endpoint is None:
        table.counters.dropped[DROP_ICMP_QUOTE] += 1
        return False
    v4 = error.version == 4
    number = errno_of(error)
    lasting = _is_lasting(error)
    lowered = False
    if is_too_big(error):
        mode = endpoint.pmtud(v4)
        lowered = mode < PMTUD_INTERFACE and table.ip.path_mtus.learn(
            remote, error.mtu, now_us, error.quoted_length
        )
        if mode == PMTUD_DONT:
            return lowered
        number, lasting = EMSGSIZE, True
    if not number:
        return lowered
    origin = ORIGIN_ICMP if v4 else ORIGIN_ICMP6
    report = (number, origin, error.type, error.code, error.mtu, error.offender, 0, 0)
    payload = error.quoted_upper[udp.HEADER.size :]
    if endpoint.report(report, remote, remote_port, payload, v4) or (lasting and endpoint.remote):
        endpoint.set_error(number)
        table.note(endpoint, EVENT_SOFT_ERROR)
    return lowered


def _is_lasting(error: IcmpError) -> bool:
    if error.version == 4:
        if error.type == V4_UNREACHABLE:
            return error.code not in _V4_PASSING
        return error.type == V4_PARAMETER_PROBLEM
    if error.type == V6_UNREACHABLE:
        return error.code not in _V6_PASSING
    return error.type == V6_PARAMETER_PROBLEM
