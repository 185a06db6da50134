"""The live fixtures, for what pages say of the kernel."""

from __future__ import annotations

from tests.live.conftest import kernel_rights, namespace

__all__ = ["kernel_rights", "namespace"]
