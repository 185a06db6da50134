"""The live fixtures, for devices of the kernel."""

from __future__ import annotations

from tests.live.conftest import kernel_rights, namespace, own_mounts

__all__ = ["kernel_rights", "namespace", "own_mounts"]
