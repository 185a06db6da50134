"""One line of text per packet, in a packetdrill-like notation with relative numbers.

`S 0:0(0) win 64240 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>`; `.` stands for ACK, E for ECE,
W for CWR, A for AE. Sequence numbers count from the sender's ISS, so that the first octet
of data is 1; numbers whose ISS was never seen are absolute and marked with `=`.
"""

from __future__ import annotations

from typing import Final

from pystack.wire import consts
from pystack.wire.address import V4_PREFIX
from pystack.wire.batch import RxBatch
from pystack.wire.ip_fields import Buffer
from pystack.wire.segment import Segment
from pystack.wire.seq import MASK

_FLAGS: Final = (
    (consts.FIN, "F"), (consts.SYN, "S"), (consts.RST, "R"), (consts.PSH, "P"),
    (consts.ACK, "."), (consts.URG, "U"), (consts.ECE, "E"), (consts.CWR, "W"),
    (consts.AE, "A"),
)  # fmt: skip
_ECN: Final = ("", "[ect1] ", "[ect0] ", "[ce] ")
_FLOWS: Final = 65_536  # whose ISS is remembered at one time, in both directions

# type and code: name, and what the second word of the header holds
_ICMP4: Final = {
    (0, 0): "echo_reply", (8, 0): "echo_request", (3, 0): "unreachable net",
    (3, 1): "unreachable host", (3, 2): "unreachable proto", (3, 3): "unreachable port",
    (3, 4): "frag_needed", (3, 5): "unreachable source_route", (3, 13): "unreachable prohibited",
    (4, 0): "source_quench", (5, 1): "redirect", (11, 0): "time_exceeded transit",
    (11, 1): "time_exceeded reassembly", (12, 0): "parameter_problem header",
}  # fmt: skip
_ICMP6: Final = {
    (128, 0): "echo_request", (129, 0): "echo_reply", (1, 0): "unreachable net",
    (1, 1): "unreachable prohibited", (1, 3): "unreachable host", (1, 4): "unreachable port",
    (2, 0): "packet_too_big", (3, 0): "time_exceeded transit",
    (3, 1): "time_exceeded reassembly", (4, 0): "parameter_problem header",
    (4, 1): "parameter_problem next_header", (4, 2): "parameter_problem option",
}  # fmt: skip
_ICMP4_ERRORS: Final = frozenset((3, 4, 5, 11, 12))


