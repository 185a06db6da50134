"""A connection of `pystack demo` as a ladder: curl's side, ours, and each segment between them."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import matplotlib
from matplotlib.axes import Axes

from scripts.drawings.theme import SETTINGS, Theme, figure, svg

TITLE: Final = "A connection of curl's to pystack, segment by segment, with pystack's states"
_LINE: Final = re.compile(
    r"^ *(?P<ms>\d+\.\d{3})  (?P<what>.*?)(?: {2,}(?P<state>[A-Z][A-Z_12]+))?$", re.MULTILINE
)
_SEGMENT: Final = re.compile(
    r"(?P<way>[<>]) (?P<flags>[SFRPUEWA.]+) \d+:\d+\((?P<length>\d+)\)(?: ack (?P<ack>\d+))?"
)
_FLAGS: Final = {"S": "SYN", "F": "FIN", "R": "RST"}
# in inches: where the two sides and the columns of text stand, and how far lines are apart
_WIDTH: Final = 8.5
_LEFT, _RIGHT, _TIMES, _STATES = 1.1, 5.65, 6.55, 6.8
_TOP, _ROW = 0.68, 0.37


@dataclass(frozen=True, slots=True)
class Line:
    """A segment, or a call of the program ("" for `way`); the state that it led to, or ""."""

    ms: str
    way: str
    text: str
    state: str


def lines(transcript: str) -> list[Line]:
    """The lines of the first connection in what `pystack demo` has printed. Raises ValueError
    when there is none."""
    first = transcript.partition("our state\n")[2].partition("\n\n")[0]
    found = [_line(match) for match in _LINE.finditer(first)]
    if not found:
        raise ValueError("no connection in this transcript")
    return found


def _line(match: re.Match[str]) -> Line:
    what = match["what"].strip()
    segment = _SEGMENT.match(what)
    if segment is None:
        return Line(match["ms"], "", what, match["state"] or "")
    words = [_FLAGS[flag] for flag in segment["flags"] if flag in _FLAGS]
    if segment["length"] != "0":
        words.append(f"{segment['length']} bytes")
    if segment["ack"]:
        words.append(f"ACK {segment['ack']}")
    return Line(match["ms"], segment["way"], ", ".join(words), match["state"] or "")


def digest(found: Iterable[Line]) -> str:
    """The SHA-256 of all that is drawn."""
    return "sha256 " + hashlib.sha256(repr(list(found)).encode()).hexdigest()


def picture(found: list[Line], theme: Theme) -> str:
    """The SVG."""
    height = math.ceil(4 * (_TOP + _ROW * (len(found) + 1))) / 4  # of whole pixels
    with matplotlib.rc_context(SETTINGS):
        drawing = figure(theme, _WIDTH, height)
        axes = drawing.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, _WIDTH)
        axes.set_ylim(height, 0)  # downwards, as time goes
        axes.set_axis_off()
        _sides(axes, theme, height - 0.1)
        changes = [(_TOP, "CLOSED")]
        for index, line in enumerate(found, start=1):
            y = _TOP + _ROW * index
            _draw(axes, theme, line, y)
            if line.state:
                changes.append((y, line.state))
        _states(axes, theme, changes, height - 0.1)
        return svg(drawing, TITLE, digest(found))


def _sides(axes: Axes, theme: Theme, bottom: float) -> None:
    axes.plot([_LEFT, _LEFT], [_TOP - 0.1, bottom], color=theme.shade, linewidth=5,
              solid_capstyle="butt")  # fmt: skip
    heads = ((_LEFT, "curl, on Linux's TCP", theme.second), (_RIGHT, "pystack", theme.first))
    for x, text, colour in heads:
        axes.text(x, 0.3, text, color=colour, weight="bold", ha="center", va="center", fontsize=12)
    for x, text, side in ((_TIMES, "ms", "right"), (_STATES, "pystack's state", "left")):
        axes.text(x, 0.3, text, color=theme.faint, ha=side, va="center", fontsize=10)


def _draw(axes: Axes, theme: Theme, line: Line, y: float) -> None:
    axes.text(_TIMES, y, line.ms, color=theme.faint, ha="right", va="center", fontsize=10)
    near = _RIGHT - 0.06
    if not line.way:
        axes.text(near - 0.1, y, line.text, color=theme.ink, ha="right", va="center",
                  style="italic")  # fmt: skip
        return
    slope = _ROW * 0.32
    if line.way == "<":
        colour, here, there = theme.second, (_LEFT + 0.06, y - slope), (near, y)
    else:
        colour, here, there = theme.first, (near, y), (_LEFT + 0.06, y + slope)
    axes.annotate("", there, here, arrowprops={
        "arrowstyle": "-|>", "color": colour, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0,
        "mutation_scale": 12,
    })  # fmt: skip
    axes.text((here[0] + there[0]) / 2, (here[1] + there[1]) / 2, line.text, color=colour,
              ha="center", va="center",
              bbox={"facecolor": theme.page, "edgecolor": "none", "pad": 2})  # fmt: skip


def _states(axes: Axes, theme: Theme, changes: list[tuple[float, str]], bottom: float) -> None:
    ends = [y for y, _ in changes[1:]] + [bottom]
    for index, ((y, state), end) in enumerate(zip(changes, ends, strict=True)):
        axes.plot([_RIGHT, _RIGHT], [y, end], linewidth=8, solid_capstyle="butt",
                  color=theme.grid if index % 2 else theme.shade)  # fmt: skip
        axes.text(_STATES, y, state, color=theme.ink, weight="bold", va="center", fontsize=10)
