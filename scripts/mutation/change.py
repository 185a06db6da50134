"""A change of one line of source, and the choice of a sample."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Change:
    """A piece of a file that is replaced by another one."""

    file: str  # relative to the checkout
    line: int  # where the piece begins
    first: int  # lines of the statement it is in, or of the head of an `if`, `while`, `for`
    last: int
    start: int  # of the piece, in bytes of the file
    old: bytes
    new: bytes
    names: frozenset[str] = field(default=frozenset(), compare=False)
    # what a statement outside of functions gives a value: the lines that use it stand elsewhere

    def applied(self, source: bytes) -> bytes:
        """The file with the change in it."""
        end = self.start + len(self.old)
        assert source[self.start : end] == self.old
        return source[: self.start] + self.new + source[end:]

    def lines(self, source: bytes) -> tuple[str, str]:
        """The line before and after, without what is around it; several lines as one."""
        end = self.start + len(self.old)
        begin = source.rfind(b"\n", 0, self.start) + 1
        until = source.find(b"\n", end)
        before = source[begin : self.start]
        after = source[end : until if until != -1 else len(source)]
        return _flat(before + self.old + after), _flat(before + self.new + after)


def _flat(text: bytes) -> str:
    return " ".join(text.decode().split())


def sampled(
    changes: Iterable[Change], sources: dict[str, bytes], size: int, seed: int
) -> list[Change]:
    """That many lines, each with one of its changes, all decided by the seed.

    A line is known by its words, so that what is added, removed or moved elsewhere leaves the rest
    of a sample as it is.
    """
    of_line: dict[tuple[str, int], list[Change]] = defaultdict(list)
    for change in changes:
        of_line[change.file, change.line].append(change)
    seen: Counter[str] = Counter()
    ranked: list[tuple[str, Change]] = []
    for (file, number), group in of_line.items():
        text = sources[file].splitlines()[number - 1].decode().strip()
        seen[text] += 1
        one = min(group, key=lambda c: _rank(seed, *c.lines(sources[c.file])))
        ranked.append((_rank(seed, text, str(seen[text])), one))
    ranked.sort(key=lambda pair: pair[0])
    return in_order(change for _, change in ranked[:size])


def in_order(changes: Iterable[Change]) -> list[Change]:
    """By file and place."""
    return sorted(changes, key=lambda c: (c.file, c.start, c.new))


def _rank(seed: int, *words: str) -> str:
    return hashlib.sha256("\0".join((str(seed), *words)).encode()).hexdigest()


def on_lines(changes: Sequence[Change], file: str, first: int, last: int) -> list[Change]:
    """Those whose piece begins on these lines."""
    return [c for c in changes if c.file == file and first <= c.line <= last]
