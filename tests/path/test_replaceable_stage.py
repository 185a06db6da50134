"""A stage that gives way to another one, and that can be cut."""

from __future__ import annotations

from random import Random

from pystack.path.faults import Loss
from pystack.path.link import Delay
from pystack.path.mtu import Mtu
from pystack.path.replaceable_stage import ReplaceableStage
from tests.path.traffic import numbered, numbers, sized

MS = 1000


def test_what_an_earlier_stage_has_kept_still_comes_at_its_time() -> None:
    stage = ReplaceableStage(Delay(20 * MS))
    first, second = numbered(2)
    assert stage.feed(first, 1 * MS) == []
    stage.change(Delay(5 * MS))
    assert stage.feed(second, 2 * MS) == []
    assert stage.next_deadline() == 7 * MS
    assert numbers(stage.take(7 * MS)) == [1]
    assert stage.next_deadline() == 21 * MS
    assert numbers(stage.take(21 * MS)) == [0]
    assert stage.next_deadline() == 0


def test_while_it_is_down_nothing_comes_in_and_what_is_on_its_way_arrives() -> None:
    stage = ReplaceableStage(Delay(20 * MS))
    stage.feed(numbered(1)[0], 1 * MS)
    stage.down = True
    assert stage.feed_all(iter(numbered(3)), 2 * MS) == []
    assert numbers(stage.take(21 * MS)) == [0]
    stage.down = False
    assert stage.next_deadline() == 0
    stage.feed(numbered(1)[0], 30 * MS)
    assert numbers(stage.take(50 * MS)) == [0]
    assert stage.counts() == {"cut_off": 3}


def test_counts_are_those_of_all_stages_that_there_were() -> None:
    stage = ReplaceableStage(Loss(1.0, Random(1)))
    stage.feed_all(numbered(2), 1)
    stage.change(Loss(1.0, Random(1)))
    stage.feed_all(numbered(3), 2)
    stage.change(Delay(1))
    stage.feed_all(numbered(1), 3)
    assert stage.counts() == {"lost": 5, "marked": 0, "cut_off": 0}


def test_a_later_stage_may_have_answers() -> None:
    stage = ReplaceableStage(Delay(1))
    stage.change(Mtu(1280))
    assert stage.answers
    assert stage.feed(sized(1400), 1) == []
    (answer,) = stage.take_answers()
    assert answer[0][9] == 1  # ICMP
    assert stage.take_answers() == []
