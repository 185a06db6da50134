"""The tests do not depend on who starts them: tests/surroundings.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests import surroundings
from tests.live.namespace import missing_rights

ROOT = Path(__file__).resolve().parent.parent

# what a shell may hand on: ignored and blocked signals, closed descriptors, a umask, a limit
ODD = """\
import os, resource, signal, sys
for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGALRM, signal.SIGPIPE])
os.umask(0o077)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
os.close(0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
STATE = """\
import json, os, resource, signal, sys
status = dict(line.split(":\\t") for line in open("/proc/self/status") if ":\\t" in line)
json.dump({
    "interrupts": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "ignored": sorted(number for number in signal.valid_signals()
                      if signal.getsignal(number) == signal.SIG_IGN),
    "blocked": int(status["SigBlk"], 16),
    "umask": status["Umask"].strip(),
    "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    "stdin": os.readlink("/proc/self/fd/0"),
}, sys.stdout)
"""
SETTLED = """\
import subprocess, sys
from tests import surroundings
surroundings.settle()
print(subprocess.run([sys.executable, "-c", sys.argv[1]], stdout=-1, text=True).stdout)
print(subprocess.run(["sh", "-c", "exit 7"]).returncode)
"""


def oddly(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python with `arguments` as a shell of the odd kind would."""
    return subprocess.run(
        [sys.executable, "-c", ODD, *arguments], cwd=ROOT, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, env={**os.environ, **variables},
    )  # fmt: skip


def test_what_tests_start_has_nothing_odd() -> None:
    out = oddly("-c", SETTLED, STATE).stdout.splitlines()
    state = json.loads(out[0])
    assert state["interrupts"]
    assert state["ignored"] == [13, 25]  # SIGPIPE and SIGXFSZ, by Python itself
    assert state["blocked"] == 0
    assert state["umask"] == "0022"
    assert state["descriptors"] > 64
    assert state["stdin"] == os.devnull
    assert out[1] == "7"  # a status is not lost to an ignored SIGCHLD


def test_the_process_of_tests_still_ignores_what_nohup_asks_for() -> None:
    survives = (
        "import os, signal\nfrom tests import surroundings\nsurroundings.settle()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\nprint('alive')"
    )
    assert oddly("-c", survives).stdout == "alive\n"


def test_variables_that_change_what_programs_do_are_left_out() -> None:
    odd = {
        "PYTHONOPTIMIZE": "2", "PYTHONUNBUFFERED": "1", "PYTHON": "python3.12", "COLUMNS": "20",
        "FORCE_COLOR": "1", "NO_COLOR": "1", "LC_ALL": "de_DE", "LANGUAGE": "de", "TERM": "xterm",
        "TZ": "Pacific/Kiritimati", "https_proxy": "http://198.18.9.9", "PIP_USER": "1",
        "PYTEST_ADDOPTS": "-x", "PYSTACK_CALLED_AS": "x", "SSL_CERT_FILE": "/nowhere",
    }  # fmt: skip
    wanted = {
        "PATH": "/bin:/usr/sbin:/sbin", "PYTHONPATH": "/copy", "PIP_INDEX_URL": "http://index",
        "CI": "true",
    }  # fmt: skip
    known = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    assert surroundings.environment({**odd, **wanted}) == {**wanted, **known}


def test_these_tests_run_so() -> None:
    assert os.environ == surroundings.environment(os.environ)
    assert os.environ["HOME"] != surroundings.as_found.get("HOME")


@pytest.mark.live
def test_a_test_with_signals_and_output_passes_in_odd_surroundings() -> None:
    """By the whole of pytest; both sent SIGINT to nobody under `nohup`."""
    if reason := missing_rights():
        pytest.skip(reason)
    done = oddly(
        "-m", "pytest", "-q", "-p", "no:cacheprovider",
        "tests/cli/test_run_live.py::test_a_script_serves_nc[198.18.0.2]",
        "tests/cli/test_nc_live.py::test_the_interrupt_key_ends_it_as_a_shell_expects",
        PYTHONASYNCIODEBUG="1", LC_ALL="C", COLUMNS="20", TERM="",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_home_of_a_run_within_a_run_goes_with_the_outer_one() -> None:
    """A worker that was killed does not remove its own."""
    with surroundings.settled_environment():
        outer = Path(os.environ["HOME"])
        with surroundings.settled_environment():
            assert Path(os.environ["HOME"]).parent == outer
            left = Path(tempfile.mkdtemp(dir=os.environ["HOME"]))
        assert not left.exists()
    assert not outer.exists()
