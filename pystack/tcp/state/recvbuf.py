"""Received payload: in-order chunks that the user has not read, and what came out of order.

In-order payload is a queue of the very bytes objects that the user will get. Payload beyond a hole
is held, cut so that no octet is held twice, until the hole is filled; bytes are bounded by the
window, holes by `max_holes`. Empty, it holds nothing. No other file writes its variables.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import Final

from pystack.tcp.state.stack_shared import Memory

_MANY: Final = 32  # chunks that are kept as they came
_CRUMB: Final = 512  # behind them payloads under this are gathered
_GATHERED: Final = 8192


class RecvBuffer:
    """`held` octets are ready from number `read_seq`; `ooo_bytes` wait out of order.

    `limit` is SO_RCVBUF in bytes, half of which is window; `bound` is the largest that it ever
    was, under which promises were made; `memory` is the stack's count. It begins at `read_seq`,
    see `rebase`.
    """

    __slots__ = (
        "limit", "bound", "memory", "held", "read_seq", "_chunks", "ooo_bytes", "_max_holes",
        "_starts", "_payloads", "_recent",
    )  # fmt: skip

    def __init__(self, read_seq: int, limit: int, max_holes: int, memory: Memory) -> None:
        self.limit = limit
        self.bound = limit
        self.memory = memory
        self.held = 0
        self.read_seq = read_seq
        self._chunks: deque[bytes | bytearray | memoryview] = deque()
        self.ooo_bytes = 0
        self._max_holes = max_holes
        self._starts: list[int] = []  # first numbers of the payloads held out of order, sorted
        self._payloads: list[bytes] = []
        self._recent: list[tuple[int, int]] = []  # the blocks they form, newest first

    def set_limit(self, limit: int) -> None:
        """SO_RCVBUF, or what autotuning makes of it."""
        self.limit = limit
        self.bound = max(self.bound, limit)

    def rebase(self, read_seq: int) -> None:
        """Set-up: the number of the first octet."""
        self.read_seq = read_seq

    # -- in order ---------------------------------------------------------------------------
    def append(self, payload: bytes) -> None:
        """Add payload that continues the stream."""
        chunks = self._chunks
        length = len(payload)
        if length < _CRUMB and len(chunks) > _MANY and len(chunks[-1]) < _GATHERED:
            last = chunks[-1]  # an object for each tiny one would take many times its size
            if type(last) is bytearray:
                last += payload
            else:
                chunks[-1] = bytearray(b"".join((last, payload)))
        else:
            chunks.append(payload)
        self.held += length
        self.memory.receive_bytes += length

    def take_chunk(self) -> bytes | memoryview:
        """Remove and return the first chunk, as it came or gathered from small ones; b"" when
        nothing is ready."""
        if not self._chunks:
            return b""
        chunk = self._chunks.popleft()
        length = len(chunk)
        self.held -= length
        self.read_seq += length
        self.memory.receive_bytes -= length
        return bytes(chunk) if isinstance(chunk, bytearray) else chunk

    def skip(self) -> int:
        """Throw away all that is ready; how many octets that was."""
        length = self.held
        self._chunks.clear()
        self.held = 0
        self.read_seq += length
        self.memory.receive_bytes -= length
        return length

    def take(self, length: int) -> bytes:
        """Remove and return up to `length` octets."""
        chunks = self._chunks
        if not chunks or length <= 0:
            return b""
        first = chunks[0]
        if len(first) == length or (len(first) < length and len(chunks) == 1):
            return bytes(self.take_chunk())
        parts: list[bytes | bytearray | memoryview] = []
        left = length
        while left and chunks:
            chunk = chunks[0]
            if len(chunk) <= left:
                parts.append(chunk)
                left -= len(chunk)
                chunks.popleft()
            else:
                view = memoryview(chunk)
                parts.append(view[:left])
                chunks[0] = view[left:]
                left = 0
        taken = b"".join(parts)
        self.held -= len(taken)
        self.read_seq += len(taken)
        self.memory.receive_bytes -= len(taken)
        return taken

    def peek(self, length: int, skip: int = 0) -> bytes:
        """Up to `length` octets after the first `skip`, left in place."""
        parts: list[bytes | memoryview] = []
        for chunk in self._chunks:
            if length <= 0:
                break
            if skip >= len(chunk):
                skip -= len(chunk)
                continue
            piece = memoryview(chunk)[skip : skip + length]
            skip = 0
            parts.append(piece)
            length -= len(piece)
        return b"".join(parts)

    # -- out of order -----------------------------------------------------------------------
    @property
    def has_holes(self) -> bool:
        """Whether payload or a FIN waits beyond a hole."""
        return self.ooo_bytes > 0

    def hold_fin(self, seq: int) -> None:
        """A FIN beyond a hole: it counts as one octet, in the blocks too (as in Linux)."""
        self._note_block(seq, seq + 1)
        self.ooo_bytes += 1
        self.memory.receive_bytes += 1

    def drop_fin(self) -> None:
        """The peer has sent payload where its FIN was: only payload counts."""
        self.ooo_bytes -= 1
        self.memory.receive_bytes -= 1

    def hold(self, start: int, payload: bytes) -> tuple[int, int] | None:
        """Keep what is new of `payload`, numbered from `start`, beyond a hole.

        Returns the leftmost part of it that was held already, None without one. Payload that would
        make more than `max_holes` separate blocks, or a great many tiny payloads, is not kept.
        """
        end = start + len(payload)
        starts = self._starts
        payloads = self._payloads
        if len(starts) >= 16 * self._max_holes or (
            len(self._recent) >= self._max_holes and not self._touches(start, end)
        ):
            return None
        at = start
        again: tuple[int, int] | None = None
        index = bisect_right(starts, start) - 1
        if index < 0:
            index = 0
        while start < end and index < len(starts):
            left = starts[index]
            right = left + len(payloads[index])
            if left >= end:
                break
            if start < left:
                self._insert(index, start, payload[start - at : left - at])
                start = left
                index += 1
            if start < right:
                stop = min(right, end)
                if again is None:
                    again = (start, stop)
                elif again[1] == start:
                    again = (again[0], stop)
                start = right
            index += 1
        if start < end:
            self._insert(index, start, payload[start - at :])
        self._note_block(at, end)
        return again

    def _insert(self, index: int, start: int, payload: bytes) -> None:
        self._starts.insert(index, start)
        self._payloads.insert(index, payload)
        self.ooo_bytes += len(payload)
        self.memory.receive_bytes += len(payload)

    def _touches(self, start: int, end: int) -> bool:
        return any(left <= end and right >= start for left, right in self._recent)

    def _note_block(self, start: int, end: int) -> None:
        kept = []
        for left, right in self._recent:
            if left <= end and right >= start:
                start = min(start, left)
                end = max(end, right)
            else:
                kept.append((left, right))
        self._recent = [(start, end), *kept]

    def fill(self, rcv_nxt: int) -> int:
        """Move held payload that now continues the stream at `rcv_nxt`; the new RCV.NXT."""
        starts = self._starts
        payloads = self._payloads
        count = 0
        while count < len(starts) and starts[count] <= rcv_nxt:
            payload = payloads[count]
            end = starts[count] + len(payload)
            self.ooo_bytes -= len(payload)
            self.memory.receive_bytes -= len(payload)
            if end > rcv_nxt:
                self.append(payload if starts[count] == rcv_nxt else payload[rcv_nxt - end :])
                rcv_nxt = end
            count += 1
        if count:
            del starts[:count]
            del payloads[:count]
        if self._recent:
            self._recent = [block for block in self._recent if block[1] > rcv_nxt]
        return rcv_nxt

    def blocks(self) -> list[tuple[int, int]]:
        """The blocks held out of order, the most recently touched first (RFC 2018 §4)."""
        return self._recent

    def lowest_block(self) -> tuple[int, int]:
        """The block that ends the first hole. There must be one."""
        return min(self._recent)

    def block_around(self, start: int, end: int) -> tuple[int, int] | None:
        """The held block that contains [start, end), for the second block of a D-SACK."""
        for left, right in self._recent:
            if left <= start and end <= right:
                return left, right
        return None

    def highest(self) -> int:
        """The right edge of all payload held out of order; 0 when there is none."""
        return self._starts[-1] + len(self._payloads[-1]) if self._starts else 0

    def clear(self) -> None:
        """Drop everything."""
        self._chunks.clear()
        self.memory.receive_bytes -= self.held
        self.held = 0
        self.clear_held()

    def clear_held(self) -> None:
        """Drop the payload held out of order; its blocks are reported no more."""
        self._starts.clear()
        self._payloads.clear()
        self._recent.clear()
        self.memory.receive_bytes -= self.ooo_bytes
        self.ooo_bytes = 0
