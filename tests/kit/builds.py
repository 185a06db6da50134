"""What only one of the two builds can do: Python as it is, or compiled (docs/architecture.md)."""

from __future__ import annotations

import pytest

from pystack.compiling import is_compiled

# Compiled code calls its own functions directly: nothing can be put in their place.
patches_the_core = pytest.mark.skipif(is_compiled(), reason="compiled code can't be patched")
reads_docstrings = pytest.mark.skipif(is_compiled(), reason="compiled classes have no docstrings")


def says(error: BaseException, words: str) -> bool:
    """Whether these are the words of an error, in one line. Compiled code looks at types before we
    do, and says "int object expected; got str"."""
    told = str(error)
    by_mypyc = is_compiled() and isinstance(error, TypeError) and " object expected; got" in told
    return "\n" not in told and (words in told or by_mypyc)
