"""The heap of deadlines: each object is woken once, at its earliest time, and old entries go."""

from __future__ import annotations

from pystack.stack.wakeups import Wakeups


class Sleeper:
    """What is to be woken."""

    def __init__(self) -> None:
        self.wake_at_us = 0


def moved(wakeups: Wakeups, what: Sleeper, times: int) -> None:
    """Its deadline becomes earlier, again and again: each time there is an entry more."""
    begin_us = what.wake_at_us or 1_000_000
    for number in range(1, times + 1):
        wakeups.at(what, begin_us - number)


def woken(wakeups: Wakeups, now_us: int) -> list[object]:
    """All that is due, in its order."""
    due: list[object] = []
    while (what := wakeups.take_due(now_us)) is not None:
        due.append(what)
    return due


def test_old_entries_stay_until_there_are_64_besides_two_for_each_object() -> None:
    for count in (1, 10):
        wakeups = Wakeups()
        sleepers = [Sleeper() for _ in range(count)]
        for one in sleepers:
            moved(wakeups, one, 1)
        moved(wakeups, sleepers[0], 64 + count)
        assert len(wakeups) == 64 + 2 * count
        moved(wakeups, sleepers[0], 1)
        assert len(wakeups) == count


def test_what_is_forgotten_takes_its_entries_along_by_the_same_measure() -> None:
    for entries, left in ((65, 66), (66, 1)):
        wakeups = Wakeups()
        gone, staying = Sleeper(), Sleeper()
        moved(wakeups, staying, 1)
        moved(wakeups, gone, entries)
        wakeups.forget(gone)
        assert len(wakeups) == left
        assert wakeups.next_at() == staying.wake_at_us
        assert woken(wakeups, 1_000_000) == [staying]


def test_whose_old_entries_have_gone_is_woken_once_and_at_its_time() -> None:
    wakeups = Wakeups()
    sleepers = [Sleeper() for _ in range(3)]
    for one in sleepers:
        moved(wakeups, one, 100)
    assert len(wakeups) < 300
    moved(wakeups, sleepers[1], 5)
    times = [999_900, 999_895, 999_900]
    assert [one.wake_at_us for one in sleepers] == times
    assert wakeups.next_at() == 999_895
    assert woken(wakeups, 999_894) == []
    assert woken(wakeups, 999_899) == [sleepers[1]]
    assert wakeups.next_at() == 999_900
    assert woken(wakeups, 2_000_000) == [sleepers[0], sleepers[2]]
    assert wakeups.next_at() == 0


def test_a_later_deadline_changes_nothing_and_one_that_was_kept_may_be_set_anew() -> None:
    wakeups = Wakeups()
    one = Sleeper()
    wakeups.at(one, 500)
    wakeups.at(one, 600)
    assert len(wakeups) == 1
    assert wakeups.next_at() == 500
    assert woken(wakeups, 500) == [one]
    wakeups.at(one, 600)
    assert wakeups.next_at() == 600
    assert woken(wakeups, 600) == [one]
