"""No file uses a private name of another: `_name` means this file, and nobody else."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.source import Source, source_of, sources

# Private names of Python's own and of pytest's that have no public twin, and what each is for.
NO_PUBLIC_TWIN = {
    "_exit": "os: the end of a child after a fork",
    "_get_running_loop": "asyncio: written for event loops, in its __all__",
    "_set_running_loop": "asyncio: written for event loops, in its __all__",
    "_FlowControlMixin": "asyncio.transports: water marks as its own transports have them",
    "_SendfileFallbackProtocol": "asyncio: what its own sendfile puts in a protocol's place",
    "_unregister_task": "asyncio: written for event loops, in its __all__",
    "_run_exitfuncs": "atexit: what Python calls at its end, which is before ours",
    "_shutdown": "threading: what Python calls at its end, which is before ours",
    "_SendfileMode": "asyncio: how its loop asks a transport for sendfile",
    "_loop_factory": "asyncio: what its default policy makes loops by",
    "_fixtureinfo": "pytest: the fixtures of a test that a plugin puts in another's place",
}


def private_uses(source: Source) -> Iterator[str]:
    """Each use of a private name that this file does not define."""
    own = set(_defined(source.tree))
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            if node.attr not in own and not _is_own_object(node.value):
                yield f"{source.name}:{node.lineno} {ast.unparse(node)}"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pystack"):
            for alias in node.names:
                if _is_private(alias.name) and alias.name != "_fast":
                    yield f"{source.name}:{node.lineno} import {alias.name}"


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _is_own_object(node: ast.expr) -> bool:
    """`self._x` may stand in a class below; so may `cls._x` and `super()._x`."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield name
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Assign(targets=[ast.Name(id="__slots__")], value=value):
                yield from (
                    inside.value
                    for inside in ast.walk(value)
                    if isinstance(inside, ast.Constant) and isinstance(inside.value, str)
                )


def test_no_file_uses_a_private_name_of_another() -> None:
    found = [
        use
        for source in sources()
        for use in private_uses(source)
        if use.rpartition(".")[2].rpartition(" ")[2] not in NO_PUBLIC_TWIN
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    ["def f(x: X) -> None:\n    x._y()", "from pystack.tcp.input.ack import _step", "A = B._c"],
)
def test_a_private_name_of_another_is_found(text: str) -> None:
    assert list(private_uses(source_of("tcp/x.py", text)))


@pytest.mark.parametrize(
    "text",
    [
        "class X:\n    def _y(self) -> None: ...\ndef f(x: X) -> None:\n    x._y()",
        "class X:\n    __slots__ = ('_y',)\ndef f(x: X) -> int:\n    return x._y",
        "class X(Base):\n    def f(self) -> None:\n        super()._y(self._z)",
        "x.__class__",
    ],
)
def test_a_name_of_its_own_is_not(text: str) -> None:
    assert not list(private_uses(source_of("tcp/x.py", text)))
