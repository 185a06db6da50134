"""The two namespaces, the relay between them, and the programs at its ends.

All of it ends with this process, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Self

from scripts.benchmarks.networks import KERNEL, PYSTACK
from scripts.programs.child_program import PATIENCE, Program
from scripts.side_by_side.places import FAR, FAR_NETWORK, NEAR, NEAR_NETWORK, OURS, SLOT_MS
from tests.live.namespace import Namespace

OVERHEAD_S = 0.2  # a sender goes on for so long when it is no longer counted
PACKET = 1500  # octets, of which a queue's length is reckoned

ADDRESS = {PYSTACK: OURS, KERNEL: NEAR}


@dataclass(frozen=True)
class Path:
    """What lies between sender and receiver. Loss and queue are on the sender's way only, lost ACKs
    on the way back; `outage` is when nothing passes and for how long, `later` a rate from a moment
    on; with `marks` the queue is CoDel's and marks, and both ends ask for ECN."""

    rate_mbit: float
    rtt_ms: float
    queue_bdp: float = 1.0
    loss_percent: float = 0.0
    reorder_percent: float = 0.0
    ack_loss_percent: float = 0.0
    outage: tuple[float, float] | None = None  # seconds
    later: tuple[float, float] | None = None  # seconds, Mbit/s
    marks: bool = False

    @property
    def queue_packets(self) -> int:
        """The length of the queue."""
        bdp = self.rate_mbit * 1e6 / 8 * self.rtt_ms / 1e3
        return max(round(self.queue_bdp * bdp / PACKET), 1)

    @property
    def words(self) -> str:
        """As `pystack.path.language.parse` takes it, `out:` being the sender's way."""
        there = [f"delay {self.rtt_ms / 2:g}ms"]
        if self.ack_loss_percent:
            there.append(f"in: loss {self.ack_loss_percent:g}%")
        there.append("out:")
        if self.outage is not None:
            start_s, length_s = self.outage
            there.append(f"outage {start_s:g}s {length_s:g}s")
        if self.loss_percent:
            there.append(f"loss {self.loss_percent:g}%")
        if self.reorder_percent:
            there.append(f"reorder {self.reorder_percent:g}%")
        there.append(f"rate {self.rate_mbit:g}mbit limit {self.queue_packets}")
        if self.marks:
            there.append("queue codel ecn")
        if self.later is not None:
            at_s, mbit = self.later
            there.append(f"at {at_s:g}s rate {mbit:g}mbit")
        return " ".join(there)


@dataclass(frozen=True)
class Flow:
    """One connection as the receiver and its sender saw it."""

    first_ms: float
    slots: list[int]  # octets per SLOT_MS
    sent: int = 0  # octets, repeats included
    again: int = 0

    def octets(self, start_ms: float, end_ms: float) -> int:
        """What came between two moments of the receiver's clock, to a slot's accuracy."""
        first = max(round((start_ms - self.first_ms) / SLOT_MS), 0)
        last = max(round((end_ms - self.first_ms) / SLOT_MS), 0)
        return sum(self.slots[first:last])

    def mbit(self, seconds: float) -> float:
        """Goodput over that many seconds from its first octet on."""
        return self.octets(self.first_ms, self.first_ms + seconds * 1e3) * 8 / 1e6 / seconds


class Networks:
    """A context manager. `run` lets flows run at the same time."""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.near = stack.enter_context(Namespace())
            self.far = stack.enter_context(Namespace())
            for namespace in (self.near, self.far):
                # nothing learned in one run shall show in the next
                namespace.set("net.ipv4.tcp_no_metrics_save", 1)
            self.near.set("net.ipv4.ip_forward", 1)
            self.relay = stack.enter_context(Program(_relay(self.near, self.far), "relay"))
            self.relay.line()
            self.near.run(["ip", "route", "add", FAR_NETWORK, "dev", "relay0"])
            self.far.run(["ip", "route", "add", NEAR_NETWORK, "dev", "relay0"])
            receiver = Program.within(self.far, "scripts.side_by_side.receiver", [FAR])
            self.receiver = stack.enter_context(receiver)
            self.receiver.line()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *failure: Any) -> None:
        self._stack.__exit__(*failure)

    def run(
        self, sides: tuple[str, ...], cc: str, path: Path, seconds: float, seed: int
    ) -> dict[str, Flow]:
        """One flow of each side over the path at the same time; what came of it, by side."""
        self.relay.ask(json.dumps({"impair": path.words, "seed": seed}))
        ecn = 1 if path.marks else 2
        self.near.set("net.ipv4.tcp_ecn", ecn)
        self.receiver.ask()  # what is left of the last run
        with contextlib.ExitStack() as stack:
            senders = {}
            for side in sides:
                arguments = [
                    side, FAR, "--cc", cc, "--seconds", str(seconds + OVERHEAD_S),
                    "--ecn", str(ecn),
                ]  # fmt: skip
                sender = Program.within(self.near, "scripts.side_by_side.sender", arguments)
                senders[side] = stack.enter_context(sender)
            for sender in senders.values():
                sender.line()
            for sender in senders.values():
                sender.say()
            counts = {
                side: json.loads(sender.line(seconds + PATIENCE))
                for side, sender in senders.items()
            }
        seen = {one["peer"]: one for one in self.receiver.ask()}
        flows = {}
        for side in sides:
            one = seen[ADDRESS[side]]
            flows[side] = Flow(one["first_ms"], one["slots"], **counts[side])
        return flows


def _relay(near: Namespace, far: Namespace) -> subprocess.Popen[Any]:
    command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.live.relay"]
    return subprocess.Popen(
        [*command, near.path, far.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for us
    )
