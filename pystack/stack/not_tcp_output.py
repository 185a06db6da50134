"""What ICMP and UDP have left to be sent goes into the transmit batch."""

from __future__ import annotations

from pystack.ip.fragments import fragment
from pystack.stack.host_state import HostState
from pystack.wire.batch import Packet
from pystack.wire.consts import CHECKSUM_COMPLETE, DROP_TX_FULL
from pystack.wire.ip_fields import destination_of, least_mtu


def send_icmp(host: HostState) -> None:
    """Whole packets made by ICMP, cut into fragments where the MTU asks for it."""
    for packet in host.ip.icmp.take_out():
        mtu = max(host.ip.mtu, least_mtu(packet))
        pieces = [packet]
        if len(packet) > mtu:
            pieces = fragment(packet, mtu, host.ip.next_ident(destination_of(packet)))
        for piece in pieces:
            if host.tx.put(piece):
                host.counters.icmp_out += 1
            else:
                host.counters.dropped[DROP_TX_FULL] += 1


def send_datagrams(host: HostState, looped: list[Packet]) -> None:
    """What UDP has left, as far as there is room: the rest goes with the next batch. Datagrams to
    the host itself go to the end of `looped`."""
    udp = host.udp
    while udp.out:
        packet, endpoint, cost, is_local, stamp = udp.out[0]
        if is_local:
            looped.append((packet, 0, CHECKSUM_COMPLETE))
        elif not host.tx.put(packet):
            break
        udp.out.popleft()
        udp.on_sent(endpoint, cost)
        if stamp is not None:
            udp.on_stamped(endpoint, stamp, packet, host.now_us)
    udp.notify_owners()
