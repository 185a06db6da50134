"""Examples in the help of a command, written as the user who reads them can paste them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from pystack import invocation
from pystack.cli.terminal.output import to_stdout

_INDENT: Final = "  "
_FURTHER: Final = "      "
# a word as a shell has it, with what is quoted in it
_WORD: Final = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s"'])+""")


@dataclass(frozen=True, slots=True)
class Example:
    """One line of examples: what follows `pystack`, whether that needs root, and a remark."""

    words: str
    root: bool = False
    remark: str = ""

    def command(self) -> str:
        """All that is to be typed."""
        called = invocation.command_as_root() if self.root else invocation.command()
        return f"{called} {self.words}"


def lines(examples: Sequence[Example], width: int) -> Iterator[str]:
    """The examples in lines of at most `width` columns, if words allow it. Each can be pasted."""
    commands = [one.command() for one in examples]
    column = max((len(text) for text, one in zip(commands, examples, strict=True) if one.remark),
                 default=0)  # fmt: skip
    longest = max((len(one.remark) for one in examples), default=0)
    beside = len(_INDENT) + column + len("   # ") + longest <= width
    for text, one in zip(commands, examples, strict=True):
        if one.remark and beside:
            yield f"{_INDENT}{text:<{column}}   # {one.remark}"
            continue
        if one.remark:
            yield f"{_INDENT}# {one.remark}"
        yield from _wrapped(text, width)


def _wrapped(text: str, width: int) -> Iterator[str]:
    """The command, with its line broken as a shell takes it where it is too long."""
    line = _INDENT + text
    if len(line) > width:
        first, *words = _WORD.findall(text)
        line = _INDENT + first
        for word in words:
            if len(line) + len(f" {word} \\") > width:
                yield f"{line} \\"
                line = _FURTHER + word
            else:
                line += f" {word}"
    yield line


class WithExamples(click.Command):
    """A command whose help shows examples below its text."""

    def __init__(self, *args: Any, examples: Sequence[Example] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = tuple(examples)

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Take the arguments, and write the help when that is asked for."""
        with to_stdout():
            return super().make_context(*args, **options)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The text, then the examples."""
        super().format_help_text(ctx, formatter)
        if self.examples:
            formatter.write_paragraph()
            formatter.write(f"{_INDENT}Example:\n")
            for line in lines(self.examples, formatter.width - len(_INDENT)):
                formatter.write(f"{_INDENT}{line}\n")
