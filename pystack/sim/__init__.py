"""Worlds in virtual time: which packets pass between hosts, and when, decided by a seed.

A `World` has hosts, routers and links; `run` runs an asyncio program on its clock. Nothing here
reads a wall clock or a random state that others share.

How the files divide it: `world` makes nodes and links, `events` is the clock and the heap of what
is to happen. `node` moves packets and time of one host; `host` (with asyncio's calls) and `router`
are nodes. `link_spec` says what a direction of a link is like, `link_direction` and
`gso_link_direction` carry its packets. `vloop` is the asyncio loop on that clock,
`virtual_selector` moves time and finds deadlocks, `task_places` says where tasks stand then.
`traffic` has flows, `topology` networks of a usual form, `digest` one number for a whole run.
"""

from __future__ import annotations

from pystack.sim.host import SimHost
from pystack.sim.link_direction import LinkDirection
from pystack.sim.link_spec import LinkSpec
from pystack.sim.router import Router
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
