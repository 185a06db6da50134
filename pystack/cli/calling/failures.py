"""Every expected failure as one line on stderr that says what to do, and exit status 2.

Two ends are nobody's failure: Ctrl-C has one line and status 130, and when whoever read our
output has left (`| head`), a command ends without a word and with status 141. These are what a
shell makes of SIGINT and SIGPIPE.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final, NoReturn

import click

from pystack import invocation
from pystack.cli.calling.examples import WithExamples
from pystack.cli.terminal.output import STDOUT, warn
from pystack.device.linux import check_linux
from pystack.errors import SetupError

NAME: Final = "pystack"


class Failure(click.ClickException):
    """Something that was to be expected went wrong; its message is the one line."""

    exit_code = 2

    def __init__(self, message: str, command: str = NAME) -> None:
        super().__init__(" ".join(message.split()))
        self.command = command

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the line."""
        warn(f"{self.command}: {self.message}", file)


class Interrupted(Failure):
    """Ctrl-C, where it was not the way to end the command."""

    exit_code = 128 + signal.SIGINT

    def __init__(self, command: str = NAME) -> None:
        super().__init__("interrupted", command)


class ReaderGone(Failure):
    """Whoever read our stdout has left, and knows."""

    exit_code = 128 + 13  # SIGPIPE, which Windows lacks

    def __init__(self) -> None:
        super().__init__("nobody reads the output")

    def show(self, file: IO[Any] | None = None) -> None:
        """Nothing."""


class Incomplete(Failure):
    """All went well, but a capture ended early. A line said so when it happened."""

    exit_code = 1

    def __init__(self) -> None:
        super().__init__("the capture is not whole")

    def show(self, file: IO[Any] | None = None) -> None:
        """Nothing."""


class Commands(WithExamples, click.Group):
    """A group whose commands fail in one line, whether used wrongly or refused by the system."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Take the arguments of the whole."""
        with _in_one_line(NAME):
            return super().make_context(*args, **options)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's; for anything but help a command needs Linux."""
        name, command, rest = super().resolve_command(ctx, args)
        if not set(rest) & set(ctx.help_option_names):
            try:
                check_linux()
            except SetupError as error:
                raise Failure(str(error), f"{plain_path(ctx)} {name}") from None
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _in_one_line(plain_path(ctx), ctx):
            return super().invoke(ctx)


@contextmanager
def _in_one_line(command: str, ctx: click.Context | None = None) -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:  # its message is the help: click writes that
        raise
    except click.UsageError as error:
        _usage(error, command)
    except KeyboardInterrupt:
        raise Interrupted(command) from None
    except OSError as error:
        if ctx is not None and ctx.invoked_subcommand:
            command = f"{command} {ctx.invoked_subcommand}"
        if error.filename == STDOUT and isinstance(error, BrokenPipeError):
            raise ReaderGone from None
        raise Failure(sentence(error), command) from error


def plain_path(ctx: click.Context) -> str:
    """Such as "pystack serve", whatever the command was called by."""
    names: list[str] = []
    while ctx.parent is not None:
        names.insert(0, ctx.info_name or "")
        ctx = ctx.parent
    return " ".join([NAME, *names])


def sentence(error: OSError) -> str:
    """What an OSError says, without its number."""
    if isinstance(error, SetupError):
        return str(error)
    text = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    return f"{error.filename}: {text}" if error.filename else text


def _usage(error: click.UsageError, command: str) -> NoReturn:
    path = plain_path(error.ctx) if error.ctx else command
    help_of = invocation.command() + path.removeprefix(NAME)
    raise Failure(f"{error.format_message().rstrip('.')}; see `{help_of} --help`", path) from error
