"""The congestion controls that come with the package, whatever other tests have registered."""

from __future__ import annotations

from pystack.cc import registry


def names() -> list[str]:
    """Their names, sorted."""
    return [
        name
        for name in registry.names()
        if getattr(registry.factory(name), "__module__", "").startswith("pystack.cc.")
    ]
