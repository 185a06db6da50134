"""What is public: `tests/public_surface.txt` as it is written, and as the source has it.

A line without indent is a name that a package hands out, or a class whose objects its calls give;
the indented lines behind it are the public members of that class, those of asyncio's own classes
left out. Run as a program this prints what the source has.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

FILE = Path(__file__).resolve().parent.parent / "public_surface.txt"
PACKAGES = (
    "pystack", "pystack.aio", "pystack.cc", "pystack.parts", "pystack.path", "pystack.sim",
    "pystack.sockets", "pystack.testing",
)  # fmt: skip
# what calls give, and no package hands out
GIVEN = (
    "pystack.sim.network.gso_link_direction.GsoLinkDirection",
    "pystack.sim.network.link_direction.StageLinkDirection",
)


def written() -> dict[str, list[str]]:
    """Each public name of the file, with the members that it lists."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line:
            continue
        if line.startswith(" "):
            found[name] += line.split()
        else:
            name = line
            found[name] = []
    return found


def public() -> dict[str, Any]:
    """Each public name of the packages, and what it is."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        found |= {f"{package}.{name}": getattr(module, name) for name in module.__all__}
    for name in GIVEN:
        module_name, _, base = name.rpartition(".")
        found[name] = getattr(importlib.import_module(module_name), base)
    return found


def members(cls: type) -> list[str]:
    """The public attributes and methods that classes of ours give to objects of `cls`."""
    own = [each for each in cls.__mro__ if each.__module__.startswith("pystack")]
    names: set[str] = set()
    for each in own:
        names |= set(vars(each)) | set(vars(each).get("__annotations__", ())) | _assigned(each)
    for each in own:
        names -= set(getattr(sys.modules[each.__module__], "_INSIDE", ()))
    return sorted(name for name in names if not name.startswith("_"))


def _assigned(cls: type) -> set[str]:
    """What its methods store in `self`."""
    node = class_node(cls)
    return {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store)
        and isinstance(each.value, ast.Name) and each.value.id == "self"
    }  # fmt: skip


def class_node(cls: type) -> ast.ClassDef:
    """The source of a class."""
    for node in ast.walk(tree_of(sys.modules[cls.__module__])):
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            return node
    raise LookupError(cls)


@cache
def tree_of(module: ModuleType) -> ast.Module:
    """The source of a module."""
    return ast.parse(inspect.getsource(module))


def as_text() -> str:
    """The file, as it ought to be."""
    lines = []
    for name, thing in public().items():
        lines.append(name)
        if isinstance(thing, type) and (names := " ".join(members(thing))):
            lines += textwrap.wrap(
                names, 100, initial_indent="    ", subsequent_indent="    ",
                break_on_hyphens=False, break_long_words=False,
            )  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    print(as_text())
