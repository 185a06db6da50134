"""Received text: in-order chunks waiting for the user, and runs held out of order.

In-order text is a queue of the very bytes objects that the user will get. Text beyond a hole
is held, cut so that no octet is held twice, until the hole is filled; bytes are bounded by the
window, holes by `max_holes`. Empty, it holds nothing. No other file writes its variables.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import Final

from pystack.tcp.state.stack_shared import Memory

_MANY: Final = 32  # so many chunks are kept as they came
_CRUMB: Final = 512  # behind them texts under this are gathered
_GATHERED: Final = 8192


class RecvBuffer:
    """`held` octets are ready from number `read_seq`; `ooo_bytes` wait out of order.

    `limit` is SO_RCVBUF in bytes, half of which is window; `bound` is the largest that it ever
    was, under which promises were made; `memory` is the stack's count.
    """

    __slots__ = (
        "limit", "bound", "memory", "held", "read_seq", "_chunks", "ooo_bytes", "_max_holes",
        "_starts", "_texts", "_recent",
    )  # fmt: skip

    def __init__(self, limit: int, max_holes: int, memory: Memory) -> None:
        self.limit = limit
        self.bound = limit
        self.memory = memory
        self.held = 0
        self.read_seq = 0
        self._chunks: deque[bytes | bytearray | memoryview] = deque()
        self.ooo_bytes = 0
        self._max_holes = max_holes
        self._starts: list[int] = []  # first numbers of the texts held out of order, sorted
        self._texts: list[bytes] = []
        self._recent: list[tuple[int, int]] = []  # the blocks they form, newest first

    def set_limit(self, limit: int) -> None:
        """SO_RCVBUF, or what autotuning makes of it."""
        self.limit = limit
        self.bound = max(self.bound, limit)

    def rebase(self, read_seq: int) -> None:
        """Set-up: the number of the first octet."""
        self.read_seq = read_seq

    # -- in order ---------------------------------------------------------------------------
    def append(self, text: bytes) -> None:
        """Add text that continues the stream."""
        chunks = self._chunks
        length = len(text)
        if length < _CRUMB and len(chunks) > _MANY and len(chunks[-1]) < _GATHERED:
            last = chunks[-1]  # an object for each crumb would cost many times what it holds
            if type(last) is bytearray:
                last += text
            else:
                chunks[-1] = bytearray(b"".join((last, text)))
        else:
            chunks.append(text)
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
        """Whether text or a FIN waits beyond a hole."""
        return self.ooo_bytes > 0

    def hold_fin(self, seq: int) -> None:
        """A FIN beyond a hole: it counts as one octet, in the blocks too (as in Linux)."""
        self._note_block(seq, seq + 1)
        self.ooo_bytes += 1
        self.memory.receive_bytes += 1

    def drop_fin(self) -> None:
        """The peer has sent text where its FIN was: only text counts."""
        self.ooo_bytes -= 1
        self.memory.receive_bytes -= 1

    def hold(self, start: int, text: bytes) -> tuple[int, int] | None:
        """Keep what is new of `text`, numbered from `start`, beyond a hole.

        Returns the leftmost part of it that was held already, None without one. Text that would
        make more than `max_holes` separate blocks, or a great many tiny texts, is not kept.
        """
        end = start + len(text)
        starts = self._starts
        texts = self._texts
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
            right = left + len(texts[index])
            if left >= end:
                break
            if start < left:
                self._insert(index, start, text[start - at : left - at])
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
            self._insert(index, start, text[start - at :])
        self._note_block(at, end)
        return again

    def _insert(self, index: int, start: int, text: bytes) -> None:
        self._starts.insert(index, start)
        self._texts.insert(index, text)
        self.ooo_bytes += len(text)
        self.memory.receive_bytes += len(text)

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
        """Move held text that now continues the stream at `rcv_nxt`; the new RCV.NXT."""
        starts = self._starts
        texts = self._texts
        count = 0
        while count < len(starts) and starts[count] <= rcv_nxt:
            text = texts[count]
            end = starts[count] + len(text)
            self.ooo_bytes -= len(text)
            self.memory.receive_bytes -= len(text)
            if end > rcv_nxt:
                self.append(text if starts[count] == rcv_nxt else text[rcv_nxt - end :])
                rcv_nxt = end
            count += 1
        if count:
            del starts[:count]
            del texts[:count]
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
        """The right edge of all text held out of order; 0 when there is none."""
        return self._starts[-1] + len(self._texts[-1]) if self._starts else 0

    def clear(self) -> None:
        """Let go of all memory."""
        self._chunks.clear()
        self.memory.receive_bytes -= self.held
        self.held = 0
        self.clear_held()

    def clear_held(self) -> None:
        """Let go of the text held out of order; its blocks are reported no more."""
        self._starts.clear()
        self._texts.clear()
        self._recent.clear()
        self.memory.receive_bytes -= self.ooo_bytes
        self.ooo_bytes = 0
