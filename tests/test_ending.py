"""How the programs behind the scripts end, before their time: a line, a status, nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live.namespace import missing_rights
from tests.surroundings import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
MODULES = {
    "asyncio-suites": "scripts.asyncio_suites",
    "behaviour": "scripts.behaviours",
    "bench": "scripts.benchmarks",
    "calls": "scripts.call_counts",
    "conformance": "tests.conformance",
    "libraries": "tests.libraries",
    "pictures": "scripts.drawings",
    "side-by-side": "scripts.side_by_side",
}

# Found by Python itself when it starts. Ctrl-C comes, for the whole group of processes, as MOMENT
# is imported, or when a function calls another, MOMENT being "caller>called". What the program
# starts has no such moment.
SITE = """\
import os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
moment = os.environ.pop("MOMENT", "")

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == moment:
            sys.meta_path.remove(self)
            os.killpg(0, signal.SIGINT)

def look(frame, event, called):
    global moment
    if event == "call" and frame.f_back is not None:
        names = frame.f_back.f_code.co_qualname, frame.f_code.co_qualname
    elif event == "c_call":
        names = frame.f_code.co_qualname, called.__qualname__
    else:
        return
    if ">".join(names) == moment:
        moment = ""
        os.killpg(0, signal.SIGINT)

if ">" in moment:
    sys.setprofile(look)
    threading.setprofile(look)
elif moment:
    sys.meta_path.insert(0, Interrupting())
"""


@dataclass
class Place:
    """Where a program runs: with a folder for what is temporary, and a mark on all its children."""

    folder: Path
    mark: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ, "PYTHONPATH": str(self.folder), "MARK": self.mark,
            "TMPDIR": str(self.folder / "temporary"), "HOME": str(self.folder),
        }  # fmt: skip

    def start(self, module: str, *words: str, **options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", module, *words], cwd=ROOT, start_new_session=True, text=True,
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            **{"env": self.environment, "stdout": subprocess.DEVNULL, **options},
        )  # type: ignore[call-overload,no-any-return]  # fmt: skip

    def end_of(self, module: str, *words: str, moment: str) -> tuple[int, str]:
        """Exit status and stderr, when Ctrl-C comes at that moment."""
        process = self.start(module, *words, env={**self.environment, "MOMENT": moment})
        _, text = process.communicate(timeout=PATIENCE)
        return process.returncode, text

    def left(self) -> list[str]:
        """Temporary files, but those that pytest keeps to be read, and processes: they get some
        time, for the kernel kills what loses its parent."""
        end = time.monotonic() + PATIENCE
        while (found := self._processes()) and time.monotonic() < end:
            time.sleep(0.05)
        files = [path.name for path in (self.folder / "temporary").iterdir()]
        return found + [name for name in files if not name.startswith("pytest-of-")]

    def _processes(self) -> list[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if f"MARK={self.mark}".encode() in (path / "environ").read_bytes().split(b"\0"):
                    found.append((path / "cmdline").read_text().replace("\0", " "))
            except OSError:  # it has gone, or is somebody else's
                continue
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "sitecustomize.py").write_text(SITE)
    (tmp_path / "temporary").mkdir()
    return Place(tmp_path, uuid.uuid4().hex)


# -- Ctrl-C ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("moment", ["click", "scripts.programs.until_ended", "pystack.errors"])
@pytest.mark.parametrize("name", MODULES)
def test_ctrl_c_while_a_program_is_imported(place: Place, name: str, moment: str) -> None:
    assert place.end_of(MODULES[name], moment=moment) == (130, f"{name}: interrupted\n")


@pytest.mark.parametrize(
    ("name", "words", "moment"),
    [
        ("behaviour", "--digest", "digest>World.run"),
        ("behaviour", "--quick --only laws --workers 2", "results>as_completed"),
        ("bench", "--sim --quick", "run>Popen.communicate"),
        ("calls", "", "counted>run"),
        ("pictures", "--folder {}", "_recorded>World.run"),
        ("pictures", "--folder {}", "main>write"),
        ("conformance", "--check tests/wire", "run_pytest>_pass_on"),
        ("conformance", "--check tests/wire", "_pass_on>BufferedWriter.write"),
    ],
)
def test_ctrl_c_while_a_program_works(place: Place, name: str, words: str, moment: str) -> None:
    arguments = words.format(place.folder / "pictures").split()
    ended = place.end_of(MODULES[name], *arguments, moment=moment)
    assert ended == (130, f"{name}: interrupted\n")
    assert place.left() == []


@pytest.mark.live
@pytest.mark.parametrize(
    ("name", "words", "moment"),
    [
        ("bench", "--quick", "Networks.__enter__>Networks._join"),
        ("bench", "--quick --only echo", "Networks.server>Program.line"),
        ("bench", "--seconds 3600 --only echo", "load>Program.line"),
        ("side-by-side", "--quick", "Networks.run>Program.ask"),
        ("side-by-side", "--seconds 3600", "Networks.run>Program.say"),
        ("libraries", "", "_pass_on>BufferedWriter.write"),
        ("asyncio-suites", "--only test_streams --only test_ssl", "_run_in>Popen.communicate"),
    ],
)
def test_ctrl_c_while_it_holds_namespaces(
    place: Place, name: str, words: str, moment: str
) -> None:
    if reason := missing_rights():
        pytest.skip(reason)
    if name == "asyncio-suites":
        pytest.importorskip("test.test_asyncio")
    ended = place.end_of(MODULES[name], *words.split(), moment=moment)
    assert ended == (130, f"{name}: interrupted\n")
    assert place.left() == []


PROGRAM = """\
import os, signal, sys, time
from scripts.behaviours.pool import results

