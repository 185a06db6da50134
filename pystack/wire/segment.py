"""The parsed segment: the packed record that a parser fills, and the reused object TCP reads.

A parser (the C module or its Python twin) writes one 128-byte record per packet. `Segment.load`
unpacks it into the one `Segment` of a host. The payload stays in the arena it was read into;
what keeps it copies it (`Segment.payload`).
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from pystack.printed import printed
from pystack.wire import consts, flow_key

RECORD_SIZE: Final = 128
# key | kind reason version protocol | start end upper payload_offset length seq ack
# | flags wnd urgent gso_size mss | wscale options | tsval tsecr | tos ttl n_sack
RECORD: Final = Struct("<36s4B7I5HbB2I3B")
SACK_OFFSET: Final = 96
SACK_EDGES: Final = Struct("<8I")  # left, right of up to four blocks, as on the wire
CHECKSUM_STATE_OFFSET: Final = 91  # one octet, for code that hands the packet on or keeps it
assert RECORD.size <= CHECKSUM_STATE_OFFSET < SACK_OFFSET

_DATA_OFFSET: Final = 12  # the octet of the TCP header that has it


class Segment:
    """One incoming packet, valid until the host has handled it; sequence numbers as on the wire.

    `seq`, `ack`, `wnd` (not scaled), `urgent`, `tsval`, `tsecr` are the header's; `length` is
    the payload's length in bytes, `segs` how many segments it stands for (a run brought by
    offload counts `ceil(length / gso_size)`). `mss` is 0 and `wscale` -1 where the option was
    absent; `options` has the HAS_… bits. Offsets (`start`, `end`, `upper`, `payload_offset`)
    are into `arena`: of the IP header, the packet's end, the transport header, the payload.
    """

    __slots__ = (
        "key", "kind", "reason", "version", "protocol", "start", "end", "upper", "payload_offset",
        "length", "seq", "ack", "flags", "wnd", "urgent", "gso_size", "mss", "wscale", "options",
        "tsval", "tsecr", "tos", "ttl", "n_sack", "segs", "arena", "records", "index",
    )  # fmt: skip

    key: bytes
    kind: int
    reason: int
    version: int
    protocol: int
    start: int
    end: int
    upper: int
    payload_offset: int
    length: int
    seq: int
    ack: int
    flags: int
    wnd: int
    urgent: int
    gso_size: int
    mss: int
    wscale: int
    options: int
    tsval: int
    tsecr: int
    tos: int
    ttl: int
    n_sack: int
    segs: int
    arena: memoryview
    records: bytearray
    index: int

    def load(self, arena: memoryview, records: bytearray, index: int) -> int:
        """Take record `index`, whose packet lies in `arena`; the record's kind is returned."""
        kind: int
        (
            self.key, kind, self.reason, self.version, self.protocol, self.start, self.end,
            self.upper, self.payload_offset, length, self.seq, self.ack, self.flags, self.wnd,
            self.urgent, gso_size, self.mss, self.wscale, self.options, self.tsval,
            self.tsecr, self.tos, self.ttl, self.n_sack,
        ) = RECORD.unpack_from(records, index * RECORD_SIZE)  # fmt: skip
        self.kind = kind
        self.length = length
        self.gso_size = gso_size
        self.segs = -(-length // gso_size) if gso_size and length > gso_size else 1
        self.arena = arena
        self.records = records
        self.index = index
        return kind

    def begin_pieces(self) -> None:
        """A run is loaded whose pieces come one after the other (`take_piece`), as segments."""
        self.gso_size = 0
        self.segs = 1

    def take_piece(self, seq: int, payload_offset: int, length: int, flags: int) -> None:
        """Be one piece of the loaded run."""
        self.seq = seq
        self.payload_offset = payload_offset
        self.length = length
        self.end = payload_offset + length
        self.flags = flags

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        if self.kind != consts.KIND_TCP:
            return f"kind {self.kind} of IPv{self.version}, protocol {self.protocol}"
        return (
            f"{flow_key.ends(self.key, '<-')} seq {self.seq}, ack {self.ack},"
            f" flags {self.flags:#x}, wnd {self.wnd}, length {self.length}"
        )

    def packet(self) -> memoryview:
        """The whole packet, from its IP header to its end."""
        return self.arena[self.start : self.end]

    def payload(self, skip: int, length: int) -> bytes:
        """A copy of `length` payload bytes after the first `skip`."""
        at = self.payload_offset + skip
        return bytes(self.arena[at : at + length])

    def option_octets(self) -> bytes:
        """A copy of all options of the TCP header, up to an end-of-options octet or an option whose
        length can't be: so their lengths are sound."""
        octets = bytes(self.arena[self.upper + consts.TCP_HEADER : self.options_end])
        at, end = 0, len(octets)
        while at < end and octets[at] != consts.OPT_EOL:
            if octets[at] == consts.OPT_NOP:
                at += 1
            elif at + 1 < end and 2 <= octets[at + 1] <= end - at:
                at += octets[at + 1]
            else:
                break
        return octets[:at]

    @property
    def options_end(self) -> int:
        """Where the TCP header ends in the arena. A piece of a run has its payload further on."""
        return self.upper + (self.arena[self.upper + _DATA_OFFSET] >> 4) * 4

    def sack_blocks(self) -> list[tuple[int, int]]:
        """The SACK option's blocks as (left, right), as on the wire, in their order."""
        edges = SACK_EDGES.unpack_from(self.records, self.index * RECORD_SIZE + SACK_OFFSET)
        return [(edges[i], edges[i + 1]) for i in range(0, 2 * self.n_sack, 2)]

    @property
    def remote(self) -> bytes:
        """The sender's address, 16 bytes."""
        return self.key[16:32]  # as `flow_key.remote_address`, a call less

    @property
    def local(self) -> bytes:
        """The destination address, 16 bytes."""
        return self.key[:16]

    @property
    def local_port(self) -> int:
        return flow_key.local_port(self.key)

    @property
    def remote_port(self) -> int:
        return flow_key.remote_port(self.key)

    @property
    def seg_len(self) -> int:
        """SEG.LEN: payload plus one each for SYN and FIN (RFC 9293 §3.3.1)."""
        flags = self.flags
        return self.length + (flags & consts.FIN) + (flags >> 1 & 1)
