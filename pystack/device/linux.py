"""Whether there can be a TUN device at all: they are Linux's, and two packages know how."""

from __future__ import annotations

import sys
from errno import ENOENT, EOPNOTSUPP
from importlib.util import find_spec
from typing import Final

from pystack.errors import SetupError

PACKAGES: Final = {"pytun": "python-pytun", "pyroute2": "pyroute2"}  # by the modules in them
_NAMES: Final = {"darwin": "macOS", "win32": "Windows"}


def check_linux() -> None:
    """Raise SetupError on another system."""
    if sys.platform != "linux":
        raise SetupError(
            EOPNOTSUPP,
            f"TUN devices are Linux's, and this is {_NAMES.get(sys.platform, sys.platform)}",
            "pystack.sim, the pytest plugin and Stack.over(device) work here "
            "(docs/platforms.md)",
        )


def check_packages() -> None:
    """Raise SetupError where a package that speaks with the kernel is not installed."""
    for module, package in PACKAGES.items():
        if find_spec(module) is None:
            raise SetupError(ENOENT, f"{package} is not installed", f"pip install {package}")
