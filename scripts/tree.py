"""Programs of ours that run on the pystack of another checkout."""

from __future__ import annotations

import importlib
import os
import sys


def use(tree: str) -> str:
    """Have `import pystack` mean that of the checkout `tree` from now on; its folder.

    To be called before pystack is imported. Raises SystemExit where there is none, or no C module.
    """
    sys.path.insert(0, tree)
    folder = os.path.dirname(importlib.import_module("pystack").__file__ or "")
    if os.path.realpath(folder) != os.path.join(os.path.realpath(tree), "pystack"):
        raise SystemExit(f"{tree} has no pystack")
    if importlib.import_module("pystack.wire.codec").PURE:
        raise SystemExit(f"{tree} has no C module yet: run scripts/setup there")
    return folder
