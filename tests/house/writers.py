"""Who writes which variable of which record."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from tests.house.source import Source
from tests.house.types_of import Known, Types

# A record is made by these, and by what gives it its first numbers.
MAKING = ("__init__", "__new__", "__setstate__", "set_send_sequence", "set_receive_sequence")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def writers(sources: list[Source]) -> tuple[dict[tuple[str, str], set[str]], list[str]]:
    """(record, variable) -> the files that store or delete it, but for the making of the record;
    and the places where a variable is stored whose record cannot be told.

    What an object stores in itself is counted to the file of the class that has the slot: it is one
    object, whichever class of its line the line of code is in."""
    types = Types(sources)
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    unknown: list[str] = []
    for source in sources:
        for target, function, names in stores(source, types):
            if _is_made(target, function):
                continue
            classes = types.of(target.value, source.module, names).classes
            if not classes:
                owners = types.owners.get(target.attr, set())
                if len(owners) > 1:
                    unknown.append(f"{source.name}:{target.lineno} {ast.unparse(target)}")
                classes = frozenset(owners) if len(owners) == 1 else frozenset()
            for name in classes:
                home = types.home(name, target.attr)
                if types.classes[home].slots:
                    own = types.classes[home].module.replace(".", "/") + ".py"
                    found[home, target.attr].add(own if _is_of_self(target) else source.name)
    return found, unknown


def _is_made(target: ast.Attribute, function: Function | None) -> bool:
    return function is not None and function.name in MAKING and _is_of_self(target)


def _is_of_self(target: ast.Attribute) -> bool:
    return isinstance(target.value, ast.Name) and target.value.id == "self"


def stores(
    source: Source, types: Types
) -> Iterator[tuple[ast.Attribute, Function | None, dict[str, Known]]]:
    """Each attribute that is stored, with the function around it and what names are."""
    yield from _inside(source, types, source.tree, None, None, {})


def _inside(
    source: Source, types: Types, node: ast.AST, function: Function | None, owner: str | None,
    names: dict[str, Known],
) -> Iterator[tuple[ast.Attribute, Function | None, dict[str, Known]]]:  # fmt: skip
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            inner = f"{source.module}.{child.name}"
            yield from _inside(source, types, child, None, inner, names)
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            bound = owner if isinstance(node, ast.ClassDef) else None
            local = types.locals_of(child, source.module, bound, names)
            yield from _inside(source, types, child, child, owner, local)
        else:
            if isinstance(child, ast.Attribute) and not isinstance(child.ctx, ast.Load):
                yield child, function, names
            yield from _inside(source, types, child, function, owner, names)
