"""What a test of a network runs on: a loop, the hosts on it, and what is put away afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from random import Random
from typing import Any, BinaryIO, Final, TypeVar

from pystack.aio.devices.cable import Cable, CableEnd
from pystack.aio.drive.alarm import monotonic_us
from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.handles.lazy_socket import replaced
from pystack.aio.loop.calls import StackCalls
from pystack.aio.loop.event_loop import EventLoop
from pystack.aio.loop.routing import StackRouter
from pystack.path.pcap import INBOUND, OUTBOUND, Capture
from pystack.sim.host import SimHost
from pystack.sim.network.link_direction import LinkDirection
from pystack.sim.task_places import places
from pystack.sim.vloop import VirtualLoop
from pystack.sim.world import World
from pystack.sockets.constants import AF_INET, AF_INET6
from pystack.sockets.sockaddr import Address, unparse
from pystack.tcp.state import states
from pystack.tcp.tcb import Tcb
from pystack.testing.bounded_runner import BoundedRunner
from pystack.testing.network import (
    CLIENT,
    IN,
    OUT,
    SERVER,
    Network,
    NetworkHost,
    NetworkLink,
    StackHost,
)
from pystack.testing.network_plan import NetworkPlan
from pystack.wire.flow_key import local_end, remote_end

T = TypeVar("T")

_GRACE_S: Final = 0.2  # when the end has come whatever is open is not waited for
_SETTLING_S: Final = {False: 30.0, True: 1.0}  # by whether time is real
_CLOSING_S: Final = 10.0
_ADDRESSES: Final = {  # RFC 2544: in no other network, should a program ask the kernel
    CLIENT: ("198.18.0.1/16", "fd00:198:18::1/64"),
    SERVER: ("198.18.0.2/16", "fd00:198:18::2/64"),
}
_OPEN: Final = (states.ESTABLISHED, states.CLOSE_WAIT, states.SYN_SENT)  # at this end


class Bench:
    """What one test runs on; `join` makes a network on it. `seed` decides its chances."""

    runner: BoundedRunner
    network: Network | None = None

    def __init__(self, plan: NetworkPlan, seed: int | str) -> None:
        self.plan = plan
        self.seed = seed
        self._files = ExitStack()
        # for each direction what sends, and where that arrives
        self._ends: dict[str, tuple[LinkDirection | CableEnd, LinkDirection | CableEnd]] = {}

    @property
    def world(self) -> World:
        """The world, in virtual time. Raises RuntimeError in real time."""
        raise RuntimeError("a network in real time is in no world")

    @property
    def hosts(self) -> Sequence[NetworkHost]:
        """All hosts."""
        raise NotImplementedError

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        raise NotImplementedError

    def join(self) -> Network:
        """Make the network: two hosts and a link."""
        raise NotImplementedError

    def capture(self, host: NetworkHost, path: str | os.PathLike[str]) -> None:
        """Write what passes at a host to a file, which is closed at the end."""
        raise NotImplementedError

    def _traffic(self, direction: str) -> dict[str, int]:
        near, far = self._ends[direction]
        return {"sent": near.sent, "arrived": far.arrived, "octets": near.octets}

    def _opened(self, path: str | os.PathLike[str]) -> BinaryIO:
        return self._files.enter_context(open(path, "wb"))

    def run(self, coroutine: Coroutine[Any, Any, T], name: str = "test") -> T:
        """What a coroutine returns, within the time that there is."""
        __tracebackhide__ = True
        with replaced(_NetworkRouter(self)):  # for libraries that make sockets themselves
            return self.runner.run(coroutine, timeout_s=self.plan.timeout_s, name=name)

    def told(self) -> str:
        """What there is to know when a test has failed: how to have it again, and what passed."""
        time = "real" if self.plan.real else "virtual"
        lines = [f"seed {self.seed}, {self.now_s:.6g} s of {time} time: {self.plan.words}"]
        if self.network is not None:
            for direction, counts in self.network.link.counts().items():
                some = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
                lines.append(f"{direction}: {some or 'nothing'}")
        return "\n".join(lines + self._signs())

    def _signs(self) -> list[str]:
        """What shows that another run was the same."""
        return []

    def leaks(self) -> list[str]:
        """What is still open when all that ends by itself has ended: tasks, connections."""
        self.runner.settle(self._closing, _SETTLING_S[self.plan.real])
        tasks = [f"task {place}" for place in places(self.runner.left())]
        return tasks + [f"connection {text}" for state, text in self._connections() if state]

    def _closing(self) -> list[str]:
        return [text for is_open, text in self._connections() if not is_open]

    def _connections(self) -> list[tuple[bool, str]]:
        """Whether each is open at this end, and what to call it."""
        found = []
        for host in self.hosts:
            for tcb in list(host.host.connections.values()):
                if type(tcb) is Tcb:
                    found.append((tcb.state in _OPEN, f"{host.name}: {_described(tcb)}"))
        return found

    def close(self) -> None:
        """Put everything away, whatever state it is in."""
        with self._files:
            try:
                self.runner.cancel_left()
                self.runner.run(self._close_hosts(), timeout_s=_CLOSING_S, name="closing")
            finally:
                self.runner.close()

    async def _close_hosts(self) -> None:
        for host in self.hosts:
            if host.driver is not None and not host.driver.is_stopped:
                await host.aclose()


class _NetworkRouter(StackRouter):
    """Only what is the network's own is not the kernel's."""

    def __init__(self, bench: Bench) -> None:
        loop = bench.runner.loop
        assert isinstance(loop, StackCalls)
        super().__init__(lambda: loop.stacks)
        self._bench = bench

    def stack_to(self, remote: bytes, /, own: bytes | None = None) -> Endpoint | None:
        """The host from which another one is reached; None for what is not the network's."""
        if any(host.owns(remote) for host in self._bench.hosts):
            return super().stack_to(remote, own)
        return None


