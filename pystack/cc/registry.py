"""Names of congestion controls and what makes one of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pystack import arguments
from pystack.cc.base import CongestionControl
from pystack.cc.bbr import Bbr
from pystack.cc.bbr3 import Bbr3
from pystack.cc.cubic import Cubic
from pystack.cc.dctcp import Dctcp
from pystack.cc.ledbat import Ledbat
from pystack.cc.reno import Reno
from pystack.cc.vegas import Vegas
from pystack.cc.westwood import Westwood

Factory = Callable[[int, int], CongestionControl]

_factories: Final[dict[str, Factory]] = {
    made.name: made for made in (Bbr, Bbr3, Cubic, Dctcp, Ledbat, Reno, Vegas, Westwood)
}


def register(name: str, factory: Factory) -> None:
    """Register `factory(mss, initial_cwnd)`, usually a subclass of `CongestionControl`, as `name`;
    it replaces one of the same name. A class without a `name` of its own gets this one.

    Raises ValueError for a bad name, TypeError for a name that is no text and for what makes no
    congestion control.
    """
    arguments.text("name", name, "mine")
    if not 1 <= len(name) <= 15 or not name.isascii() or not name.isprintable() or " " in name:
        raise ValueError(
            f"{name!r} is no name: a congestion control's has 1 to 15 ASCII characters, no space"
        )
    arguments.factory("congestion control", CongestionControl, factory)
    if isinstance(factory, type) and "name" not in vars(factory):
        setattr(factory, "name", name)  # noqa: B010 (what TCP_CONGESTION then tells)
    _factories[name] = factory


def names() -> list[str]:
    """All known names, sorted."""
    return sorted(_factories)


def factory(name: str) -> Factory:
    """The maker for `name`. Raises KeyError when there is none."""
    return _factories[name]