class Endless:
    def run(self):
        signal.pause()

class Interrupting:
    def run(self):
        os.killpg(0, signal.{number})
        signal.pause()

def main():
    results([Endless(), Interrupting(), Endless()], 2, lambda: None)
"""


def of_ours(place: Place, text: str) -> list[str]:
    """The command of a program with that text."""
    (place.folder / "program.py").write_text(text)
    start = "import sys; from scripts.programs import ending; sys.exit(ending.run('it', 'program'))"
    return [sys.executable, "-c", start]


def result_of(place: Place, text: str) -> tuple[int, str]:
    path = f"{place.folder}{os.pathsep}{ROOT}"
    process = subprocess.Popen(
        of_ours(place, text), env={**place.environment, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    _, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, errors


def test_ctrl_c_while_others_work_for_it(place: Place) -> None:
    """They take no notice, and are not waited for."""
    ended = result_of(place, PROGRAM.format(number="SIGINT"))
    assert ended == (130, "it: interrupted\n")
    assert place.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_only_the_first_signal_ends_it_and_all_is_put_away(place: Place, number: int) -> None:
    """`timeout` sends two."""
    text = (
        "import os, tempfile\ndef main():\n    with tempfile.TemporaryDirectory():\n"
        f"        try:\n            os.kill(os.getpid(), {number})\n"
        f"        finally:\n            os.kill(os.getpid(), {number})\n"
    )
    words = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    assert result_of(place, text) == (128 + number, f"it: {words}\n")
    assert place.left() == []


def test_a_signal_that_is_ignored_stays_so(place: Place) -> None:
    (place.folder / "sitecustomize.py").write_text(
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    )
    text = "import os\ndef main():\n    os.kill(os.getpid(), 2)\n    return 7\n"
    assert result_of(place, text) == (7, "")


# -- output that is lost --------------------------------------------------------------------------
PRINTING = [
    ("behaviour", "--digest"),
    ("bench", "--sim --quick --seconds 0.1"),
    ("conformance", "--check tests/wire/test_rfc1071_checksum.py"),
    ("pictures", "--folder {}"),
    *((name, "--help") for name in MODULES),
]


@pytest.mark.parametrize(("name", "words"), PRINTING)
def test_a_full_disk_behind_stdout_is_told_in_one_line(
    place: Place, name: str, words: str
) -> None:
    with open("/dev/full", "w") as full:
        arguments = words.format(place.folder / "pictures").split()
        process = place.start(MODULES[name], *arguments, stdout=full)
        _, text = process.communicate(timeout=PATIENCE)
    assert text == f"{name}: stdout: No space left on device\n"
    assert process.returncode == 2
    assert place.left() == []


@pytest.mark.parametrize(("name", "words"), PRINTING)
def test_when_nobody_reads_it_ends_without_a_word(place: Place, name: str, words: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    arguments = words.format(place.folder / "pictures").split()
    process = place.start(MODULES[name], *arguments, stdout=writing)
    os.close(writing)
    _, text = process.communicate(timeout=PATIENCE)
    assert (process.returncode, text) == (141, "")
    assert place.left() == []


def test_wrong_use_has_one_line(place: Place) -> None:
    process = place.start(MODULES["bench"], "--fast")
    _, text = process.communicate(timeout=PATIENCE)
    assert text.startswith("bench: No such option")
    assert text.endswith("see `scripts/bench --help`\n")
    assert text.count("\n") == 1
    assert process.returncode == 2


def test_compiled_says_in_one_line_that_there_is_no_such_command(place: Place) -> None:
    text = (
        "import sys\nfrom build_tools import core\ncore.make = lambda: core.COPIES\n"
        "sys.argv[1:] = ['no-such-command']\nmain = core.become\n"
    )
    assert result_of(place, text) == (2, "it: no-such-command: No such file or directory\n")
