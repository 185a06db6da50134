"""Packages that hand out names of their modules, each imported when it is first asked for.

So the core can be had without asyncio, and the pytest plugin without what it may never need.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def names_of(
    package: str, homes: Mapping[str, str], packages: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package (PEP 562).

    `homes` leads from each name to the module, below the package `pystack`, that it is of;
    `packages` are attributes that are packages themselves.
    """
    inner = tuple(packages)

    def get(name: str) -> Any:
        if name in inner:
            return import_module(f"{package}.{name}")
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"pystack.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        return sorted([*sys.modules[package].__all__, *inner])

    return get, listed
