"""Usual topologies: many flows through one bottleneck, and one flow through many.

Each is made of a world's hosts, routers and links, which bear the names that the functions say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pystack.path.language.units import time_us
from pystack.path.link import Stage
from pystack.sim.host import SimHost
from pystack.sim.link_spec import QUEUE, LinkSpec
from pystack.sim.network.link_direction import LinkDirection
from pystack.sim.network.router import Router
from pystack.sim.world import World


@dataclass(frozen=True, slots=True)
class Dumbbell:
    """`senders` and `receivers`, in pairs, on both sides of `bottleneck`; `back` is its other
    direction."""

    senders: Sequence[SimHost]
    receivers: Sequence[SimHost]
    bottleneck: LinkDirection
    back: LinkDirection


def dumbbell(
    world: World,
    pairs: int,
    *,
    rtts: str | int | Sequence[str | int] = "20ms",
    rate: str | int = "10mbit",
    queue: int | str = QUEUE,
    loss: float = 0.0,
    there: LinkSpec | Stage | None = None,
    access: str | int | None = "10gbit",
    mtu: int = 1500,
    sysctl: Mapping[str, str | int] | None = None,
) -> Dumbbell:
    """`pairs` senders ("sender1", …), a router "left", a bottleneck, "right", and receivers.

    `rtts` are the round trips without queueing and the time for bits, one for all or one for each
    pair; all of it is on the receivers' links. `rate`, `queue` and `loss` are the bottleneck's,
    `there` replaces them in the direction of the receivers; `access` is the rate of all other
    links, `mtu` in bytes. Raises ValueError when there are not as many `rtts` as pairs.
    """
    each = [rtts] * pairs if isinstance(rtts, str | int) else list(rtts)
    if len(each) != pairs:
        raise ValueError(f"{len(each)} round trip times for {pairs} pairs")
    left, right = world.router("left"), world.router("right")
    senders = [world.host(f"sender{n}", sysctl=sysctl) for n in range(1, pairs + 1)]
    receivers = [world.host(f"receiver{n}", sysctl=sysctl) for n in range(1, pairs + 1)]
    for sender in senders:
        world.link(sender, left, rate=access, mtu=mtu)
    bottleneck, back = world.link(
        left, right, rate=rate, queue=queue, loss=loss, there=there, mtu=mtu
    )
    for receiver, rtt in zip(receivers, each, strict=True):
        both_us = rtt if isinstance(rtt, int) else time_us(rtt)
        world.link(
            right, receiver, mtu=mtu,
            there=LinkSpec(access, both_us // 2), back=LinkSpec(access, both_us - both_us // 2),
        )  # fmt: skip
    return Dumbbell(senders, receivers, bottleneck, back)


@dataclass(frozen=True, slots=True)
class Chain:
    """`one` reaches `other` over `hops`, the links between the `routers`, in that direction."""

    one: SimHost
    other: SimHost
    routers: Sequence[Router]
    hops: Sequence[LinkDirection]


def chain(
    world: World,
    hops: Sequence[LinkSpec],
    *,
    access: str | int | None = "10gbit",
    mtu: int = 1500,
    sysctl: Mapping[str, str | int] | None = None,
) -> Chain:
    """A host "one", routers "hop1" to "hop<n+1>" with a link between each two, a host "other".

    `hops` say what the links are like, each the same in both directions; `access` is the rate of
    the links of both hosts ("10gbit", or bit/s), `mtu` is in bytes, `sysctl` has the settings of
    the hosts.
    """
    one, other = world.host("one", sysctl=sysctl), world.host("other", sysctl=sysctl)
    routers = [world.router(f"hop{n}") for n in range(1, len(hops) + 2)]
    world.link(one, routers[0], rate=access, mtu=mtu)
    directions = [
        world.link(near, far, there=way, back=way, mtu=mtu)[0]
        for near, far, way in zip(routers, routers[1:], hops, strict=False)
    ]
    world.link(routers[-1], other, rate=access, mtu=mtu)
    return Chain(one, other, routers, directions)