class Notation:
    """Turns packets into lines, and remembers the ISS of each direction of each flow."""

    def __init__(self) -> None:
        self._rx = RxBatch(slots=1)
        self._segment = Segment()
        self._iss: dict[bytes, int] = {}  # by receiver's address, sender's, ports likewise

    def line(self, packet: Buffer, checksum_state: int = consts.CHECKSUM_VALID) -> str:
        """The line of one IP packet. Checksums of TCP are looked at for CHECKSUM_COMPLETE only."""
        self._rx.clear()
        self._rx.add(packet, 0, checksum_state)
        seg = self._segment
        kind = seg.load(self._rx.view, self._rx.records, 0)
        if kind == consts.KIND_BAD:
            return f"{consts.DROP_NAMES[seg.reason]} ({len(packet)})"
        ecn = _ECN[seg.tos & 3]
        if kind == consts.KIND_TCP:
            self._remember(seg)
            return ecn + self._tcp(seg)
        if kind == consts.KIND_FRAGMENT:
            return ecn + _fragment(seg)
        upper = bytes(seg.arena[seg.upper : seg.end])
        if seg.protocol == consts.IPPROTO_UDP and len(upper) >= 8:
            return ecn + _udp(upper)
        if seg.protocol == _icmp_of(seg.version) and len(upper) >= 8:
            return ecn + self._icmp(upper, seg.version)
        return f"{ecn}protocol {seg.protocol} ({len(upper)})"

    # -- TCP ------------------------------------------------------------------------------

    def _remember(self, seg: Segment) -> None:
        if not seg.flags & consts.SYN:
            return
        iss, here, back = self._iss, seg.key, _reverse(seg.key)
        if here in iss and iss[here] != seg.seq:
            del iss[here]
            iss.pop(back, None)  # the ports were reused: another connection
        while len(iss) >= _FLOWS:
            del iss[next(iter(iss))]
        iss[here] = seg.seq
        if seg.flags & consts.ACK:
            iss.setdefault(back, (seg.ack - 1) & MASK)

    def _relative(self, number: int, direction: bytes) -> str:
        iss = self._iss.get(direction)
        return f"={number}" if iss is None else str((number - iss) & MASK)

    def _tcp(self, seg: Segment) -> str:
        back = _reverse(seg.key)
        flags = "".join(letter for bit, letter in _FLAGS if seg.flags & bit) or "-"
        words = [flags, self._range(seg.key, seg.seq, seg.length)]
        if seg.flags & consts.ACK:
            words.append(f"ack {self._relative(seg.ack, back)}")
        words.append(f"win {seg.wnd}")
        if seg.flags & consts.URG:
            words.append(f"urg {seg.urgent}")
        options = bytes(seg.arena[seg.upper + consts.TCP_HEADER : seg.payload_offset])
        if options:
            words.append(f"<{self._options(options, back)}>")
        return " ".join(words)

    def _range(self, direction: bytes, seq: int, length: int) -> str:
        left = self._relative(seq, direction)
        return f"{left}:{self._relative((seq + length) & MASK, direction)}({length})"

    def _options(self, octets: bytes, back: bytes) -> str:
        """The options in their order; the parser has already checked their lengths."""
        words = []
        at = 0
        while at < len(octets):
            kind = octets[at]
            if kind == consts.OPT_EOL:
                words.append("eol")
                break
            if kind == consts.OPT_NOP:
                words.append("nop")
                at += 1
                continue
            after = at + octets[at + 1]
            words.append(self._option(kind, octets[at:after], back))
            at = after
        return ",".join(words)

    def _option(self, kind: int, octets: bytes, back: bytes) -> str:
        size = len(octets)
        numbers = [int.from_bytes(octets[i : i + 4], "big") for i in range(2, size - 3, 4)]
        if kind == consts.OPT_MSS and size == 4:
            return f"mss {octets[2] << 8 | octets[3]}"
        if kind == consts.OPT_WSCALE and size == 3:
            return f"wscale {octets[2]}"
        if kind == consts.OPT_SACK_PERMITTED and size == 2:
            return "sackOK"
        if kind == consts.OPT_TIMESTAMPS and size == 10:
            return f"TS val {numbers[0]} ecr {numbers[1]}"
        if kind == consts.OPT_FASTOPEN:
            return f"tfo cookie {octets[2:].hex()}" if size > 2 else "tfo cookiereq"
        if kind == consts.OPT_SACK and size >= 10 and size % 8 == 2:
            edges = [self._relative(number, back) for number in numbers]
            pairs = zip(edges[::2], edges[1::2], strict=True)
            return "sack " + " ".join(f"{left}:{right}" for left, right in pairs)
        return f"raw 0x{octets.hex()}"

    # -- ICMP -----------------------------------------------------------------------------

    def _icmp(self, upper: bytes, version: int) -> str:
        kind, code = upper[0], upper[1]
        names = _ICMP4 if version == 4 else _ICMP6
        name = names.get((kind, code), f"type {kind} code {code}")
        first, second = int.from_bytes(upper[4:6], "big"), int.from_bytes(upper[6:8], "big")
        if name.startswith("echo"):
            return f"icmp {name} id {first} seq {second} ({len(upper) - 8})"
        if not (kind in _ICMP4_ERRORS if version == 4 else kind < 128):
            return f"icmp {name} ({len(upper) - 8})"
        if name == "frag_needed":
            name += f" mtu {second}"
        elif name == "packet_too_big":
            name += f" mtu {first << 16 | second}"
        return f"icmp {name} [{self._quoted(upper[8:])}]"

    def _quoted(self, packet: bytes) -> str:
        """What an ICMP error quotes, as far as it goes."""
        found = _quote(packet)
        if found is None:
            return f"{len(packet)} octets"
        key, protocol, start, total = found
        upper = packet[start:]
        if protocol == consts.IPPROTO_UDP and len(upper) >= 8:
            return _udp(upper)
        if protocol != consts.IPPROTO_TCP or len(upper) < 8:
            return f"protocol {protocol}"
        direction = key + upper[2:4] + upper[:2]
        seq = int.from_bytes(upper[4:8], "big")
        if len(upper) < consts.TCP_HEADER:
            return self._relative(seq, direction)
        length = total - start - (upper[12] >> 4) * 4
        return self._range(direction, seq, max(length, 0))


def _reverse(key: bytes) -> bytes:
    return key[16:32] + key[:16] + key[34:36] + key[32:34]


def _icmp_of(version: int) -> int:
    return consts.IPPROTO_ICMP if version == 4 else consts.IPPROTO_ICMPV6


def _udp(upper: bytes) -> str:
    source, target, length = (int.from_bytes(upper[i : i + 2], "big") for i in (0, 2, 4))
    return f"udp {source}:{target}({max(length - 8, 0)})"


def _fragment(seg: Segment) -> str:
    if seg.version == 4:
        header = bytes(seg.arena[seg.start : seg.start + consts.IPV4_HEADER])
        ident = int.from_bytes(header[4:6], "big")
        bits = int.from_bytes(header[6:8], "big")
        offset, more = (bits & 0x1FFF) * 8, bits & 0x2000
    else:
        header = bytes(seg.arena[seg.upper - 8 : seg.upper])
        bits = int.from_bytes(header[2:4], "big")
        offset, more = bits & 0xFFF8, bits & 1
        ident = int.from_bytes(header[4:8], "big")
    last = "" if more else " last"
    return f"fragment id {ident} {offset}:{offset + seg.length}({seg.length}){last}"


def _quote(packet: bytes) -> tuple[bytes, int, int, int] | None:
    """Addresses as in a key, protocol, upper layer's offset and total length of a quoted packet.

    It may be cut short anywhere, so it cannot pass for a packet. Extension headers of IPv6 are
    not followed.
    """
    if len(packet) >= consts.IPV4_HEADER and packet[0] >> 4 == 4:
        key = V4_PREFIX + packet[16:20] + V4_PREFIX + packet[12:16]
        return key, packet[9], (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
    if len(packet) >= consts.IPV6_HEADER and packet[0] >> 4 == 6:
        key = packet[24:40] + packet[8:24]
        total = consts.IPV6_HEADER + int.from_bytes(packet[4:6], "big")
        return key, packet[6], consts.IPV6_HEADER, total
    return None
