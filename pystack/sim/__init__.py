"""Worlds in virtual time: the same stack, on links and a clock that a seed decides.

`World` has hosts, routers and links; `run` runs an asyncio program on its clock. Nothing here reads
a wall clock or a random state that others share.
"""

from __future__ import annotations

from pystack.sim.host import SimHost
from pystack.sim.link_spec import Way
from pystack.sim.router import Router
from pystack.sim.vloop import DeadlockError, OutOfTimeError, VirtualLoop, run
from pystack.sim.world import World

__all__ = [
    "DeadlockError", "OutOfTimeError", "Router", "SimHost", "VirtualLoop", "Way", "World", "run",
]  # fmt: skip
