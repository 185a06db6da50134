"""The live fixtures, for the command as well."""

from __future__ import annotations

from tests.live.conftest import kernel_rights, namespace, own_mounts, user_namespaces

__all__ = ["kernel_rights", "namespace", "own_mounts", "user_namespaces"]
