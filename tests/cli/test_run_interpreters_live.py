"""`pystack run -- python …`, with the options and by the names that a Python is called by."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.live.namespace import Namespace

pytestmark = pytest.mark.live

OWN_VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
SHOW = (
    "import sys; f = sys.flags; print(f.optimize, f.dev_mode, f.isolated, f.utf8_mode, "
    "f.dont_write_bytecode, sys.warnoptions[-1:], sys.stdout.write_through, sys.argv[1:])"
)


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "show.py"
    path.write_text(SHOW)
    return str(path)


def shown(namespace: Namespace, *words: str, err: str = "") -> str:
    with Program("run", "--netns", namespace.path, "--", *words) as program:
        assert program.end() == 0, program.err
        lines = [line for line in program.err.splitlines() if "no packet" not in line]
        assert lines == ([err] if err else [])
        return program.out.strip()


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["-W", "ignore"], "0 False 0 0 1 ['ignore'] False ['a']"),
        (["-Wignore", "-X", "utf8"], "0 False 0 1 1 ['ignore'] False ['a']"),
        (["-uOO"], "2 False 0 0 1 [] True ['a']"),
        (["-I", "-X", "dev"], "0 True 1 0 0 ['default'] False ['a']"),
        (["-EsP"], "0 False 0 0 0 [] False ['a']"),
    ],
    ids=" ".join,
)
def test_options_of_python_are_the_programs(
    namespace: Namespace, script: str, options: list[str], wanted: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    for name in ("PYTHONUNBUFFERED", "PYTHONUTF8", "PYTHONWARNINGS", "PYTHONDEVMODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert shown(namespace, "python", *options, script, "a") == wanted


def test_options_of_pystack_run_are_kept_where_python_has_its_own(namespace: Namespace) -> None:
    code = "import os; print(os.listdir('/sys/class/net'), __debug__)"
    with Program("run", "--netns", namespace.path, "--dev", "tun9", "--no-offload", "--",
                 "python", "-O", "-c", code) as program:  # fmt: skip
        assert program.end() == 0, program.err
        assert program.out.endswith("False\n")


@pytest.mark.parametrize(
    "python", ["python", "python3", f"python{OWN_VERSION}", sys.executable], ids=lambda name: name
)
def test_names_of_this_python_are_known(namespace: Namespace, script: str, python: str) -> None:
    assert shown(namespace, python, script, "a").endswith("['a']")


def test_another_version_is_said_to_be_another(namespace: Namespace, script: str) -> None:
    told = (
        f"pystack run: the program runs on Python {OWN_VERSION}, which has pystack, and not "
        "on python3.99"
    )
    assert shown(namespace, "python3.99", script, "a", err=told).endswith("['a']")


def test_packages_of_another_environment_are_found(namespace: Namespace, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (environment / f"lib/python{OWN_VERSION}/site-packages/theirs.py").write_text("print('found')")
    python = str(environment / "bin/python")
    assert shown(namespace, python, "-c", "import theirs") == "found"
    command = tmp_path / "command"
    command.write_text(f"#!{python}\nimport theirs\n")
    assert shown(namespace, str(command)) == "found"


def test_a_program_may_come_by_stdin_and_be_looked_at_afterwards(namespace: Namespace) -> None:
    for words, text, wanted in (
        (["-", "a"], "import sys; print(sys.argv, __name__)", "['-', 'a'] __main__"),
        ([], "import sys; print(sys.argv, __name__)", "[''] __main__"),
        (["-i", "-c", "x = 4; 1 / 0"], "print(x + 1)\n", "5"),
    ):
        with Program("run", "--netns", namespace.path, "--", "python", *words,
                     stdin=subprocess.PIPE) as program:  # fmt: skip
            program.stdin.write(text.encode())
            program.stdin.close()
            assert program.end() == 0, program.err
            assert wanted in program.out


def test_what_only_tells_of_python_needs_no_device() -> None:
    with Program("run", "--", "python", "-V") as program:
        assert program.end() == 0
        assert program.out == f"Python {sys.version.split()[0]}\n"
