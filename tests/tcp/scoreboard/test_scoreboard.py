"""The scoreboard, and RACK on it, against models that keep a record of every single octet."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pystack.tcp.policies.rack import Rack
from pystack.tcp.scoreboard.ack_result import NEVER, AckResult
from pystack.tcp.scoreboard.scoreboard import Scoreboard
from pystack.tcp.scoreboard.sent_range import SentRange

MSS = 4
MIN_RTT, SRTT = 8, 20

Delivered = tuple[int, int, int]  # when it was last sent, its number, how often before that


@dataclass
class Octet:
    """What is known of one number in flight."""

    sent_us: int
    copies: int = 0
    lost: bool = False
    sacked: bool = False

    @property
    def out(self) -> bool:
        return not self.lost and not self.sacked


class Model:
    """Every number from `una` to `nxt`, and what the present ACK tells."""

    def __init__(self) -> None:
        self.una = self.nxt = 1
        self.octets: dict[int, Octet] = {}
        self.fack = 0
        self.delivered = self.lost = 0
        self.last_us = self.last_end = 0
        self.reordering_seen = False
        self.begin_ack()

    def begin_ack(self) -> None:
        self.fresh: list[Delivered] = []
        self.rtt_us = self.sack_rtt_us = -1
        self.repeat_acked = False
        self.repeat_lost_us = 0

    def deliver(self, number: int) -> None:
        octet = self.octets[number]
        self.fresh.append((octet.sent_us, number, octet.copies))
        self.delivered += 1
        if not octet.copies and number < self.fack:
            self.reordering_seen = True

    def dated(self, start: int, length: int, now_us: int) -> int:
        """A time by which, with the number, it comes behind all that was sent before."""
        now_us = max(now_us, self.last_us)
        if now_us == self.last_us and start < self.last_end:
            now_us += 1
        self.last_us, self.last_end = now_us, start + length
        return now_us

    def sent(self, length: int, now_us: int) -> None:
        now_us = self.dated(self.nxt, length, now_us)
        for number in range(self.nxt, self.nxt + length):
            self.octets[number] = Octet(now_us)
        self.nxt += length

    def resent(self, start: int, length: int, now_us: int) -> None:
        now_us = self.dated(start, length, now_us)
        for number in range(start, start + length):
            octet = self.octets[number]
            octet.lost = False
            octet.copies += 1
            octet.sent_us = now_us

    def acked(self, ack: int, now_us: int) -> None:
        rtt_us = -1
        for number in range(self.una, ack):
            octet = self.octets[number]
            if not octet.sacked:
                self.deliver(number)
                self.repeat_acked |= octet.copies > 0
                rtt_us = now_us - octet.sent_us
            del self.octets[number]
        self.una = ack
        self.fack = max(self.fack, ack)
        if not self.repeat_acked:
            self.rtt_us = rtt_us

    def sacked(self, left: int, right: int, now_us: int) -> bool:
        news = False
        for number in range(max(left, self.una), right):
            octet = self.octets[number]
            if not octet.sacked:
                news = True
                self.deliver(number)
                octet.sacked = True
                octet.lost = False
                if not octet.copies:
                    self.sack_rtt_us = now_us - octet.sent_us
        if news:
            self.fack = max(self.fack, right)
        return news

    def lose(self, number: int) -> None:
        octet = self.octets[number]
        if octet.out:
            octet.lost = True
            self.lost += 1
            if octet.copies:
                self.repeat_lost_us = max(self.repeat_lost_us, octet.sent_us)

    def blocks(self) -> list[tuple[int, int]]:
        """Stretches of delivered numbers."""
        found: list[tuple[int, int]] = []
        for number, octet in sorted(self.octets.items()):
            if octet.sacked:
                if found and found[-1][1] == number:
                    found[-1] = (found[-1][0], number + 1)
                else:
                    found.append((number, number + 1))
        return found


def place(run: SentRange | None, end: int) -> tuple[int, int] | None:
    """When a run was sent, and the last number of it that counts."""
    return None if run is None else (run.sent_us, end - 1)


class Machine(RuleBasedStateMachine):
    """What can happen to a connection's scoreboard, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.board = Scoreboard(AckResult())
        self.board.mss = MSS
        self.model = Model()
        self.now_us = 1_000
        self.reneged = False

    @rule(us=st.integers(1, 12))
    def time_passes(self, us: int) -> None:
        self.now_us += us

    @rule(length=st.integers(1, 9))
    def something_is_sent(self, length: int) -> None:
        self.board.sent(self.model.nxt, self.model.nxt + length, self.now_us)
        self.model.sent(length, self.now_us)

    def repeat(self, run: SentRange, start: int, length: int) -> None:
        self.board.retransmitted(run, length, self.now_us)
        self.model.resent(start, length, self.now_us)

    @precondition(lambda self: self.board.lost_bytes)
    @rule(most=st.integers(1, 9))
    def what_is_lost_is_repeated(self, most: int) -> None:
        run = self.board.first_lost(most)
        assert run is not None
        lost = [number for number, octet in self.model.octets.items() if octet.lost]
        assert run.start == min(lost)
        stretch = range(run.start, run.end)
        octets = [self.model.octets[number] for number in stretch]
        assert all(octet.lost and octet.copies == run.copies for octet in octets)
        assert run.sent_us == max(octet.sent_us for octet in octets)
        for octet in octets:
            octet.sent_us = run.sent_us
        start, length = run.start, min(most, run.end - run.start)
        self.repeat(run, start, length)

    @rule(mss=st.integers(1, 9))
    def the_tail_is_probed(self, mss: int) -> None:
        undelivered = [number for number, octet in self.model.octets.items() if not octet.sacked]
        run = self.board.cut_tail(mss)
        if run is None:
            assert not undelivered
            return
        assert run.end == max(undelivered) + 1
        assert run.end - run.start <= mss
        start, length = run.start, run.end - run.start
        assert all(not self.model.octets[number].sacked for number in range(start, run.end))
        self.repeat(run, start, length)

    @precondition(lambda self: self.model.octets)
    @rule(
        moves=st.booleans(),
        part=st.floats(0, 1),
        blocks=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=3),
    )
    def an_ack_comes(
        self, moves: bool, part: float, blocks: list[tuple[float, float]]
    ) -> None:
        model = self.model
        model.begin_ack()
        ack = model.una + (1 + int((model.nxt - model.una - 1) * part) if moves else 0)
        result = self.board.acked(ack, self.now_us)
        model.acked(ack, self.now_us)
        flight = model.nxt - model.una
        for one, other in sorted(blocks):
            low = model.una + int(flight * min(one, other))
            high = model.una + int(flight * max(one, other))
            if low < high:
                news = self.board.sacked(low, high, self.now_us)
                assert news == model.sacked(low, high, self.now_us)
                for left, right in model.blocks():  # neighbours have become one
                    stretch = [model.octets[number] for number in range(left, right)]
                    most = max(octet.copies for octet in stretch)
                    for octet in stretch:
                        octet.copies, octet.sent_us = most, stretch[0].sent_us
        self.check_ack(result)

    def check_ack(self, result: AckResult) -> None:
        board, model = self.board, self.model
        if min(result.reord_acked, result.reord_sacked) != NEVER:
            board.reord_seen += 1
        assert result.newly_delivered == len(model.fresh)
        assert result.rtt_us == model.rtt_us
        assert result.sack_rtt_us == model.sack_rtt_us
        assert result.retransmission_acked == model.repeat_acked
        newest = max(model.fresh, default=None)
        once = max((each for each in model.fresh if not each[2]), default=None)
        assert place(result.newest, result.newest_end) == (newest and newest[:2])
        if newest and newest[2]:
            assert place(result.newest_original, result.newest_original_end) == (once and once[:2])
        if once:
            numbers = [number for _, number, copies in model.fresh if not copies]
            assert min(numbers) < result.first_copy_end <= max(numbers) + 1
        else:
            assert result.first_copy_end > model.nxt
        assert board.has_reneged() == (bool(model.octets) and model.octets[model.una].sacked)

    @precondition(lambda self: self.model.octets)
    @rule(length=st.integers(1, 9))
    def the_head_is_lost(self, length: int) -> None:
        self.board.mark_first_lost(length)
        head = self.board.head()
        assert head is not None
        assert head.start == self.model.una
        if self.model.octets[self.model.una].out:
            assert head.end - head.start <= length
            for number in range(head.start, head.end):
                self.model.lose(number)

    @rule(ago_us=st.integers(0, 40))
    def what_is_old_is_lost(self, ago_us: int) -> None:
        before_us = self.now_us - ago_us
        self.lose(
            [n for n, octet in self.model.octets.items() if octet.sent_us < before_us],
            self.board.mark_all_lost(before_us),
        )

    @precondition(lambda self: self.model.octets)
    @rule(floor=st.integers(0, 30), below=st.integers(0, 30))
    def what_is_far_below_is_lost(self, floor: int, below: int) -> None:
        below = min(self.model.una + below, self.model.nxt)
        floor = min(self.model.una + floor, below)
        # what is below the floor was judged before, as far as such a judgement goes
        self.lose(
            [n for n, octet in self.model.octets.items() if n < below and not octet.copies],
            self.board.mark_lost_below(floor) + self.board.mark_lost_below(below, floor),
        )

    @precondition(lambda self: any(octet.out for octet in self.model.octets.values()))
    @rule(pick=st.integers(0, 1000))
    def what_was_sent_together_is_lost(self, pick: int) -> None:
        outs = [octet for octet in self.model.octets.values() if octet.out]
        sent_us = outs[pick % len(outs)].sent_us
        self.lose(
            [n for n, octet in self.model.octets.items() if octet.sent_us == sent_us],
            self.board.mark_sent_lost(self.model.una, self.model.nxt, sent_us),
        )

    def lose(self, numbers: list[int], newly: int) -> None:
        before = self.model.lost
        for number in numbers:
            self.model.lose(number)
        assert newly == self.model.lost - before

    @precondition(lambda self: not self.reneged)
    @rule()
    def nothing_was_lost(self) -> None:
        self.board.unmark_lost()
        for octet in self.model.octets.values():
            octet.lost = False

    @precondition(lambda self: self.board.has_reneged())
    @rule()
    def the_receiver_forgets(self) -> None:
        self.board.forget_sacked()
        for octet in self.model.octets.values():
            octet.sacked = False
        self.lose(list(self.model.octets), self.board.mark_all_lost())
        self.reneged = True

    @rule(length=st.integers(0, 12), blocks=st.integers(1, 4))
    def how_far_down_enough_is_delivered(self, length: int, blocks: int) -> None:
        held = 0
        expected = 0
        for seen, (left, right) in enumerate(reversed(self.model.blocks()), 1):
            held += right - left
            if held > length or seen >= blocks:
                expected = left
                break
        assert self.board.delivered_from_top(length, blocks) == expected

    @rule(below=st.integers(0, 40))
    def the_first_that_was_sent_once(self, below: int) -> None:
        below += self.model.una
        found = self.board.first_not_retransmitted(0, below)
        expected = [
            number for number, octet in self.model.octets.items()
            if number < below and octet.out and not octet.copies
        ]  # fmt: skip
        assert (found.start if found else None) == (min(expected) if expected else None)

    @invariant()
    def totals_and_marks_are_the_same(self) -> None:
        board, model = self.board, self.model
        octets = model.octets
        assert board.lost_bytes == sum(octet.lost for octet in octets.values())
        assert board.sacked_bytes == sum(octet.sacked for octet in octets.values())
        assert board.retransmitted_bytes == sum(
            octet.out and octet.copies > 0 for octet in octets.values()
        )
        assert (board.delivered, board.lost) == (model.delivered, model.lost)
        assert board.fack == model.fack
        assert (board.reord_seen > 0) == model.reordering_seen or self.reneged
        for number, octet in octets.items():
            assert board.is_out(number, number + 1, octet.sent_us) == octet.out

    def teardown(self) -> None:
        """Whoever goes by time finds all that is out, the oldest first."""
        entries = []
        while (oldest := self.board.send_order.oldest()) is not None:
            entries.append(oldest)
            self.board.send_order.drop_oldest()
        assert entries == sorted(entries, key=lambda entry: entry[0])
        for number, octet in self.model.octets.items():
            if octet.out:
                assert any(
                    time_us == octet.sent_us and start <= number < end
                    for time_us, start, end in entries
                )


