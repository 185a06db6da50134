"""One number for a whole run: every packet of a busy world, and every event of its senders."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from pystack import cc as congestion_control
from pystack.path.faults import Duplication, Loss, Reordering
from pystack.path.link import Link
from pystack.path.queues.bottleneck import Pipe
from pystack.recorder import Recorder
from pystack.sim import World
from pystack.sim.topology import dumbbell
from pystack.sim.traffic import Bulk, Sink

SECONDS: Final = 2.0
RATE_BPS: Final = 20_000_000


def digest(seed: int) -> str:
    """The SHA-256, in hexadecimal, of a run with a flow of every congestion control.

    They share a bottleneck that loses, repeats and reorders packets. It covers all packets on all
    links with their times, how many events there were, and all rows of a `Recorder` of each flow.
    """
    world = World(seed, digest=True)
    names = congestion_control.names()
    bottleneck = Link(
        Pipe(RATE_BPS, 50, 0),
        Loss(0.002, world.random("loss")),
        Duplication(0.002, world.random("duplication")),
        Reordering(0.01, world.random("reordering")),
    )
    net = dumbbell(
        world, len(names), rtts=[5000 * n for n in range(1, len(names) + 1)], there=bottleneck
    )
    recorder = Recorder()
    for name, sender, receiver in zip(names, net.senders, net.receivers, strict=True):
        Sink(receiver, 1)
        recorder.attach(Bulk(sender, receiver, 1, cc=name).socket)
    world.run(for_s=SECONDS)
    total = sha256(world.digest().encode())
    total.update(world.events.count.to_bytes(8, "big"))
    for name, column in recorder.columns.items():
        total.update(name.encode())
        for value in column:
            total.update(value.to_bytes(8, "big", signed=True))
    return total.hexdigest()
