"""The parser: the text of an impairment becomes an `Impairment` (`spec`), or a ValueError.

The language is netem's, with a few words more:

    delay 20ms 2ms loss 1% reorder 5% rate 20mbit limit 100
    rate 10mbit queue fq_codel ecn out: loss gemodel 1% 25% in: ack-thin 4 at 5s mtu 1280

`docs/impairments.md` explains every word. A mistake is a ValueError of one sentence, which names
the word and says what is allowed. The caller reads files.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Final

from pystack.path.language import units
from pystack.path.language.spec import (
    BFIFO,
    EARLY,
    PFIFO,
    Effects,
    Impairment,
    ImpairmentSpec,
    QueueSpec,
)
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
    specs = {name: _spec(said[name]) for name in BOTH}
    return Impairment(text, specs["in"], specs["out"], seed)


@dataclass(slots=True)
class _Said:
    """A word that was said: from which time on, and what it changes."""

    at_us: int
    word: str
    changes: Changes


class _Section:
    """For which directions, and from which time on, the words that follow hold."""

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


# -- from the words of a direction to its spec ---------------------------------------------------
def _note(said: list[_Said], new: _Said) -> None:
    if new.word not in LISTS:  # said again, for one direction: the last one counts
        said[:] = [one for one in said if (one.word, one.at_us) != (new.word, new.at_us)]
    said.append(new)


def _spec(said: list[_Said]) -> ImpairmentSpec:
    times = sorted({0, *(one.at_us for one in said)})
    timeline: list[tuple[int, Effects]] = []
    effects = Effects()
    for time in times:
        for one in said:
            if one.at_us != time:
                continue
            if one.word in LISTS:
                ((name, more),) = one.changes.items()
                effects = replace(effects, **{name: getattr(effects, name) + more})
            else:
                effects = replace(effects, **one.changes)
        _check(effects, timeline[0][1] if timeline else None)
        timeline.append((time, effects))
    return ImpairmentSpec(tuple(timeline))


def _check(effects: Effects, first: Effects | None) -> None:
    """Whether the effects fit each other. `first` is what holds from the start, for later ones."""
    if effects.rate_bps and effects.trace:
        raise ValueError("a line has a rate or a trace, not both")
    if first is not None and effects.rate_bps and not first.rate_bps:
        raise ValueError("a rate that changes on the way begins with one from the start")
    if not effects.has_line():
        if effects.queue is not None or effects.ack_filter:
            name = "queue" if effects.queue is not None else "ack-filter"
            raise ValueError(f"{name} needs a rate or a trace: without one nothing waits")
        if effects.limit is not None and not effects.delay_us:
            raise ValueError("limit needs a rate, a trace or a delay: without one nothing waits")
        if effects.limit is not None and effects.limit.in_bytes:
            raise ValueError("limit counts packets where there is no rate")
    if not effects.delay_us and not effects.jitter_us:
        if effects.gap:
            raise ValueError("gap needs a delay, which some packets then do not get")
        if effects.reorder is not None and effects.reorder.correlation:
            raise ValueError("reorder with a correlation needs a delay")
    _check_queue(effects, effects.queue or QueueSpec())


def _check_queue(effects: Effects, queue: QueueSpec) -> None:
    may_mark = effects.loss is not None or effects.bursts is not None or queue.kind in EARLY
    if effects.ecn and not may_mark:
        raise ValueError(
            "ecn needs something that it marks instead of losing it: loss, or a queue of "
            f"{listed(EARLY)}"
        )
    if effects.ack_filter and queue.kind not in (PFIFO, BFIFO):
        raise ValueError(f"ack-filter needs a queue of pfifo or bfifo, not of {queue.kind}")
    in_bytes = effects.limit is not None and effects.limit.in_bytes
    for threshold in (queue.least, queue.most):
        if threshold and threshold.in_bytes != in_bytes:
            raise ValueError(
                "queue red: limit, min and max are all packets or all sizes with b, kb"
            )
    if queue.least and queue.most and queue.least.number >= queue.most.number:
        raise ValueError("queue red: min is smaller than max")
