"""Fragments put together, and packets cut into fragments; IPv4 and IPv6 in one code path.

RFC 791 §3.2 and RFC 815 for IPv4, RFC 8200 §4.5 with RFC 5722 and 7112 for IPv6, RFC 3168 §5.3
for the ECN bits of both. Where the RFCs leave room, as Linux does:

- A fragment that brings nothing new is ignored; one that overlaps in part discards the whole
  packet, in IPv4 too (Linux since 4.19; RFC 815 lets the later one overwrite, which only serves to
  deceive filters). In IPv6 only exact repeats are ignored, and the later parts of a discarded
  packet are dropped as well (RFC 5722 §4); in IPv4, whose 16-bit IDs are soon used again, the next
  part starts a new packet.
- Not-ECT mixed with ECT or CE discards the packet; ECT and CE make CE.
- Unlike Linux, whose 30 s for IPv4 are below RFC 1122 §3.3.2, both versions wait 60 s.

Memory is bounded by `ipfrag_high_thresh` for all, a quarter of it for one source: the oldest
packet makes room. There is no tick: `next_deadline` says when the oldest one expires.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from typing import Final

from pystack.config import Config
from pystack.ip.icmp import Icmp
from pystack.ip.icmp_messages import ERRONEOUS_FIELD, INCOMPLETE_HEADERS
from pystack.wire import consts
from pystack.wire.address import V4_PREFIX
from pystack.wire.ip_fields import Buffer, version_of
from pystack.wire.ip_headers import (
    DF,
    FRAGMENT_HEADER,
    MAX_PACKET,
    MF,
    V6_FRAGMENT,
    IpHeaders,
    read,
    set_v4_checksum,
)

PER_SOURCE: Final = 4  # one source may take this part of the memory
# What Python needs beside the octets themselves, roughly: per packet and per fragment.
PACKET_COST: Final = 768
PIECE_COST: Final = 128

NOT_ECT, ECT_1, ECT_0, CE = range(4)  # the two low bits of TOS and traffic class (RFC 3168 §5)
# The upper-layer header that a first fragment must hold whole (RFC 7112 §5).
UPPER_HEADER: Final = {
    consts.IPPROTO_TCP: consts.TCP_HEADER,
    consts.IPPROTO_UDP: 8,
    consts.IPPROTO_ICMPV6: 4,
}


class _Packet:
    """A packet in pieces. `starts` is sorted and parallel to `pieces`; no two overlap."""

    __slots__ = ("key", "source", "began_at_us", "starts", "pieces", "held", "total", "head",
                 "ecn_seen", "cost", "discarded")  # fmt: skip

    def __init__(self, key: bytes, source: bytes, now_us: int) -> None:
        self.key = key
        self.source = source
        self.began_at_us = now_us
        self.starts: list[int] = []
        self.pieces: list[bytes] = []
        self.held = 0  # octets in `pieces`
        self.total = -1  # octets it will have, known from the last fragment
        self.head = b""  # all that came before the data of the first fragment
        self.ecn_seen = 0  # one bit for each codepoint that came
        self.cost = 0
        self.discarded = False


class Reassembly:
    """All packets of a host that are still in pieces.

    `icmp` makes the errors (into its `out`), `dropped` counts by `consts.DROP_…`.
    """

    __slots__ = ("config", "icmp", "dropped", "memory", "packets", "_sources", "_source_memory")

    def __init__(self, config: Config, icmp: Icmp, dropped: list[int]) -> None:
        self.config = config
        self.icmp = icmp
        self.dropped = dropped
        self.memory = 0  # octets held, with what Python needs for them
        # Both in order of beginning, so the first is the oldest and the next to expire.
        self.packets: OrderedDict[bytes, _Packet] = OrderedDict()
        self._sources: dict[bytes, OrderedDict[bytes, _Packet]] = {}
        self._source_memory: dict[bytes, int] = {}

    def __len__(self) -> int:
        """How many packets are in pieces (or discarded and remembered)."""
        return len(self.packets)

    def add(self, packet: Buffer, version: int, now_us: int) -> bytes | None:
        """Take a fragment, from its IP header to its end; the whole packet if it is the last.

        What is returned is never a fragment again, and is to be parsed anew. The caller has
        checked addresses and IPv4's header checksum.
        """
        headers = read(packet, version)
        if headers is None or (version == 6 and not headers.fragment_at):
            return self._refuse()
        data_at = headers.fragment_at + FRAGMENT_HEADER if version == 6 else headers.upper
        data = bytes(packet[data_at : headers.length])
        if not (headers.offset or headers.more):
            # Whole by itself, whatever others use its ID (RFC 6946 §4, RFC 6864 §4.1).
            return self._join(bytes(packet[:data_at]), [data], 1 << (headers.tos & CE))
        if not self._is_sound(packet, headers, data_at, len(data), now_us):
            return self._refuse()
        return self._place(packet, headers, data_at, data, now_us)

    def next_deadline(self) -> int:
        """When the oldest packet expires, in µs; 0 with none."""
        for oldest in self.packets.values():
            return oldest.began_at_us + self.config.ipfrag_time * 1_000_000
        return 0

    def on_time(self, now_us: int) -> None:
        """Drop what has waited too long, with Time Exceeded if its first part has come."""
        while self.packets and self.next_deadline() <= now_us:
            oldest = next(iter(self.packets.values()))
            self._forget(oldest)
            if oldest.discarded:
                continue
            self.dropped[consts.DROP_FRAGMENT_LIMIT] += 1
            if oldest.head:
                first = oldest.head + oldest.pieces[0]
                self.icmp.time_exceeded(first, version_of(first), now_us)

    # -- one fragment ------------------------------------------------------------------------

    def _is_sound(
        self, packet: Buffer, headers: IpHeaders, data_at: int, length: int, now_us: int
    ) -> bool:
        """Whether it can be part of a packet. If not, an error is made where IPv6 asks for one."""
        end = headers.offset + length
        if headers.version == 4:
            misaligned = headers.more and length % 8
            return length > 0 and not misaligned and headers.upper + end <= MAX_PACKET
        fragment_at = headers.fragment_at
        if headers.more and length % 8:
            # RFC 8200 §4.5: the pointer goes to the Payload Length
            self.icmp.parameter_problem(packet, ERRONEOUS_FIELD, 4, now_us)
            return False
        if fragment_at - consts.IPV6_HEADER + end > MAX_PACKET:
            self.icmp.parameter_problem(packet, ERRONEOUS_FIELD, fragment_at + 2, now_us)
            return False
        if headers.offset == 0:
            needed = UPPER_HEADER.get(headers.protocol, 0)
            if not headers.complete or headers.upper + needed > data_at + length:
                self.icmp.parameter_problem(packet, INCOMPLETE_HEADERS, 0, now_us)
                return False
        return length > 0

    def _place(
        self, packet: Buffer, headers: IpHeaders, data_at: int, data: bytes, now_us: int
    ) -> bytes | None:
        """Put `data` into its packet; the packet if that makes it whole."""
        self.on_time(now_us)
        whole = self._find(headers, now_us)
        if whole.discarded:
            return self._refuse()
        start, end = headers.offset, headers.offset + len(data)
        at = bisect_right(whole.starts, start)
        if _is_repeat(whole, at, start, data, exact=headers.version == 6):
            return None
        whole.ecn_seen |= 1 << (headers.tos & CE)
        if (
            _overlaps(whole, at, start, end)
            or not _fits_total(whole, end, headers.more)
            or (whole.ecn_seen & 1 << NOT_ECT and whole.ecn_seen != 1 << NOT_ECT)
        ):
            self._discard(whole)
            return self._refuse()
        whole.starts.insert(at, start)
        whole.pieces.insert(at, data)
        whole.held += len(data)
        cost = len(data) + PIECE_COST
        if start == 0:
            whole.head = bytes(packet[:data_at])
            cost += data_at
        if not headers.more:
            whole.total = end
        self._charge(whole, cost)
        if whole.held == whole.total:
            self._forget(whole)
            return self._join(whole.head, whole.pieces, whole.ecn_seen)
        self._make_room(whole.source)
        return None

    # -- the whole packet -----------------------------------------------------------------------

    def _join(self, head: bytes, pieces: list[bytes], ecn_seen: int) -> bytes | None:
        """The packet that was cut: `head` as the first fragment had it, then all data."""
        start = bytearray(head)
        version = version_of(start)
        size = sum(map(len, pieces))
        if version == 4:
            size += len(start)
            start[2:4] = min(size, MAX_PACKET).to_bytes(2, "big")
            start[6:8] = b"\0\0"
            if ecn_seen & 1 << CE:
                start[1] |= CE
            set_v4_checksum(start)
        else:
            next_header = start[-FRAGMENT_HEADER]
            del start[-FRAGMENT_HEADER:]
            before = read(start, version)  # it ends where the fragment header was named
            assert before is not None
            start[before.named_at] = next_header
            size += len(start) - consts.IPV6_HEADER
            start[4:6] = min(size, MAX_PACKET).to_bytes(2, "big")
            if ecn_seen & 1 << CE:
                start[1] |= CE << 4
        packet = b"".join((start, *pieces))
        # A fragmented packet of fragments would keep the host busy; nobody sends one.
        headers = read(packet, version)
        if size > MAX_PACKET or headers is None or headers.fragment_at:
            return self._refuse()
        return packet

    # -- memory ---------------------------------------------------------------------------------

    def _find(self, headers: IpHeaders, now_us: int) -> _Packet:
        """The packet that a fragment belongs to, begun now if this is its first to arrive."""
        # IPv4 tells packets apart by protocol as well (RFC 791 §3.2), IPv6 does not.
        protocol = headers.protocol if headers.version == 4 else 0
        ident = headers.ident.to_bytes(4, "big")
        key = headers.source + headers.destination + ident + bytes((protocol,))
        whole = self.packets.get(key)
        if whole is None:
            whole = _Packet(key, headers.source, now_us)
            self.packets[key] = whole
            self._sources.setdefault(whole.source, OrderedDict())[key] = whole
            self._charge(whole, PACKET_COST)
        return whole

    def _charge(self, whole: _Packet, cost: int) -> None:
        whole.cost += cost
        self.memory += cost
        held = self._source_memory.get(whole.source, 0) + cost
        if held:
            self._source_memory[whole.source] = held
        else:
            del self._source_memory[whole.source]

    def _forget(self, whole: _Packet) -> None:
        del self.packets[whole.key]
        of_source = self._sources[whole.source]
        del of_source[whole.key]
        if not of_source:
            del self._sources[whole.source]
        self._charge(whole, -whole.cost)

    def _discard(self, whole: _Packet) -> None:
        """Drop what has come; in IPv6 what still comes of it is dropped as well."""
        if whole.key.startswith(V4_PREFIX):
            self._forget(whole)
            return
        whole.discarded = True
        whole.starts, whole.pieces, whole.head = [], [], b""
        self._charge(whole, PACKET_COST - whole.cost)

    def _make_room(self, source: bytes) -> None:
        """Drop the oldest packets, of this source and of all, until memory is within bounds."""
        bound = self.config.ipfrag_high_thresh
        while self._source_memory.get(source, 0) > bound // PER_SOURCE:
            self._drop(next(iter(self._sources[source].values())))
        while self.memory > bound:
            self._drop(next(iter(self.packets.values())))

    def _drop(self, whole: _Packet) -> None:
        self._forget(whole)
        self.dropped[consts.DROP_FRAGMENT_LIMIT] += 1

    def _refuse(self) -> bytes | None:
        """Count a fragment, or a packet of them, as bad; `add` returns what this returns."""
        self.dropped[consts.DROP_BAD_FRAGMENT] += 1
        return None


def _is_repeat(whole: _Packet, at: int, start: int, data: bytes, exact: bool) -> bool:
    """Whether a fragment from `start`, to be inserted at index `at`, brings nothing new.

    `exact` demands the very same fragment; otherwise it may lie within what came, as in Linux.
    """
    if at == 0:
        return False
    if exact:
        return whole.starts[at - 1] == start and whole.pieces[at - 1] == data
    covered = start
    for i in range(at - 1, len(whole.starts)):
        if whole.starts[i] > covered:
            break
        covered = whole.starts[i] + len(whole.pieces[i])
        if covered >= start + len(data):
            return True
    return False


def _overlaps(whole: _Packet, at: int, start: int, end: int) -> bool:
    """Whether `start` to `end`, to be inserted at index `at`, shares octets with a neighbour."""
    if at and whole.starts[at - 1] + len(whole.pieces[at - 1]) > start:
        return True
    return at < len(whole.starts) and whole.starts[at] < end


def _fits_total(whole: _Packet, end: int, more: bool) -> bool:
    """Whether a fragment up to `end` agrees with where the packet ends."""
    if whole.total >= 0:
        return end <= whole.total if more else end == whole.total
    if more or not whole.starts:
        return True
    return whole.starts[-1] + len(whole.pieces[-1]) <= end


def fragment(packet: bytes, mtu: int, ident: int) -> list[bytes]:
    """Cut a packet of ours into fragments that fit `mtu` and never overlap (RFC 5722 §4).

    A packet that fits comes back as it is. `ident` is new for each packet: 32 bits for IPv6, of
    which IPv4 takes the low 16 (RFC 6864 §4.3). Raises ValueError for a packet that may not be
    cut (IPv4 with DF, or with options, which ours never have) or an MTU below the minimum.
    """
    if len(packet) <= mtu:
        return [packet]
    version = version_of(packet)
    if version == 4:
        if mtu < consts.IPV4_MIN_MTU or packet[0] != 0x45 or packet[6] & DF >> 8:
            raise ValueError("IPv4 packet that must not be fragmented, or MTU below 68")
        head_size, room = consts.IPV4_HEADER, (mtu - consts.IPV4_HEADER) & ~7
    else:
        if mtu < consts.IPV6_MIN_MTU:
            raise ValueError("IPv6 needs an MTU of at least 1280")
        head_size = consts.IPV6_HEADER
        room = (mtu - consts.IPV6_HEADER - FRAGMENT_HEADER) & ~7
    made = []
    for offset in range(0, len(packet) - head_size, room):
        data = packet[head_size + offset : head_size + offset + room]
        more = head_size + offset + len(data) < len(packet)
        head = bytearray(packet[:head_size])
        if version == 4:
            head[2:4] = (head_size + len(data)).to_bytes(2, "big")
            head[4:6] = (ident & 0xFFFF).to_bytes(2, "big")
            head[6:8] = (offset // 8 | (MF if more else 0)).to_bytes(2, "big")
            set_v4_checksum(head)
        else:
            head[4:6] = (FRAGMENT_HEADER + len(data)).to_bytes(2, "big")
            head[6] = consts.IPPROTO_FRAGMENT
            head += V6_FRAGMENT.pack(packet[6], 0, offset | more, ident & 0xFFFF_FFFF)
        made.append(bytes(head) + data)
    return made
