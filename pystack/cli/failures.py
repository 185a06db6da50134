"""Every expected failure as one line on stderr that says what to do, and exit status 2."""

from __future__ import annotations

import os
from typing import IO, Any, NoReturn

import click

from pystack.device.linux import check_linux
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's; for anything but help a command needs Linux."""
        name, command, rest = super().resolve_command(ctx, args)
        if not set(rest) & set(ctx.help_option_names):
            try:
                check_linux()
            except SetupError as error:
                raise Failure(str(error), f"{ctx.command_path} {name}") from None
        return name, command, rest

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
