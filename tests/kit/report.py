"""What a failed script shows: the problem, the script with the line, and the real exchange."""

from __future__ import annotations

from tests.kit.notation import Line

SHOWN = 24  # so many events of the exchange are shown


class ScriptMismatch(AssertionError):
    """The exchange is not what the script says."""


class Mismatch(Exception):
    """One line does not hold; `differences` are (what, script, actual)."""

    def __init__(self, problem: str, differences: list[tuple[str, str, str]] | None = None):
        super().__init__(problem)
        self.differences = differences or []


class Trace:
    """What went over the wire, and each state change, in order."""

    def __init__(self, start_us: int) -> None:
        self._start_us = start_us
        self.events: list[str] = []

    def add(self, now_us: int, mark: str, text: str) -> None:
        self.events.append(f"{(now_us - self._start_us) / 1_000_000:12.6f} {mark} {text}")


def explain(
    problem: str,
    differences: list[tuple[str, str, str]],
    lines: list[Line],
    at: int,
    trace: Trace,
) -> str:
    """Several lines of text."""
    out = []
    if lines:
        out.append(f"line {lines[at].number} of the script does not hold: {lines[at].text}")
    out.append(problem)
    for what, script, actual in differences:
        out.append(f"    {what}: script {script}, actual {actual}")
    if lines:
        out.append("script:")
        for index, line in enumerate(lines):
            mark = "ok  " if index < at else "FAIL" if index == at else "    "
            out.append(f"  {mark} {line.text}")
    out.append("what happened:")
    hidden = len(trace.events) - SHOWN
    if hidden > 0:
        out.append(f"  … {hidden} events before")
    out += [f"  {event}" for event in trace.events[-SHOWN:]]
    return "\n".join(out)
