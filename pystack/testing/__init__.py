"""Tests of programs on bad networks: how a test gets a network, and what it may do to it.

`pytest_plugin` has the fixtures (`network`, `world`, `network_seed`) and the marks; `network` is
what a test sees, `network_plan` what a mark asks for, `bench` the two hosts behind it, in virtual
or in real time. `bounded_runner` runs coroutines up to a moment of virtual time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pystack.lazy import names_of

if TYPE_CHECKING:
    from pystack.testing.bounded_runner import BoundedRunner
    from pystack.testing.network import Network, NetworkLink
    from pystack.testing.pytest_plugin import NetworkLeakWarning

__all__ = [
    "BoundedRunner", "Network", "NetworkLeakWarning", "NetworkLink",
]  # fmt: skip

_HOMES: Final = {
    "BoundedRunner": "testing.bounded_runner",
    "Network": "testing.network",
    "NetworkLeakWarning": "testing.pytest_plugin",
    "NetworkLink": "testing.network",
}
__getattr__, __dir__ = names_of(__name__, _HOMES)
