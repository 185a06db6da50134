"""The changes of a C file, written as ours are: binary operators with spaces around them, one
statement a line. Some do not compile; those don't count."""

from __future__ import annotations

import re
from typing import Final

from scripts.mutation.change import Change

_OPERATORS: Final = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "+": "-", "-": "+",
    "*": "/", "/": "*", "%": "/", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "^": "&",
    "&&": "||", "||": "&&", "+=": "-=", "-=": "+=", "|=": "&=", "&=": "|=",
}  # fmt: skip
_WORDS: Final = "|".join(map(re.escape, sorted(_OPERATORS, key=len, reverse=True)))
_OPERATOR: Final = re.compile(rf"(?<= )(?:{_WORDS})(?= )".encode())
_NUMBER: Final = re.compile(rb"(?<![\w.])(0[xX][0-9a-fA-F]+|\d+)(?![\w.])")
_STATEMENT: Final = re.compile(
    rb"^ +((?:continue|break|goto \w+)|\w+\([^;{}]*\)"
    rb"|[\w>.\[\]-]+(?:\[[^=;]*\])? [-+|&]?= [^;{}]*);",
    re.MULTILINE,
)
_NOT: Final = re.compile(rb"(?<=[( ])!(?=[\w(])")
_IGNORED: Final = re.compile(
    rb"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|^#(?:[^\n]*\\\n)*[^\n]*",
    re.DOTALL | re.MULTILINE,
)


def c_changes(file: str, source: bytes) -> list[Change]:
    """All changes of the functions of a C file."""
    code = _IGNORED.sub(lambda m: re.sub(rb"[^\n]", b" ", m[0]), source)
    found: list[Change] = []

    def add(start: int, end: int, new: bytes) -> None:
        line = source.count(b"\n", 0, start) + 1
        found.append(Change(file, line, line, line, start, source[start:end], new))

    for match in _OPERATOR.finditer(code):
        if _is_in_function(code, match.start()):
            add(*match.span(), _OPERATORS[match[0].decode()].encode())
    for match in _NUMBER.finditer(code):
        if _is_in_function(code, match.start()):
            add(*match.span(), str(int(match[0], 0) + 1).encode())
    for match in _NOT.finditer(code):
        add(*match.span(), b"")
    for match in _STATEMENT.finditer(code):
        add(*match.span(1), b"")
    return found


def _is_in_function(code: bytes, place: int) -> bool:
    line = code[code.rfind(b"\n", 0, place) + 1 : place]
    return line[:1].isspace()
