"""What only one of the two builds can do: Python as it is, or compiled (docs/architecture.md)."""

from __future__ import annotations

import pytest

from pystack.compiling import is_compiled

# Compiled code calls its own functions directly: nothing can be put in their place.
patches_the_core = pytest.mark.skipif(is_compiled(), reason="compiled code can't be patched")
reads_docstrings = pytest.mark.skipif(is_compiled(), reason="compiled classes have no docstrings")