class RackMachine(Machine):
    """The same, and RACK judges after each ACK."""

    def __init__(self) -> None:
        super().__init__()
        self.rack = Rack()
        self.xmit_us = self.end_seq = self.rtt_us = 0
        self.board.min_rtt_us, self.board.srtt_us = MIN_RTT, SRTT

    @rule(recovery=st.booleans())
    def recovery_begins_or_ends(self, recovery: bool) -> None:
        self.board.in_recovery = recovery

    def check_ack(self, result: AckResult) -> None:
        super().check_ack(result)
        fresh = self.model.fresh
        newest = max(fresh, default=None)
        if newest and newest[2] and self.now_us - newest[0] < MIN_RTT:
            newest = max((each for each in fresh if not each[2]), default=None)
        if newest:
            sent_us, number, _ = newest
            self.rtt_us = self.now_us - sent_us
            if (sent_us, number + 1) > (self.xmit_us, self.end_seq):
                self.xmit_us, self.end_seq = sent_us, number + 1
        self.rack.on_ack(self.board, result, self.now_us)
        self.judge()

    @rule()
    def it_looks_again(self) -> None:
        self.board.acked(self.model.una, self.now_us)  # there is no ACK
        self.model.begin_ack()
        self.model.acked(self.model.una, self.now_us)
        self.judge()

    def judge(self) -> None:
        """RFC 8985 §6.2 step 5, for every octet."""
        board, model = self.board, self.model
        window_us = MIN_RTT // 4
        if not board.reord_seen and (board.in_recovery or board.sacked_bytes >= 3 * MSS):
            window_us = 0
        waits = []
        for number, octet in model.octets.items():
            if octet.out and (octet.sent_us, number) < (self.xmit_us, self.end_seq):
                due_us = octet.sent_us + self.rtt_us + window_us
                if due_us <= self.now_us:
                    model.lose(number)
                else:
                    waits.append(due_us)
        self.rack.detect(board, self.now_us)
        assert board.lost == model.lost
        assert board.retransmission_lost_us == model.repeat_lost_us
        assert self.rack.look_at_us == min(waits, default=0)


