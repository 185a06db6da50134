"""Every expected failure as one line on stderr that says what to do, and exit status 2."""

from __future__ import annotations

import os
from typing import IO, Any, NoReturn

import click

from pystack.errors import SetupError


class Failure(click.ClickException):
    """Something that was to be expected went wrong; its message is the one line."""

    exit_code = 2

    def __init__(self, message: str, command: str = "pystack") -> None:
        super().__init__(" ".join(message.split()))
        self.command = command

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the line."""
        click.echo(f"{self.command}: {self.message}", file=file, err=file is None)


class Commands(click.Group):
    """A group whose commands fail in one line, whether used wrongly or refused by the system."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            _usage(error, ctx)
        except BrokenPipeError:
            raise  # whoever read our output has left; click ends quietly
        except OSError as error:
            command = f"{ctx.command_path} {ctx.invoked_subcommand or ''}".rstrip()
            raise Failure(sentence(error), command) from error


def sentence(error: OSError) -> str:
    """What an OSError says, without its number."""
    if isinstance(error, SetupError):
        return str(error)
    text = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    return f"{error.filename}: {text}" if error.filename else text


def _usage(error: click.UsageError, ctx: click.Context) -> NoReturn:
    path = error.ctx.command_path if error.ctx else ctx.command_path
    raise Failure(f"{error.format_message().rstrip('.')}; see `{path} --help`", path) from error
