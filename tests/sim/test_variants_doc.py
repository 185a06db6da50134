"""docs/variants.md: its programs, run as they stand there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pystack.parts import variants
from pystack.sim import World
from pystack.sim.traffic import Bulk, Sink
from tests.kit.documents import DOCS, programs, put
from tests.surroundings import PATIENCE

DOCUMENT = "variants.md"
LONGEST = 40  # lines, from an empty file to a picture


def run(folder: Path, *command: str) -> str:
    """What a program of the document prints."""
    put(DOCUMENT, folder)
    environment = {
        **os.environ, "MPLBACKEND": "Agg", "MPLCONFIGDIR": str(folder),
        "PYTHONPATH": ":".join(path for path in sys.path if path),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True,
        check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def draws(name: str, folder: Path) -> str:
    """What a program prints that is short and leaves a picture."""
    assert len(programs(DOCUMENT)[f"{name}.py"].splitlines()) <= LONGEST
    printed = run(folder, f"{name}.py")
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    return printed


@pytest.mark.parametrize("name", ["mine", "delay"])
def test_from_an_empty_file_to_a_picture_in_forty_lines(name: str, tmp_path: Path) -> None:
    draws(name, tmp_path)


def test_the_detector_that_learns_repeats_less_than_rfc_6675(tmp_path: Path) -> None:
    repeated = dict(line.split() for line in draws("patient", tmp_path).splitlines())
    assert 10 * int(repeated["patient"]) < int(repeated["rfc6675"])
    text = (DOCS / DOCUMENT).read_text()
    kilobytes = [f"{int(repeated[name]) / 1000:.{digits}f} kB"
                 for name, digits in (("rfc6675", 0), ("patient", 0), ("rack", 1))]  # fmt: skip
    for figure in kilobytes:
        assert figure in text


def test_the_same_file_serves_an_asyncio_program_in_a_world(tmp_path: Path) -> None:
    assert run(tmp_path, "upload.py", "world") == "mine 20000000\n"


def test_parts_of_the_other_kinds_work_together() -> None:
    exec(compile(programs(DOCUMENT)["others.py"], "others.py", "exec"), {})
    parts = {
        "tcp_ack_policy": "tenthofrtt", "tcp_rtt_estimator": "hasty", "tcp_nagle_policy": "lines",
        "tcp_initial_window": "shy", "tcp_pacing_policy": "smooth",
    }  # fmt: skip
    world = World(seed=1)
    a, b = world.host("a", sysctl=parts), world.host("b", sysctl=parts)
    world.link(a, b, rate="10mbit", delay="10ms", loss=0.01)
    sink = Sink(b, 5001, check=True)
    flow = Bulk(a, b, 5001, octets=1_000_000)
    assert world.run(until=lambda: sink.received == 1_000_000, for_s=20)
    assert not sink.flows[0].wrong
    assert flow.socket.variant("ack_policy").name == "tenthofrtt"
    assert not a.host.counters.part_errors + b.host.counters.part_errors


def test_a_stack_and_a_socket_choose(tmp_path: Path) -> None:
    printed = run(tmp_path, "choosing.py")
    chosen = dict(pair.split("=") for pair in printed.strip().split(","))
    assert chosen["ack_policy"] == "quick"
    assert chosen["loss_recovery"] == "rfc6675"
    assert chosen["nagle_policy"] == "nagle"


def test_the_table_has_every_kind_and_the_names_there_are() -> None:
    text = (DOCS / DOCUMENT).read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert {row[0].strip("`"): row[1].strip("`") for row in cells} == {
        kind.name: kind.setting for kind in variants.KINDS.values()
    }
    for kind, _, there, base in cells:
        named = set(there.replace("`", "").replace(", …", "").split(", "))
        assert named <= set(variants.names(kind.strip("`")))
        assert base.strip("`").rpartition(".")[2] == variants.KINDS[kind.strip("`")].base.__name__
