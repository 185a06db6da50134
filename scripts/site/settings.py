"""The settings of a stack as tables in Markdown, from the source of `pystack.config.Config`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Final

from pystack.config import Config

_GROUP: Final = re.compile(r"# -- (.*?) -+")
_FIELD: Final = re.compile(r"(\w+): [^=]+ = (\(.*?\)|\".*?\"|\S+)(?:  # (.*))?")


def tables() -> str:
    """A table for each group of settings: name, default, what its comment says."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    above: list[str] = []
    for line in map(str.strip, inspect.getsource(Config).split("\n")):
        if found := _GROUP.fullmatch(line):
            title, more = [*re.split(r"[,:] | (?=\()", found[1], maxsplit=1), ""][:2]
            yield f"\n### Settings: {title}\n"
            yield f"{more[:1].upper()}{more[1:]}\n"
            yield "| setting | default | what it is |"
            yield "|---|---|---|"
        elif line.startswith("# "):
            above.append(line.removeprefix("# "))
        elif found := _FIELD.fullmatch(line):
            default = found[2].strip('"()').replace("_", "").replace(",", "")
            yield f"| `{found[1]}` | {_number(default)} | {' '.join([*above, found[3] or ''])} |"
            above = []
        elif line.startswith("def "):
            return


def _number(default: str) -> str:
    """As `sysctl` prints it."""
    return str(int(default, 16)) if default.startswith("0x") else default
