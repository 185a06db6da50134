"""scripts/setup, run and test: what they say to who has not got everything, and their form."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NAMES = (
    "setup", "run", "test", "bench", "behaviour", "side-by-side", "compiled", "asyncio-suites",
)  # fmt: skip
SCRIPTS = [ROOT / "scripts" / name for name in NAMES]
SCRIPTS += [ROOT / ".ci" / "run"]
SMALL_TOOLS = ("bash", "cat", "dirname", "flock", "sha256sum", "sort", "stat", "tail")


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
        env={**os.environ, **environment}, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_each_script_is_strict_bash_that_may_be_executed(script: Path) -> None:
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert run("bash", "-n", script).returncode == 0


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say() -> None:
    result = run("shellcheck", "-x", *SCRIPTS)
    assert result.stdout == ""


def test_setup_has_help_and_refuses_what_it_does_not_know() -> None:
    assert "Usage: scripts/setup" in run(SCRIPTS[0], "--help").stdout
    result = run(SCRIPTS[0], "--fast")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1


@pytest.fixture
def poor_machine(tmp_path: Path) -> Path:
    """A checkout on a machine without compiler, curl and nc, for somebody who is not root."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in SMALL_TOOLS:
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    (tools / "python3").symlink_to(sys.executable)
    (tools / "id").write_text("#!/bin/sh\necho 1000\n")
    (tools / "id").chmod(0o755)
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPTS[0], tmp_path / "scripts" / "setup")
    return tmp_path


def test_who_is_not_root_is_told_exactly_what_to_install(poor_machine: Path) -> None:
    result = run(poor_machine / "scripts" / "setup", PATH=str(poor_machine / "bin"))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = result.stderr.partition("sudo apt-get install ")[2].partition(")")[0].split()
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert {"gcc", "libc6-dev", f"{version}-dev", "curl", "netcat-openbsd"} <= set(packages)
    assert not (poor_machine / ".venv").exists()


def test_a_python_that_is_too_old_is_refused(poor_machine: Path) -> None:
    old = poor_machine / "bin" / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    result = run(
        poor_machine / "scripts" / "setup", PATH=str(poor_machine / "bin"), PYTHON=str(old)
    )
    assert result.returncode == 2
    assert result.stderr == f"setup: PYTHON={old} is no Python 3.11 or newer\n"


def test_without_any_python_its_package_is_named(poor_machine: Path) -> None:
    (poor_machine / "bin" / "python3").unlink()
    result = run(poor_machine / "scripts" / "setup", PATH=str(poor_machine / "bin"))
    assert result.returncode == 2
    assert "python3 python3-venv python3-dev" in result.stderr
