"""Tests of CPython's in processes of their own, which may hang or die."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from scripts.asyncio_suites.outcome import Outcome
from scripts.asyncio_suites.running import Running
from tests.live.namespace import Namespace

PATIENCE = 600.0  # s, for all tests of a module
_CHILD = "scripts.asyncio_suites.cpython_child"


def run(names: Sequence[str], loop: str, running: Running) -> list[Outcome]:
    """The outcomes of tests, given by their names. Raises Stopped.

    One that fails is tried once more, alone: what a test does in threads may come too late on a
    busy machine.
    """
    return [
        one.tried_again(_run([one.name], loop, running)[0]) if one.kind == "failed" else one
        for one in _run(names, loop, running)
    ]


def _run(names: Sequence[str], loop: str, running: Running) -> list[Outcome]:
    outcomes: list[Outcome] = []
    left = list(names)
    with Namespace() as namespace:
        while left:
            found = _run_in(namespace, left, loop, running)
            outcomes += found
            done = {one.name for one in found}
            left = [name for name in left if name not in done]
    return outcomes


def _run_in(
    namespace: Namespace, names: Sequence[str], loop: str, running: Running
) -> list[Outcome]:
    """The outcomes until the process ends; that of the test in which it died is one."""
    argv = [sys.executable, "-W", "default", "-m", _CHILD, loop]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with running.process(namespace, argv, **pipes) as process:
        try:
            out, err = process.communicate("\n".join(names), timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
    outcomes: list[Outcome] = []
    current = names[0]
    for line in out.splitlines():
        fields = json.loads(line)
        if "begins" in fields:
            current = fields["begins"]
        else:
            outcomes.append(Outcome.of(fields))
            current = ""
    if current or (len(outcomes) < len(names) and process.returncode == 0):
        died = f"its process ended with status {process.returncode}\n{err[-3000:]}"
        left = set(names) - {one.name for one in outcomes}
        outcomes += [Outcome(name, "failed", died) for name in ([current] if current else left)]
    return outcomes
