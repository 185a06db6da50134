"""What has become of all that was sent: acknowledged, delivered beyond a hole, lost, sent again.

One range stands for a whole super-segment. Ranges that left in one go are joined, and so are
neighbours that were delivered, so the work per ACK follows what changed and not what is in flight:
a block is found by bisection, a loss by the send order, the next range to retransmit by a heap.
Numbers include SYN and FIN. This file writes all ranges and all variables but the facts for loss
detection.
"""

from __future__ import annotations

from bisect import bisect_right
from heapq import heappop, heappush
from typing import Final

from pystack.tcp.scoreboard.ack_result import NEVER, AckResult
from pystack.tcp.scoreboard.in_flight import InFlight
from pystack.tcp.scoreboard.sent_range import SentRange

_FRONT: Final = 64  # acknowledged ranges are removed from the list when there are so many


class Scoreboard(InFlight):
    """What happens to the numbers in flight: sent, acknowledged, lost, sent again."""

    __slots__ = ()

    # -- what was sent ------------------------------------------------------------------------
    def sent(self, start: int, end: int, now_us: int, copies: int = 0, pipe: int = 0) -> None:
        """New numbers [start, end) left at `now_us`, after `copies` earlier ones of the same;
        `pipe` bytes were in the network before."""
        if now_us < self._last_us:
            now_us = self._last_us
        self._last_us = now_us
        self._last_end = end
        ranges = self._ranges
        if ranges:
            last = ranges[-1]
            if (
                last.sent_us == now_us and last.end == start and last.delivered == self.delivered
                and not last.copies and not last.lost and not last.sacked and not copies
            ):  # fmt: skip
                last.end = end
                self.send_order.note(now_us, start, end)
                return
        sent = SentRange(start, end, now_us, copies)
        if copies:
            self.retransmitted_bytes += end - start
        self._stamp(sent, now_us, pipe)
        ranges.append(sent)
        self._starts.append(start)
        self.send_order.note(now_us, start, end)

    def _stamp(self, sent: SentRange, now_us: int, pipe: int) -> None:
        if pipe <= 0:  # nothing was on its way: a new sampling interval begins
            self.first_sent_us = now_us
            self.delivered_us = now_us
        sent.delivered = self.delivered
        sent.delivered_us = self.delivered_us
        sent.first_sent_us = self.first_sent_us
        sent.app_limited = self.app_limited_until > 0
        sent.tx_in_flight = pipe + sent.end - sent.start
        sent.lost_before = self.lost

    def retransmitted(self, sent: SentRange, length: int, now_us: int, pipe: int = 0) -> None:
        """The first `length` numbers of `sent` left again at `now_us`. What left before in the same
        µs must not seem to have left later for its higher numbers: this one is dated later."""
        index = self._index(sent.start)
        end = sent.start + length
        if now_us <= self._last_us:
            now_us = self._last_us + (sent.start < self._last_end)
        self._last_us = now_us
        self._last_end = end
        if sent.end > end:
            self._split(index, end)
        if sent.lost:
            sent.lost = False
            self.lost_bytes -= length
            self.retransmitted_bytes += length
        else:
            if not sent.copies:
                self.retransmitted_bytes += length
            if not sent.in_flight_twice:
                sent.in_flight_twice = True
                self.duplicate_bytes += length
        sent.copies += 1
        sent.sent_us = now_us
        self._stamp(sent, now_us, pipe)
        self.send_order.note(now_us, sent.start, end)
        if index > self._first:  # joined with its neighbour when both left in one go
            before = self._ranges[index - 1]
            if (
                before.sent_us == now_us and before.copies == sent.copies and not before.lost
                and not before.sacked and before.in_flight_twice == sent.in_flight_twice
            ):  # fmt: skip
                before.end = end
                del self._ranges[index], self._starts[index]

    def rate_sampled(self, sent_us: int, now_us: int) -> None:
        """A sample of the delivery rate was taken, by data sent at `sent_us`: the next interval
        begins there."""
        self.first_sent_us = sent_us
        self.delivered_us = now_us

    # -- what an ACK tells --------------------------------------------------------------------
    def acked(self, ack: int, now_us: int) -> AckResult:
        """Take off all numbers below `ack`. With it begins what one ACK tells: the result also
        takes what `sacked` is called for next. An ACK that covers nothing new has SND.UNA here."""
        result = self.result
        result.clear()
        self.retransmission_lost_us = 0
        ranges = self._ranges
        first = self._first
        count = len(ranges)
        while first < count:
            sent = ranges[first]
            start = sent.start
            if start >= ack:
                break
            end = sent.end
            whole = end <= ack
            if not whole:
                end = ack
            if sent.sacked:
                self.sacked_bytes -= end - start
            else:
                result.deliver(sent, start, end, False, now_us)
                self.delivered += end - start
                if sent.lost:
                    self.lost_bytes -= end - start
                    if not whole:
                        heappush(self._lost_starts, ack)
                if sent.copies:
                    if not sent.lost:
                        self.retransmitted_bytes -= end - start
                        if sent.in_flight_twice:
                            self.duplicate_bytes -= end - start
                elif start < self.fack:
                    result.overtaken(start, False)
            if not whole:
                sent.start = ack
                self._starts[first] = ack
                break
            first += 1
        self._first = first
        if first == count:
            ranges.clear()
            self._starts.clear()
            self._first = 0
            self.send_order.clear()
            self._lost_starts.clear()
        else:
            if first >= _FRONT:
                del ranges[:first]
                del self._starts[:first]
                self._first = 0
            self.send_order.acked(ack)
        if ack > self.fack:
            self.fack = ack
        return result

    def sacked(self, left: int, right: int, now_us: int) -> bool:
        """Numbers [left, right) were delivered beyond a hole; whether any of them is news."""
        ranges = self._ranges
        first = self._first
        count = len(ranges)
        index = bisect_right(self._starts, left, first) - 1
        if index < first:
            index = first
            if index >= count:
                return False
            left = max(left, ranges[index].start)
        news = False
        low = index
        crowded = self._is_crowded()
        while index < len(ranges):
            sent = ranges[index]
            if sent.start >= right:
                break
            if sent.sacked or sent.end <= left:
                index += 1
                continue
            if crowded and (sent.start < left or sent.end > right):
                index += 1
                continue
            if sent.start < left:
                sent = self._split(index, left)
                index += 1
            if sent.end > right:
                self._split(index, right)
            self._mark_sacked(sent, now_us)
            news = True
            index += 1
        if news:
            self._join_sacked(max(low - 1, self._first), index)
            if right > self.fack:
                self.fack = right
        return news

    def _mark_sacked(self, sent: SentRange, now_us: int) -> None:
        length = sent.end - sent.start
        self.result.deliver(sent, sent.start, sent.end, True, now_us)
        self.delivered += length
        if not sent.copies and sent.start < self.fack:
            self.result.overtaken(sent.start, True)
        if sent.lost:
            sent.lost = False
            self.lost_bytes -= length
        elif sent.copies:
            self.retransmitted_bytes -= length
            self._one_copy_out(sent)
        sent.sacked = True
        self.sacked_bytes += length

    def _one_copy_out(self, sent: SentRange) -> None:
        """At most one copy of the range is on its way from now on."""
        if sent.in_flight_twice:
            sent.in_flight_twice = False
            self.duplicate_bytes -= sent.end - sent.start

    def _join_sacked(self, low: int, high: int) -> None:
        """Neighbours among the ranges [low, high] that were delivered become one."""
        ranges = self._ranges
        high = min(high, len(ranges) - 1)
        index = low
        while index < high:
            sent = ranges[index]
            after = ranges[index + 1]
            if sent.sacked and after.sacked:
                sent.end = after.end
                sent.copies = max(sent.copies, after.copies)
                del ranges[index + 1], self._starts[index + 1]
                high -= 1
            else:
                index += 1

    # -- what is lost ---------------------------------------------------------------------------
    def mark_lost(self, sent: SentRange) -> int:
        """Judge a range lost; its bytes are returned, 0 if it was already, or was delivered."""
        if sent.lost or sent.sacked:
            return 0
        sent.lost = True
        length = sent.end - sent.start
        self.lost_bytes += length
        self.lost += length
        self.result.losses.append((length, self.lost, sent))
        if sent.copies:
            self.retransmitted_bytes -= length
            self._one_copy_out(sent)
            if sent.sent_us > self.retransmission_lost_us:
                self.retransmission_lost_us = sent.sent_us
        heappush(self._lost_starts, sent.start)
        return length

    def mark_first_lost(self, length: int) -> None:
        """Judge the first `length` numbers lost, if they are not already."""
        sent = self.head()
        if sent is None or sent.lost or sent.sacked:
            return
        if sent.end - sent.start > length:
            self._split(self._first, sent.start + length)
        self.mark_lost(sent)

    def mark_all_lost(self, sent_before_us: int = NEVER) -> int:
        """Judge everything in flight lost that was not delivered (retransmission timeout), and
        was sent before that time; the bytes that are newly so."""
        newly = 0
        for index in range(self._first, len(self._ranges)):
            sent = self._ranges[index]
            if sent.sent_us < sent_before_us:
                newly += self.mark_lost(sent)
        return newly

    def mark_sent_lost(self, start: int, end: int, sent_us: int) -> int:
        """Judge lost what lies in [start, end), was last sent at `sent_us` and not delivered; the
        bytes that are newly so."""
        ranges = self._ranges
        index = self._at_or_above(start)
        newly = 0
        while index < len(ranges):
            sent = ranges[index]
            if sent.start >= end:
                break
            if sent.sent_us == sent_us and sent.end > start and not sent.lost and not sent.sacked:
                newly += self.mark_lost(sent)
            index += 1
        return newly

    def mark_lost_below(self, seq: int, floor: int = 0) -> int:
        """Judge lost the first copies of all numbers in [floor, seq) that were not delivered; the
        bytes that are newly so. Retransmissions are not judged. A range across `seq` is cut."""
        ranges = self._ranges
        index = self._at_or_above(floor)
        newly = 0
        while index < len(ranges):
            sent = ranges[index]
            if sent.start >= seq:
                break
            if not sent.lost and not sent.sacked and sent.end > floor:
                if sent.copies:
                    if sent.end <= seq:
                        self._one_copy_out(sent)
                else:
                    if sent.end > seq:
                        self._split(index, seq)
                    newly += self.mark_lost(sent)
            index += 1
        return newly

    def forgive(self, start: int, end: int) -> None:
        """What was judged lost of [start, end), and whatever else this ACK has shown lost, tells
        of no congestion: algorithms don't count the former, and are not told of any."""
        index = self._at_or_above(start)
        while index < len(self._ranges) and self._ranges[index].start < end:
            sent = self._ranges[index]
            if sent.lost:
                self.lost -= max(min(sent.end, end) - max(sent.start, start), 0)
            index += 1
        self.result.losses.clear()

    def forget_sacked(self) -> None:
        """The receiver has dropped what it had reported (RFC 2018 §8): nothing counts as
        delivered beyond the ACK."""
        for index in range(self._first, len(self._ranges)):
            sent = self._ranges[index]
            if sent.sacked:
                sent.sacked = False
                if sent.copies:
                    self.retransmitted_bytes += sent.end - sent.start
        self.sacked_bytes = 0

    def unmark_lost(self) -> None:
        """What was judged lost was not (undo): it is on its way, and so is its retransmission."""
        self.lost_bytes = 0
        self._lost_starts.clear()
        out = []
        for index in range(self._first, len(self._ranges)):
            sent = self._ranges[index]
            length = sent.end - sent.start
            if sent.lost:
                sent.lost = False
                if sent.copies:
                    self.retransmitted_bytes += length
            elif sent.copies and not sent.sacked and not sent.in_flight_twice:
                sent.in_flight_twice = True
                self.duplicate_bytes += length
            if not sent.sacked:
                out.append((sent.sent_us, sent.start, sent.end))
        out.sort()
        self.send_order.replace(out)

    # -- what is sent next ------------------------------------------------------------------------
    def cut_tail(self, mss: int) -> SentRange | None:
        """The last segment that was not delivered, as a range of its own, its range having been cut
        by `mss`. The FIN goes with the payload before it."""
        sent = self.tail()
        if sent is None:
            return None
        payload = min(sent.end, self.data_end) - sent.start
        if payload > mss:
            at = sent.start + (payload - 1) // mss * mss
            sent = self._split(self._index(sent.start), at)
        return sent

    def first_lost(self, most: int) -> SentRange | None:
        """The lost range with the lowest numbers, joined with lost ones right behind it that were
        sent as often, up to `most` numbers or more."""
        heap = self._lost_starts
        while heap:
            index = bisect_right(self._starts, heap[0], self._first) - 1
            if index >= self._first:
                sent = self._ranges[index]
                if sent.lost and sent.end > heap[0]:
                    self._join_lost(sent, index, most)
                    return sent
            heappop(heap)
        return None

    def _join_lost(self, sent: SentRange, index: int, most: int) -> None:
        ranges = self._ranges
        index += 1
        count = 0
        while index + count < len(ranges) and sent.end - sent.start < most:
            after = ranges[index + count]
            if not after.lost or after.copies != sent.copies:
                break
            sent.end = after.end
            sent.sent_us = max(sent.sent_us, after.sent_us)
            count += 1
        if count:
            del ranges[index : index + count]
            del self._starts[index : index + count]

    def clear(self) -> None:
        """Forget all ranges."""
        self._ranges.clear()
        self._starts.clear()
        self._first = 0
        self._lost_starts.clear()
        self.send_order.clear()
        self.result.clear()
        self.lost_bytes = 0
        self.sacked_bytes = 0
        self.retransmitted_bytes = 0
        self.duplicate_bytes = 0

    # -- the list --------------------------------------------------------------------------------
    def _split(self, index: int, at: int) -> SentRange:
        """Cut a range at number `at`; the upper part is returned, and stands behind it."""
        sent = self._ranges[index]
        upper = SentRange(at, sent.end, sent.sent_us, sent.copies, sent)
        sent.end = at
        self._ranges.insert(index + 1, upper)
        self._starts.insert(index + 1, at)
        if upper.lost:
            heappush(self._lost_starts, at)
        return upper
