"""What the user wrote and the peer has not yet acknowledged: chunks between two numbers.

Whole `bytes` are kept as they are; pieces and mutable buffers are copied; small writes are
gathered into one chunk. Empty, it holds nothing. No other file writes its variables.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import Final

from pystack.tcp.state.stack_shared import Memory

SMALL: Final = 8192  # writes under this are gathered


class SendBuffer:
    """Octets [start_seq, end_seq): `start_seq` follows SND.UNA, `end_seq` is the next to write.

    `limit` is SO_SNDBUF in bytes of payload (see `set_limit`), `memory` the stack's count. Both
    numbers begin at `start_seq`, see `rebase`.
    """

    __slots__ = ("start_seq", "end_seq", "limit", "memory", "_chunks", "_starts", "_first", "eor")

    def __init__(self, start_seq: int, limit: int, memory: Memory) -> None:
        self.limit = limit
        self.memory = memory
        self.start_seq = start_seq
        self.end_seq = start_seq
        self._chunks: list[bytes | bytearray] = []
        self._starts: list[int] = []  # the number of each chunk's first octet
        self._first = 0  # index of the first chunk still held
        self.eor: deque[int] | None = None  # numbers that no segment may run across (MSG_EOR)

    def __len__(self) -> int:
        return self.end_seq - self.start_seq

    def set_limit(self, limit: int) -> None:
        """SO_SNDBUF, or what autotuning makes of it."""
        self.limit = limit

    def rebase(self, start_seq: int) -> None:
        """Give the first octet the number `start_seq`, when the ISS becomes known."""
        shift = start_seq - self.start_seq
        self.start_seq += shift
        self.end_seq += shift
        self._starts = [start + shift for start in self._starts]
        if self.eor is not None:
            self.eor = deque(seq + shift for seq in self.eor)

    def append(self, data: bytes | bytearray | memoryview, length: int) -> None:
        """Add the first `length` octets of `data`. Immutable whole `bytes` are not copied."""
        chunks = self._chunks
        self.memory.send_bytes += length
        if length < SMALL and chunks and self._first < len(chunks):
            last = chunks[-1]
            if type(last) is bytearray and len(last) < SMALL:
                last += data[:length] if length != len(data) else data
                self.end_seq += length
                return
        chunk: bytes | bytearray
        if length < SMALL:
            chunk = bytearray(data[:length])
        elif type(data) is bytes and length == len(data):
            chunk = data
        else:
            chunk = bytes(data[:length])
        chunks.append(chunk)
        self._starts.append(self.end_seq)
        self.end_seq += length

    def mark_record_end(self) -> None:
        """Let no segment run across the present end (MSG_EOR)."""
        if self.eor is None:
            self.eor = deque()
        self.eor.append(self.end_seq)

    def record_end_after(self, seq: int) -> int:
        """The first record end above `seq`, or the end of all that was written."""
        if self.eor:
            for mark in self.eor:
                if mark > seq:
                    return mark
        return self.end_seq

    def copy_into(self, view: memoryview, at: int, seq: int, length: int) -> None:
        """Copy octets [seq, seq + length) to `view[at:]`."""
        starts = self._starts
        index = bisect_right(starts, seq, self._first) - 1
        offset = seq - starts[index]
        chunks = self._chunks
        while length > 0:
            chunk = chunks[index]
            size = len(chunk) - offset
            if size >= length:
                if offset == 0 and size == length:
                    view[at : at + length] = chunk
                else:
                    with memoryview(chunk) as piece:
                        view[at : at + length] = piece[offset : offset + length]
                return
            with memoryview(chunk) as piece:
                view[at : at + size] = piece[offset:]
            at += size
            length -= size
            offset = 0
            index += 1

    def copy(self, seq: int, length: int) -> bytes:
        """Octets [seq, seq + length)."""
        octets = bytearray(length)
        if length:
            self.copy_into(memoryview(octets), 0, seq, length)
        return bytes(octets)

    def release(self, seq: int) -> None:
        """Forget all octets below `seq` (acknowledged), of which there are some."""
        self.memory.send_bytes -= seq - self.start_seq
        self.start_seq = seq
        chunks = self._chunks
        starts = self._starts
        first = self._first
        count = len(chunks)
        while first < count and starts[first] + len(chunks[first]) <= seq:
            chunks[first] = b""
            first += 1
        if first == count:
            chunks.clear()
            starts.clear()
            first = 0
        elif first >= 64:
            del chunks[:first]
            del starts[:first]
            first = 0
        self._first = first
        eor = self.eor
        if eor is not None:
            while eor and eor[0] <= seq:
                eor.popleft()
            if not eor:
                self.eor = None

    def clear(self) -> None:
        """Drop everything; the numbers stay."""
        self._chunks.clear()
        self._starts.clear()
        self._first = 0
        self.memory.send_bytes -= self.end_seq - self.start_seq
        self.start_seq = self.end_seq
        self.eor = None
