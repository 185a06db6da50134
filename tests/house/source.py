"""The source of the package as the tests of the house read it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "pystack"


@dataclass(frozen=True)
class Source:
    """One file: its path below the package, its dotted name there, its syntax tree."""

    name: str
    module: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.split("/")[0].removesuffix(".py")

    @property
    def folder(self) -> str:
        return self.name.rpartition("/")[0]


def source_of(name: str, text: str) -> Source:
    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Source(name, module, ast.parse(text, name))


@cache
def sources() -> tuple[Source, ...]:
    """All files of the package."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return tuple(
        source_of(path.relative_to(PACKAGE).as_posix(), path.read_text()) for path in paths
    )


@cache
def modules() -> frozenset[str]:
    return frozenset(source.module for source in sources())


def imported(source: Source) -> Iterator[str]:
    """Full names of all that a file may import, inside of functions and for types too; of
    `from a import b` both `a` and `a.b`."""
    here = ["pystack", *source.name.split("/")[:-1]]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def neighbours(source: Source) -> set[str]:
    """The modules of the package that a file imports. `from room import module` is the module, and
    not the room's page."""
    found: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name.partition(".")[2] in modules() else node.module for name in names]
        else:
            continue
        found |= {name.partition(".")[2] for name in names if name.startswith("pystack.")}
    return found & modules() - {source.module}
