"""What a world costs in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
from pathlib import Path
from pystack.sim import Bulk, Sink, World

def resident_kb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4

world = World(1)
pairs = []
before = resident_kb()
for number in range(50):
    a, b = world.host(f"a{number}"), world.host(f"b{number}")
    world.link(a, b, rate="10mbit", delay="20ms", queue=30)
    pairs.append((a, b))
made = resident_kb()
for a, b in pairs:
    Sink(b, 1)
    Bulk(a, b, 1, octets=200_000)
world.run(for_s=2)
print((made - before) // 100, (resident_kb() - before) // 100)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells how much memory is resident")
def test_a_host_costs_what_it_uses() -> None:
    """In KB: as it is made, and once 200 kB have passed (each was 1350 and 3500 when buffers were
    written to as they were made)."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True
    )
    made, used = map(int, done.stdout.split())
    assert made < 60
    assert used < 400
