"""The public surface: `public_surface.txt` lists it, and each name explains itself.

A docstring says what a thing does, in which units, and what it raises. What is not listed is
private.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from pystack import Config
from tests.kit.builds import reads_docstrings
from tests.kit.surface import as_text, class_node, members, public, tree_of, written

# Numbers whose name does not say what they count.
UNITLESS = {"backlog", "delay", "limit", "mtu", "queue", "rate", "size", "timeout"}
UNITS = re.compile(
    r"bytes?|octets?|bits?|bit/s|seconds?|\bs\b|ms\b|µs|packets?|connections?|a text|20ms|Linux"
)


def test_what_is_public_is_what_is_written() -> None:
    """`python -m tests.kit.surface` prints what the source has."""
    found = {
        name: members(thing) if isinstance(thing, type) else [] for name, thing in public().items()
    }
    assert found == {name: sorted(names) for name, names in written().items()}


def test_the_file_is_as_it_is_printed() -> None:
    from tests.kit.surface import FILE

    text = FILE.read_text(encoding="utf-8")
    assert text.partition("\n\n")[2].rstrip() == as_text()


NAMES = [
    pytest.param(name, thing, id=name)
    for name, thing in public().items()
    if not isinstance(thing, (int, str, ModuleType))
]


@reads_docstrings
@pytest.mark.parametrize(("name", "thing"), NAMES)
def test_a_public_name_has_a_docstring_and_so_have_its_members(name: str, thing: Any) -> None:
    assert thing.__doc__, name
    if isinstance(thing, type):
        assert [member for member in written()[name] if not is_explained(thing, member)] == []


def is_explained(cls: type, name: str) -> bool:
    """By its docstring, in the words of its class, or by a comment where it is made. What stages
    count is explained once, those are `counted`; settings and TCP_INFO have Linux's own names."""
    if has_docstring(cls, name) or name in getattr(cls, "counted", ()):
        return True
    if cls is Config or name.startswith("tcpi_"):
        return True
    own = [each for each in cls.__mro__ if each.__module__.startswith("pystack")]
    return any(
        re.search(rf"`{name}[`=]", each.__doc__ or "")
        or re.search(rf"^ +(self\.)?{name}\b.*  # ", ast_source(each), re.MULTILINE)
        for each in own
    )


def ast_source(cls: type) -> str:
    node, lines = class_node(cls), inspect.getsource(sys.modules[cls.__module__]).splitlines()
    return "\n".join(lines[node.lineno - 1 : node.end_lineno])


def has_docstring(cls: type, name: str) -> bool:
    found = inspect.getattr_static(cls, name, None)
    is_call = callable(found) or isinstance(found, (property, classmethod, staticmethod))
    return is_call and bool(inspect.getdoc(getattr(cls, name)))


@reads_docstrings
@pytest.mark.parametrize(("name", "thing"), NAMES)
def test_what_a_public_call_raises_stands_in_its_docstring(name: str, thing: Any) -> None:
    untold = []
    for where, node, told in calls(name, thing):
        for error in raised(node):
            is_errno = re.fullmatch("E[A-Z]+", error) is not None
            if error not in told and (is_errno or not re.search("[Rr]aise", told)):
                untold.append(f"{where}: {error}")
    assert untold == []


@reads_docstrings
@pytest.mark.parametrize(("name", "thing"), NAMES)
def test_what_a_number_counts_stands_in_the_docstring(name: str, thing: Any) -> None:
    assert [
        f"{where}: {arg.arg}"
        for where, node, told in calls(name, thing)
        for arg in (*node.args.args, *node.args.kwonlyargs)
        if arg.arg in UNITLESS and not UNITS.search(told)
    ] == []


def calls(name: str, thing: Any) -> Iterator[tuple[str, ast.FunctionDef, str]]:
    """Each public function or method of ours, with all that is said of it: in its docstring, and
    in that of its class."""
    if not isinstance(thing, type):
        for node in tree_of(inspect.getmodule(thing)).body:  # type: ignore[arg-type]
            if isinstance(node, ast.FunctionDef) and node.name == thing.__name__:
                yield name, node, inspect.getdoc(thing) or ""
        return
    listed = {*members(thing), "__init__", "__post_init__"}
    for cls in thing.__mro__:
        if cls.__module__.startswith("pystack"):
            for node in class_node(cls).body:
                if isinstance(node, ast.FunctionDef) and node.name in listed:
                    listed.discard(node.name)
                    method: Callable[..., Any] | property = getattr(thing, node.name)
                    said = (inspect.getdoc(method) or "", thing.__doc__ or "", cls.__doc__ or "")
                    yield f"{name}.{node.name}", node, " ".join(said)


def raised(function: ast.FunctionDef) -> Iterator[str]:
    """What a function itself raises: the errno of `os_error`, or the class."""
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            called = ast.unparse(node.exc.func).rpartition(".")[2]
            if called == "os_error" and isinstance(node.exc.args[0], ast.Name):
                yield node.exc.args[0].id
            elif called[0].isupper() and called not in ("NotImplementedError", "AssertionError"):
                yield called
