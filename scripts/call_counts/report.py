"""What the terminal shows: the table, and the way of one operation."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from scripts.call_counts.figures import Table as Figures
from scripts.call_counts.figures import cases
from scripts.call_counts.places import OPERATIONS, PLACES
from scripts.call_counts.steps import Step


def table(figures: Figures, bounds: Figures) -> Table:
    """All figures; where a bound is another number, that as well."""
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    made.title = "Function calls of pystack"
    made.title_justify = made.caption_justify = "left"
    made.caption = (
        "Calls: Python functions in pystack/ that are entered. Files: in which they are.\n"
        "Back: how often a call goes to a file that was left before."
    )
    made.add_column("")
    for title in PLACES.values():
        for name in (title, "files", "back"):
            made.add_column(name, justify="right", no_wrap=True)
    there_are = set(cases())
    for operation in OPERATIONS:
        cells = [f"{operation.name}: {operation.title}"]
        for place in PLACES:
            case = operation.name, place
            for what in ("calls", "files", "returns"):
                is_now = getattr(figures[case], what) if case in there_are else ""
                was = getattr(bounds.get(case), what, is_now)
                cells.append(f"{is_now}" if is_now == was else f"{is_now} ({was})")
        made.add_row(*cells)
    return made


def way(steps: Sequence[Step]) -> str:
    """A line for each function, indented by its caller; repeated calls have one line."""
    lines: list[str] = []
    times: list[int] = []
    for step in steps:
        line = f"{'  ' * step.depth}{step.file}: {step.function}"
        if lines and lines[-1] == line:
            times[-1] += 1
        else:
            lines.append(line)
            times.append(1)
    return "".join(
        f"{line}{f' ({count} times)' if count > 1 else ''}\n"
        for line, count in zip(lines, times, strict=True)
    )
