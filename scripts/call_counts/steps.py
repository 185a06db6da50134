"""The way of an operation through pystack: the functions it enters, and the figures of that.

Nothing here imports pystack: which checkout it comes from is decided later.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import CO_COROUTINE, CO_GENERATOR
from types import FrameType
from typing import Any, Final, NamedTuple

# a function of its own in one version of Python, part of the one around it in another
_COMPREHENSIONS: Final = frozenset(("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"))
_RESUMABLE: Final = CO_COROUTINE | CO_GENERATOR


class Step(NamedTuple):
    """One function that is entered. `depth` is 0 for what is called from outside of pystack;
    `file` is relative to the folder `pystack`, `function` has its class with it."""

    depth: int
    file: str
    function: str


@dataclass(frozen=True, slots=True)
class Figures:
    """How many functions are entered, in how many files, and how often a call goes back to a file
    that was left before: one other than the last function's, that had its turn already."""

    calls: int
    files: int
    returns: int

    @classmethod
    def of(cls, steps: list[Step]) -> Figures:
        """Those of a way."""
        seen: set[str] = set()
        last = ""
        returns = 0
        for step in steps:
            returns += step.file != last and step.file in seen
            seen.add(step.file)
            last = step.file
        return cls(len(steps), len(seen), returns)


class Counter:
    """Notes the Python functions below `folder` that the thread enters, while `counting`.

    A generator or a coroutine is noted when it first runs, not when it goes on; comprehensions and
    generator expressions are part of the function around them. Functions in C are not noted.
    """

    def __init__(self, folder: str) -> None:
        """`folder` is pystack's own, as its code objects have it."""
        self._folder = folder.rstrip("/") + "/"
        self._steps: list[Step] = []
        self._resumable: list[FrameType] = []  # noted already; held, so that none has its address
        self._held = 0

    @contextmanager
    def counting(self) -> Iterator[list[Step]]:
        """Meanwhile the list grows."""
        self._steps = []
        self._resumable = []
        sys.setprofile(self._note)
        try:
            yield self._steps
        finally:
            sys.setprofile(None)
            least = min((step.depth for step in self._steps), default=0)
            self._steps[:] = [step._replace(depth=step.depth - least) for step in self._steps]
            self._resumable = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile nothing is noted: what works here is the other end, or the link."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or self._held or not code.co_filename.startswith(self._folder):
            return
        if code.co_name in _COMPREHENSIONS:
            return
        if code.co_flags & _RESUMABLE:
            if any(frame is one for one in self._resumable):
                return
            self._resumable.append(frame)
        file = code.co_filename[len(self._folder) :]
        self._steps.append(Step(self._depth(frame), file, code.co_qualname))

    def _depth(self, frame: FrameType) -> int:
        depth = 0
        outer = frame.f_back
        while outer is not None:
            code = outer.f_code
            depth += (
                code.co_filename.startswith(self._folder) and code.co_name not in _COMPREHENSIONS
            )
            outer = outer.f_back
        return depth
