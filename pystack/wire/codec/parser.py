"""From octets to a record: Python twin of csrc/parse.c.

IPv4 (RFC 791), IPv6 with extension headers (RFC 8200), TCP with options (RFC 9293, 7323, 2018).
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Final

from pystack.wire import consts
from pystack.wire.address import V4_PREFIX
from pystack.wire.codec.internet_checksum import add, pseudo_sum, sum16
from pystack.wire.codec.layout import Layout, locate, tcp_header
from pystack.wire.segment import (
    CHECKSUM_STATE_OFFSET,
    RECORD,
    RECORD_SIZE,
    SACK_EDGES,
    SACK_OFFSET,
)

# source port, destination port, seq, ack, offset and flags, window, checksum, urgent
TCP: Final = Struct("!HHIIHHHH")
_TWO_WORDS: Final = Struct("!II")
_BLANK: Final = bytes(RECORD_SIZE)
_NO_KEY: Final = bytes(36)


class _Options:
    """What the options of one TCP header say."""

    __slots__ = ("edges", "mss", "options", "tsecr", "tsval", "wscale")

    def __init__(self) -> None:
        self.mss = 0
        self.wscale = -1
        self.options = 0
        self.tsval = 0
        self.tsecr = 0
        self.edges: tuple[int, ...] = ()

    def walk(self, octets: memoryview) -> None:
        """Take all options in. One whose length can't be ends the list (RFC 9293 MUST-7, Linux)."""
        at, end = 0, len(octets)
        while at < end and octets[at] != consts.OPT_EOL:
            if octets[at] == consts.OPT_NOP:
                at += 1
                continue
            if end - at < 2 or not 2 <= octets[at + 1] <= end - at:
                return
            after = at + octets[at + 1]
            self.take(octets[at], octets[at + 2 : after])
            at = after

    def take(self, kind: int, value: memoryview) -> None:
        """One option. A known kind of a wrong length is skipped; the last of its kind counts."""
        n = len(value)
        if kind == consts.OPT_MSS and n == 2:
            self.mss = value[0] << 8 | value[1]
        elif kind == consts.OPT_WSCALE and n == 1:
            self.wscale = min(value[0], 127)
        elif kind == consts.OPT_SACK_PERMITTED and n == 0:
            self.options |= consts.HAS_SACK_PERMITTED
        elif kind == consts.OPT_TIMESTAMPS and n == 8:
            self.options |= consts.HAS_TIMESTAMPS
            self.tsval, self.tsecr = _TWO_WORDS.unpack(value)
        elif kind == consts.OPT_SACK and n and n % 8 == 0:
            self.edges = tuple(int.from_bytes(value[i : i + 4], "big") for i in range(0, n, 4))
        elif kind == consts.OPT_FASTOPEN:
            self.options |= consts.HAS_FASTOPEN
        elif kind in (consts.OPT_EXPERIMENT_1, consts.OPT_EXPERIMENT_2):
            self.options |= consts.HAS_EXPERIMENT


def parse(
    arena: Any,
    off: int,
    length: int,
    checksum_state: int,
    gso_size: int,
    records: Any,
    index: int,
    /,
) -> int:
    ip = memoryview(arena)[off : off + length]
    at = Layout()
    kind = consts.KIND_BAD
    reason = locate(ip, at)
    if reason == 0:
        if at.fragment:
            kind = consts.KIND_FRAGMENT
        elif at.protocol == consts.IPPROTO_TCP:
            kind = consts.KIND_TCP
            reason = _check_tcp(ip, at, checksum_state)
        else:
            kind = consts.KIND_OTHER
    options = _Options()
    if reason == 0 and kind == consts.KIND_TCP:
        header = tcp_header(ip, at)
        options.walk(ip[at.upper + consts.TCP_HEADER : at.upper + header])

    here = index * RECORD_SIZE
    records[here : here + RECORD_SIZE] = _BLANK
    records[here + CHECKSUM_STATE_OFFSET] = checksum_state
    if reason:
        RECORD.pack_into(
            records, here, _NO_KEY, consts.KIND_BAD, reason, 0, 0, off, off + length,
            0, 0, 0, 0, 0, 0, 0, 0, gso_size, 0, -1, 0, 0, 0, 0, 0, 0,
        )  # fmt: skip
        return consts.KIND_BAD
    if at.version == 4:
        key = V4_PREFIX + bytes(ip[16:20]) + V4_PREFIX + bytes(ip[12:16])
        tos, ttl = ip[1], ip[8]
    else:
        key = bytes(ip[24:40]) + bytes(ip[8:24])
        tos, ttl = (ip[0] << 8 | ip[1]) >> 4 & 0xFF, ip[7]
    upper = off + at.upper
    if kind != consts.KIND_TCP:
        RECORD.pack_into(
            records, here, key, kind, 0, at.version, at.protocol, off, off + at.end, upper,
            upper, at.end - at.upper, 0, 0, 0, 0, 0, gso_size, 0, -1, 0, 0, 0, tos, ttl, 0,
        )  # fmt: skip
        return kind
    _, _, seq, ack, bits, wnd, _, urgent = TCP.unpack_from(ip, at.upper)
    key += bytes(ip[at.upper + 2 : at.upper + 4]) + bytes(ip[at.upper : at.upper + 2])
    RECORD.pack_into(
        records, here, key, kind, 0, at.version, at.protocol, off, off + at.end, upper,
        upper + header, at.end - at.upper - header, seq, ack, bits & 0x1FF, wnd, urgent,
        gso_size, options.mss, options.wscale, options.options, options.tsval, options.tsecr,
        tos, ttl, len(options.edges) // 2,
    )  # fmt: skip
    if options.edges:
        edges = options.edges + (0,) * (8 - len(options.edges))
        SACK_EDGES.pack_into(records, here + SACK_OFFSET, *edges)
    return kind


def _check_tcp(ip: memoryview, at: Layout, checksum_state: int) -> int:
    n = at.end - at.upper
    if n < consts.TCP_HEADER:
        return consts.DROP_TRUNCATED
    if tcp_header(ip, at) == 0:
        return consts.DROP_BAD_TCP_HEADER
    if checksum_state == consts.CHECKSUM_COMPLETE:
        if add(pseudo_sum(ip, at, n), sum16(ip[at.upper : at.end])) != 0xFFFF:
            return consts.DROP_BAD_TCP_CHECKSUM
    return 0
