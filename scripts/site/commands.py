"""The reference of the `pystack` command in Markdown, from the command itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Final

import click

CALLED: Final = "scripts/pystack"  # as it can be typed in a checkout
_COLUMNS: Final = 80  # of examples


def reference() -> str:
    """A section for each command: what it does, examples, usage and options."""
    from pystack.cli.commands import pystack

    context = click.Context(pystack, info_name=CALLED)
    lines = [*_section(pystack, context)]
    for name in pystack.list_commands(context):
        command = pystack.get_command(context, name)
        assert command is not None
        lines += _section(command, click.Context(command, info_name=name, parent=context))
    return "\n".join(lines)


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    title = "pystack" if context.parent is None else f"pystack {context.info_name}"
    anchor = title.replace(" ", "-")
    yield f"## {title}: {_lowered(command.get_short_help_str(200))} {{ #{anchor} }}"
    yield ""
    yield "```text"
    yield " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield "```"
    yield ""
    yield from _texts(command.help or "")
    yield from _examples(command)
    if isinstance(command, click.Group):
        yield from _table("command", ((name, "", command.commands[name].get_short_help_str(200))
                                      for name in command.list_commands(context)))  # fmt: skip
    records = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None
    ]
    yield from _table("option", (_split(*record) for record in records))


def _lowered(text: str) -> str:
    words = text.rstrip(".")
    return words[0].lower() + words[1:] if words[1:2].islower() or words[1:2] == " " else words


def _texts(text: str) -> Iterator[str]:
    """Paragraphs."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        yield _escaped(" ".join(line.strip() for line in paragraph.split("\n")))
        yield ""


def _examples(command: click.Command) -> Iterator[str]:
    from pystack.cli.calling.examples import WithExamples, lines

    if isinstance(command, WithExamples) and command.examples:
        yield "Example:"
        yield ""
        yield "```text"
        yield from inspect.cleandoc("\n".join(["", *lines(command.examples, _COLUMNS)])).split("\n")
        yield "```"
        yield ""


def _split(names: str, text: str) -> tuple[str, str, str]:
    """Names, default (and range), text of an option, from what --help shows of it."""
    extras = re.findall(r"  \[([^\]]*)\]", text)
    return names, "; ".join(extras).removeprefix("default: "), re.sub(r"  \[[^\]]*\]", "", text)


def _table(what: str, rows: Iterator[tuple[str, str, str]]) -> Iterator[str]:
    found = list(rows)
    has_defaults = any(default for _, default, _ in found)
    yield f"| {what} | what it does |" + (" default |" if has_defaults else "")
    yield "|---|---|" + ("---|" if has_defaults else "")
    for names, default, text in found:
        last = f" {_escaped(default)} |" if has_defaults else ""
        yield f"| `{names}` | {_escaped(text)} |{last}"
    yield ""


def _escaped(text: str) -> str:
    """As Markdown, outside of code spans."""
    parts = text.split("`")
    parts[::2] = [
        re.sub(r"([\\*_|\[\]])", r"\\\1", part).replace("<", "&lt;") for part in parts[::2]
    ]
    return "`".join(parts)
