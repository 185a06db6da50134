"""The changes of a Python file: operators, conditions, constants, statements left out, results."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from scripts.mutation.change import Change

_OPERATORS: Final = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "is": "is not", "is not": "is", "in": "not in", "not in": "in",
    "+": "-", "-": "+", "*": "//", "//": "*", "/": "*", "%": "//", "**": "*",
    "<<": ">>", ">>": "<<", "&": "|", "|": "&", "^": "&",
    "and": "or", "or": "and",
}  # fmt: skip
_WORDS: Final = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.Pow: "**", ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|",
    ast.BitXor: "^", ast.And: "and", ast.Or: "or",
}  # fmt: skip
_PLAIN: Final = (ast.Name, ast.Attribute, ast.Call, ast.Subscript)  # a condition without operator
_BY_OPERATORS: Final = (ast.Compare, ast.BoolOp, ast.Constant)  # results that change without us
_UNTOUCHED: Final = ("__all__", "__slots__", "__version__")


def python_changes(file: str, source: bytes) -> list[Change]:
    """All changes of a file. Annotations, decorators, imports, asserts and texts are left alone."""
    finder = _Finder(file, source)
    finder.block(ast.parse(source).body, is_function=False)
    return finder.found


class _Finder:
    def __init__(self, file: str, source: bytes) -> None:
        self.file = file
        self.source = source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.found: list[Change] = []
        self.span = (0, 0)
        self.names: frozenset[str] = frozenset()

    # -- places -----------------------------------------------------------------------------------
    def start(self, node: ast.expr | ast.stmt) -> int:
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.starts[node.end_lineno - 1] + node.end_col_offset

    def replace(self, start: int, end: int, new: str | bytes) -> None:
        new = new.encode() if isinstance(new, str) else new
        line = self.source.count(b"\n", 0, start) + 1
        old = self.source[start:end]
        self.found.append(Change(self.file, line, *self.span, start, old, new, self.names))

    def replace_node(self, node: ast.expr | ast.stmt, new: str | bytes) -> None:
        self.replace(self.start(node), self.end(node), new)

    def text(self, node: ast.expr) -> bytes:
        return self.source[self.start(node) : self.end(node)]

    # -- statements -------------------------------------------------------------------------------
    def block(self, body: list[ast.stmt], *, is_function: bool) -> None:
        for statement in body:
            self.names = frozenset() if is_function else _given(statement)
            self.statement(statement, is_function=is_function)

    def statement(self, node: ast.stmt, *, is_function: bool) -> None:
        assert node.end_lineno is not None
        self.span = (node.lineno, node.end_lineno)
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
                self.names = frozenset({node.name})
                self.span = (node.lineno, node.body[0].lineno - 1)
                self.expressions(defaults)
                self.block(node.body, is_function=True)
            case ast.ClassDef():
                self.block(node.body, is_function=False)
            case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.Global() | ast.Nonlocal():
                pass
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                self.block(node.orelse, is_function=is_function)
            case ast.Assign(targets=[ast.Name(id=name)]) if name in _UNTOUCHED:
                pass
            case ast.Expr(value=ast.Constant()):
                pass  # a docstring
            case ast.Raise():
                self.replace_node(node, "pass")
            case ast.Return(value=None) | ast.Continue() | ast.Break() | ast.Delete():
                self.replace_node(node, "pass")
            case ast.Return(value=value) if value is not None:
                is_not = isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not)
                if not isinstance(value, _BY_OPERATORS) and not is_not:
                    self.replace_node(node, "return None")
                self.expressions([value])
            case ast.Expr(value=value):
                if isinstance(value, ast.Call | ast.Await) and is_function:
                    self.replace_node(node, "pass")
                self.expressions([value])
            case ast.Assign():
                is_local = any(isinstance(t, ast.Name | ast.Tuple) for t in node.targets)
                if is_function and not is_local:
                    self.replace_node(node, "pass")
                self.expressions([*node.targets, node.value])
            case ast.AugAssign():
                self.augmented(node)
            case ast.AnnAssign():
                self.expressions([node.value] if node.value else [])
            case _:
                self.compound(node, is_function=is_function)

    def augmented(self, node: ast.AugAssign) -> None:
        word = _WORDS[type(node.op)]
        self.between(self.end(node.target), self.start(node.value), word + "=",
                     _OPERATORS[word] + "=")  # fmt: skip
        self.replace_node(node, "pass")
        self.expressions([node.value])

    def compound(self, node: ast.stmt, *, is_function: bool) -> None:
        """`if`, `for`, `while`, `with`, `try`, `match`: heads, then what is in them."""
        bodies: list[list[ast.stmt]] = []
        heads: list[ast.expr] = []
        for _, value in ast.iter_fields(node):
            for one in value if isinstance(value, list) else [value]:
                match one:
                    case ast.expr():
                        heads.append(one)
                    case ast.withitem():
                        heads.append(one.context_expr)
                    case ast.ExceptHandler():
                        bodies.append(one.body)
                    case ast.match_case():
                        heads += [one.guard] if one.guard else []
                        bodies.append(one.body)
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                bodies.append(value)
        if heads:
            self.span = (node.lineno, max(head.end_lineno or 0 for head in heads))
        if isinstance(node, ast.If | ast.While):
            self.condition(node.test)
        self.expressions(heads)
        for body in bodies:
            self.block(body, is_function=is_function)

    # -- expressions ------------------------------------------------------------------------------
    def expressions(self, nodes: list[ast.expr]) -> None:
        for node in nodes:
            self.expression(node)

    def expression(self, node: ast.expr) -> None:
        match node:
            case ast.JoinedStr() | ast.Lambda(body=ast.Constant()):
                return
            case ast.Compare():
                left = node.left
                for op, right in zip(node.ops, node.comparators, strict=True):
                    word = _WORDS[type(op)]
                    self.between(self.end(left), self.start(right), word, _OPERATORS[word])
                    left = right
            case ast.BinOp():
                word = _WORDS.get(type(node.op))
                if word is not None and not _is_text(node):
                    self.between(
                        self.end(node.left), self.start(node.right), word, _OPERATORS[word]
                    )
            case ast.BoolOp():
                word = _WORDS[type(node.op)]
                for left, right in zip(node.values, node.values[1:], strict=False):
                    self.between(self.end(left), self.start(right), word, _OPERATORS[word])
                for value in node.values:
                    self.condition(value)
            case ast.UnaryOp(op=ast.Not()):
                self.replace_node(node, self.text(node.operand))
            case ast.IfExp():
                self.condition(node.test)
            case ast.Constant():
                self.constant(node)
        for child in _parts(node):
            self.expression(child)

    def condition(self, node: ast.expr) -> None:
        """The opposite of a condition that is a name, a call or the like."""
        if isinstance(node, _PLAIN):
            self.replace_node(node, b"(not " + self.text(node) + b")")

    def constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self.replace_node(node, str(not value))
        elif isinstance(value, int):
            self.replace_node(node, str(value + 1))
        elif isinstance(value, float):
            self.replace_node(node, repr(value * 2 if value else 1.0))

    def between(self, start: int, end: int, word: str, new: str) -> None:
        """Replace an operator, which is all that stands there besides brackets."""
        pattern = r"\s+".join(map(re.escape, word.split()))
        pattern = rf"\b{pattern}\b" if word[0].isalpha() else pattern
        found = re.search(pattern.encode(), self.source[start:end])
        if found is not None and b"#" not in self.source[start:end]:
            self.replace(start + found.start(), start + found.end(), new)


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.expr():
                yield child
            case ast.keyword():
                yield child.value
            case ast.comprehension():
                yield child.iter
                yield from child.ifs


def _is_text(node: ast.BinOp) -> bool:
    """Whether it is `"…" % …` or `"…" + …`: a message."""
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


def _given(statement: ast.stmt) -> frozenset[str]:
    """The names that a statement outside of functions gives a value."""
    match statement:
        case ast.Assign():
            nodes: list[ast.expr] = statement.targets
        case ast.AnnAssign() | ast.AugAssign():
            nodes = [statement.target]
        case _:
            nodes = []
    return frozenset(
        part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)
    )
