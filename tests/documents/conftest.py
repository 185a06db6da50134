"""The live fixtures, for the commands and programs in documents."""

from __future__ import annotations

from tests.live.conftest import kernel_rights, namespace

__all__ = ["kernel_rights", "namespace"]
