"""ICMP and ICMPv6: echo is answered, messages are read, errors are made.

RFC 792 and RFC 1122 §3.2.2 for IPv4, RFC 4443 for IPv6, in one code path; sizes of quotes by
RFC 1812 §4.3.2.3 and RFC 4443 §2.4 (c). `Icmp.receive` reads an error and returns it, checked as
far as it can be without knowing connections; `icmp_messages` says what it means, `stack.icmp_input`
finds the connection that it quotes. Packets to send are left in `Icmp.out`, each a whole IP packet
and perhaps larger than the MTU.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final

from pystack.config import Config
from pystack.ip.icmp_limit import IcmpLimit
from pystack.ip.icmp_messages import (
    REASSEMBLY_TIME,
    UNKNOWN_NEXT_HEADER,
    V4_ECHO_REPLY,
    V4_ECHO_REQUEST,
    V4_FRAGMENTATION_NEEDED,
    V4_LAST_UNREACHABLE,
    V4_PARAMETER_PROBLEM,
    V4_PORT_UNREACHABLE,
    V4_PROTOCOL_UNREACHABLE,
    V4_REDIRECT,
    V4_SOURCE_QUENCH,
    V4_TIME_EXCEEDED,
    V4_UNREACHABLE,
    V6_ECHO_REPLY,
    V6_ECHO_REQUEST,
    V6_PACKET_TOO_BIG,
    V6_PARAMETER_PROBLEM,
    V6_PORT_UNREACHABLE,
    V6_REDIRECT,
    V6_TIME_EXCEEDED,
    V6_UNREACHABLE,
    IcmpError,
)
from pystack.wire import consts, header_faults
from pystack.wire.address import is_multicast, is_unicast_source, is_v4
from pystack.wire.ip_fields import Buffer
from pystack.wire.ip_headers import (
    NO_NEXT_HEADER,
    IpHeaders,
    internet_checksum,
    read,
    upper_checksum,
    wrap,
)
from pystack.wire.segment import Segment

# RFC 1122 §3.2.2: these report errors (or redirect) and are never answered by one.
V4_ERRORS: Final = frozenset((3, 4, 5, 11, 12))
V4_READ: Final = frozenset((V4_UNREACHABLE, V4_TIME_EXCEEDED, V4_PARAMETER_PROBLEM))
# Known and ignored: source quench (RFC 6633), redirects (there is one way out), replies to what we
# never ask, multicast listeners and neighbours (a TUN device has none).
V4_IGNORED: Final = frozenset((V4_ECHO_REPLY, V4_SOURCE_QUENCH, V4_REDIRECT))
V6_IGNORED: Final = frozenset((V6_ECHO_REPLY, *range(130, 138), 143))
V6_INFORMATIONAL: Final = 128  # types from here on are no errors (RFC 4443 §2.1)

V4_ERROR_SIZE: Final = 576  # octets at most, headers included (RFC 1812 §4.3.2.3)
V6_ERROR_SIZE: Final = consts.IPV6_MIN_MTU
MESSAGE_HEADER: Final = 8
INTERNETWORK_CONTROL: Final = 0xC0  # the precedence of errors (RFC 1812 §4.3.2.5)


class Icmp:
    """ICMP of one host, both versions.

    `local` has the host's addresses and `broadcast` those of its subnets' broadcasts, 16 bytes
    each; both are looked up each time. `dropped` counts by `consts.DROP_…`. `next_ident` gives
    an identification for a packet to the address, one that may be fragmented (RFC 6864 §4.3).
    """

    __slots__ = ("config", "local", "broadcast", "dropped", "next_ident", "out", "limit",
                 "errors_withheld")  # fmt: skip

    def __init__(
        self,
        config: Config,
        local: Container[bytes],
        dropped: list[int],
        next_ident: Callable[[bytes], int],
        broadcast: Container[bytes] = frozenset(),
    ) -> None:
        self.config = config
        self.local = local
        self.broadcast = broadcast
        self.dropped = dropped
        self.next_ident = next_ident
        self.out: list[bytes] = []
        self.limit = IcmpLimit(config)
        self.errors_withheld = 0  # by the rate limit

    def take_out(self) -> list[bytes]:
        """The packets made since the last call, oldest first."""
        made, self.out = self.out, []
        return made

    # -- what came ------------------------------------------------------------------------

    def receive(self, seg: Segment) -> IcmpError | None:
        """Handle a packet of protocol 1 or 58; the error it reports, if it is one for us."""
        version = seg.version
        if seg.protocol != _protocol(version):
            self.dropped[consts.DROP_UNKNOWN_PROTOCOL] += 1
            return None
        message = bytearray(seg.arena[seg.upper : seg.end])
        if len(message) < MESSAGE_HEADER or not self._is_intact(seg, message):
            self.dropped[consts.DROP_BAD_ICMP] += 1
            return None
        kind = message[0]
        if kind == (V4_ECHO_REQUEST if version == 4 else V6_ECHO_REQUEST):
            self._answer_echo(seg, message)
            return None
        if kind in V4_READ if version == 4 else kind < V6_INFORMATIONAL:
            return self._read_error(seg, message)
        if kind not in (V4_IGNORED if version == 4 else V6_IGNORED):
            self.dropped[consts.DROP_BAD_ICMP] += 1
        return None

    def _is_intact(self, seg: Segment, message: bytearray) -> bool:
        """Whether the checksum is right (RFC 792; RFC 4443 §2.3 with the pseudo-header)."""
        if seg.version == 6:
            return upper_checksum(seg.remote, seg.local, seg.protocol, message) == 0xFFFF
        return internet_checksum(message) == 0xFFFF

    def _answer_echo(self, seg: Segment, message: bytearray) -> None:
        """The same data back, from the address asked (RFC 1122 §3.2.2.6, RFC 4443 §4.2)."""
        # Requests to broadcast and multicast addresses are not answered: they are not our own.
        if (
            self.config.icmp_echo_ignore_all
            or seg.local not in self.local
            or not self._may_answer(seg.remote)
        ):
            return
        kind = V4_ECHO_REPLY if seg.version == 4 else V6_ECHO_REPLY
        self._send(seg.local, seg.remote, bytes((kind, 0)), message[4:], seg.tos)

    def _read_error(self, seg: Segment, message: bytearray) -> IcmpError | None:
        """Check the quote and find the flow that it is about; None when there is none."""
        kind, code = message[0], message[1]
        quote = bytes(message[MESSAGE_HEADER:])
        headers = read(quote, seg.version)
        unknown = seg.version == 4 and kind == V4_UNREACHABLE and code > V4_LAST_UNREACHABLE
        if headers is None or not headers.complete or unknown:
            self.dropped[consts.DROP_BAD_ICMP] += 1
            return None
        if headers.source not in self.local:
            self.dropped[consts.DROP_ICMP_QUOTE] += 1
            return None
        upper = quote[headers.upper : headers.length]
        ports, seq = bytes(4), 0
        if headers.protocol in (consts.IPPROTO_TCP, consts.IPPROTO_UDP):
            if headers.offset or len(upper) < 8:
                self.dropped[consts.DROP_BAD_ICMP] += 1
                return None
            ports = upper[:4]
            if headers.protocol == consts.IPPROTO_TCP:
                seq = int.from_bytes(upper[4:8], "big")
        mtu = 0
        if seg.version == 4 and (kind, code) == (V4_UNREACHABLE, V4_FRAGMENTATION_NEEDED):
            mtu = int.from_bytes(message[6:8], "big")
        elif seg.version == 6 and kind == V6_PACKET_TOO_BIG:
            mtu = int.from_bytes(message[4:8], "big")
        return IcmpError(
            version=seg.version,
            type=kind,
            code=code,
            mtu=mtu,
            quoted_key=headers.source + headers.destination + ports,
            quoted_seq=seq,
            quoted_protocol=headers.protocol,
            offender=seg.remote,
            quoted_length=headers.length,
            quoted_upper=upper,
        )

    # -- what goes ------------------------------------------------------------------------
    # Each takes the packet it is about, from its IP header on, and says whether it was made.

    def unreachable(self, packet: Buffer, version: int, code: int, now_us: int) -> bool:
        """Destination unreachable, with a code of that version."""
        kind = V4_UNREACHABLE if version == 4 else V6_UNREACHABLE
        return self._report(packet, version, kind, code, 0, now_us)

    def port_unreachable(self, packet: Buffer, version: int, now_us: int) -> bool:
        """There is no endpoint at the port (RFC 1122 §4.1.3.1, RFC 4443 §3.1)."""
        code = V4_PORT_UNREACHABLE if version == 4 else V6_PORT_UNREACHABLE
        return self.unreachable(packet, version, code, now_us)

    def protocol_unreachable(self, packet: Buffer, version: int, now_us: int) -> bool:
        """The transport protocol is unknown here; for IPv6 that is a problem of the header
        that names it (RFC 1122 §3.2.2.1, RFC 8200 §4)."""
        if version == 4:
            return self.unreachable(packet, version, V4_PROTOCOL_UNREACHABLE, now_us)
        headers = read(packet, version)
        if headers is None or headers.protocol == NO_NEXT_HEADER:
            return False
        return self.parameter_problem(packet, UNKNOWN_NEXT_HEADER, headers.named_at, now_us)

    def time_exceeded(self, packet: Buffer, version: int, now_us: int) -> bool:
        """Reassembly took too long; `packet` is the fragment with offset 0."""
        kind = V4_TIME_EXCEEDED if version == 4 else V6_TIME_EXCEEDED
        return self._report(packet, version, kind, REASSEMBLY_TIME, 0, now_us)

    def parameter_problem(self, packet: Buffer, code: int, pointer: int, now_us: int) -> bool:
        """ICMPv6's: the octet at `pointer` of the packet is wrong (RFC 4443 §3.4)."""
        return self._report(packet, 6, V6_PARAMETER_PROBLEM, code, pointer, now_us)

    def bad_options(self, packet: Buffer, now_us: int) -> bool:
        """The options of the IP header, or an extension header, are why `packet` was dropped
        (RFC 1122 §3.2.2.5, RFC 8200 §4.2, §4.4)."""
        version = packet[0] >> 4
        found = header_faults.fault(packet, version)
        if found is None:
            return False
        code, pointer = found
        if version == 6:
            return self.parameter_problem(packet, code, pointer, now_us)
        return self._report(packet, 4, V4_PARAMETER_PROBLEM, code, pointer << 24, now_us)

    def in_transit(
        self, packet: Buffer, version: int, kind: int, code: int, rest: int, source: bytes,
        now_us: int,
    ) -> bool:  # fmt: skip
        """A router's error, from `source`, one of its addresses, about a packet that it does not
        forward (RFC 1812 §4.3.3). `rest` are the four octets after the checksum."""
        return self._report(packet, version, kind, code, rest, now_us, source)

    def _report(
        self, packet: Buffer, version: int, kind: int, code: int, pointer: int, now_us: int,
        router: bytes = b"",
    ) -> bool:  # fmt: skip
        headers = read(packet, version)
        if headers is None or not self._may_report(packet, headers, router != b""):
            return False
        if not self.limit.take(headers.source, now_us):
            self.errors_withheld += 1
            return False
        if version == 4:
            room = V4_ERROR_SIZE - consts.IPV4_HEADER - MESSAGE_HEADER
            tos = INTERNETWORK_CONTROL | (headers.tos & 0x1C)
        else:
            room = V6_ERROR_SIZE - consts.IPV6_HEADER - MESSAGE_HEADER
            tos = 0
        rest = pointer.to_bytes(4, "big") + bytes(packet[: min(room, headers.length)])
        source = router or headers.destination
        self._send(source, headers.source, bytes((kind, code)), rest, tos)
        return True

    def _may_report(self, packet: Buffer, headers: IpHeaders, in_transit: bool) -> bool:
        """Whether an error about this packet is allowed (RFC 1122 §3.2.2, RFC 4443 §2.4 (e))."""
        destination = headers.destination
        known = not is_multicast(destination) if in_transit else destination in self.local
        if not known or not self._may_answer(headers.source):
            return False
        if headers.offset:
            # ICMPv6 may tell of a later fragment: only its first part could show an error.
            return headers.version == 6
        if headers.protocol != _protocol(headers.version):
            return True
        if len(packet) <= headers.upper:
            return False
        kind = packet[headers.upper]
        if headers.version == 4:
            return kind not in V4_ERRORS
        return kind >= V6_INFORMATIONAL and kind != V6_REDIRECT

    def _may_answer(self, source: bytes) -> bool:
        """Whether `source` is a single node other than this host."""
        return (
            is_unicast_source(source) and source not in self.local and source not in self.broadcast
        )

    def _send(self, source: bytes, destination: bytes, head: bytes, rest: Buffer, tos: int) -> None:
        """Leave a message in `out`: `head` is type and code, `rest` all after the checksum."""
        message = bytearray(head + b"\0\0" + rest)
        version = 4 if is_v4(source) else 6
        protocol = _protocol(version)
        if version == 6:
            checksum = upper_checksum(source, destination, protocol, message)
        else:
            checksum = internet_checksum(message)
        message[2:4] = (0xFFFF ^ checksum).to_bytes(2, "big")
        ttl = self.config.ip_default_ttl
        ident = self.next_ident(destination) if version == 4 else 0
        self.out.append(wrap(source, destination, protocol, message, tos, ttl, ident))


def _protocol(version: int) -> int:
    return consts.IPPROTO_ICMP if version == 4 else consts.IPPROTO_ICMPV6
