"""Which names of the standard library exist on which system, as typeshed knows it.

mypy brings typeshed along. Its stubs say `if sys.platform != "win32":` around what Windows has not,
so all names can be found by reading them as each system would.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import mypy

STUBS = Path(mypy.__file__).parent / "typeshed" / "stdlib"


def modules() -> list[str]:
    """All modules of the standard library that have stubs."""
    return sorted(
        ".".join(path.relative_to(STUBS).with_suffix("").parts).removesuffix(".__init__")
        for path in STUBS.rglob("*.pyi")
    )


def names(module: str, system: str) -> set[str]:
    """What a module has on `system`, a `sys.platform`, for this version of Python."""
    path = STUBS.joinpath(*module.split("."))
    file = path / "__init__.pyi" if path.is_dir() else path.with_suffix(".pyi")
    return set(_bound(ast.parse(file.read_text()).body, system))


def _bound(body: Sequence[ast.stmt], system: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.If):
            yield from _bound(node.body if _holds(node.test, system) else node.orelse, system)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.AnnAssign):
            yield from _targets([node.target])
        elif isinstance(node, ast.Assign):
            yield from _targets(node.targets)
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname for alias in node.names if alias.asname == alias.name)


def _targets(nodes: Sequence[ast.expr]) -> Iterator[str]:
    yield from (node.id for node in nodes if isinstance(node, ast.Name) and node.id != "__all__")


def _holds(test: ast.expr, system: str) -> bool:
    asked = SimpleNamespace(
        platform=system, version_info=sys.version_info, byteorder=sys.byteorder,
        maxsize=sys.maxsize, implementation=sys.implementation,
    )  # fmt: skip
    found = eval(compile(ast.Expression(test), "<stub>", "eval"), {"sys": asked})
    return bool(found)


def missing(system: str) -> tuple[list[str], dict[str, list[str]]]:
    """Modules that Linux has and `system` has not, and by module the names that are missing."""
    gone: list[str] = []
    lacking: dict[str, list[str]] = {}
    for module in modules():
        linux, theirs = names(module, "linux"), names(module, system)
        if linux - theirs and not theirs:
            gone.append(module)
        elif linux - theirs:
            lacking[module] = sorted(linux - theirs)
    return gone, lacking
