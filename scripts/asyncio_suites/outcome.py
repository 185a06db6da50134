"""What became of a test."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["passed", "skipped", "failed"]

NO_LOOP = "makes no event loop"
SKIPPED_ITSELF = "skips itself: "


@dataclass(frozen=True)
class Outcome:
    """`text` is why it was skipped, or how it failed. `packets` is how many the stack received,
    `loops` how many event loops the test made; `again`: it passed at the second try only."""

    name: str
    kind: Kind
    text: str = ""
    packets: int = 0
    loops: int = 0
    again: bool = False

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Outcome:
        """From a child's line."""
        found = cls(
            fields["name"], fields["outcome"], fields["text"] or "", fields["packets"],
            fields["loops"],
        )  # fmt: skip
        if found.kind == "skipped" and not fields.get("by_us"):
            return replace(found, text=SKIPPED_ITSELF + " ".join(found.text.split()))
        if found.kind == "passed" and not found.loops:
            return replace(found, kind="skipped", text=NO_LOOP)
        return found

    def tried_again(self, second: Outcome | None) -> Outcome:
        """What holds if a failed one was tried again, and this is what became of it."""
        if self.kind != "failed" or second is None or second.kind == "failed":
            return self
        return replace(second, again=True)

    @property
    def module(self) -> str:
        """The module it is in, with "anyio." before one of anyio's."""
        parts = self.name.split(".")
        return ".".join(parts[: 2 if parts[0] == "anyio" else 1])

    @property
    def over_the_stack(self) -> bool:
        """Whether it passed with packets going through the stack."""
        return self.kind == "passed" and self.packets > 0


def count(outcomes: Iterable[Outcome], kind: Kind) -> int:
    """How many are of a kind."""
    return sum(one.kind == kind for one in outcomes)
