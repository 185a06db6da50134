"""A run is parsed once, and its segments arrive one after the other, each at its own time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystack.wire.batch import Packet, RxBatch
from pystack.wire.consts import CWR, FIN, KIND_TCP, PSH, SYN, URG
from pystack.wire.segment import Segment
from pystack.wire.seq import MASK

if TYPE_CHECKING:
    from pystack.stack.host import HostCore

_LAST_ONLY = FIN | PSH


class RunInput:
    """The pieces of a run, for one host: the same segments as if the run had been cut."""

    __slots__ = (
        "packet",
        "_host",
        "_rx",
        "_seg",
        "_seq",
        "_payload_offset",
        "_length",
        "_gso_size",
        "_flags",
    )

    def __init__(self, host: HostCore) -> None:
        self.packet: Packet | None = None  # the loaded run
        self._host = host
        self._rx = RxBatch(1)
        self._seg = Segment()
        self._seq = 0
        self._payload_offset = 0
        self._length = 0
        self._gso_size = 0
        self._flags = 0

    def load(self, packet: Packet) -> bool:
        """Take a run whose pieces come next. False when it has to be cut instead: no valid TCP
        segment, one with URG or SYN, or the host has a `trace`."""
        self.packet = None
        rx = self._rx
        rx.clear()
        rx.add(*packet)
        seg = self._seg
        kind = seg.load(rx.view, rx.records, 0)
        if kind != KIND_TCP or seg.flags & (URG | SYN) or self._host.trace is not None:
            return False
        self._seq = seg.seq
        self._payload_offset = seg.payload_offset
        self._length = seg.length
        self._gso_size = seg.gso_size
        self._flags = seg.flags
        self.packet = packet
        seg.begin_pieces()
        return True

    def piece(self, index: int, now_us: int) -> None:
        """Piece `index` of the run, counted from 0, arrives."""
        seg = self._seg
        size = self._gso_size
        at = index * size
        left = self._length - at
        flags = self._flags
        if left > size:
            left = size
            flags &= ~_LAST_ONLY
        if at:
            flags &= ~CWR
        seg.take_piece(self._seq + at & MASK, self._payload_offset + at, left, flags)
        self._host.receive_segment(seg, now_us)
