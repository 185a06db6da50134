"""Step 1: the text of an impairment as tokens, and how the values among them are read.

Which word takes which values is in `vocabulary`; numbers with units are read by `units`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Container
from typing import Any

from pystack.path.intervals import Interval
from pystack.path.language import units
from pystack.path.language.spec import Amount, Occurrence

ReadFile = Callable[[str], str]


class Tokens:
    """The tokens that are still to be read. `word` is the one whose values are being read.

    All calls raise ValueError with a sentence that names that word. `words` are the tokens that
    cannot be values.
    """

    def __init__(self, text: str, words: Container[str], read_file: ReadFile | None) -> None:
        try:
            self._tokens = shlex.split(text)
        except ValueError as error:
            raise ValueError(str(error).lower()) from None
        self.word = ""
        self._words = words
        self._read_file = read_file
        self._next = 0

    def __bool__(self) -> bool:
        return self._next < len(self._tokens)

    def take(self) -> str:
        """The next token."""
        token = self._tokens[self._next]
        self._next += 1
        return token

    def put_back(self, token: str) -> None:
        """Put `token` back in the place of the one that was taken last."""
        self._next -= 1
        self._tokens[self._next] = token

    def takes(self, word: str) -> bool:
        """Take the next token if it is this word."""
        if self and self._tokens[self._next] == word:
            self._next += 1
            return True
        return False

    def value(self, read: Callable[[str], Any], what: str) -> Any:
        """The value that the next token stands for; `what` says what it should have been."""
        if not self or self._tokens[self._next] in self._words:
            raise ValueError(f"{self.word} needs {what}")
        token = self.take()
        try:
            return read(token)
        except ValueError as error:
            raise ValueError(f"{self.word} {token!r}: {error}") from None

    def optional(self, read: Callable[[str], Any], otherwise: Any) -> Any:
        """The value that the next token stands for, if it is a number."""
        first = self._tokens[self._next][:1] if self else ""
        return self.value(read, "") if first.isdecimal() or first in tuple(".-+") else otherwise

    def file_text(self, name: str) -> str:
        """The text of a file."""
        if self._read_file is None:
            raise ValueError(f"{self.word}: no files are read here")
        return self._read_file(name)

    # -- values of several tokens, or with conditions ---------------------------------------------
    def occurrence(self) -> Occurrence:
        """PERCENT [CORRELATION]"""
        rate = self.value(units.share, "a percentage, such as 1%")
        return Occurrence(rate, self.optional(units.share, 0.0))

    def amount(self, what: str) -> Amount:
        """PACKETS or SIZE"""
        number, in_bytes = self.value(above_0(units.size), what)
        return Amount(number, in_bytes)

    def intervals(self) -> tuple[Interval, ...]:
        """START LENGTH [every PERIOD]"""
        begin_us = self.value(units.time_us, "when it begins, such as 2s")
        length_us = self.value(above_0(units.time_us), "how long it lasts, such as 500ms")
        every_us = 0
        if self.takes("every"):
            every_us = self.value(above_0(units.time_us), "a time behind every, such as 10s")
        try:
            return (Interval(begin_us, length_us, every_us),)
        except ValueError as error:
            raise ValueError(f"{self.word}: {error}") from None


def one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    """Reads one of these names."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"there are {listed(names)}")
        return text

    return read


def above_0(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Reads as `read` does, but refuses 0."""

    def read_above_0(text: str) -> Any:
        value = read(text)
        if not (value[0] if isinstance(value, tuple) else value):
            raise ValueError("it must be above 0")
        return value

    return read_above_0


def listed(names: tuple[str, ...]) -> str:
    """The names, joined by commas and "and"."""
    return ", ".join(names[:-1]) + " and " + names[-1]
