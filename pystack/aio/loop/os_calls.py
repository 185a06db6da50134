"""Functions of `os` that are told when a program calls them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

EXECS: Final = ("execv", "execve")
FORKS: Final = ("fork", "forkpty")  # what starts a child with a copy of the program


@contextmanager
def wrapped(
    names: Sequence[str], wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Meanwhile each of these functions is what `wrapper` makes of it. May be nested."""
    before = [(name, getattr(os, name)) for name in names if hasattr(os, name)]
    for name, call in before:
        setattr(os, name, functools.wraps(call)(wrapper(call)))
    try:
        yield
    finally:
        for name, call in before:
            setattr(os, name, call)
