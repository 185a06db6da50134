"""What was sent and is not acknowledged cumulatively, as runs: range, times, lost, delivered.

One run stands for a whole super-segment, runs sent in one go are joined and so are neighbours
that were delivered, so the work per ACK follows what changed and not what is in flight: a block
is found by bisection, a loss by the queue of sendings, the next to be repeated by a heap. Numbers
include SYN and FIN. No other file writes its variables, except the facts for loss detection.

What an ACK tells is gathered between `begin_ack` and its end: `newly_delivered`, `newest`, ….
"""

from __future__ import annotations

from bisect import bisect_right
from heapq import heappop, heappush
from typing import Final

from pystack.tcp.scoreboard.send_order import Sendings
from pystack.tcp.scoreboard.sent_range import Run

_FRONT: Final = 64  # so many runs taken off at the front are let go together
_NEVER: Final = 1 << 80
_MANY_RUNS: Final = 1024
_LEAST_MSS: Final = 48


class Scoreboard:
    """All runs in order of number. `lost_bytes` are judged lost and not resent since,
    `sacked_bytes` delivered beyond a hole, `duplicate_bytes` on their way twice; `delivered` and
    `lost` are totals of the connection.

    The facts for who judges losses: `mss`, `srtt_us`, `min_rtt_us`, `in_recovery` (set by
    `recovery` before it asks), `fack` (the highest number delivered so far), `reordering_seen`,
    `echoed_us` (the present ACK, by its timestamp, answers what was sent before this), `text_end`
    (the number behind the last octet of text, where a FIN may be).
    """

    __slots__ = (
        "_runs", "_starts", "_first", "_lost_starts", "_last_us", "_last_end", "sendings",
        "lost_bytes", "sacked_bytes", "repeated_bytes", "duplicate_bytes", "fack",
        "reordering_seen",
        # totals and marks of delivery
        "delivered", "delivered_us", "first_sent_us", "app_limited_until", "lost",
        # what the present ACK tells
        "newly_delivered", "newly_sacked", "newest", "newest_end", "newest_once",
        "newest_once_end", "rtt_us", "sack_rtt_us", "repeat_acked", "first_copy_end",
        "repeat_lost_us", "echoed_us",
        # facts
        "mss", "srtt_us", "min_rtt_us", "in_recovery", "text_end",
    )  # fmt: skip

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._starts: list[int] = []
        self._first = 0  # index of the first run still held
        self._lost_starts: list[int] = []  # heap: where lost runs begin or began
        self._last_us = 0  # when the last sending was, and where it ended
        self._last_end = 0
        self.sendings = Sendings()
        self.lost_bytes = 0
        self.sacked_bytes = 0
        self.repeated_bytes = 0  # on their way, and sent more than once
        self.duplicate_bytes = 0
        self.fack = 0
        self.reordering_seen = False
        self.delivered = 0
        self.delivered_us = 0
        self.first_sent_us = 0
        self.app_limited_until = 0
        self.lost = 0
        self.newly_delivered = 0
        self.newly_sacked = 0
        self.newest: Run | None = None
        self.newest_end = 0
        self.newest_once: Run | None = None  # if `newest` is a repeat: the newest that is none
        self.newest_once_end = 0
        self.rtt_us = -1
        self.sack_rtt_us = -1
        self.repeat_acked = False
        self.first_copy_end = _NEVER
        self.repeat_lost_us = 0
        self.echoed_us = _NEVER
        self.mss = 0
        self.srtt_us = 0
        self.min_rtt_us = 0
        self.in_recovery = False
        self.text_end = _NEVER

    # -- what was sent ------------------------------------------------------------------------
    def sent(self, start: int, end: int, now_us: int, copies: int = 0, pipe: int = 0) -> None:
        """New numbers [start, end) left at `now_us`, with so many repeats already; `pipe` was in
        the network before."""
        if now_us < self._last_us:
            now_us = self._last_us
        self._last_us = now_us
        self._last_end = end
        runs = self._runs
        if runs:
            last = runs[-1]
            if (
                last.sent_us == now_us and last.end == start and last.delivered == self.delivered
                and not last.copies and not last.lost and not last.sacked and not copies
            ):  # fmt: skip
                last.end = end
                self.sendings.note(now_us, start, end)
                return
        run = Run(start, end, now_us, copies)
        if copies:
            self.repeated_bytes += end - start
        self._stamp(run, now_us, pipe)
        runs.append(run)
        self._starts.append(start)
        self.sendings.note(now_us, start, end)

    def _stamp(self, run: Run, now_us: int, pipe: int) -> None:
        if pipe <= 0:  # nothing was on its way: a new sampling interval begins
            self.first_sent_us = now_us
            self.delivered_us = now_us
        run.delivered = self.delivered
        run.delivered_us = self.delivered_us
        run.first_sent_us = self.first_sent_us
        run.app_limited = self.app_limited_until > 0
        run.tx_in_flight = pipe + run.end - run.start
        run.lost_before = self.lost

    def resent(self, run: Run, length: int, now_us: int, pipe: int = 0) -> None:
        """The first `length` numbers of `run` left again at `now_us`. What left before in the same
        µs must not seem to have left later for its higher numbers: the repeat is dated later."""
        index = self._index(run.start)
        end = run.start + length
        if now_us <= self._last_us:
            now_us = self._last_us + (run.start < self._last_end)
        self._last_us = now_us
        self._last_end = end
        if run.end > end:
            tail = run.split_off(end)
            self._insert(index + 1, tail)
            if tail.lost:
                heappush(self._lost_starts, end)
        if run.lost:
            run.lost = False
            self.lost_bytes -= length
            self.repeated_bytes += length
        else:
            if not run.copies:
                self.repeated_bytes += length
            if not run.doubled:
                run.doubled = True
                self.duplicate_bytes += length
        run.copies += 1
        run.sent_us = now_us
        self._stamp(run, now_us, pipe)
        self.sendings.note(now_us, run.start, end)
        if index > self._first:  # joined with its neighbour when both left in one go
            before = self._runs[index - 1]
            if (
                before.sent_us == now_us and before.copies == run.copies and not before.lost
                and not before.sacked and before.doubled == run.doubled
            ):  # fmt: skip
                before.end = end
                self._delete(index, index + 1)

    # -- what an ACK tells --------------------------------------------------------------------
    def begin_ack(self) -> None:
        """The next calls of `acked` and `sacked` belong to one ACK."""
        self.newly_delivered = 0
        self.newly_sacked = 0
        self.newest = None
        self.newest_once = None
        self.rtt_us = -1
        self.sack_rtt_us = -1
        self.repeat_acked = False
        self.first_copy_end = _NEVER
        self.repeat_lost_us = 0
        self.echoed_us = _NEVER

    def acked(self, ack: int, now_us: int) -> None:
        """Take off all numbers below `ack`.

        `rtt_us` is the RTT of the newest run among them, or -1 if any of them was sent more than
        once (Karn): the ACK of the others may have been held up by its repeat.
        """
        runs = self._runs
        first = self._first
        count = len(runs)
        rtt_us = -1
        while first < count:
            run = runs[first]
            start = run.start
            if start >= ack:
                break
            end = run.end
            whole = end <= ack
            if not whole:
                end = ack
            if run.sacked:
                self.sacked_bytes -= end - start
            else:
                self._deliver(run, start, end)
                if run.copies:
                    self.repeat_acked = True
                rtt_us = now_us - run.sent_us
                if run.lost:
                    self.lost_bytes -= end - start
                    if not whole:
                        heappush(self._lost_starts, ack)
                elif run.copies:
                    self.repeated_bytes -= end - start
                    if run.doubled:
                        self.duplicate_bytes -= end - start
            if not whole:
                run.start = ack
                self._starts[first] = ack
                break
            first += 1
        self._first = first
        if first == count:
            runs.clear()
            self._starts.clear()
            self._first = 0
            self.sendings.clear()
            self._lost_starts.clear()
        else:
            if first >= _FRONT:
                del runs[:first]
                del self._starts[:first]
                self._first = 0
            self.sendings.acked(ack)
        if ack > self.fack:
            self.fack = ack
        if not self.repeat_acked:
            self.rtt_us = rtt_us

    def sacked(self, left: int, right: int, now_us: int) -> bool:
        """Numbers [left, right) were delivered beyond a hole; whether any of them is news."""
        runs = self._runs
        first = self._first
        count = len(runs)
        index = bisect_right(self._starts, left, first) - 1
        if index < first:
            index = first
            if index >= count:
                return False
            left = max(left, runs[index].start)
        news = False
        low = index
        crowded = self._is_crowded()
        while index < len(runs):
            run = runs[index]
            if run.start >= right:
                break
            if run.sacked or run.end <= left:
                index += 1
                continue
            if crowded and (run.start < left or run.end > right):
                index += 1
                continue
            if run.start < left:
                tail = run.split_off(left)
                if tail.lost:
                    heappush(self._lost_starts, left)
                index += 1
                self._insert(index, tail)
                run = tail
            if run.end > right:
                tail = run.split_off(right)
                if tail.lost:
                    heappush(self._lost_starts, right)
                self._insert(index + 1, tail)
            self._mark_sacked(run, now_us)
            news = True
            index += 1
        if news:
            self._join_sacked(max(low - 1, self._first), index)
            if right > self.fack:
                self.fack = right
        return news

    def _is_crowded(self) -> bool:
        """Whether there are many more runs than segments in flight: a peer that reports crumbs
        (as in CVE-2019-11478) shall not make a run of each; only whole runs are marked then."""
        count = len(self._runs) - self._first
        if count < _MANY_RUNS:
            return False
        flight = self._runs[-1].end - self._runs[self._first].start
        return count > 2 * flight // max(self.mss, _LEAST_MSS)

    def _mark_sacked(self, run: Run, now_us: int) -> None:
        length = run.end - run.start
        self._deliver(run, run.start, run.end)
        self.newly_sacked += length
        if not run.copies:
            self.sack_rtt_us = now_us - run.sent_us
        if run.lost:
            run.lost = False
            self.lost_bytes -= length
        elif run.copies:
            self.repeated_bytes -= length
            self._single(run)
        run.sacked = True
        self.sacked_bytes += length

    def _single(self, run: Run) -> None:
        """At most one copy of a run is on its way from now on."""
        if run.doubled:
            run.doubled = False
            self.duplicate_bytes -= run.end - run.start

    def _deliver(self, run: Run, start: int, end: int) -> None:
        """Numbers [start, end) of `run` are delivered, for the first time."""
        self.newly_delivered += end - start
        self.delivered += end - start
        newest = self.newest
        if newest is None or run.sent_us > newest.sent_us or (
            run.sent_us == newest.sent_us and end > self.newest_end
        ):
            if run.copies and newest is not None and not newest.copies:
                self.newest_once = newest
                self.newest_once_end = self.newest_end
            self.newest = run
            self.newest_end = end
        elif newest.copies and not run.copies:
            once = self.newest_once
            if once is None or (run.sent_us, end) > (once.sent_us, self.newest_once_end):
                self.newest_once = run
                self.newest_once_end = end
        if not run.copies:
            if end < self.first_copy_end:
                self.first_copy_end = end
            if start < self.fack and end <= self.fack:
                self.reordering_seen = True  # later ones came before it, and it was not repeated

    def _join_sacked(self, low: int, high: int) -> None:
        """Neighbours among the runs [low, high] that were delivered become one."""
        runs = self._runs
        high = min(high, len(runs) - 1)
        index = low
        while index < high:
            run = runs[index]
            after = runs[index + 1]
            if run.sacked and after.sacked:
                run.end = after.end
                run.copies = max(run.copies, after.copies)
                self._delete(index + 1, index + 2)
                high -= 1
            else:
                index += 1

    # -- what is lost ---------------------------------------------------------------------------
    def mark_lost(self, run: Run) -> int:
        """Judge a run lost, its bytes being returned; 0 if it is already, or was delivered."""
        if run.lost or run.sacked:
            return 0
        run.lost = True
        length = run.end - run.start
        self.lost_bytes += length
        self.lost += length
        if run.copies:
            self.repeated_bytes -= length
            self._single(run)
            if run.sent_us > self.repeat_lost_us:
                self.repeat_lost_us = run.sent_us
        heappush(self._lost_starts, run.start)
        return length

    def mark_first_lost(self, length: int) -> None:
        """Judge the first `length` numbers lost, if they are not already."""
        run = self.head()
        if run is None or run.lost or run.sacked:
            return
        if run.end - run.start > length:
            self._insert(self._first + 1, run.split_off(run.start + length))
        self.mark_lost(run)

    def mark_all_lost(self, sent_before_us: int = _NEVER) -> int:
        """Judge everything in flight lost that was not delivered (retransmission timeout), and
        was sent before that time; the bytes that are newly so."""
        newly = 0
        for index in range(self._first, len(self._runs)):
            run = self._runs[index]
            if run.sent_us < sent_before_us:
                newly += self.mark_lost(run)
        return newly

    def mark_sent_lost(self, start: int, end: int, sent_us: int) -> int:
        """Judge lost what lies in [start, end), was last sent at `sent_us` and not delivered; the
        bytes that are newly so."""
        runs = self._runs
        index = max(bisect_right(self._starts, start, self._first) - 1, self._first)
        newly = 0
        while index < len(runs):
            run = runs[index]
            if run.start >= end:
                break
            if run.sent_us == sent_us and run.end > start and not run.lost and not run.sacked:
                newly += self.mark_lost(run)
            index += 1
        return newly

    def is_out(self, start: int, end: int, sent_us: int) -> bool:
        """Whether anything in [start, end) that was sent at `sent_us` is still on its way."""
        runs = self._runs
        index = max(bisect_right(self._starts, start, self._first) - 1, self._first)
        while index < len(runs):
            run = runs[index]
            if run.start >= end:
                return False
            if run.sent_us == sent_us and run.end > start and not run.lost and not run.sacked:
                return True
            index += 1
        return False

    def mark_lost_below(self, seq: int, floor: int = 0) -> int:
        """Judge lost the first copies of all numbers in [floor, seq) that were not delivered; the
        bytes that are newly so. Repeats are not judged. A run across `seq` is cut there."""
        runs = self._runs
        index = max(bisect_right(self._starts, floor, self._first) - 1, self._first)
        newly = 0
        while index < len(runs):
            run = runs[index]
            if run.start >= seq:
                break
            if not run.lost and not run.sacked and run.end > floor:
                if run.copies:
                    if run.end <= seq:
                        self._single(run)
                else:
                    if run.end > seq:
                        self._insert(index + 1, run.split_off(seq))
                    newly += self.mark_lost(run)
            index += 1
        return newly

    def forget_sacked(self) -> None:
        """The receiver has let go of what it had reported (RFC 2018 §8): nothing counts as
        delivered beyond the ACK."""
        for index in range(self._first, len(self._runs)):
            run = self._runs[index]
            if run.sacked:
                run.sacked = False
                if run.copies:
                    self.repeated_bytes += run.end - run.start
        self.sacked_bytes = 0

    def unmark_lost(self) -> None:
        """What was judged lost was not, and is on its way, with its repeat (undo)."""
        self.lost_bytes = 0
        self._lost_starts.clear()
        out = []
        for index in range(self._first, len(self._runs)):
            run = self._runs[index]
            length = run.end - run.start
            if run.lost:
                run.lost = False
                if run.copies:
                    self.repeated_bytes += length
            elif run.copies and not run.sacked and not run.doubled:
                run.doubled = True
                self.duplicate_bytes += length
            if not run.sacked:
                out.append((run.sent_us, run.start, run.end))
        out.sort()
        self.sendings.replace(out)

    def note_reordering(self) -> None:
        """Others have overtaken what was taken for lost."""
        self.reordering_seen = True

    # -- what is there ----------------------------------------------------------------------------
    def head(self) -> Run | None:
        """The run with the lowest numbers."""
        return self._runs[self._first] if self._first < len(self._runs) else None

    def has_reneged(self) -> bool:
        """Whether the receiver has let go of what it had reported: the ACK does not cover it."""
        run = self.head()
        return run is not None and run.sacked

    def tail(self) -> Run | None:
        """The run with the highest numbers that were not delivered."""
        for index in range(len(self._runs) - 1, self._first - 1, -1):
            if not self._runs[index].sacked:
                return self._runs[index]
        return None

    def cut_tail(self, mss: int) -> Run | None:
        """The last segment that was not delivered, if its run was cut by `mss`, as a run of its
        own. The FIN goes with the text before it."""
        run = self.tail()
        if run is None:
            return None
        text = min(run.end, self.text_end) - run.start
        if text > mss:
            tail = run.split_off(run.start + (text - 1) // mss * mss)
            self._insert(self._index(run.start) + 1, tail)
            if tail.lost:
                heappush(self._lost_starts, tail.start)
            run = tail
        return run

    def first_lost(self, most: int) -> Run | None:
        """The lost run with the lowest numbers, joined with lost ones right behind it that were
        sent as often, up to `most` numbers or more."""
        heap = self._lost_starts
        while heap:
            index = bisect_right(self._starts, heap[0], self._first) - 1
            if index >= self._first:
                run = self._runs[index]
                if run.lost and run.end > heap[0]:
                    self._join_lost(run, index, most)
                    return run
            heappop(heap)
        return None

    def _join_lost(self, run: Run, index: int, most: int) -> None:
        runs = self._runs
        index += 1
        count = 0
        while index + count < len(runs) and run.end - run.start < most:
            after = runs[index + count]
            if not after.lost or after.copies != run.copies:
                break
            run.end = after.end
            run.sent_us = max(run.sent_us, after.sent_us)
            count += 1
        if count:
            self._delete(index, index + count)

    def first_unrepeated(self, floor: int, below: int) -> Run | None:
        """The first run in [floor, below) that was neither delivered, nor repeated, nor is lost."""
        first = max(bisect_right(self._starts, floor, self._first) - 1, self._first)
        for index in range(first, len(self._runs)):
            run = self._runs[index]
            if run.start >= below:
                return None
            if not run.sacked and not run.copies and not run.lost:
                return run
        return None

    def delivered_from_top(self, length: int, blocks: int) -> int:
        """The number above which more than `length` bytes, or `blocks` separate blocks, were
        delivered; 0 if that is nowhere (RFC 6675 §4, IsLost)."""
        held = 0
        seen = 0
        for index in range(self._index(self.fack - 1), self._first - 1, -1):
            run = self._runs[index]
            if run.sacked:
                held += run.end - run.start
                seen += 1
                if held > length or seen >= blocks:
                    return run.start
        return 0

    def clear(self) -> None:
        """Forget all runs."""
        self._runs.clear()
        self._starts.clear()
        self._first = 0
        self._lost_starts.clear()
        self.sendings.clear()
        self.lost_bytes = 0
        self.sacked_bytes = 0
        self.repeated_bytes = 0
        self.duplicate_bytes = 0

    # -- the list --------------------------------------------------------------------------------
    def _index(self, seq: int) -> int:
        return bisect_right(self._starts, seq, self._first) - 1

    def _insert(self, index: int, run: Run) -> None:
        self._runs.insert(index, run)
        self._starts.insert(index, run.start)

    def _delete(self, low: int, high: int) -> None:
        del self._runs[low:high]
        del self._starts[low:high]
