"""What was sent and is not acknowledged, as runs: range, time, lost or not, how often sent.

One run stands for a whole super-segment, and runs sent in one go are joined, so the work per
ACK follows what changed and not what is in flight. Numbers include SYN and FIN. No other file
writes its variables.
"""

from __future__ import annotations

from collections import deque


class Run:
    """Numbers [start, end) last sent at `sent_us`; `copies` retransmissions so far."""

    __slots__ = ("start", "end", "sent_us", "copies", "lost")

    def __init__(self, start: int, end: int, sent_us: int, copies: int, lost: bool) -> None:
        self.start = start
        self.end = end
        self.sent_us = sent_us
        self.copies = copies
        self.lost = lost


class Scoreboard:
    """All runs in flight in order of number; `lost_bytes` is judged lost and not yet resent."""

    __slots__ = ("runs", "lost_bytes")

    def __init__(self) -> None:
        self.runs: deque[Run] = deque()
        self.lost_bytes = 0

    def sent(self, start: int, end: int, now_us: int, copies: int = 0) -> None:
        """New numbers [start, end) left at `now_us`, with so many repeats already."""
        runs = self.runs
        if runs:
            last = runs[-1]
            if last.sent_us == now_us and not last.copies and not last.lost:
                last.end = end
                return
        runs.append(Run(start, end, now_us, copies, False))

    def acked(self, ack: int, now_us: int) -> int:
        """Take off all numbers below `ack`; the RTT of the newest run among them is returned.

        -1 if any of them was sent more than once (Karn): the ACK of the others may have been
        held up by its repeat.
        """
        runs = self.runs
        rtt_us = -1
        repeated = False
        while runs:
            run = runs[0]
            if run.start >= ack:
                break
            rtt_us = now_us - run.sent_us
            if run.copies:
                repeated = True
            if run.end <= ack:
                if run.lost:
                    self.lost_bytes -= run.end - run.start
                runs.popleft()
            else:
                if run.lost:
                    self.lost_bytes -= ack - run.start
                run.start = ack
                break
        return -1 if repeated else rtt_us

    def mark_first_lost(self, length: int) -> None:
        """Judge the first `length` numbers lost, if they are not already."""
        if not self.runs:
            return
        run = self.runs[0]
        if run.lost:
            return
        if run.end - run.start > length:
            head = Run(run.start, run.start + length, run.sent_us, run.copies, False)
            run.start = head.end
            self.runs.appendleft(head)
            run = head
        run.lost = True
        self.lost_bytes += run.end - run.start

    def mark_all_lost(self) -> None:
        """Judge everything in flight lost (retransmission timeout)."""
        runs = self.runs
        if not runs:
            return
        merged: deque[Run] = deque()
        for run in runs:
            run.lost = True
            if merged and merged[-1].copies == run.copies:
                merged[-1].end = run.end
            else:
                merged.append(run)
        self.runs = merged
        self.lost_bytes = merged[-1].end - merged[0].start

    def first_lost(self) -> Run | None:
        """The lost run with the lowest numbers."""
        if not self.lost_bytes:
            return None
        for run in self.runs:
            if run.lost:
                return run
        return None

    def resent(self, run: Run, length: int, now_us: int) -> None:
        """The first `length` numbers of a lost run left again at `now_us`."""
        self.lost_bytes -= length
        runs = self.runs
        index = 0 if runs[0] is run else runs.index(run)
        if run.end - run.start > length:
            end = run.start + length
            if index and self._join(runs[index - 1], run.start, end, now_us, run.copies + 1):
                run.start = end
                return
            runs.insert(index, Run(run.start, end, now_us, run.copies + 1, False))
            run.start = end
            return
        run.lost = False
        run.sent_us = now_us
        run.copies += 1

    @staticmethod
    def _join(before: Run, start: int, end: int, now_us: int, copies: int) -> bool:
        if before.end != start or before.lost or before.sent_us != now_us:
            return False
        if before.copies != copies:
            return False
        before.end = end
        return True

    def clear(self) -> None:
        """Forget all runs."""
        self.runs.clear()
        self.lost_bytes = 0
