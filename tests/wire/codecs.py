"""Both codecs in one form that takes and gives bytes."""

from __future__ import annotations

from types import ModuleType

from pystack.wire.codec import pure
from pystack.wire.segment import RECORD_SIZE, Segment

try:
    from pystack.wire.codec import fast
except ModuleNotFoundError:  # installed with PYSTACK_PURE=1
    MODULES: tuple[ModuleType, ...] = (pure,)
else:
    MODULES = (fast, pure)

FILLER = 0xA5  # what lies around a packet: nobody may look at it, or change it


class Codec:
    """One of the two, with buffers to work in."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.name = module.__name__.rsplit(".", 1)[1]

    def checksum(self, octets: bytes, initial: int = 0, off: int = 0) -> int:
        arena = self.module.pin(bytearray(b"\xff" * off + octets + b"\xff" * 3))
        number: int = self.module.checksum(arena, off, len(octets), initial)
        return number

    def record(self, packet: bytes, state: int = 0, gso_size: int = 0, off: int = 16) -> bytes:
        """The record of a packet that lies at `off`; nothing but the record has changed."""
        arena = bytearray([FILLER]) * off + packet + bytearray([FILLER]) * 64
        before = bytes(arena)
        records = bytearray([FILLER]) * (3 * RECORD_SIZE)
        pin = self.module.pin
        kind = self.module.parse(pin(arena), off, len(packet), state, gso_size, pin(records), 1)
        assert arena == before
        outside = records[:RECORD_SIZE] + records[2 * RECORD_SIZE :]
        assert outside == bytes([FILLER]) * (2 * RECORD_SIZE)
        found = bytes(records[RECORD_SIZE : 2 * RECORD_SIZE])
        assert found[36] == kind
        return found

    def parse(self, packet: bytes, state: int = 0, gso_size: int = 0) -> Segment:
        """The packet as TCP sees it; it begins at 16."""
        segment = Segment()
        records = bytearray(self.record(packet, state, gso_size))
        segment.load(memoryview(bytes(16) + packet), records, 0)
        return segment

    def build(
        self,
        key: bytes,
        *,
        seq: int = 0,
        ack: int = 0,
        flags: int = 0x10,
        wnd: int = 0,
        urgent: int = 0,
        tos: int = 0,
        ttl: int = 64,
        ident: int = 0,
        df: int = 1,
        timestamps: tuple[int, int] | None = None,
        options: bytes = b"",
        text: bytes = b"",
        state: int = 0,
    ) -> bytes:
        """A packet built around `text`; nothing around the packet has changed."""
        tsval, tsecr = timestamps or (0, 0)
        fixed = 20 if key[:12] == bytes(10) + b"\xff\xff" else 40
        header = fixed + 20 + (12 if timestamps else 0) + len(options)
        off = 24
        arena = bytearray([FILLER]) * (off + header) + text + bytearray([FILLER]) * 8
        found = self.module.build_tcp(
            self.module.pin(arena), off, key, seq, ack, flags, wnd, urgent, tos, ttl, ident, df,
            1 if timestamps else 0, tsval, tsecr, options, len(text), state,
        )  # fmt: skip
        assert found == header
        end = off + header + len(text)
        assert arena[:off] + arena[end:] == bytes([FILLER]) * (off + 8)
        return bytes(arena[off:end])

    def cut(self, packet: bytes, gso_size: int) -> list[bytes]:
        off = 8
        arena = bytearray([FILLER]) * off + packet + bytearray([FILLER]) * 8
        before = bytes(arena)
        count = len(packet) // max(gso_size, 1) + 2
        out = bytearray([FILLER]) * (16 + len(packet) + count * 120)
        lengths = bytearray(2 * count)
        pin = self.module.pin
        n = self.module.cut(pin(arena), off, len(packet), gso_size, pin(out), 16, pin(lengths))
        assert arena == before
        pieces = []
        at = 16
        for index in range(n):
            length = int.from_bytes(lengths[2 * index : 2 * index + 2], "little")
            pieces.append(bytes(out[at : at + length]))
            at += length
        assert set(out[:16] + out[at:]) == {FILLER}
        return pieces

    def complete(self, packet: bytes) -> bytes:
        off = 8
        arena = bytearray([FILLER]) * off + packet + bytearray([FILLER]) * 8
        self.module.complete_checksum(self.module.pin(arena), off, len(packet))
        assert set(arena[:off] + arena[off + len(packet) :]) == {FILLER}
        return bytes(arena[off : off + len(packet)])


CODECS = tuple(Codec(module) for module in MODULES)
