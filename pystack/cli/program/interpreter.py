"""A Python that `pystack run` is asked to run a program with: its options, and its packages.

The program runs in the process of pystack, so in pystack's Python. What a Python can be told at
its start only (`-X`, `-W`, `-u`, `-O`, …) makes `pystack run` start again with it. The packages of
another environment of the same Python are found behind pystack's own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from pystack import invocation
from pystack.cli.calling.failures import Failure
from pystack.cli.terminal.output import warn

COMMAND: Final = "pystack run"
_NAME: Final = re.compile(r"python(3(\.\d+)?)?")
_PLAIN: Final = "bBdEIOPqRsuv"  # options that take nothing; Python may be given several in one word
_WITH_VALUE: Final = "WX"
_LONG_WITH_VALUE: Final = ("--check-hash-based-pycs",)
_PATIENCE: Final = 20  # seconds for another Python to say what it is
_ASK: Final = (
    "import sys; print(*sys.version_info[:2], sep='.');"
    "[print(p) for p in sys.path if p.endswith(('site-packages', 'dist-packages'))]"
)
_START: Final = (
    "import sys; sys.path.append({root!r}); from pystack.cli.main import main; sys.exit(main())"
)


@dataclass(frozen=True, slots=True)
class PythonWords:
    """The words behind `python`: its options, whether `-i` was one, and the rest, which is empty,
    or begins with `-m`, `-c`, `-` or a script."""

    options: tuple[str, ...]
    interactive: bool
    rest: tuple[str, ...]


def is_python(program: str) -> bool:
    """Whether the word names a Python: `python`, `python3.11`, `.venv/bin/python`."""
    return _NAME.fullmatch(Path(program).name) is not None


def parsed(arguments: list[str]) -> PythonWords:
    """What stands behind `python`. Raises Failure for what it, or we, don't know."""
    options: list[str] = []
    interactive = False
    at = 0
    while at < len(arguments):
        word = arguments[at]
        if not word.startswith("-") or word == "-" or word[:2] in ("-c", "-m"):
            break
        at += 1
        if word in ("--version", "--help", "--help-all", "--help-env", "--help-xoptions"):
            _be_python(arguments)
        if word in _LONG_WITH_VALUE or word in ("-W", "-X"):
            if at == len(arguments):
                raise Failure(f"python {word} needs a value", COMMAND)
            options += (word, arguments[at])
            at += 1
            continue
        if word.startswith("--"):
            raise Failure(f"python has no option {word}", COMMAND)
        letters = word[1:]
        if letters[0] in _WITH_VALUE:
            options.append(word)
            continue
        kept = ""
        for i, letter in enumerate(letters):
            if letter in "Vh?":
                _be_python(arguments)
            elif letter == "i":
                interactive = True
            elif letter in "cm":  # such as -Sc: the rest is one of its own
                arguments = [*arguments[:at], f"-{letters[i:]}", *arguments[at:]]
                break
            elif letter in _PLAIN:
                kept += letter
            elif letter == "S":
                raise Failure("with python -S there are no packages, pystack included", COMMAND)
            else:
                raise Failure(f"python's option -{letter} can't be used here", COMMAND)
        if kept:
            options.append(f"-{kept}")
    rest = arguments[at:]
    if rest and rest[0][:2] in ("-c", "-m") and len(rest[0]) > 2:  # -cprint() and -mjson.tool
        rest = [rest[0][:2], rest[0][2:], *rest[1:]]
    return PythonWords(tuple(options), interactive, tuple(rest))


def start_anew(words: PythonWords, program: str, arguments: tuple[str, ...]) -> NoReturn:
    """Begin again with the options of Python in `words`: `program` and `arguments` end the command
    line of this process."""
    own = sys.argv[1 : len(sys.argv) - 1 - len(arguments)]
    rest = [*(["-i"] if words.interactive else []), *words.rest]
    called = invocation.command()
    if " " not in called:
        os.environ["PYSTACK_CALLED_AS"] = called
    root = Path(__file__).resolve().parents[3]
    start = [sys.executable, *words.options, "-c", _START.format(root=str(root))]
    os.execv(sys.executable, [*start, *own, program, *rest])


def _be_python(arguments: list[str]) -> NoReturn:
    """For what only tells of Python itself."""
    os.execv(sys.executable, [sys.executable, *arguments])


# -- another Python --------------------------------------------------------------------------------
def use_packages_of(python: str) -> None:
    """Have the packages that `python`, a path or a name such as python3.12, would find. One of
    another version is said to be another. Raises Failure where there is none."""
    name = Path(python).name
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if "/" not in python:
        if name not in ("python", "python3", f"python{own}"):
            _tell_other(python, own)
        return
    if os.path.abspath(python) == sys.executable:
        return
    try:
        asked = subprocess.run(
            [python, "-c", _ASK], capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
    except OSError as error:
        raise Failure(f"{python}: {error.strerror}", COMMAND) from None
    except subprocess.SubprocessError:
        raise Failure(f"{python} is no Python that runs", COMMAND) from None
    version, *folders = asked.stdout.splitlines()
    if version != own:
        _tell_other(f"{python} (Python {version})", own)
        return
    import site

    for folder in folders:
        if folder not in sys.path:
            site.addsitedir(folder)


def _tell_other(python: str, own: str) -> None:
    warn(f"{COMMAND}: the program runs on Python {own}, which has pystack, and not on {python}")
