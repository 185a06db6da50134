"""scripts/behaviour: the laws hold, a run is the same everywhere, and the page is of the script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from scripts.behaviours import fairness, grid, reordering, responses
from scripts.behaviours.flow import Outcome
from scripts.behaviours.pool import results
from scripts.behaviours.verdict import Law
from tests.cc.built_in import names
from tests.surroundings import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
HALF = Outcome(10.0, 2_000_000, 2000, 20, repeated=21, spurious=1, undone=0, timeouts=0)


def run(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.behaviours", *arguments], cwd=ROOT, capture_output=True,
        text=True, timeout=10 * PATIENCE, check=False,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )  # fmt: skip


def judged(laws: list[Law]) -> list[bool | None]:
    return [verdict.passed for law in laws for verdict in law.verdicts]


def test_the_laws_hold_in_the_quick_part_and_every_algorithm_is_in_its_table(
    tmp_path: Path,
) -> None:
    file = tmp_path / "page.md"
    result = run("--quick", "--write", str(file))
    assert result.returncode == 0, result.stdout + result.stderr
    page = file.read_text()
    assert page.count("| pass |") == 6
    assert "FAIL" not in page
    for name in names():
        assert f"### {name}\n" in page


def test_a_run_has_one_digest_in_every_process_and_another_for_another_seed() -> None:
    digests = [run("--seed", "7", "--digest", hash_seed=seed).stdout for seed in ("0", "1", "99")]
    assert len(digests[0].strip()) == 64
    assert digests[0] == digests[1] == digests[2]
    assert run("--seed", "8", "--digest").stdout != digests[0]


def test_who_runs_an_experiment_changes_nothing() -> None:
    cell = grid.Cell(3, "cubic", 0.01, 1, 1.0, 0.05)
    assert results([cell, cell], 2, lambda: None) == [cell.run()] * 2


def test_figures_out_of_bounds_break_the_laws() -> None:
    one = responses.Response(1, "reno", 20, 100, False, 10)
    assert judged(responses.laws([one], [HALF])) == [False]
    whole = reordering.Reordered(1, "reno", 0.0, 1, 1, False)
    late = reordering.Reordered(1, "reno", 0.01, 3, 5000, True)
    least = Outcome(10.0, 1_890_000, 2000, 0, repeated=0, spurious=0, undone=0, timeouts=0)
    assert judged(reordering.laws([whole, late], [HALF, least])) == [False]
    pair = fairness.Sharing(1, "reno", 2, 1, 1)
    assert judged(fairness.laws([pair], [fairness.Shares((6.0, 3.0), 0, 0)])) == [True]
    assert judged(fairness.laws([pair], [fairness.Shares((7.0, 3.0), 0, 0)])) == [False]
