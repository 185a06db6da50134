"""`pystack run`: an unmodified asyncio program whose addresses of a stack are the stack's."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any, Final

import click

from pystack import invocation
from pystack.aio.endpoint.stack import Stack
from pystack.aio.loop.install import ProgramLoop, end, installed, refusing
from pystack.cli.calling.device_options import DeviceOptions, device_options, open_alone
from pystack.cli.calling.examples import Example, WithExamples
from pystack.cli.calling.failures import Incomplete
from pystack.cli.program.ending import Ending, exec_told, exit_now, interruptible, tell_if_unused
from pystack.cli.program.ending import run as run_program
from pystack.cli.program.words import found
from pystack.cli.terminal.output import warn
from pystack.wire import address

_NO_LOOP: Final = (
    "the program listens at the stack, but runs no asyncio event loop: servers without one are for "
    "the kernel's sockets"
)


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
@click.option("--name", "names", metavar="NAME=ADDR", type=named, multiple=True,
              help="A host name, as /etc/hosts has them. May be repeated.")  # fmt: skip
@click.argument("program", metavar="PROGRAM")
@click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1, type=click.UNPROCESSED)
def run(
    names: tuple[tuple[str, str], ...], program: str, arguments: tuple[str, ...],
    options: DeviceOptions,
) -> None:  # fmt: skip
    """Make a TUN device and run PROGRAM in this process: a script, `python` as it is called
    otherwise, or a command that is written in Python.

    Servers at the stack's addresses, or at all addresses, and connections to what the stack
    reaches go over it; all others go over the kernel. The program has one process: workers and
    reloaders that start others are for the kernel's sockets.
    """
    if program.startswith("-"):
        raise _no_option(program, arguments)
    start = found(program, arguments)
    with asyncio.Runner(debug=False) as runner:  # python -X dev is for the program's loops
        stack = runner.run(_opened(options, names))
    try:
        _run(stack, start)
    except SystemExit as ended:
        if ended.code not in (None, 0):
            raise
    if stack.capture_error is not None:
        raise Incomplete


def _run(stack: Stack, start: Callable[[], Any]) -> None:
    """Run the program on the stack, and close that. Raises SystemExit with the status."""
    with installed(stack) as ownership:
        ending = Ending(ownership)
        ProgramLoop.is_refused = ending.end
        try:
            without_loop = partial(ending.end, _NO_LOOP)
            with (
                refusing(stack, without_loop), ending.forks_followed(), exec_told(ownership),
                interruptible(),
            ):  # fmt: skip
                run_program(start, ending)
        finally:
            if ending.cannot:
                ending.end_children()
            else:
                tell_if_unused(stack, ownership)
            end(stack)
            if ending.cannot:
                exit_now()


async def _opened(options: DeviceOptions, names: Sequence[tuple[str, str]]) -> Stack:
    every: dict[str, list[str]] = {}
    for name, where in names:
        every.setdefault(name, []).append(where)
    stack = await open_alone(
        options, lambda text: warn(f"pystack run: {text}"), names=every,
    )  # fmt: skip
    await stack.leave()
    return stack


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
