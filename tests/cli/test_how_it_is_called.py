"""Help and hints print the command as it was called, so that it can be pasted."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import PATIENCE

COMMANDS = ((), ("serve",), ("run",), ("nc",), ("demo",), ("doctor",))
SCRIPT = Path(sys.executable).with_name("pystack")
USER = {"SUDO_UID": "1000"}  # as root, but behind sudo: the next command needs it again


def said(
    argv: list[str], folder: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items()
             if name not in ("PYSTACK_CALLED_AS", "SUDO_UID", "COLUMNS")}  # fmt: skip
    return subprocess.run(
        argv, cwd=folder, env={**clean, **environment}, capture_output=True, text=True,
        timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def first_words(text: str) -> set[str]:
    """What the commands of all examples begin with, up to the name of a command of ours."""
    found = set()
    text = text.partition("Example:\n")[2].partition("\nOptions:")[0].replace("\\\n", "")
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if words:
            end = next(i for i, word in enumerate(words) if (word,) in COMMANDS)
            found.add(shlex.join(words[:end]))
    return found


def near(path: Path | str, folder: Path) -> str:
    """How somebody in `folder` may call it, with a path that is not absolute."""
    return os.path.relpath(path, folder)


@pytest.mark.skipif(not SCRIPT.exists(), reason="pystack is not installed beside this Python")
@pytest.mark.parametrize("called", ["scripts/pystack", "a folder/pystack"])
def test_examples_begin_with_the_script_that_runs_the_command(called: str) -> None:
    assert begins([str(SCRIPT)], PYSTACK_CALLED_AS=called) == (
        shlex.quote(called), f"sudo {shlex.quote(called)}",
    )  # fmt: skip


@pytest.mark.skipif(not SCRIPT.exists(), reason="pystack is not installed beside this Python")
def test_examples_begin_with_the_path_that_was_typed(tmp_path: Path) -> None:
    typed = near(SCRIPT, tmp_path)
    assert begins([typed], tmp_path) == (shlex.quote(typed), f"sudo {shlex.quote(typed)}")


@pytest.mark.parametrize("words", [["-m", "pystack"], ["-X", "utf8", "-m", "pystack.cli.main"]])
def test_examples_begin_with_the_python_that_was_typed(tmp_path: Path, words: list[str]) -> None:
    typed = [near(sys.executable, tmp_path), *words]
    assert begins(typed, tmp_path) == (shlex.join(typed), f"sudo {shlex.join(typed)}")


@pytest.mark.skipif(not SCRIPT.exists(), reason="pystack is not installed beside this Python")
def test_what_is_found_by_path_is_named_so_and_behind_sudo_by_its_place() -> None:
    path = f"{SCRIPT.parent}{os.pathsep}{os.defpath}"
    assert begins([str(SCRIPT)], PATH=path) == ("pystack", f"sudo {shlex.quote(str(SCRIPT))}")
    python = Path(sys.executable)
    begun = begins([python.name, "-m", "pystack"], PATH=path)
    assert begun == (f"{python.name} -m pystack", f"sudo {shlex.quote(str(python))} -m pystack")


def begins(argv: list[str], folder: Path | None = None, **environment: str) -> tuple[str, str]:
    """How the examples of `demo` and of `serve` begin, when the command is called so."""
    demo, serve = (
        said([*argv, name, "--help"], folder, **environment, **USER).stdout
        for name in ("demo", "serve")
    )
    (plain,), (for_root,) = first_words(demo), first_words(serve)
    assert demo.startswith(f"Usage: {plain} demo ")
    return plain, for_root


def test_a_command_that_sudo_finds_by_its_name_is_given_by_its_name() -> None:
    code = (
        "import sys; sys.argv[0] = '/usr/bin/env'\n"
        "import shutil\n"
        "shutil.which = lambda name: '/usr/bin/pystack'\n"
        "import os; os.path.samefile = lambda one, other: True\n"
        "from pystack import invocation\n"
        "print(invocation.command(), invocation.command_as_root(), sep=';')"
    )
    assert said([sys.executable, "-c", code], **USER).stdout == "pystack;sudo pystack\n"


def test_root_needs_no_sudo_and_may_have_none() -> None:
    code = (
        "import os; os.geteuid = lambda: 0\n"
        "from pystack import invocation\n"
        "print(invocation.sudo('modprobe tun'), invocation.command_as_root())"
    )
    assert "sudo" not in said([sys.executable, "-c", code], PYSTACK_CALLED_AS="./x").stdout
    shown = said([sys.executable, "-c", code], PYSTACK_CALLED_AS="./x", **USER).stdout
    assert shown == "sudo modprobe tun sudo ./x\n"


def test_the_hints_of_a_users_own_program_name_a_command_that_runs() -> None:
    code = "from pystack import invocation; print(invocation.command())"
    command = said([sys.executable, "-c", code], PATH=os.defpath).stdout.strip()
    if shutil.which("pystack", path=os.defpath) is None:
        assert command == shlex.join([sys.executable, "-m", "pystack"])
    result = said([*shlex.split(command), "--version"], PATH=os.defpath)
    assert result.stdout.startswith("pystack, version ")


@pytest.mark.parametrize("words", COMMANDS)
def test_no_help_says_what_sudo_does_not_find(words: tuple[str, ...]) -> None:
    for columns in ("80", "200"):
        result = said([sys.executable, "-m", "pystack", *words, "--help"], COLUMNS=columns, **USER)
        assert result.returncode == 0
        assert "sudo pystack" not in result.stdout
        assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("words", [("serve", "--speed"), ("dance",)])
def test_a_mistake_names_the_help_that_can_be_asked_for(words: tuple[str, ...]) -> None:
    result = said([sys.executable, "-m", "pystack", *words], PYSTACK_CALLED_AS="scripts/pystack")
    command = " ".join(["scripts/pystack", *words[:-1]])
    assert result.stderr.endswith(f"; see `{command} --help`\n")
    assert result.stderr.startswith("pystack")


def test_what_the_command_starts_was_not_called_as_the_command_was() -> None:
    code = (
        "import os, sys; sys.argv[1:] = ['--version']\n"
        "from pystack.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: print(os.environ.get('PYSTACK_CALLED_AS'))"
    )
    result = said([sys.executable, "-c", code], PYSTACK_CALLED_AS="scripts/pystack")
    assert result.stdout.endswith("None\n")
