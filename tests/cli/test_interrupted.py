"""Ctrl-C at any moment from the first line of `main` on: one line, and status 130."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import PATIENCE, Program
from tests.live.namespace import Namespace

SCRIPT = Path(sys.executable).with_name("pystack")
COMMANDS = (["--help"], ["serve"], ["run", "x.py"], ["nc", "-l", "1"], ["demo"], ["doctor"])

# Found by Python itself when it starts: Ctrl-C comes when MOMENT is imported, or at the end. The
# first line undoes what nohup and a shell's & do to their children.
SITE = """\
import atexit, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
moment = os.environ.get("MOMENT")

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == moment:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
if moment == "the end":
    atexit.register(os.kill, os.getpid(), signal.SIGINT)
"""


@pytest.fixture
def site(tmp_path: Path) -> str:
    (tmp_path / "sitecustomize.py").write_text(SITE)
    return str(tmp_path)


def ended(command: list[str], site: str, moment: str) -> tuple[int, str]:
    """Exit status and stderr, when Ctrl-C comes at that moment."""
    result = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": site, "MOMENT": moment}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return result.returncode, result.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_while_a_command_is_imported(site: str, words: list[str]) -> None:
    command = [sys.executable, "-m", "pystack", *words]
    assert ended(command, site, "click") == (130, "pystack: interrupted\n")


@pytest.mark.parametrize(
    "moment",
    ["pystack.invocation", "pystack.cli.commands", "asyncio", "asyncio.unix_events",
     "pystack.aio.endpoint.stack", "pystack.wire.codec", "pystack.cli.serve", "aiohttp", "ssl",
     "pystack.cli.run"],
)  # fmt: skip
def test_whatever_is_being_imported(site: str, moment: str) -> None:
    command = [sys.executable, "-m", "pystack", "--version"]
    assert ended(command, site, moment) == (130, "pystack: interrupted\n")


@pytest.mark.skipif(not SCRIPT.exists(), reason="pystack is not installed beside this Python")
def test_the_console_script_has_no_more_before_main(site: str) -> None:
    assert ended([str(SCRIPT), "--help"], site, "click") == (130, "pystack: interrupted\n")


def test_while_the_doctor_looks_at_packages(site: str) -> None:
    command = [sys.executable, "-m", "pystack", "doctor"]
    assert ended(command, site, "pytun") == (130, "pystack: interrupted\n")


def test_when_all_is_done(site: str) -> None:
    command = [sys.executable, "-m", "pystack", "--version"]
    assert ended(command, site, "the end") == (130, "pystack: interrupted\n")


@pytest.mark.live
def test_while_the_device_is_being_made(site: str, kernel_rights: None) -> None:
    command = [sys.executable, "-m", "pystack", "demo"]
    status, text = ended(command, site, "pystack.aio.devices.tun")
    assert status == 130
    assert text in ("pystack: interrupted\n", "pystack demo: interrupted\n")


@pytest.mark.live
def test_a_demo_that_is_interrupted(kernel_rights: None) -> None:
    with Program("demo", "--msl", "20") as program:
        program.until("TIME_WAIT")
        assert program.end(signal.SIGINT) == 130
        assert program.err == "pystack demo: interrupted\n"


@pytest.mark.live
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_is_ignored_at_the_start_stays_ignored(
    namespace: Namespace, number: int
) -> None:
    """As `nohup` and a shell's `&` ask for it."""
    ignoring = f"import os, signal, sys; signal.signal({number}, signal.SIG_IGN); "
    prefix = [sys.executable, "-c", ignoring + "os.execv(sys.argv[1], sys.argv[1:])"]
    with Program("serve", "echo", "--netns", namespace.path, prefix=prefix) as program:
        program.until("Ctrl-C ends it.")
        program.signal(number)
        answer = namespace.run(["nc", "-N", "198.18.0.2", "7"], input="still here\n").stdout
        assert answer == "still here\n"
        assert program.end(signal.SIGTERM) == 0
