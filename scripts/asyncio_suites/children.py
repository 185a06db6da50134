"""Tests of CPython's in processes of their own, which may hang or die."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from scripts.asyncio_suites.outcome import Outcome
from tests.live.namespace import Namespace

PATIENCE = 600.0  # s, for all tests of a module
_CHILD = "scripts.asyncio_suites.cpython_child"


def run(names: Sequence[str], loop: str) -> list[Outcome]:
    """The outcomes of tests, given by their names.

    One that fails is tried once more, alone: what a test does in threads may come too late on a
    busy machine.
    """
    return [
        one.tried_again(_run([one.name], loop)[0]) if one.kind == "failed" else one
        for one in _run(names, loop)
    ]


def _run(names: Sequence[str], loop: str) -> list[Outcome]:
    outcomes: list[Outcome] = []
    left = list(names)
    with Namespace() as namespace:
        while left:
            found = _run_in(namespace, left, loop)
            outcomes += found
            done = {one.name for one in found}
            left = [name for name in left if name not in done]
    return outcomes


def _run_in(namespace: Namespace, names: Sequence[str], loop: str) -> list[Outcome]:
    """The outcomes until the process ends; that of the test in which it died is one."""
    process = namespace.popen(
        [sys.executable, "-W", "default", "-m", _CHILD, loop],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        out, err = process.communicate("\n".join(names), timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    outcomes: list[Outcome] = []
    running = names[0]
    for line in out.splitlines():
        fields = json.loads(line)
        if "begins" in fields:
            running = fields["begins"]
        else:
            outcomes.append(Outcome.of(fields))
            running = ""
    if running or (len(outcomes) < len(names) and process.returncode == 0):
        died = f"its process ended with status {process.returncode}\n{err[-3000:]}"
        left = set(names) - {one.name for one in outcomes}
        outcomes += [Outcome(name, "failed", died) for name in ([running] if running else left)]
    return outcomes
