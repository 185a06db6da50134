"""Names keep to the words and forms of docs/architecture.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.house.source import Source, source_of, sources

QUESTIONS = ("is_", "has_", "may_", "must_", "can_", "are_", "needs_", "was_")

# Words that had a meaning of this project's own. The field's word stands beside each.
RETIRED = {
    "doors": "endpoint", "strangers": "no_connection", "somebody": "…", "nobody": "no_…",
    "ear": "owner", "blame": "fault", "blames": "contain_fault",
    "sendings": "send_order",
    "resend": "retransmit", "resent": "retransmitted",
    "carried": "blocking", "choosing": "router", "finding": "resolver",
    "changeable": "replaceable",
}  # fmt: skip


def defined(source: Source) -> Iterator[tuple[str, int]]:
    """The names that a file defines: of functions, classes, arguments and attributes."""
    for node in ast.walk(source.tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(
                name=name
            ):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno


def words(name: str) -> list[str]:
    """`_NodeDriver`, `node_driver` -> node, driver."""
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower().strip("_").split("_")


def retired(source: Source) -> list[str]:
    return [
        f"{source.name}:{line} {name}: {RETIRED[word]}"
        for name, line in defined(source)
        for word in words(name)
        if word in RETIRED
    ]


def odd_questions(source: Source) -> list[str]:
    """Functions that are named as a question and give no bool."""
    return [
        f"{source.name}:{node.lineno} {node.name}"
        for node in ast.walk(source.tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.lstrip("_").startswith(QUESTIONS)
        and (node.returns is None or ast.unparse(node.returns) != "bool")
    ]


def test_words_that_were_given_up_do_not_come_back() -> None:
    found = [place for source in sources() for place in retired(source)]
    assert found == []


def test_a_name_that_asks_gives_a_bool() -> None:
    found = [place for source in sources() for place in odd_questions(source)]
    assert found == []


def test_times_are_ints() -> None:
    """A variable in µs is an int: fractions of them would differ from machine to machine."""
    found = [
        f"{source.name}:{node.lineno}"
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, (ast.arg, ast.AnnAssign))
        for name in [node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)]
        if name.endswith("_us") and node.annotation is not None
        and "float" in ast.unparse(node.annotation)
    ]  # fmt: skip
    assert found == []


@pytest.mark.parametrize(
    "text", ["class Sendings: ...", "def _resend() -> None: ...", "def f(doors: int) -> None: ..."]
)
def test_a_retired_word_is_found(text: str) -> None:
    assert retired(source_of("tcp/x.py", text))


def test_a_question_without_an_answer_is_found() -> None:
    assert odd_questions(source_of("tcp/x.py", "def _is_x() -> int: ..."))
    assert not odd_questions(source_of("tcp/x.py", "def _is_x() -> bool: ..."))
