"""Tests of the tests: none ends before it has asserted anything and counts as passed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent


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
