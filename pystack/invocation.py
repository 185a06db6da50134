"""How the `pystack` command can be called by this user, for help and hints that can be pasted."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

from pystack.config import CALLED_AS, UNDER_SUDO

_NAME: Final = "pystack"
_MAIN_FILES: Final = ("__main__.py", "main.py")  # `python -m pystack`, `python -m pystack.cli.main`
# where sudo looks for commands, whatever PATH says (`secure_path`, as distributions set it)
_PATH_OF_SUDO: Final = (
    "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
)  # fmt: skip


def command() -> str:
    """What to type for `pystack`: as it was called, or as it can be from the program at hand."""
    return shlex.join(_words())


def command_as_root() -> str:
    """The same for what needs root: behind `sudo`, unless this is root already, who may not have
    one. A command that sudo does not find by its name is given by its path."""
    return sudo(shlex.join([_found_by_sudo(_words()[0]), *_words()[1:]]), command())


def sudo(for_user: str, for_root: str = "") -> str:
    """A command that needs root, as a user types it; root types `for_root` (or the same)."""
    if is_plain_root():
        return for_root or for_user
    return f"sudo {for_user}"


def this_as_root() -> str:
    """The command line of this very process, as `command_as_root` has it; "" where it is that of
    a user's own program, or is not to be told in one line."""
    called = Path(sys.argv[0])
    ours = CALLED_AS or called.name == _NAME or (called.name in _MAIN_FILES and _is_ours(called))
    line = f"{command_as_root()} {shlex.join(sys.argv[1:])}".rstrip()
    return line if ours and line.isprintable() else ""


def is_plain_root() -> bool:
    """Whether this is root who is not behind `sudo`: another `sudo` would give nothing more."""
    return _is_root() and not UNDER_SUDO


def _words() -> list[str]:
    if CALLED_AS:
        return [CALLED_AS]
    called = Path(sys.argv[0])
    if called.name == _NAME:
        return [_NAME if _is_on_path(called) else str(called)]
    if called.name in _MAIN_FILES and _is_ours(called):
        return sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    beside = Path(sys.executable).with_name(_NAME)  # the program is a user's own
    return [_NAME] if _is_on_path(beside) else [sys.executable, "-m", _NAME]


def _is_on_path(command: Path) -> bool:
    """Whether the shell finds this one by its name."""
    found = shutil.which(_NAME)
    try:
        return found is not None and os.path.samefile(found, command)
    except OSError:
        return False


def _is_ours(file: Path) -> bool:
    return Path(__file__).resolve().parent in file.resolve().parents


def _found_by_sudo(word: str) -> str:
    if os.sep in word:
        return word
    found = shutil.which(word) or word
    return word if os.path.dirname(found) in _PATH_OF_SUDO else os.path.abspath(found)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
