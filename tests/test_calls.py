"""scripts/calls: no operation takes more function calls than it did, and they are counted right."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from scripts.call_counts import figures, report
from scripts.call_counts.steps import Counter, Figures, Step
from tests.surroundings import PATIENCE

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pystack.wire._fast") is None,
    reason="the figures are those with the C module, which is not built",
)


@cache
def ways() -> figures.Ways:
    return figures.counted()


def run(*arguments: str | Path, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.call_counts", *arguments], cwd=ROOT, capture_output=True,
        text=True, timeout=10 * PATIENCE, check=False,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )  # fmt: skip


# -- this checkout --------------------------------------------------------------------------------
def test_no_figure_has_risen() -> None:
    risen = figures.risen(figures.table(ways()), figures.read(figures.FILE))
    assert not risen, (
        "scripts/calls --path NAME --place PLACE shows the way; if it is meant to be longer, "
        "scripts/calls --write"
    )


def test_each_operation_has_its_figures_at_each_place() -> None:
    assert list(figures.read(figures.FILE)) == list(figures.cases()) == sorted(
        ways(), key=list(figures.cases()).index
    )


def test_another_run_goes_the_same_ways() -> None:
    assert figures.counted() == ways()


def test_a_way_is_one_of_functions_that_there_are() -> None:
    for (_, place), steps in ways().items():
        assert steps[0].depth == 0
        if place == "host":  # elsewhere a coroutine that goes on is no step
            assert all(second.depth <= first.depth + 1 for first, second in pairwise(steps))
        for step in steps:
            name = step.function.rpartition(".")[2]
            text = (ROOT / "pystack" / step.file).read_text()
            assert f"def {name}(" in text or name == "<lambda>"


# -- how it is counted ----------------------------------------------------------------------------
ONE = """\
from other import second, third

class Thing:
    def first(self, numbers):
        found = [number + 1 for number in numbers] + list(number for number in numbers)
        second(lambda: len(found))
        return third()
"""
OTHER = """\
import asyncio, json

def second(function):
    function()
    json.dumps([1])

async def third():
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return sum(numbers())

def numbers():
    yield 1
    yield 2
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    (tmp_path / "one.py").write_text(ONE)
    (tmp_path / "other.py").write_text(OTHER)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("one", "other"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module


def test_functions_and_coroutines_count_once_and_comprehensions_and_others_not(
    modules: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    thing = modules("one").Thing()
    counter = Counter(str(tmp_path))

    async def main() -> list[Step]:
        thing.first([1])  # not yet
        with counter.counting() as steps:
            assert await thing.first([1, 2]) == 3
            with counter.held():
                await thing.first([1])
        thing.first([1])  # no longer
        return steps

    with pytest.warns(RuntimeWarning, match="never awaited"):
        steps = asyncio.run(main())
    assert steps == [
        Step(0, "one.py", "Thing.first"),
        Step(1, "other.py", "second"),
        Step(2, "one.py", "Thing.first.<locals>.<lambda>"),
        Step(0, "other.py", "third"),
        Step(1, "other.py", "numbers"),
    ]
    assert Figures.of(steps) == Figures(calls=5, files=2, returns=2)


def test_a_way_is_printed_with_a_line_for_each_function() -> None:
    steps = [Step(0, "a.py", "f"), Step(1, "b.py", "g"), Step(1, "b.py", "g"), Step(0, "a.py", "h")]
    assert report.way(steps) == "a.py: f\n  b.py: g (2 times)\na.py: h\n"
    assert Figures.of(steps) == Figures(calls=4, files=2, returns=1)


# -- the command line -----------------------------------------------------------------------------
def test_the_way_of_an_operation_is_printed() -> None:
    result = run("--path", "send", "--place", "host", hash_seed="7")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == report.way(ways()["send", "host"])


def test_there_is_no_asyncio_on_a_host() -> None:
    result = run("--path", "accept", "--place", "host")
    assert result.returncode == 2
    assert result.stderr.startswith("calls: accept is asyncio's: there is none on a Host")


def test_figures_are_written_and_one_that_has_risen_ends_it_with_status_1(tmp_path: Path) -> None:
    file = tmp_path / "figures.txt"
    assert run("--figures", file, "--write").returncode == 0
    assert figures.read(file) == figures.table(ways())
    assert run("--figures", file, "--check").returncode == 0
    one = figures.table(ways())["send", "run"]
    text = file.read_text()
    line = next(line for line in text.splitlines() if line.split()[:2] == ["send", "run"])
    file.write_text(text.replace(line, f"send run {one.calls - 1} {one.files} {one.returns + 1}"))
    result = run("--figures", file, "--check")
    assert result.returncode == 1
    last = result.stdout.splitlines()[-1]
    assert last == f"risen: send, pystack run: {one.calls} calls, not {one.calls - 1}"
    assert f"{one.calls} ({one.calls - 1})" in result.stdout


def test_a_file_that_has_other_things_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "figures.txt"
    file.write_text("send host many 7 0\n")
    result = run("--figures", file, "--check")
    assert result.returncode == 2
    assert result.stderr == f"calls: {file}: this is no line of figures: 'send host many 7 0'\n"


# -- another checkout -----------------------------------------------------------------------------
def test_another_checkout_is_counted_with_what_it_has_more(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pystack", tmp_path / "pystack", ignore=ignored)
    before = ways()["send", "host"]
    step = next(step for step in before if "." not in step.function)
    name = step.function
    with (tmp_path / "pystack" / step.file).open("a") as file:
        file.write(f"\n\n_inner = {name}\n\n\ndef {name}(*args):\n    return _inner(*args)\n")
    after = figures.counted(tmp_path)["send", "host"]
    there = [(one.file, one.function) for one in before].count((step.file, name))
    assert len(after) == len(before) + there


def test_a_checkout_that_is_not_set_up_is_told(tmp_path: Path) -> None:
    result = run("--tree", tmp_path)
    assert result.returncode == 2
    assert result.stderr == f"calls: it can't be counted (Host): {tmp_path} has no pystack\n"
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "pystack", tmp_path / "pystack", ignore=ignored)
    result = run("--tree", tmp_path)
    assert result.returncode == 2
    assert result.stderr.endswith(f"{tmp_path} has no C module yet: run scripts/setup there\n")
