"""`pystack doctor`: the table of findings, and the exit status."""

from __future__ import annotations

import subprocess

import pytest

from pystack.cli.doctor import table
from pystack.cli.terminal.colours import Palette
from pystack.device.probe import Check
from tests.cli.program import PYSTACK
from tests.live.namespace import Namespace

GOOD = Check("TUN", True, "can be opened")
BAD = Check("rights", False, "none", "run as root")
MINOR = Check("offload", False, "refused", "none needed", required=False)


def test_findings_stand_in_columns() -> None:
    assert table([GOOD, Check("a longer name", True, "fine")], Palette(False)) == [
        "ok    TUN            can be opened",
        "ok    a longer name  fine",
        "",
        "pystack can run here",
    ]


def test_each_failure_says_what_to_do() -> None:
    lines = table([GOOD, BAD, MINOR], Palette(False))
    assert lines[1].startswith("FAIL  rights")
    assert lines[2].strip() == "-> run as root"
    assert lines[3].startswith("note  offload")
    assert lines[-1] == "missing: rights"


def test_a_long_remedy_is_wrapped_at_100_columns() -> None:
    long = Check("user namespaces", False, "no", "a word " * 50)
    assert max(map(len, table([long], Palette(False)))) <= 100


@pytest.mark.live
def test_where_pystack_runs_the_doctor_finds_nothing(namespace: Namespace) -> None:
    result = namespace.run([*PYSTACK, "doctor"])
    assert "FAIL" not in result.stdout
    assert result.stdout.endswith("pystack can run here\n")


@pytest.mark.live
def test_an_address_in_use_is_found_and_ends_with_status_1(namespace: Namespace) -> None:
    namespace.run(["ip", "address", "add", "198.18.0.1/24", "dev", "lo"])
    result = namespace.run([*PYSTACK, "doctor"], check=False)
    assert result.returncode == 1
    assert "FAIL  addresses" in result.stdout
    assert "198.18.0.1 is in use on lo" in result.stdout
    assert "missing: addresses" in result.stdout


@pytest.mark.live
def test_the_doctor_leaves_nothing(namespace: Namespace) -> None:
    namespace.run([*PYSTACK, "doctor"])
    assert len(namespace.run(["ip", "-oneline", "link"]).stdout.splitlines()) == 1


def test_a_namespace_that_is_not_there_is_told() -> None:
    result = subprocess.run(
        [*PYSTACK, "doctor", "--netns", "no-such-namespace"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "no network namespace no-such-namespace" in result.stdout
