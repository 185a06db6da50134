"""CPython's own tests of asyncio, where the interpreter has them."""

from __future__ import annotations

import importlib
import importlib.util
import unittest
from collections.abc import Iterator
from typing import Any

PACKAGE = "test.test_asyncio"


def are_here() -> bool:
    """Whether this Python has them; Debian has a package of its own for them."""
    try:
        return importlib.util.find_spec(PACKAGE) is not None
    except ModuleNotFoundError:
        return False


def tests_of(module: str) -> Iterator[unittest.TestCase]:
    """The tests of a module of the package."""
    loaded = importlib.import_module(f"{PACKAGE}.{module}")
    return _each(unittest.defaultTestLoader.loadTestsFromModule(loaded))


def _each(found: Any) -> Iterator[unittest.TestCase]:
    for one in found:
        if isinstance(one, unittest.TestSuite):
            yield from _each(one)
        else:
            yield one


def name_of(test: unittest.TestCase) -> str:
    """module.Class.test."""
    return test.id().removeprefix(PACKAGE + ".")
