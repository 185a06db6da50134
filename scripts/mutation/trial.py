"""A private copy of the checkout: a change is made in it, its tests run, and the change undone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts.mutation.change import Change

FIRST: Final = 25  # tests that are run on their own: most changes are noticed by them
BUILD_S: Final = 120.0
START_S: Final = 20.0  # for pytest to begin, on a busy machine
SLOWER: Final = 3  # times what the tests took may pass before a change counts as a loop
_BUILD: Final = ("-c", "from setuptools import setup; setup()", "-q", "build_ext", "--inplace")
_LEFT_OUT: Final = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a change: `noticed` by the test `by`, or None if it does not compile."""

    change: Change
    noticed: bool | None
    by: str = ""


class Run:
    """A run of pytest: its status, None at the time limit, and the first test that failed."""

    def __init__(self, status: int | None, output: str) -> None:
        self.status = status
        self.output = output
        failed = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        self.failed = failed[0].split(" ")[1] if failed else ""


class Copy:
    """A copy of the checkout in a folder of its own."""

    def __init__(self, source: Path, folder: Path) -> None:
        """Copies `source` into `folder`, which holds nothing yet. Times of files are kept, so what
        Python has compiled there stays valid."""
        self.folder = folder
        self.tree = folder / "tree"
        shutil.copytree(source, self.tree, symlinks=True, ignore=_LEFT_OUT)
        self._stamp = 1_000_000_000  # s: no two contents of a file have one time of change
        self._process: subprocess.Popen[str] | None = None
        self._ended = False

    def end(self) -> None:
        """Ends what runs here, and whatever would be run later. Called by another thread."""
        self._ended = True
        if self._process is not None:
            _kill(self._process)

    # -- running ----------------------------------------------------------------------------------
    def pytest(self, words: Sequence[str], limit_s: float, **variables: str) -> Run:
        """Run pytest here. Ends all that it has started, at the limit and if we are ended."""
        argv = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider",
                "-p", "scripts.mutation.plugin", "-m", "not live", "--hypothesis-seed=0",
                *words]  # fmt: skip
        environment = {**os.environ, **variables, "PYTHONPATH": str(self.tree)}
        return self._run(argv, environment, limit_s)

    def _run(self, argv: Sequence[str], environment: dict[str, str], limit_s: float) -> Run:
        process = subprocess.Popen(
            argv, cwd=self.tree, env=environment, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._process = process
        try:
            output, _ = process.communicate(timeout=0 if self._ended else limit_s)
            return Run(process.returncode, output)
        except subprocess.TimeoutExpired:
            return Run(None, "")
        finally:
            if process.poll() is None:
                _kill(process)
                process.communicate()

    def map(self, tests: Sequence[str], limit_s: float) -> dict[str, Any]:
        """Which tests execute each line, as `plugin` writes it."""
        file = self.folder / "map.json"
        run = self.pytest(tests, limit_s, MUTATE_MAP=str(file), COVERAGE_CORE="ctrace")
        if not file.exists():
            raise RuntimeError(f"the tests could not be run:\n{run.output[-2000:]}")
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    def chosen(self, names: Sequence[str], limit_s: float) -> Run:
        """Run these tests in this order until one fails."""
        file = self.folder / "tests.json"
        file.write_text(json.dumps(list(names)))
        files = dict.fromkeys(name.partition("::")[0] for name in names)
        return self.pytest(
            ["-x", *files], limit_s, MUTATE_TESTS=str(file), PYTHONDONTWRITEBYTECODE="1"
        )

    # -- changing ---------------------------------------------------------------------------------
    def outcome(
        self, change: Change, tests: Sequence[tuple[str, float]], limit_s: float | None = None
    ) -> Outcome:
        """Make a change, run tests until one notices it, and undo it.

        `tests` have names and the seconds they took without it; `limit_s` is for a run of some.
        """
        path = self.tree / change.file
        before, times = path.read_bytes(), path.stat()
        modules = {p: p.read_bytes() for p in (self.tree / "pystack" / "wire").glob("*.so")}
        path.write_bytes(change.applied(before))
        self._stamp += 10
        os.utime(path, (self._stamp, self._stamp))
        try:
            if change.file.endswith(".c") and not self._builds():
                return Outcome(change, None, "does not compile")
            return self._tried(change, tests, limit_s)
        finally:
            path.write_bytes(before)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            if change.file.endswith(".c"):
                for module, octets in modules.items():
                    module.unlink(missing_ok=True)
                    module.write_bytes(octets)

    def _tried(
        self, change: Change, tests: Sequence[tuple[str, float]], limit_s: float | None
    ) -> Outcome:
        for part in tests[:FIRST], tests[FIRST:]:
            if part:
                patience_s = limit_s or START_S + SLOWER * sum(seconds for _, seconds in part)
                run = self.chosen([name for name, _ in part], patience_s)
                if run.status is None:
                    return Outcome(change, True, f"not done after {patience_s:.0f} s")
                if run.status != 0:
                    return Outcome(change, True, run.failed or run.output.strip()[-200:])
        return Outcome(change, False)

    def _builds(self) -> bool:
        shutil.rmtree(self.tree / "build", ignore_errors=True)
        environment = {**os.environ, "CFLAGS": "-w", "PYSTACK_PURE": "0"}
        return self._run([sys.executable, *_BUILD], environment, BUILD_S).status == 0


def _kill(process: subprocess.Popen[str]) -> None:
    """With all that it has started: it leads a session."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
