"""What was sent on a wire of two hosts, decoded without the project."""

from __future__ import annotations

import ipaddress

from pystack.sockets import Host
from tests.kit.packets import encode
from tests.kit.packets.decode import Packet, decode
from tests.sockets.wire import Wire

FIN, SYN, RST, PSH, ACK, ECE, CWR = 1, 2, 4, 8, 16, 64, 128


def sent_by(wire: Wire, host: Host, since: int = 0) -> list[Packet]:
    """The segments that `host` has sent, from `wire.sent[since:]`."""
    return [decode(octets)[0] for sender, octets in wire.sent[since:] if sender is host]


def text_of(packets: list[Packet]) -> list[bytes]:
    """The payloads of those that carry any."""
    return [packet.payload for packet in packets if packet.payload]


def icmp_about(octets: bytes, kind: int, code: int, router: str, mtu: int = 0) -> bytes:
    """What `router` says to the sender of a packet."""
    quoted = decode(octets)[0]
    src = ipaddress.ip_address(router).packed
    rest = mtu.to_bytes(4, "big")
    message = encode.icmp(src, quoted.src, kind, code, rest, octets[:200])
    protocol = encode.ICMP if quoted.version == 4 else encode.ICMPV6
    return encode.ip(src, quoted.src, protocol, message)
