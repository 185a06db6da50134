"""scripts/side-by-side: pystack's sender beside the kernel's, for a few seconds.

The bounds are wide, as one run each on a busy machine is no measurement; those that
count are in `docs/evidence/side-by-side.md`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pystack.cc import registry
from pystack.path.language.parse import parse
from scripts.side_by_side.experiments import CASES
from scripts.side_by_side.networks import Path as Way
from tests.surroundings import PATIENCE

ROOT = Path(__file__).resolve().parents[3]
KERNELS = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("kernel_rights")]


def known(*names: str) -> list[str]:
    """Those of the names that both sides have."""
    return [name for name in names if name in KERNELS.read_text().split()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, str]:
    """The figures, what was printed, and the page."""
    folder = tmp_path_factory.mktemp("side-by-side")
    figures, document = folder / "figures.json", folder / "page.md"
    words = [word for name in known("cubic", "bbr") for word in ("--cc", name)]
    result = subprocess.run(
        [sys.executable, "-m", "scripts.side_by_side", "--quick", "--loss", "1", *words,
         "--json", str(figures), "--document", str(document)],
        cwd=ROOT, capture_output=True, text=True, timeout=10 * PATIENCE, check=False,
    )  # fmt: skip
    assert result.returncode in (0, 1), result.stdout + result.stderr  # 1: a bound was missed
    return json.loads(figures.read_text()), result.stdout, document.read_text()


def test_alone_pystack_brings_about_what_the_kernel_does(
    run: tuple[dict[str, Any], str, str],
) -> None:
    outcomes = run[0]["alone"]
    assert [outcome["cc"] for outcome in outcomes] == known("cubic", "bbr")
    for outcome in outcomes:
        assert outcome["kernel"]["mbit"][0] > 2
        assert 0.5 < outcome["ratio"] < 2, outcome
        for side in ("pystack", "kernel"):
            assert 0.002 < outcome[side]["again"][0] < 0.05, outcome


def test_together_neither_is_pushed_aside(run: tuple[dict[str, Any], str, str]) -> None:
    outcomes = run[0]["together"]
    assert [outcome["cc"] for outcome in outcomes] == known("cubic", "bbr")
    for outcome in outcomes:
        assert outcome["mbit"][0] > 15  # of 20
        assert 0.1 < outcome["share"] < 0.9, outcome


def test_the_page_has_the_figures_and_the_command(run: tuple[dict[str, Any], str, str]) -> None:
    figures, printed, page = run
    assert "scripts/side-by-side --quick --loss 1" in page
    for outcome in figures["alone"]:
        ratio = f"{outcome['ratio']:.2f}"
        assert ratio in printed
        assert f"| {outcome['cc']} | 1 % |" in page
        assert f"| {ratio} |" in page


def test_what_a_side_has_not_got_is_left_out_and_said() -> None:
    only_ours = next(name for name in registry.names() if name not in KERNELS.read_text().split())
    result = subprocess.run(
        [sys.executable, "-m", "scripts.side_by_side", "--cc", only_ours, "--cc", "nothing"],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        f"side-by-side: the kernel has no {only_ours}",
        "side-by-side: the kernel has no nothing",
        "side-by-side: pystack has no nothing",
    ]


def test_a_path_is_told_in_words_that_the_relay_understands() -> None:
    way = Way(100, 20, 1.0, 0.1)
    assert way.words == "delay 10ms out: loss 0.1% rate 100mbit limit 167"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("short-queue", "delay 40ms out: rate 100mbit limit 167"),
        ("reordering", "delay 10ms out: reorder 2% rate 100mbit limit 167"),
        ("ack-loss", "delay 10ms in: loss 20% out: rate 100mbit limit 167"),
        ("outage", "delay 20ms out: outage 5s 5s rate 50mbit limit 167"),
        ("step", "delay 20ms out: rate 50mbit limit 167 at 5s rate 5mbit"),
        ("marks", "delay 10ms out: rate 100mbit limit 167 queue codel ecn"),
    ],
)
def test_the_other_paths_are_told_in_such_words_too(name: str, words: str) -> None:
    assert CASES[name].path.words == words
    parse(words)