class TestScoreboard(Machine.TestCase):
    """Every octet has the same fate on the scoreboard and in the record."""

    settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


class TestRack(RackMachine.TestCase):
    """RACK on runs finds what it would find by looking at each octet."""

    settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


def test_at_a_timeout_the_head_is_lost_however_late_it_was_sent() -> None:
    board = Scoreboard(AckResult())
    board.mss, board.srtt_us, board.min_rtt_us = MSS, SRTT, MIN_RTT
    board.sent(1, 13, 100)
    Rack().on_timeout(board, 100)
    assert (board.lost_bytes, board.lost) == (MSS, MSS)
    head = board.head()
    assert head is not None
    assert (head.start, head.end, head.lost) == (1, 1 + MSS, True)


def test_what_is_joined_within_an_ack_still_counts_as_sent_once() -> None:
    """[1, 5) was sent once, [5, 8) again. A block joins 4 with what had been sent twice beside it;
    it is 4 that was delivered now, and its round trip is measured."""
    board = Scoreboard(AckResult())
    board.mss, board.srtt_us, board.min_rtt_us = MSS, SRTT, MIN_RTT
    board.sent(1, 8, 1000)
    tail = board.cut_tail(MSS)
    assert tail is not None
    board.retransmitted(tail, 3, 1000)
    board.acked(1, 1000)
    board.sacked(5, 8, 1000)
    result = board.acked(1, 1002)
    board.sacked(4, 8, 1002)
    assert result.newest is not None
    assert (result.newest_end, result.newest_copies, result.sack_rtt_us) == (5, 0, 2)
    rack = Rack()
    rack.on_ack(board, result, 1002)
    assert (rack.xmit_us, rack.end_seq, rack.rtt_us) == (1000, 5, 2)
