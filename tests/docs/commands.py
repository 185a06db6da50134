"""The commands that documents show, and whether they can be typed as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from unittest.mock import patch

import click

ROOT: Final = Path(__file__).resolve().parents[2]
_BLOCK: Final = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_SHELLS: Final = ("console", "sh", "bash", "shell")
# what a sentence shows as a command, and not as a name or a file
_COMMAND: Final = re.compile(r"(?:[A-Z_]+=\S+ )*(?:sudo |pip |pystack |scripts/|\.venv/bin/)")
_NAMES: Final = re.compile(
    r'(?:pystack|(?:sudo )?(?:scripts/pystack|"\$\(command -v pystack\)"))'
    r"(?: (?:serve|run|nc|demo|doctor))?"
)
_ASSIGNMENT: Final = re.compile(r"[A-Z_]+=")
# what every machine has, or README's first lines say how to get
_KNOWN: Final = (
    "git", "cd", "curl", "nc", "ping", "echo",
    "apt-get", "chmod", "ip", "modprobe", "mount", "nsenter", "ss", "sysctl", "unshare",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    """A line of a document, without its comment."""

    document: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text}"


def documents() -> list[Path]:
    """README.md and all pages below docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks() -> list[list[Command]]:
    """The commands of each block of console, sh or bash; of a console block, the lines with $."""
    return [block for path in documents() for block in _blocks(path)]


def _blocks(path: Path) -> Iterator[list[Command]]:
    text = path.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        if match[2] not in _SHELLS:
            continue
        first = text.count("\n", 0, match.start(3)) + 1
        found = []
        for number, line in enumerate(match[3].splitlines(), first):
            line = line.strip()
            if match[2] == "console":
                if not line.startswith("$ "):
                    continue  # output
                line = line[2:]
            line = re.sub(r"(?:^|\s+)#.*$", "", line)
            if line:
                found.append(Command(path.relative_to(ROOT).as_posix(), number, line))
        yield found


def spans() -> list[Command]:
    """Commands within sentences, between backticks."""
    found = []
    for path in documents():
        text = _BLOCK.sub(lambda match: "\n" * match[0].count("\n"), path.read_text("utf-8"))
        for match in _SPAN.finditer(text):
            if _COMMAND.match(match[1]) and not _NAMES.fullmatch(match[1]):
                line = text.count("\n", 0, match.start()) + 1
                words = re.sub(r" (?:…|[A-Z]{3,})$", "", match[1].replace("\n", " "))
                found.append(Command(path.relative_to(ROOT).as_posix(), line, words))
    return found


# -- can it be typed? ------------------------------------------------------------------------------
def problem(text: str) -> str:
    """Why the command cannot be typed in a clone, or which option there is not; "" if it can."""
    text = text.partition(" | ")[0].replace('"$(command -v pystack)"', "scripts/pystack")
    words = shlex.split(text)
    while words and (words[0] == "sudo" or _ASSIGNMENT.match(words[0])):
        words.pop(0)
    program, arguments = words[0], words[1:]
    if program.startswith("scripts/"):
        return _of_script(program, arguments)
    if program.startswith(".venv/bin/"):
        name = program.removeprefix(".venv/bin/")
        if name == "pip":
            return _of_pip(arguments)
        if name == "pytest" or (name == "python" and arguments[:2] == ["-m", "pytest"]):
            return _of_pytest(arguments[2:] if name == "python" else arguments)
        return "" if (Path(sys.executable).parent / name).exists() else f"there is no {program}"
    if program == "pip":
        return _of_pip(arguments)
    return "" if program in _KNOWN else f"{program}: who has that, and where?"


def _of_script(program: str, arguments: Sequence[str]) -> str:
    script = ROOT / program
    if not script.exists():
        return f"there is no {program}"
    if not arguments:
        return ""
    if not os.access(script, os.X_OK):
        return f"{program} cannot be executed"
    if program == "scripts/compiled" and not arguments[0].startswith("-"):
        return problem(shlex.join(arguments))
    if program == "scripts/test":
        return _of_pytest(arguments)
    try:
        with suppress(click.exceptions.Exit), patch.object(sys, "argv", [program, *arguments]):
            _parse(program.removeprefix("scripts/"), list(arguments))
    except click.UsageError as error:
        return error.format_message()
    except SystemExit as error:
        return "" if not error.code else f"{program} does not take {arguments}"
    return ""


def _parse(script: str, arguments: list[str]) -> None:
    """Take options as the script does, and do nothing. Raises UsageError, SystemExit, Exit."""
    from pystack.cli.commands import pystack
    from scripts.asyncio_suites.command import main as asyncio_suites
    from scripts.behaviours.command import main as behaviour
    from scripts.benchmarks.command import main as bench
    from scripts.call_counts.command import main as calls
    from scripts.drawings.command import main as pictures
    from scripts.mutation.command import main as mutate
    from scripts.side_by_side.command import main as side_by_side
    from tests.conformance.command import arguments as conformance

    if script == "run":
        script, arguments = "pystack", ["serve", *arguments]
    if script == "pystack":
        with pystack.make_context("pystack", list(arguments)) as context:
            _, command, rest = pystack.resolve_command(context, arguments)
            assert command is not None
            command.make_context(command.name, rest)
        return
    commands = {
        "asyncio-suites": asyncio_suites, "behaviour": behaviour, "bench": bench,
        "calls": calls, "mutate": mutate, "pictures": pictures, "side-by-side": side_by_side,
    }  # fmt: skip
    if script in commands:
        commands[script].make_context(script, arguments)
    elif script == "conformance":
        conformance()
    else:
        usage = (ROOT / "scripts" / "help" / script).read_text(encoding="utf-8")
        for word in arguments:
            if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", usage):
                raise click.UsageError(f"scripts/{script} knows no {word}")


@cache
def _help_of_pytest() -> str:
    command = [sys.executable, "-m", "pytest", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _of_pytest(arguments: Sequence[str]) -> str:
    """Options must be pytest's or our plugins', tests must be there."""
    for word in arguments:
        option = word.partition("=")[0]
        if word.startswith("-"):
            named = rf"(?m)^  .*(?<![\w-]){re.escape(option)}(?![\w-])"
            if not re.search(named, _help_of_pytest()):
                return f"pytest has no {option}"
        elif "/" in word and not (ROOT / word.partition("::")[0]).exists():
            return f"there are no tests in {word}"
    return ""


def _of_pip(arguments: Sequence[str]) -> str:
    """Packages must be a clone with extras that it has, or be found on the package index."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    known = {re.split(r"[\[=<>]", name)[0] for names in extras.values() for name in names}
    if arguments[0] != "install":
        return f"pip {arguments[0]}: why?"
    for word in arguments[1:]:
        path, _, extra = word.rstrip("]").partition("[")
        if path.startswith("."):
            if extra and not set(extra.split(",")) <= set(extras):
                return f"there is no extra {extra}"
        elif path not in known - {project["name"]}:
            return f"{word}: not on the package index, or not among what the tests use"
    return ""
