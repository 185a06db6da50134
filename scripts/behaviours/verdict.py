"""What is said of a law at one point: the figure, what it has to be, and whether it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """`passed` is None for a figure that no law binds, and only informs.

    `spurious` counts segments that were repeated needlessly in the experiment, by D-SACKs.
    """

    where: str
    figure: str
    bound: str
    passed: bool | None
    spurious: int
    repeated: int

    @property
    def word(self) -> str:
        """As a table says it."""
        return "" if self.passed is None else "pass" if self.passed else "FAIL"


@dataclass(frozen=True, slots=True)
class Law:
    """A law with its verdicts; `about` says how it was measured, in Markdown."""

    name: str
    about: str
    verdicts: Sequence[Verdict]

    @property
    def failed(self) -> list[Verdict]:
        """Those that are not as they have to be."""
        return [verdict for verdict in self.verdicts if verdict.passed is False]

    def lines(self) -> list[str]:
        """All of it in Markdown."""
        rows = [
            f"| {one.where} | {one.figure} | {one.bound} | {one.word} "
            f"| {one.spurious} / {one.repeated} |"
            for one in self.verdicts
        ]
        return [
            f"### {self.name}", "", self.about, "",
            "| | figure | bound | | spurious / all repeats |", "|---|---|---|---|--:|", *rows, "",
        ]  # fmt: skip
