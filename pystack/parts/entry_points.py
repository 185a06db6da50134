"""Plug-ins of installed packages, found by their entry points.

A package brings a replaceable part of TCP (`parts.variants`) by an entry point in the group of its
kind, such as `pystack.congestion_control` or `pystack.ack_policy`: the name users choose it by,
and the class. In its pyproject.toml:

    [project.entry-points."pystack.congestion_control"]
    mine = "my_package.module:Mine"
"""

from __future__ import annotations

import logging
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from pystack.config import Config
from pystack.parts import variants

_GROUP: Final = "pystack."

_logger = logging.getLogger("pystack")
_seen: Final[set[EntryPoint]] = set()


def load() -> None:
    """Register the parts of installed packages, each the first time it is seen.

    A part that can't be loaded is named in a warning of the logger "pystack" and left out.
    """
    points = entry_points()
    for kind in variants.KINDS:
        for point in points.select(group=_GROUP + kind):
            if point not in _seen:
                _seen.add(point)
                _take(kind, point)


def _take(kind: str, point: EntryPoint) -> None:
    try:
        if point.name in variants.names(kind):
            raise ValueError("there is one of that name already")
        variants.register_variant(kind, point.name, point.load())
    except Exception as error:  # whatever importing it may raise
        package = point.dist.name if point.dist else "an unknown package"
        _logger.warning(
            "the %s %r of %s (%s) is left out: %s: %s",
            variants.KINDS[kind].words, point.name, package, point.value,
            type(error).__name__, error,
        )  # fmt: skip


def find(kind: str, name: str) -> None:
    """Look in installed packages if there is no `name` of that kind yet. Raises OSError ENOENT,
    with the names there are, when they have none either."""
    try:
        variants.check(kind, name)
    except OSError:
        load()
        variants.check(kind, name)


def find_chosen(config: Config) -> None:
    """As `find`, for every part that the settings name."""
    for kind in variants.KINDS.values():
        find(kind.name, getattr(config, kind.setting))
