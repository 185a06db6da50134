"""For mkdocstrings: what `dir` leaves out of a class is left out of the reference too.

Modules whose files share more of a class than its users may use name that in `_INSIDE`; it counts
for the classes that come from theirs, too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, Final

import griffe

_NAMES: Final = "_INSIDE"
_EVERYBODYS: Final = {"__dir__", "__repr__"}  # nothing that one has to read of


class LeftOut(griffe.Extension):
    """Forgets such members, of the class that names them and where it has them from."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Called when all of the package is known."""
        for module in _modules(pkg):
            for each in [one for one in module.classes.values() if not one.is_alias]:
                for name in _EVERYBODYS & set(each.members):
                    each.del_member(name)
                line = (each, *each.mro())
                names = set().union(*(_inside(one.module) for one in line))
                for where in line if names else ():
                    for name in names & set(where.members):
                        where.del_member(name)  # what is private by mark is shown by aliases


def _modules(module: griffe.Module) -> Iterator[griffe.Module]:
    yield module
    for inner in module.modules.values():
        if not inner.is_alias:
            yield from _modules(inner)


def _inside(module: griffe.Module) -> set[str]:
    attribute = module.members.get(_NAMES)
    if attribute is None:
        return set()
    tree = ast.parse(str(attribute.value), mode="eval")
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