class VirtualBench(Bench):
    """In virtual time, in a world."""

    def __init__(
        self, plan: NetworkPlan, seed: int | str, failure: Callable[[str], BaseException]
    ) -> None:
        super().__init__(plan, seed)
        self._world = World(seed, digest=True)

        def make_loop() -> VirtualLoop:
            loop = VirtualLoop(self._world.events)
            loop.join(self._world)
            return loop

        self.runner = BoundedRunner(make_loop, failure)

    @property
    def world(self) -> World:
        return self._world

    @property
    def hosts(self) -> Sequence[NetworkHost]:
        return self._world.hosts

    @property
    def now_s(self) -> float:
        return self._world.now_s

    def join(self) -> Network:
        world, plan = self._world, self.plan
        link = NetworkLink(plan, lambda: world.now_us, world.random, self._traffic)
        # the server first: the first host listens at wildcards
        server, client = (
            world.host(name, *addresses(plan, name), sysctl=plan.sysctl)
            for name in (SERVER, CLIENT)
        )
        lines = world.link(
            client, server, there=link.stages[OUT], back=link.stages[IN], mtu=plan.mtu
        )
        for direction, line in zip((OUT, IN), lines, strict=True):
            self._ends[direction] = (line, line)
        self.network = network = Network(self, client, server, link)
        return network

    def _signs(self) -> list[str]:
        return [f"digest {self._world.digest()[:16]}"]

    def capture(self, host: NetworkHost, path: str | os.PathLike[str]) -> None:
        assert isinstance(host, SimHost)
        self._world.capture(host, self._opened(path))


class RealBench(Bench):
    """In real time, with two stacks and a cable in memory."""

    def __init__(
        self, plan: NetworkPlan, seed: int | str, failure: Callable[[str], BaseException]
    ) -> None:
        super().__init__(plan, seed)
        self._begin_us = monotonic_us()
        self._link = NetworkLink(
            plan, monotonic_us, lambda purpose: Random(f"{seed}/{purpose}"), self._traffic
        )
        stages = self._link.stages
        self._cable = cable = Cable((stages[OUT], stages[IN]), mtu=plan.mtu, names=(CLIENT, SERVER))
        own = {name: addresses(plan, name) for name in (CLIENT, SERVER)}
        names = {name: [one.partition("/")[0] for one in given] for name, given in own.items()}
        hosts = []
        for end in (cable.left, cable.right):
            secret = blake2b(f"{seed}/host {end.name}".encode(), digest_size=32).digest()
            host: StackHost = StackHost.over(
                end, *own[end.name], sysctl=plan.sysctl, grace=_GRACE_S, secret=secret, names=names
            )
            host.name, host.addresses = end.name, names[end.name]
            hosts.append(host)
        self._hosts = hosts
        # the server first: the first host listens at wildcards
        self.runner = BoundedRunner(lambda: EventLoop(*reversed(hosts)), failure)
        for direction, end in ((OUT, cable.left), (IN, cable.right)):
            self._ends[direction] = (end, end.other)

    @property
    def hosts(self) -> Sequence[NetworkHost]:
        return self._hosts

    @property
    def now_s(self) -> float:
        return (monotonic_us() - self._begin_us) / 1e6

    def join(self) -> Network:
        client, server = self._hosts
        self.network = network = Network(self, client, server, self._link)
        return network

    def capture(self, host: NetworkHost, path: str | os.PathLike[str]) -> None:
        end = self._cable.left if host.name == CLIENT else self._cable.right
        offset_us = time.time_ns() // 1000 - monotonic_us()
        capture = Capture(self._opened(path), wall_offset_us=offset_us, interface=end.name)
        end.taps.append(lambda packets, now_us: capture.write(packets, now_us, OUTBOUND))
        end.arrival_taps.append(lambda packets, now_us: capture.write(packets, now_us, INBOUND))


def addresses(plan: NetworkPlan, name: str) -> list[str]:
    """Those of a host, of the families that there are."""
    v4, v6 = _ADDRESSES[name]
    return [v4] * plan.ipv4 + [v6] * plan.ipv6


def _described(tcb: Tcb) -> str:
    family = AF_INET if tcb.v4 else AF_INET6
    key = tcb.key
    ours = unparse(family, *local_end(key), 0)
    theirs = unparse(family, *remote_end(key), 0)
    return f"{_text(ours)} to {_text(theirs)}, {states.NAMES[tcb.state]}"


def _text(address: Address) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
