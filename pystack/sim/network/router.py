"""A router: forwards packets (RFC 1812 §5, RFC 8200 §3), or says by ICMP why it does not."""

from __future__ import annotations

from typing import ClassVar

from pystack.ip.fragments import fragment
from pystack.ip.icmp_messages import (
    V4_FRAGMENTATION_NEEDED,
    V4_TIME_EXCEEDED,
    V4_UNREACHABLE,
    V6_PACKET_TOO_BIG,
    V6_TIME_EXCEEDED,
    V6_UNREACHABLE,
)
from pystack.printed import counted, several
from pystack.sim.network.events import Events
from pystack.sim.network.link_direction import LinkDirection
from pystack.sim.network.node import Node
from pystack.sockets import Host
from pystack.wire.address import is_v4
from pystack.wire.batch import Packet
from pystack.wire.ip_fields import (
    Buffer,
    destination_of,
    hop_limit,
    ident_of,
    may_be_cut,
    version_of,
    with_lower_hop_limit,
)


class Router(Node):
    """A node that forwards. `routes` leads from an address (16 bytes) to the link towards it.

    It has one address of each family at most, from which it speaks on all links. `forwarded`,
    `expired`, `too_big` and `unroutable` count packets.
    """

    takes_runs: ClassVar[bool] = False

    def __init__(self, events: Events, name: str, host: Host) -> None:
        super().__init__(events, name, host)
        self.routes: dict[bytes, LinkDirection] = {}
        self.forwarded = 0
        self.expired = 0
        self.too_big = 0
        self.unroutable = 0

    def _words(self) -> str:
        counts = {
            "forwarded": self.forwarded, "expired": self.expired, "too_big": self.too_big,
            "unroutable": self.unroutable,
        }  # fmt: skip
        links = several(len(self.directions), "link")
        done = counted(counts) or "nothing forwarded"
        return f"{self.name} at {', '.join(self.addresses)}: {links}, {done}"

    def send(self, packet: Packet, now_us: int) -> None:
        """Send a packet of its own: an ICMP message, or a RST."""
        direction = self.routes.get(destination_of(packet[0]))
        if direction is None:
            self.unsent += 1
        else:
            direction.send(packet, now_us)

    def arrive(self, packets: list[Packet], now_us: int) -> None:
        """Packets from one of the links: forwarded, or taken."""
        if not self.up:
            return
        local = self.host.addresses.local
        own = [packet for packet in packets if not self._forward(packet, local, now_us)]
        if own:
            super().arrive(own, now_us)
        elif self.host.ip.icmp.out:
            self._transmit(now_us)

    def arrive_alone(self, packet: Packet, now_us: int) -> None:
        """A single packet."""
        self.arrive([packet], now_us)

    def _forward(self, packet: Packet, local: set[bytes], now_us: int) -> bool:
        """Forward a packet; False when it is for the router itself, or is no packet at all."""
        buffer, gso_size, checksum_state = packet
        if len(buffer) < 20 or version_of(buffer) not in (4, 6):
            return False
        destination = destination_of(buffer)
        if destination in local:
            return False
        direction = self.routes.get(destination)
        if direction is None:
            self.unroutable += 1
            self._report(buffer, V4_UNREACHABLE, V6_UNREACHABLE, 0, 0, now_us)
        elif hop_limit(buffer) <= 1:
            self.expired += 1
            self._report(buffer, V4_TIME_EXCEEDED, V6_TIME_EXCEEDED, 0, 0, now_us)
        elif len(buffer) > direction.mtu:
            self._send_too_big(direction, buffer, now_us)
        else:
            self.forwarded += 1
            direction.send((with_lower_hop_limit(buffer), gso_size, checksum_state), now_us)
        return True

    def _send_too_big(self, direction: LinkDirection, buffer: Buffer, now_us: int) -> None:
        """In fragments (RFC 791), or not at all (RFC 1191 §4, RFC 8200 §5)."""
        if may_be_cut(buffer):
            packet = bytes(with_lower_hop_limit(buffer))
            for piece in fragment(packet, direction.mtu, ident_of(buffer)):
                self.forwarded += 1
                direction.send((piece, 0, 0), now_us)
            return
        self.too_big += 1
        code = V4_FRAGMENTATION_NEEDED if version_of(buffer) == 4 else 0
        self._report(buffer, V4_UNREACHABLE, V6_PACKET_TOO_BIG, code, direction.mtu, now_us)

    def _report(
        self, buffer: Buffer, v4_type: int, v6_type: int, code: int, rest: int, now_us: int
    ) -> None:
        v4 = version_of(buffer) == 4
        for own in self.host.addresses.all():
            if is_v4(own) == v4:
                kind, version = (v4_type, 4) if v4 else (v6_type, 6)
                self.host.ip.icmp.in_transit(buffer, version, kind, code, rest, own, now_us)
                return
