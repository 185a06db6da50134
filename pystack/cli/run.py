"""`pystack run`: an unmodified asyncio program whose addresses of a stack are the stack's."""

from __future__ import annotations

import asyncio
import os
import runpy
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

import click

from pystack import invocation
from pystack.aio.endpoint.stack import Stack
from pystack.aio.loop.install import end, installed
from pystack.aio.loop.refusing import refusing
from pystack.cli.calling.device_options import DeviceOptions, device_options, open_alone
from pystack.cli.calling.examples import Example, WithExamples
from pystack.cli.calling.failures import Failure, Incomplete
from pystack.cli.terminal.output import warn
from pystack.wire import address

_NO_LOOP: Final = (
    "the program listens at the stack, but runs no asyncio event loop: servers that block are for "
    "the kernel's sockets"
)
_INTERRUPTED: Final = 130  # as a shell has it
_OUR_FRAMES: Final = (__file__, runpy.__file__, "<frozen runpy>")
_PYTHON: Final = ("python", "python3", Path(sys.executable).name)


def route(text: str) -> str:
    """A network for --route, checked at once. Raises BadParameter."""
    try:
        if text != "default":
            address.network(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return text


def named(text: str) -> tuple[str, str]:
    """Name and address of "web=198.18.0.2". Raises BadParameter."""
    name, equals, where = text.partition("=")
    try:
        address.pack(where)
    except ValueError:
        equals = ""
    if not name or not equals:
        raise click.BadParameter(f"{text!r} is not of the form name=address")
    return name, where


_EXAMPLES: Final = tuple(
    Example(f"run {words}", root=True)
    for words in (
        "-- uvicorn app:app --host 198.18.0.2",
        "--dev tun7 --addr 10.9.0.2/24 -- python server.py",
        '--impair "delay 40ms loss 1%" -- python -m mypackage',
        "-- hypercorn --workers 0 --bind 198.18.0.2:80 app:app",
    )
)


@click.command(
    "run",
    cls=WithExamples,
    examples=_EXAMPLES,
    short_help="Run an asyncio program on a stack of its own.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@device_options
@click.option("--route", "routes", metavar="NET/LEN", type=route, multiple=True,
              help="Another network that is reached through the stack, or `default`.")  # fmt: skip
@click.option("--name", "names", metavar="NAME=ADDR", type=named, multiple=True,
              help="A host name, as /etc/hosts has them. May be repeated.")  # fmt: skip
@click.argument("program", metavar="PROGRAM")
@click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1, type=click.UNPROCESSED)
def run(
    routes: tuple[str, ...], names: tuple[tuple[str, str], ...], program: str,
    arguments: tuple[str, ...], options: DeviceOptions,
) -> None:  # fmt: skip
    """Make a TUN device and run PROGRAM in this process: a script, `python -m module`, or a
    command that is written in Python.

    Servers at the stack's addresses, or at all addresses, and connections to what the stack
    reaches go over it; all others go over the kernel. The program has one process: workers and
    reloaders that start others are for the kernel's sockets.
    """
    if program.startswith("-"):
        raise _no_option(program, arguments)
    start = _found(program, arguments)
    with asyncio.Runner() as runner:
        stack = runner.run(_opened(options, routes, names))
    try:
        with installed(stack), refusing(stack, _hint), _interruptible():
            _run(start)
    except SystemExit as ended:
        if ended.code not in (None, 0):
            raise
    finally:
        end(stack)
    if stack.capture_error is not None:
        raise Incomplete


async def _opened(
    options: DeviceOptions, routes: Sequence[str], names: Sequence[tuple[str, str]]
) -> Stack:
    every: dict[str, list[str]] = {}
    for name, where in names:
        every.setdefault(name, []).append(where)
    stack = await open_alone(
        options, lambda text: warn(f"pystack run: {text}"), routes=routes, names=every,
    )  # fmt: skip
    await stack.leave()
    return stack


def _hint() -> None:
    warn(f"pystack run: {_NO_LOOP}")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Meanwhile Ctrl-C raises KeyboardInterrupt, as any program of Python's has it."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _run(start: Callable[[], Any]) -> None:
    """Run it, and end as Python would with it alone: by SystemExit, with a status."""
    try:
        status = start()  # of a command that pip has made: its exit status
        for thread in threading.enumerate():
            if thread is not threading.main_thread() and not thread.daemon:
                thread.join()  # as Python does at its end
    except (KeyboardInterrupt, Exception) as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename in _OUR_FRAMES:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        raise SystemExit(_INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1) from None
    if status is not None:
        raise SystemExit(status)


def _no_option(word: str, arguments: Sequence[str]) -> click.UsageError:
    """What to say where an option is expected, or a program, and this is neither."""
    ctx = click.get_current_context()
    if word[:2] in ("-m", "-c"):
        python = shlex.join(["python", word, *arguments])
        told = f"`{invocation.command_as_root()} run -- {python}`"
        return click.UsageError(f"{word[:2]} is an option of python: {told}", ctx)
    word = word.partition("=")[0]
    options = [name for option in ctx.command.params for name in option.opts]
    return click.NoSuchOption(word, possibilities=get_close_matches(word, options), ctx=ctx)


# -- what the words stand for ---------------------------------------------------------------------
def _found(program: str, arguments: Sequence[str]) -> Callable[[], Any]:
    """What starts the program, with `sys.argv` and `sys.path` as it expects. Raises Failure."""
    if program in _PYTHON:
        return _of_python(list(arguments))
    if program.endswith(".py") or "/" in program:
        return _script(program, arguments)
    point = next(iter(entry_points(group="console_scripts", name=program)), None)
    if point is not None:
        return partial(_command, point, arguments)
    search = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    path = shutil.which(program, path=search)
    if path is None:
        raise Failure(f"{program}: no such command or script", "pystack run")
    return _script(path, arguments)


def _command(point: EntryPoint, arguments: Sequence[str]) -> Any:
    sys.argv = [point.name, *arguments]
    return point.load()()


def _of_python(arguments: list[str]) -> Callable[[], Any]:
    if len(arguments) >= 2 and arguments[0] == "-m":
        module = arguments[1]
        top = module.partition(".")[0]
        if top not in sys.builtin_module_names and not PathFinder.find_spec(top, ["", *sys.path]):
            raise Failure(f"no module named {top}", "pystack run")

        def start() -> None:
            sys.argv = arguments[1:]
            sys.path.insert(0, "")
            runpy.run_module(module, run_name="__main__", alter_sys=True)

        return start
    if len(arguments) >= 2 and arguments[0] == "-c":

        def start_code() -> None:
            sys.argv = ["-c", *arguments[2:]]
            sys.path.insert(0, "")
            exec(compile(arguments[1], "<string>", "exec"), {"__name__": "__main__"})

        return start_code
    if not arguments or arguments[0].startswith("-"):
        raise Failure(
            "python needs a script, -m with a module, or -c with code (options such as -X belong "
            "to the python that runs pystack: python -X dev -m pystack run …)",
            "pystack run",
        )
    return _script(arguments[0], arguments[1:])


def _script(path: str, arguments: Sequence[str]) -> Callable[[], Any]:
    script = Path(path)
    try:
        with script.open("rb") as file:
            begin = file.readline(1000) + file.readline(1000)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", "pystack run") from None
    # pip names a Python whose path has a space, or is long, in the second line: #!/bin/sh, exec
    if script.suffix != ".py" and not (begin.startswith(b"#!") and b"python" in begin):
        raise Failure(f"{path} is not written in Python: pystack can't get inside", "pystack run")

    def start() -> None:
        sys.argv = [path, *arguments]
        sys.path.insert(0, str(script.resolve().parent))
        runpy.run_path(path, run_name="__main__")

    return start
