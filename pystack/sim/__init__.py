"""Worlds in virtual time: which packets pass between hosts, and when, decided by a seed.

A `World` has hosts, routers and links; `run` runs an asyncio program on its clock. Nothing here
reads a wall clock or a random state that others share.

How the files divide it: `world` makes nodes and links, `network` has the clock, the links and the
nodes. `host` is a node with asyncio's calls. `vloop` is the asyncio loop on that clock,
`virtual_selector` moves time and finds deadlocks, `task_places` says where tasks stand then.
`link_spec` says what a link is like, `traffic` has flows, `topology` networks of a usual form.
"""

from __future__ import annotations

from pystack.sim.host import SimHost
from pystack.sim.link_spec import LinkSpec
from pystack.sim.network.link_direction import LinkDirection
from pystack.sim.network.router import Router
from pystack.sim.topology import Chain, Dumbbell, chain, dumbbell
from pystack.sim.traffic import Bulk, Flow, OnOff, Requests, Responder, Sink
from pystack.sim.virtual_selector import DeadlockError, OutOfTimeError
from pystack.sim.vloop import VirtualLoop, run
from pystack.sim.world import World

__all__ = [
    "Bulk", "Chain", "DeadlockError", "Dumbbell", "Flow", "LinkDirection", "LinkSpec", "OnOff",
    "OutOfTimeError", "Requests", "Responder", "Router", "SimHost", "Sink", "VirtualLoop", "World",
    "chain", "dumbbell", "run",
]  # fmt: skip
