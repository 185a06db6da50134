"""What PROGRAM and its arguments stand for: a script, a module, code, or a command of pip's."""

from __future__ import annotations

import code
import os
import re
import runpy
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

from pystack.cli.calling.failures import Failure
from pystack.cli.program.interpreter import (
    COMMAND,
    PythonWords,
    is_python,
    parsed,
    start_anew,
    use_packages_of,
)

Start = Callable[[], Any]
_HASH_BANG: Final = re.compile(rb"#!\s*(/\S+/python[\d.]*)\s*$")


def found(program: str, arguments: Sequence[str]) -> Start:
    """What starts the program, with `sys.argv` and `sys.path` as it expects. Raises Failure. Where
    a Python is named with options, the process starts again with these."""
    if is_python(program):
        words = parsed(list(arguments))
        use_packages_of(program)
        if words.options:
            start_anew(words, program, tuple(arguments))
        start, names = _of_python(words)
        return partial(_with_console, start, names) if words.interactive else start
    if program.endswith(".py") or "/" in program:
        return _script(program, arguments)
    point = next(iter(entry_points(group="console_scripts", name=program)), None)
    if point is not None:
        return partial(_command, point, arguments)
    search = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    path = shutil.which(program, path=search)
    if path is None:
        raise Failure(f"{program}: no such command or script", COMMAND)
    return _script(path, arguments)


def _command(point: EntryPoint, arguments: Sequence[str]) -> Any:
    sys.argv = [point.name, *arguments]
    return point.load()()


def _of_python(words: PythonWords) -> tuple[Start, dict[str, Any]]:
    """What starts it, and the names of its `__main__` once it has run."""
    names: dict[str, Any] = {"__name__": "__main__", "__doc__": None}
    rest = words.rest
    if not rest:
        if sys.stdin is None or not sys.stdin.isatty():
            return partial(_stdin, [""], names), names
        return partial(_console, names), names
    if rest[0] in ("-m", "-c") and len(rest) == 1:
        raise Failure(f"python {rest[0]} needs a {'module' if rest[0] == '-m' else 'command'}",
                      COMMAND)  # fmt: skip
    if rest[0] == "-m":
        _check_is_there(rest[1])
        return partial(_module, rest[1], list(rest[1:]), names), names
    if rest[0] == "-c":
        return partial(_code, rest[1], ["-c", *rest[2:]], names), names
    if rest[0] == "-":
        return partial(_stdin, list(rest), names), names
    return _script(rest[0], rest[1:], names), names


def _check_is_there(module: str) -> None:
    top = module.partition(".")[0]
    if top not in sys.builtin_module_names and not PathFinder.find_spec(top, ["", *sys.path]):
        raise Failure(f"no module named {top}", COMMAND)


def _module(module: str, argv: list[str], names: dict[str, Any]) -> None:
    sys.argv = argv
    _look_in("")
    names |= runpy.run_module(module, run_name="__main__", alter_sys=True)


def _code(text: str, argv: list[str], names: dict[str, Any]) -> None:
    sys.argv = argv
    _look_in("")
    exec(compile(text, "<string>", "exec"), names)


def _stdin(argv: list[str], names: dict[str, Any]) -> None:
    sys.argv = argv
    _look_in("")
    exec(compile(sys.stdin.read(), "<stdin>", "exec"), names)


def _script(path: str, arguments: Sequence[str], names: dict[str, Any] | None = None) -> Start:
    script = Path(path)
    if not script.is_dir():
        _check_is_python(path)
    elif not (script / "__main__.py").exists():
        raise Failure(f"{path}: there is no __main__.py in it", COMMAND)

    def start() -> None:
        sys.argv = [path, *arguments]
        if not script.is_dir() and script.suffix not in (".zip", ".pyz"):
            _look_in(str(script.resolve().parent))  # in the others runpy looks by itself
        (names if names is not None else {}).update(runpy.run_path(path, run_name="__main__"))

    return start


def _check_is_python(path: str) -> None:
    """Raises Failure for what is not to be read, or another language."""
    script = Path(path)
    try:
        with script.open("rb") as file:
            begin = file.readline(1000) + file.readline(1000)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", COMMAND) from None
    if begin.startswith(b"PK") or script.suffix in (".py", ".pyw", ".pyc"):
        return
    # pip names a Python whose path has a space, or is long, in the second line: #!/bin/sh, exec
    if not (begin.startswith(b"#!") and b"python" in begin):
        raise Failure(f"{path} is not written in Python: pystack can't get inside", COMMAND)
    named = _HASH_BANG.match(begin.partition(b"\n")[0])
    if named is not None:
        use_packages_of(os.fsdecode(named.group(1)))


def _look_in(folder: str) -> None:
    if not sys.flags.safe_path:
        sys.path.insert(0, folder)


# -- a console -------------------------------------------------------------------------------------
def _console(names: dict[str, Any]) -> None:
    """What Python says when nothing is to be run."""
    sys.argv = [""]
    _look_in("")
    _interact(names, None)


def _with_console(start: Start, names: dict[str, Any]) -> None:
    """As `python -i`: whatever the program ends by, its names can be looked at."""
    try:
        start()
    except SystemExit as ended:
        print(f"SystemExit: {ended.code}", file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    _interact(names, "")


def _interact(names: dict[str, Any], banner: str | None) -> None:
    if sys.stdin.isatty():
        import readline  # noqa: F401 (it is in use once it is imported)
    code.interact(banner, local=names, exitmsg="")
