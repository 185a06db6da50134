"""The language of impairments: netem's words, and a few more.

    delay 20ms 2ms loss 1% reorder 5% rate 20mbit limit 100
    rate 10mbit queue fq_codel ecn out: loss gemodel 1% 25% in: ack-thin 4 at 5s mtu 1280

`docs/impairments.md` explains every word. A mistake is a ValueError of one sentence, which names
the word and says what is allowed. Files are read by who calls.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Final

from pystack.path.language import units
from pystack.path.language.spec import BFIFO, EARLY, PFIFO, Impairment, QueueWords, Way, Words
from pystack.path.language.tokens import ReadFile, Tokens, listed
from pystack.path.language.vocabulary import LATER, LISTS, SEED, WORDS, Changes

BOTH: Final = ("in", "out")
_PREFIXES: Final = {"in:": ("in",), "out:": ("out",), "both:": BOTH}
_AT: Final = "at"
_KNOWN: Final = (*WORDS, _AT, *_PREFIXES)


def parse(text: str, read_file: ReadFile | None = None) -> Impairment:
    """Both directions of an impairment. Raises ValueError with one sentence.

    `read_file` gives the text of the file that `trace` names; what it raises is passed on.
    """
    tokens = Tokens(text, _KNOWN, read_file)
    if not tokens:
        raise ValueError("an impairment has one word at least, such as delay 20ms")
    said: dict[str, list[_Said]] = {name: [] for name in BOTH}
    seed: int | None = None
    section = _Section(BOTH)
    while tokens:
        word = tokens.take()
        prefix = next((one for one in _PREFIXES if word.startswith(one)), None)
        if prefix is not None:
            section = _Section(_PREFIXES[prefix])
            if word != prefix:
                tokens.put_back(word.removeprefix(prefix))
            continue
        tokens.word = word
        if word == _AT:
            at_us = tokens.value(units.time_us, "a time, such as 5s")
            if not at_us:
                raise ValueError("at 0: what holds from the start is said before any `at`")
            section = _Section(section.directions, at_us)
            continue
        section.check(word)
        changes = WORDS[word](tokens)
        seed = changes.pop(SEED, seed)
        for direction in section.directions:
            _note(said[direction], _Said(section.at_us, word, changes))
    ways = {name: _way(said[name]) for name in BOTH}
    return Impairment(text, ways["in"], ways["out"], seed)


@dataclass(slots=True)
class _Said:
    """A word: from when on, and what it changes."""

    at_us: int
    word: str
    changes: Changes


class _Section:
    """For which directions, and from when on, words are said; until the next such remark."""

    def __init__(self, directions: tuple[str, ...], at_us: int = 0) -> None:
        self.directions = directions
        self.at_us = at_us
        self._words: set[str] = set()

    def check(self, word: str) -> None:
        """Raise ValueError for a word that may not stand here."""
        if word not in WORDS:
            raise ValueError(_unknown(word))
        if word in self._words and word not in LISTS:
            raise ValueError(f"{word} is said twice")
        if self.at_us and word not in LATER:
            raise ValueError(
                f"{word} cannot change on the way: behind `at` there may be {listed(LATER)}"
            )
        self._words.add(word)


def _unknown(word: str) -> str:
    near = difflib.get_close_matches(word, _KNOWN, 1)
    if near:
        return f"{word!r} is no word of an impairment: is it {near[0]}?"
    return f"{word!r} is no word of an impairment: there are {listed(_KNOWN)}"


# -- what the words of a direction come to -------------------------------------------------------
def _note(said: list[_Said], new: _Said) -> None:
    if new.word not in LISTS:  # who says it again, for one direction, means that instead
        said[:] = [one for one in said if (one.word, one.at_us) != (new.word, new.at_us)]
    said.append(new)


def _way(said: list[_Said]) -> Way:
    times = sorted({0, *(one.at_us for one in said)})
    timeline: list[tuple[int, Words]] = []
    words = Words()
    for time in times:
        for one in said:
            if one.at_us != time:
                continue
            if one.word in LISTS:
                ((name, more),) = one.changes.items()
                words = replace(words, **{name: getattr(words, name) + more})
            else:
                words = replace(words, **one.changes)
        _check(words, timeline[0][1] if timeline else None)
        timeline.append((time, words))
    return Way(tuple(timeline))


def _check(words: Words, first: Words | None) -> None:
    """Whether the words fit each other. `first` is what held from the start, later on."""
    if words.rate_bps and words.trace:
        raise ValueError("a line has a rate or a trace, not both")
    if first is not None and words.rate_bps and not first.rate_bps:
        raise ValueError("a rate that changes on the way begins with one from the start")
    if not words.has_line():
        if words.queue is not None or words.ack_filter:
            name = "queue" if words.queue is not None else "ack-filter"
            raise ValueError(f"{name} needs a rate or a trace: without one nothing waits")
        if words.limit is not None and not words.delay_us:
            raise ValueError("limit needs a rate, a trace or a delay: without one nothing waits")
        if words.limit is not None and words.limit.in_bytes:
            raise ValueError("limit counts packets where there is no rate")
    if not words.delay_us and not words.jitter_us:
        if words.gap:
            raise ValueError("gap needs a delay, which some packets then do not get")
        if words.reorder is not None and words.reorder.correlation:
            raise ValueError("reorder with a correlation needs a delay")
    _check_queue(words, words.queue or QueueWords())


def _check_queue(words: Words, queue: QueueWords) -> None:
    may_mark = words.loss is not None or words.bursts is not None or queue.kind in EARLY
    if words.ecn and not may_mark:
        raise ValueError(
            "ecn needs something that it marks instead of losing it: loss, or a queue of "
            f"{listed(EARLY)}"
        )
    if words.ack_filter and queue.kind not in (PFIFO, BFIFO):
        raise ValueError(f"ack-filter needs a queue of pfifo or bfifo, not of {queue.kind}")
    for threshold in (queue.least, queue.most):
        if threshold and threshold.in_bytes != (words.limit is not None and words.limit.in_bytes):
            raise ValueError(
                "queue red: limit, min and max are all packets or all sizes with b, kb"
            )
    if queue.least and queue.most and queue.least.number >= queue.most.number:
        raise ValueError("queue red: min is smaller than max")
