"""The compiled core (docs/architecture.md) sends what the interpreted one sends, when it does.

Compiling takes minutes, so this runs where a compiled copy of these very sources is there already,
or is asked for: `scripts/compiled --check`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from build_tools import core
from tests.surroundings import PATIENCE

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = """
import json

from pystack.cc import names
from pystack.compiling import is_compiled
from pystack.sim import World
from pystack.sim.traffic import Bulk, Requests, Responder, Sink

digests = {}
for cc in names():
    for runs in (True, False):
        world = World(cc, digest=True, runs=runs)
        one, other = world.host("one"), world.host("other", sysctl={"tcp_ecn": 1})
        world.link(one, other, rate="20mbit", delay="10ms", queue=30, loss=0.005)
        Sink(other, 1)
        Bulk(one, other, 1, cc=cc)
        Bulk(other, one, 2, octets=100_000, cc=cc)
        Sink(one, 2)
        world.run(for_s=3)
        digests[f"{cc} {runs}"] = [world.digest(), world.events.count]
print(json.dumps([is_compiled(), digests]))
"""


def outcome(environment: dict[str, str]) -> tuple[bool, dict[str, list[str | int]]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=5 * PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    is_compiled, digests = json.loads(done.stdout)
    return is_compiled, digests


def test_a_compiled_world_has_the_same_digest() -> None:
    if not core.copy().is_dir() and os.environ.get("PYSTACK_COMPILED", "0") == "0":
        pytest.skip("no compiled copy of these sources: scripts/compiled --check makes one")
    interpreted = outcome({**os.environ, "PYTHONPATH": str(ROOT)})
    fast = outcome(core.environment(core.make()))
    assert (interpreted[0], fast[0]) == (False, True)
    assert len(fast[1]) > 10
    assert fast[1] == interpreted[1]
