"""Plug-ins of installed packages, found by their entry points.

A package brings a congestion control by an entry point in the group `pystack.congestion_control`:
the name users choose it by, and the class. In its pyproject.toml:

    [project.entry-points."pystack.congestion_control"]
    mine = "my_package.module:Mine"
"""

from __future__ import annotations

import logging
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from pystack.cc import registry

CONGESTION_CONTROL: Final = "pystack.congestion_control"

_logger = logging.getLogger("pystack")
_seen: Final[set[EntryPoint]] = set()


def load_congestion_controls() -> None:
    """Register the congestion controls of installed packages, each the first time it is seen.

    One that can't be had is named in a warning of the logger "pystack" and left out.
    """
    for point in entry_points(group=CONGESTION_CONTROL):
        if point in _seen:
            continue
        _seen.add(point)
        try:
            if point.name in registry.names():
                raise ValueError("there is one of that name already")
            registry.register(point.name, point.load())
        except Exception as error:  # whatever importing it may raise
            package = point.dist.name if point.dist else "an unknown package"
            _logger.warning(
                "the congestion control %r of %s (%s) is left out: %s: %s",
                point.name, package, point.value, type(error).__name__, error,
            )  # fmt: skip


def find_congestion_control(name: str) -> None:
    """Look for it in installed packages if there is none of that name yet."""
    if name not in registry.names():
        load_congestion_controls()
