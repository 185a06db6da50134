"""The PEP 517 backend: setuptools, and mypy where PYSTACK_COMPILED=1 has the core compiled."""

from __future__ import annotations

import os
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 (the hooks of PEP 517 and 660)

COMPILER = ["mypy>=1.19"]


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """What to install before a wheel is built."""
    wanted = build_meta.get_requires_for_build_wheel(config_settings)
    return wanted + (COMPILER if os.environ.get("PYSTACK_COMPILED", "") not in ("", "0") else [])
