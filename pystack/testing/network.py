"""Two hosts and a link, for tests of programs: in virtual time, or in real time without a device.

`Network` is what the fixture of that name gives. Its hosts are called `client` and `server`, and
those are names to connect to.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Protocol, TypeVar

from pystack import arguments
from pystack.aio.devices.impaired import parsed
from pystack.aio.endpoint.stack import Stack
from pystack.path.language.build import links
from pystack.path.language.spec import Impairment
from pystack.path.link import Stage
from pystack.path.replaceable_stage import ReplaceableStage
from pystack.printed import counted, printed
from pystack.sim.host import SimHost
from pystack.sim.world import World
from pystack.testing.network_plan import NetworkPlan, Said, changed, way

T = TypeVar("T")

CLIENT, SERVER = "client", "server"
OUT, IN, BOTH = "out", "in", "both"


class StackHost(Stack):
    """A `Stack` as a host of a network in real time: `name`, and `addresses` as text."""

    name: str
    addresses: list[str]

    @property
    def address(self) -> str:
        """Its first address."""
        return self.addresses[0]

    def sysctl(self, name: str, value: str | int | None = None) -> str:
        """Read or write a setting; see `sockets.Host.sysctl`."""
        return self.host.sysctl(name, value)


NetworkHost = SimHost | StackHost
Traffic = Callable[[str], dict[str, int]]


class NetworkLink:
    """The link between the hosts. "out" is the way from client to server, "in" the way back.

    `stages` has what each of them goes through, by those names.
    """

    def __init__(
        self,
        plan: NetworkPlan,
        clock: Callable[[], int],
        random: Callable[[str], Random],
        traffic: Traffic = lambda direction: {},
    ) -> None:
        """`random` makes sources of chance out of what they are for. `traffic` gives what `counts`
        says of a direction besides what its stages count."""
        self._said: Said = plan.said
        self._clock = clock
        self._random = random
        self._changes = 0
        inward, outward = self._links(plan.impairment)
        self.stages = {OUT: ReplaceableStage(outward), IN: ReplaceableStage(inward)}
        self._traffic = traffic

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        ways = (
            f"{name}{' down' if self.stages[name].down else ''}: {counted(counts) or 'nothing yet'}"
            for name, counts in self.counts().items()
        )
        return f"{way(self._said).text}; {'; '.join(ways)}"

    def _links(self, impairment: Impairment) -> tuple[Stage, Stage]:
        purpose = f"network {self._changes}"
        return links(
            impairment, start_us=self._clock(), seed=0,
            make_source=lambda number: self._random(f"{purpose} {number}"),
        )  # fmt: skip

    # -- in the midst of a test -------------------------------------------------------------------
    def change(self, **words: Any) -> None:
        """Change what these words of the mark say (`loss=0.2`, `rtt="200ms"`, …) from now on.

        What else the mark said stays; None takes a word back. Raises ValueError.
        """
        said = changed(self._said, words)
        self._become(said, way(said))

    def impair(self, words: str) -> None:
        """Be like this from now on, all of it in the words of docs/impairments.md.

        Times of the words count from now. Raises ValueError, TypeError for what is no text.
        """
        text = arguments.text("words", words, "delay 20ms loss 1%")
        self._become({"impair": text}, parsed(text))

    def _become(self, said: Said, impairment: Impairment) -> None:
        self._said = said
        self._changes += 1
        inward, outward = self._links(impairment)
        self.stages[OUT].change(outward)
        self.stages[IN].change(inward)

    def down(self, direction: str = BOTH) -> None:
        """Cut it: packets are lost, and nobody is told. What is on its way arrives."""
        self._set_down(direction, True)

    def up(self, direction: str = BOTH) -> None:
        """Join it again."""
        self._set_down(direction, False)

    def _set_down(self, direction: str, down: bool) -> None:
        if direction not in (BOTH, *self.stages):
            raise ValueError(f"{direction!r} is no direction: there are out, in and both")
        for name, stage in self.stages.items():
            if direction in (BOTH, name):
                stage.down = down

    def counts(self) -> dict[str, dict[str, int]]:
        """For "out" and "in": packets `sent` and `arrived`, `octets` sent, and what became of the
        others by name (lost, dropped, cut_off, …)."""
        return {
            name: {**self._traffic(name), **stage.counts()} for name, stage in self.stages.items()
        }


class NetworkBench(Protocol):
    """What a network is made on: see `bench.Bench`."""

    seed: int | str

    @property
    def world(self) -> World:
        """The world of the hosts. Raises RuntimeError in real time, which has none."""

    @property
    def now_s(self) -> float:
        """Seconds since the network was made."""

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What a coroutine returns, within the time that there is."""

    def capture(self, host: NetworkHost, path: str | os.PathLike[str]) -> None:
        """Write what passes at a host to a file."""


class Network:
    """`client` and `server`, joined by `link`; a bench makes it.

    Hosts have asyncio's calls (`open_connection`, `start_server`, …), `address`, and `host`, the
    `sockets.Host` inside with its settings and counters. In virtual time they are those of
    `world`.
    """

    def __init__(
        self, bench: NetworkBench, client: NetworkHost, server: NetworkHost, link: NetworkLink
    ) -> None:
        self._bench = bench
        self.client = client
        self.server = server
        self.link = link

    def __repr__(self) -> str:
        return printed(
            self, lambda: f"seed {self.seed!r} at {self.now_s:.6g} s: {self.client!r}"
            f" {self.server!r} {self.link!r}"
        )  # fmt: skip

    @property
    def seed(self) -> int | str:
        """What decides all that is left to chance."""
        return self._bench.seed

    @property
    def world(self) -> World:
        """The world of the hosts. Raises RuntimeError in real time, which has none."""
        return self._bench.world

    @property
    def now_s(self) -> float:
        """Seconds since the network was made."""
        return self._bench.now_s

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, for tests that are no coroutines themselves.

        Raises TypeError for what is none, RuntimeError in a coroutine.
        """
        if asyncio._get_running_loop() is not None:
            if isinstance(coroutine, Coroutine):
                coroutine.close()
            raise RuntimeError("network.run is for tests that are no coroutines: await it here")
        if not isinstance(coroutine, Coroutine):
            wanted = "a coroutine was expected, such as network.run(body())"
            raise TypeError(arguments.unfit("coroutine", coroutine, wanted))
        return self._bench.run(coroutine)

    def pcap(self, path: str | os.PathLike[str], at: NetworkHost | None = None) -> None:
        """Capture what passes at a host, by default the client, from now on, to a pcapng file.

        Raises OSError when it cannot be opened, TypeError for what is no host.
        """
        if at is not None and not isinstance(at, (SimHost, StackHost)):
            raise TypeError(arguments.unfit("at", at, "a host was expected"))
        self._bench.capture(at or self.client, path)
