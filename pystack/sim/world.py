"""A world: hosts, routers and links on one clock, all of it decided by a seed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import BinaryIO, Final

from pystack import arguments
from pystack.aio.endpoint.resolve import name_key
from pystack.parts.configured import configured
from pystack.path.language.build import links
from pystack.path.language.parse import parse
from pystack.path.language.units import time_us
from pystack.path.link import Stage
from pystack.path.pcap import INBOUND, OUTBOUND, Capture
from pystack.path.queues.discipline import Discipline
from pystack.printed import printed, several
from pystack.sim.host import SimHost
from pystack.sim.link_spec import QUEUE, LinkSpec
from pystack.sim.network.digest import Digest
from pystack.sim.network.events import START_US, Events
from pystack.sim.network.link_direction import LinkDirection, LinkEnd, StageLinkDirection
from pystack.sim.network.node import MTU, Node
from pystack.sim.network.router import Router
from pystack.sim.vloop import VirtualLoop
from pystack.sockets import Host
from pystack.wire.batch import Packet

_ENDLESS_US = 1 << 62
_TIMES: Final = "seconds, or a text such as '20ms', were expected"
DirectionSpec = LinkSpec | Stage | None


class World:
    """Hosts, routers and links; all secrets and all chance come from `seed`.

        world = World(seed=1)
        a, b = world.host("a"), world.host("b")
        world.link(a, b, rate="100mbit", delay="20ms", loss=0.01)
        world.run(for_s=10)

    `nodes` has hosts and routers by name, `directions` those of all links, `events` what is to
    happen; `seed` is what it was made with. `digest=True` makes `world.digest()` possible, which
    costs time. With `runs` segments that follow each other travel as one object where that changes
    nothing.

    The same seed and the same calls give the same octets at the same µs, in every process and on
    every machine. Made in what `sim.run` runs, a world is on the clock of that loop, and time
    passes by itself; elsewhere time passes in `run`.
    """

    def __init__(self, seed: int | str = 0, *, digest: bool = False, runs: bool = True) -> None:
        self.seed = seed
        self._digest = Digest() if digest else None
        self._runs = runs
        self.nodes: dict[str, Node] = {}
        self._by_key: dict[str, Node] = {}  # as names are looked up (`name_key`)
        self.directions: list[LinkDirection] = []
        loop = asyncio._get_running_loop()
        if isinstance(loop, VirtualLoop):
            self.events = loop.events
            loop.join(self)
        else:
            self.events = Events()

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        hosts = len(self.hosts)
        inside = ((hosts, "host"), (len(self.nodes) - hosts, "router"),
                  (len(self.directions) // 2, "link"))  # fmt: skip
        counts = ", ".join(several(number, what) for number, what in inside)
        return f"seed {self.seed!r} at {self.now_s:.6g} s: {counts}"

    # -- what is in it ---------------------------------------------------------------------------
    def host(
        self,
        name: str,
        *addresses: str,
        sysctl: Mapping[str, str | int] | None = None,
        offload: bool = True,
        routes: Iterable[str] = (),
    ) -> SimHost:
        """A new host with `addresses` such as "10.0.0.1/24" and "fd00::1/64"; without any it gets
        one of each family. `sysctl` has settings by Linux's names (SetupError for an unknown
        one); with `offload` it leaves checksums, and the cutting of runs, to its link. `routes` are
        what connections are asked for by where they go, as in "default initcwnd 4"
        (`sockets.Host.add_route`). Raises ValueError for a malformed address or route and for a
        name that another node has."""
        self._check_name(name)
        inside = Host(
            addresses or self._next_addresses(), secret=self._secret(name), mtu=MTU, gso=offload,
            checksum_offload=offload, config=configured(sysctl or {}),
        )  # fmt: skip
        for route in arguments.texts("routes", routes, "default initcwnd 4"):
            inside.add_route(route)
        host = SimHost(self.events, name, inside)
        self._add(host)
        return host

    @property
    def hosts(self) -> list[SimHost]:
        """All hosts, in the order in which they were made."""
        return [node for node in self.nodes.values() if isinstance(node, SimHost)]

    def router(self, name: str, *addresses: str) -> Router:
        """A new router; `addresses`, one of each family, are where it speaks from. Raises
        ValueError as `host`."""
        self._check_name(name)
        inside = Host(addresses or self._next_addresses(), secret=self._secret(name), mtu=MTU)
        router = Router(self.events, name, inside)
        self._add(router)
        return router

    def link(
        self,
        one: Node,
        other: Node,
        *,
        rate: str | int | None = None,
        delay: str | int = 0,
        queue: int | str | Discipline = QUEUE,
        loss: float = 0.0,
        mtu: int = MTU,
        there: DirectionSpec = None,
        back: DirectionSpec = None,
        impair: str = "",
        uncut: bool = False,
    ) -> tuple[LinkDirection, LinkDirection]:
        """A link between two nodes: its directions, from `one` to `other` and back.

        `rate`, `delay`, `queue` and `loss` are those of both directions (see `LinkSpec`). `there`
        and `back` replace them for one direction: another LinkSpec, or a stage of `pystack.path`.
        `impair` says it all in the language of docs/impairments.md, where "out" is from `one` to
        `other` and times count from now. `mtu` in bytes. `uncut` lets runs pass in one piece, as a
        TUN device with offload does; to queues and faults each is one packet then.

        Raises ValueError when a host has a link already, for a node and itself, for a discipline
        used twice, and for words that mean nothing; TypeError for what is no node, or no LinkSpec.
        """
        _check_ends(one, other)
        for spec in (there, back):
            if spec is not None and not isinstance(spec, (LinkSpec, Stage)):
                wanted = "a LinkSpec, or a stage of pystack.path, was expected; words go to impair="
                raise TypeError(arguments.unfit("link", spec, wanted))
        arguments.mtu(mtu)
        both = LinkSpec(rate, delay, queue, loss)
        if isinstance(queue, Discipline) and there is None and back is None:
            raise ValueError("a discipline is one queue's: give `there` and `back` one each")
        if arguments.text("impair", impair, "delay 20ms"):
            there, back = self._impaired(f"{one.name}-{other.name}", impair)
        out = self._direction(one, other, mtu, there or both, uncut, 0)
        home = self._direction(other, one, mtu, back or both, uncut, 1)
        out.back, home.back = home, out
        for node, direction in ((one, out), (other, home)):
            node.directions.append(direction)
            self.directions.append(direction)
            if self._digest is not None:
                self._digest.watch(direction)
            if isinstance(node, SimHost):
                node.host.set_mtu(mtu)
        self._find_routes()
        return out, home

    def _direction(
        self, near: Node, far: Node, mtu: int, spec: LinkSpec | Stage, uncut: bool, number: int
    ) -> LinkDirection:
        name = f"{near.name}>{far.name}"
        source = self.random(f"line {name} {len(self.directions) + number}")
        if uncut and isinstance(spec, LinkSpec):
            spec = spec.stage(source)
        if isinstance(spec, LinkSpec):
            return spec.direction(self.events, name, near, far, mtu, source, self._runs)
        return StageLinkDirection(self.events, name, near, far, mtu, spec, uncut=uncut)

    def _impaired(self, name: str, words: str) -> tuple[Stage, Stage]:
        inbound, outbound = links(
            parse(words, lambda file: Path(file).read_text(encoding="utf-8")),
            start_us=self.events.now_us,
            seed=0,
            make_source=lambda number: self.random(f"{name} {number}"),
        )
        return outbound, inbound

    def random(self, purpose: str) -> Random:
        """A random source of its own, decided by the seed and `purpose` alone."""
        return Random(f"{self.seed}/{purpose}")

    def look_up(self, name: str) -> Sequence[str]:
        """The addresses of the node called `name`, or else of the first one whose name differs in
        case, IDNA or a dot at the end only; none when there is no such node."""
        node = self.nodes.get(name)
        if node is None:
            node = self._by_key.get(name_key(name))
        return () if node is None else node.addresses

    def capture(self, node: Node, file: BinaryIO) -> None:
        """Write what passes at a node's links to a pcapng file, opened for writing bytes, from now
        on. Times are those since the beginning. Raises TypeError for what is no such file."""
        if not isinstance(node, Node):
            raise TypeError(arguments.unfit("node", node, "a host or a router was expected"))
        if not hasattr(file, "write"):
            wanted = "a file was expected, as open(…, 'wb') gives it"
            raise TypeError(arguments.unfit("file", file, wanted))
        capture = Capture(file, wall_offset_us=-START_US, interface=node.name)

        def sent(direction: LinkDirection, packet: Packet, now_us: int) -> None:
            capture.write((packet,), now_us, OUTBOUND)

        def arrived(direction: LinkDirection, packet: Packet, now_us: int) -> None:
            capture.write((packet,), now_us, INBOUND)

        for direction in node.directions:
            direction.taps.append(sent)
            direction.back.arrival_taps.append(arrived)

    def watch(self, function: Callable[[], object]) -> None:
        """Call `function` after each event, from now on; what it raises ends the run."""
        arguments.function("function", function)
        self.events.watchers.append(function)

    def digest(self) -> str:
        """The SHA-256 of all packets on all links until now, with their times.

        Raises RuntimeError unless the world was made with `digest=True`.
        """
        if self._digest is None:
            raise RuntimeError("make the world with World(seed, digest=True)")
        return self._digest.hexdigest()

    # -- time ------------------------------------------------------------------------------------
    @property
    def now_us(self) -> int:
        """The present as the hosts know it, in µs; a world begins at `START_US`."""
        return self.events.now_us

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        return (self.events.now_us - START_US) / 1e6

    def at(self, time: str | float, function: Callable[[], object]) -> None:
        """Call `function` at a time since the beginning: "1500ms", or seconds. Raises ValueError
        for a text that is no time, TypeError for what is no time or no function."""
        arguments.function("function", function)
        self.events.call_at(START_US + _microseconds(time), function)

    def after(self, time: str | float, function: Callable[[], object]) -> None:
        """Call `function` after a time from now: "1500ms", or seconds. Raises as `at`."""
        arguments.function("function", function)
        self.events.call_at(self.events.now_us + _microseconds(time), function)

    def run(self, *, until: Callable[[], bool] | None = None, for_s: float | None = None) -> bool:
        """Let time pass, for `for_s` seconds or until nothing is left to happen.

        With `until`, which is called after each event, time stops when it is true. Returns whether
        it was (without it, True). Raises RuntimeError where time passes by itself,
        TypeError and ValueError for seconds that are none.
        """
        if for_s is not None:
            arguments.number("for_s", for_s, "seconds were expected")
        if until is not None:
            arguments.function("until", until)
        if isinstance(asyncio._get_running_loop(), VirtualLoop):
            raise RuntimeError("time passes by itself here: await asyncio.sleep(...)")
        events = self.events
        end_us = None if for_s is None else events.now_us + round(for_s * 1e6)
        if until is None:
            events.run(_ENDLESS_US if end_us is None else end_us)
            if end_us is not None:
                events.go_to(end_us)
            return True
        while not until():
            at_us = events.next_at()
            if not at_us or (end_us is not None and at_us > end_us):
                if end_us is not None:
                    events.go_to(end_us)
                return False
            events.step()
        return True

    # -- inside ----------------------------------------------------------------------------------
    def _secret(self, name: str) -> bytes:
        return blake2b(f"{self.seed}/host {name}".encode(), digest_size=32).digest()

    def _check_name(self, name: str) -> None:
        if arguments.text("name", name, "client") in self.nodes:
            raise ValueError(f"there is a node called {name} already")

    def _add(self, node: Node) -> None:
        self.nodes[node.name] = node
        self._by_key.setdefault(name_key(node.name), node)

    def _next_addresses(self) -> tuple[str, str]:
        number = len(self.nodes) + 1
        return f"10.0.{number >> 8}.{number & 255}/8", f"fd00::{number:x}/64"

    def _find_routes(self) -> None:
        """The shortest routes, by links; of equal ones the one whose link was made first."""
        for router in self.nodes.values():
            if isinstance(router, Router):
                router.routes = _routes_from(router)


def _check_ends(one: Node, other: Node) -> None:
    for node in (one, other):
        if not isinstance(node, Node):
            raise TypeError(arguments.unfit("link", node, "a host or a router was expected"))
        if isinstance(node, SimHost) and node.directions:
            raise ValueError(f"host {node.name} has a link already: put a router between")
    if one is other:
        raise ValueError(f"a link joins two nodes, not {one.name} and itself")


def _routes_from(router: Router) -> dict[bytes, LinkDirection]:
    routes: dict[bytes, LinkDirection] = {}
    seen: set[str] = {router.name}
    waiting: deque[tuple[LinkEnd, LinkDirection | None]] = deque([(router, None)])
    while waiting:
        node, first = waiting.popleft()
        if first is not None:
            for address in node.host.addresses.all():
                routes.setdefault(address, first)
            if not isinstance(node, Router):
                continue  # a host forwards nothing
        for direction in node.directions:
            if direction.far.name not in seen:
                seen.add(direction.far.name)
                waiting.append((direction.far, first or direction))
    return routes


def _microseconds(time: str | float) -> int:
    if isinstance(time, str):
        return time_us(time)
    return round(arguments.number("time", time, _TIMES) * 1e6)
