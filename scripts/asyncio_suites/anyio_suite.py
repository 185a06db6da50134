"""anyio's own tests of sockets and TLS streams, from the sdist of the release that is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scripts.asyncio_suites import rewriting
from scripts.asyncio_suites.anyio_plugin import ALL, LOOP, RESULTS
from scripts.asyncio_suites.outcome import Outcome
from scripts.asyncio_suites.running import Running
from tests.live.namespace import Namespace

FILES = ("tests/test_sockets.py", "tests/streams/test_tls.py")
PATIENCE = 300.0  # s, for all
_SAFELY: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # from 3.11.4 on
_CACHE = Path(sys.prefix) / "share" / "asyncio-suites"  # in .venv


class NotFetched(Exception):
    """The source distribution is not available; the text says why."""


def archive() -> Path:
    """The source distribution, fetched by pip when it is not here yet. Raises NotFetched."""
    wanted = version("anyio")
    path = _CACHE / f"anyio-{wanted}.tar.gz"
    if not path.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        fetched = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
             "--no-deps", "--no-binary", "anyio", "--dest", str(_CACHE), f"anyio=={wanted}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if fetched.returncode != 0 or not path.exists():
            raise NotFetched(f"pip could not fetch anyio's tests: {fetched.stderr.strip()}")
    return path


def run(loop: str, skipped_too: bool, running: Running) -> list[Outcome]:
    """The outcomes of the tests; one that fails is tried once more. Raises Stopped."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive()) as packed:
            packed.extractall(folder, **_SAFELY)
        (root,) = Path(folder).iterdir()
        if loop == "pystack":
            for name in FILES:
                sides = rewriting.KERNEL_SIDE[name]
                text = (root / name).read_text(encoding="utf-8")
                (root / name).write_text(rewriting.rewritten(text, sides), encoding="utf-8")
        outcomes = _run_in(root, loop, skipped_too, running)
        if any(one.kind == "failed" for one in outcomes):
            second = _run_in(root, loop, skipped_too, running, "--last-failed")
            again = {one.name: one for one in second}
            outcomes = [one.tried_again(again.get(one.name)) for one in outcomes]
    return outcomes


def _run_in(
    root: Path, loop: str, skipped_too: bool, running: Running, *options: str
) -> list[Outcome]:
    results = root / "results"
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), RESULTS: str(results), LOOP: loop}
    if skipped_too:
        environment[ALL] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "scripts.asyncio_suites.anyio_plugin",
               "-p", "no:pystack", *options, *FILES]  # fmt: skip
    where = {"cwd": root, "env": environment, "stderr": subprocess.STDOUT}
    with Namespace() as namespace, running.process(namespace, command, **where) as process:
        try:
            output, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
    lines = results.read_text().splitlines() if results.exists() else []
    outcomes: list[Outcome] = []
    current = "" if lines else "anyio"
    for line in lines:
        fields = json.loads(line)
        current = fields.get("begins", "")
        if not current:
            outcomes.append(Outcome.of(fields))
    if current:
        outcomes.append(Outcome(current, "failed", f"pytest ended in it\n{output[-3000:]}"))
    return outcomes
