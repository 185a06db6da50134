"""How pictures look on a light and on a dark page, and how they are written as SVG."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Final

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

FONTS: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
SETTINGS: Final = {
    "svg.fonttype": "none",  # text stays text: small files, the reader's own font
    "svg.hashsalt": "pystack",  # the same identifiers each time
    "font.family": "DejaVu Sans",  # comes with matplotlib; only widths are reckoned with it
    "font.size": 11,
    "path.simplify": False,
}


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours, for one kind of page."""

    name: str
    page: str
    ink: str
    faint: str
    grid: str
    shade: str
    first: str
    second: str
    alarm: str


THEMES: Final = (
    Theme("light", "#ffffff", "#1f2328", "#59636e", "#d8dee4", "#afb8c1", "#0969da", "#bc4c00",
          "#cf222e"),
    Theme("dark", "#0d1117", "#e6edf3", "#9198a1", "#30363d", "#565e67", "#58a6ff", "#f0883e",
          "#ff7b72"),
)  # fmt: skip


def figure(theme: Theme, width: float, height: float) -> Figure:
    """An empty figure on the page's colour; width and height in inches of 72 points."""
    made = Figure(figsize=(width, height), facecolor=theme.page)
    FigureCanvasSVG(made)
    return made


def svg(drawing: Figure, title: str, figures: str) -> str:
    """The text of an SVG file. `figures` says what was drawn: a test looks for it."""
    file = io.StringIO()
    with matplotlib.rc_context(SETTINGS):
        drawing.savefig(
            file, format="svg",
            metadata={"Title": title, "Description": figures, "Date": None},
        )  # fmt: skip
    text = re.sub(r"(font:[^;\"]*?)'DejaVu Sans'", rf"\1{FONTS}", file.getvalue())
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
