"""Names of congestion controls and what makes one of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pystack.cc.base import CongestionControl
from pystack.cc.reno import Reno

Factory = Callable[[int, int], CongestionControl]

_factories: Final[dict[str, Factory]] = {"reno": Reno}


def register(name: str, factory: Factory) -> None:
    """Make `factory(mss, initial_cwnd)` known as `name`. Raises ValueError for a bad name."""
    if not name or len(name) > 15 or not name.isascii():
        raise ValueError("a congestion control's name has 1 to 15 ASCII characters")
    _factories[name] = factory


def names() -> list[str]:
    """All known names, sorted."""
    return sorted(_factories)


def factory(name: str) -> Factory:
    """The maker for `name`. Raises KeyError when there is none."""
    return _factories[name]
