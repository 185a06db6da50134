"""Tests of the tests: none ends before it has asserted anything and counts as passed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
METHODS = frozenset(
    ("play", "quiet", "raises", "warns", "fail", "passes", "passes_apart", "assert_outcomes",
     "end_and_check")
)  # fmt: skip
"""Those that raise where something does not hold: of the kit, of pytest, of tests."""


def own(node: ast.AST) -> Iterator[ast.AST]:
    """What is in a function, without the functions in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from own(child)


def test_no_test_returns() -> None:
    """Where something does not apply, a test is not generated, or skipped with a reason."""
    found = [
        f"{path.relative_to(TESTS)}:{part.lineno}"
        for path in sorted(TESTS.rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        for part in own(node)
        if isinstance(part, ast.Return)
    ]
    assert found == []


def test_every_test_asserts_something() -> None:
    """Itself, or in a function of the tests that it calls or is given as a fixture."""
    functions = [
        (path, function, isinstance(scope, ast.ClassDef))
        for path in sorted(TESTS.rglob("*.py"))
        for scope in ast.walk(ast.parse(path.read_text()))
        for function in ast.iter_child_nodes(scope)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    asserting: set[str] = set()
    before = -1
    while len(asserting) > before:  # until no function is found to call one that does
        before = len(asserting)
        asserting |= {
            function.name
            for _, function, is_method in functions
            if not is_method and asserts(function, asserting)
        }
    found = [
        f"{path.relative_to(TESTS)}::{function.name}"
        for path, function, _ in functions
        if function.name.startswith("test_") and not asserts(function, asserting)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("body", "holds"),
    [
        ("assert value", True),
        ("tcp.play('')", True),
        ("checked(value)", True),
        ("raise AssertionError", True),
        ("value.checked()", False),
        ("sock.send(value)", False),
        ("unchecked(value)", False),
    ],
)
def test_what_counts_as_an_assertion(body: str, holds: bool) -> None:
    assert asserts(ast.parse(f"def test_it(value, tcp):\n    {body}").body[0], {"checked"}) == holds


def asserts(function: ast.AST, asserting: set[str]) -> bool:
    """Whether it has an assertion, calls one of METHODS or names a function in `asserting`."""
    for part in ast.walk(function):
        match part:
            case ast.Assert():
                return True
            case ast.Raise(exc=what) if what is not None and "Error" in ast.dump(what):
                return True
            case ast.Attribute(attr=name) if name in METHODS:
                return True
            case ast.Name(id=name) | ast.arg(arg=name) if name in asserting:
                return True
    return False
