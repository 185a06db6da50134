"""A link with a smaller MTU: larger packets do not pass, and their senders may be told.

RFC 792 and RFC 1191 §4 for IPv4 ("fragmentation needed"), RFC 4443 §3.2 for IPv6 ("packet too
big"). It fragments nothing, so IPv4 packets that may be fragmented are lost as well, in silence.
"""

from __future__ import annotations

from typing import Final

from pystack.path.link import Stage
from pystack.wire import consts
from pystack.wire.address import is_unicast_source
from pystack.wire.batch import Packet
from pystack.wire.ip_fields import Buffer, version_of
from pystack.wire.ip_headers import IpHeaders, internet_checksum, read, upper_checksum, wrap

_UNREACHABLE: Final = 3  # ICMP's type, and the code of "fragmentation needed and DF set"
_FRAGMENTATION_NEEDED: Final = 4
_PACKET_TOO_BIG: Final = 2  # ICMPv6's type
_V4_QUERIES: Final = frozenset((0, 8, 13, 14))  # no errors: these may be answered by one
_V6_INFORMATIONAL: Final = 128
_V4_SIZE: Final = 576  # octets of a message with its quote (RFC 1812 §4.3.2.3)
_V6_SIZE: Final = consts.IPV6_MIN_MTU  # RFC 4443 §2.4 (c)
_HEADER: Final = 8
_TTL: Final = 64


class Mtu(Stage):
    """Packets of more than `mtu` bytes do not pass; an ICMP message says so, unless `silent`.

    The message comes from the address that the packet was for, as no router here has one. Runs that
    offloading left in one piece are too big: `Cut` belongs in front. Raises ValueError for an MTU
    below 68.
    """

    counted = ("too_big",)

    def __init__(self, mtu: int, *, silent: bool = False) -> None:
        if mtu < consts.IPV4_MIN_MTU:
            raise ValueError(f"an MTU is {consts.IPV4_MIN_MTU} at least: {mtu}")
        self.mtu = mtu
        self.silent = silent
        self.answers = not silent
        self.too_big = 0
        self._answers: list[Packet] = []

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        if len(packet[0]) <= self.mtu:
            return [packet]
        self.too_big += 1
        if not self.silent:
            answer = _too_big(packet[0], self.mtu)
            if answer is not None:
                self._answers.append((answer, 0, consts.CHECKSUM_COMPLETE))
        return []

    def take_answers(self) -> list[Packet]:
        answers, self._answers = self._answers, []
        return answers


def _too_big(packet: Buffer, mtu: int) -> bytes | None:
    """The ICMP error for its sender; none where none may be sent."""
    headers = read(packet, version_of(packet))
    if headers is None or not _may_be_told(packet, headers):
        return None
    if headers.version == 4:
        head = bytes((_UNREACHABLE, _FRAGMENTATION_NEEDED, 0, 0)) + mtu.to_bytes(4, "big")
        protocol, size, outer = consts.IPPROTO_ICMP, _V4_SIZE, consts.IPV4_HEADER
    else:
        head = bytes((_PACKET_TOO_BIG, 0, 0, 0)) + mtu.to_bytes(4, "big")
        protocol, size, outer = consts.IPPROTO_ICMPV6, _V6_SIZE, consts.IPV6_HEADER
    room = min(size, mtu) - outer - _HEADER  # the way back may be as narrow
    message = bytearray(head + bytes(packet[:room]))
    if headers.version == 6:
        checksum = upper_checksum(headers.destination, headers.source, protocol, message)
    else:
        checksum = internet_checksum(message)
    message[2:4] = (0xFFFF ^ checksum).to_bytes(2, "big")
    return wrap(headers.destination, headers.source, protocol, message, 0, _TTL, 0)


def _may_be_told(packet: Buffer, headers: IpHeaders) -> bool:
    """RFC 1122 §3.2.2: no error about an error, a later fragment, or to no single node."""
    if headers.version == 4 and not packet[6] & 0x40:
        return False  # DF is clear
    if headers.offset or not is_unicast_source(headers.source):
        return False
    if not is_unicast_source(headers.destination):
        return False  # no single node that the message could come from
    if headers.protocol in (consts.IPPROTO_ICMP, consts.IPPROTO_ICMPV6):
        if len(packet) <= headers.upper:
            return False
        kind = packet[headers.upper]
        return kind in _V4_QUERIES if headers.version == 4 else kind >= _V6_INFORMATIONAL
    return True
