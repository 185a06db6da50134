"""Each variable of a record is written in one file, in every room and under whatever name."""

from __future__ import annotations

import pytest

from tests.house.source import source_of, sources
from tests.house.writers import writers

# Marks that any file may set (`output` and the loop of the host take them away), what the user of a
# socket sets, and counts, which go up where the thing happens.
SHARED = {
    ("state.variables.TcbVariables", "pending"), ("state.variables.TcbVariables", "events"),
    ("state.variables.TcbVariables", "dirty"), ("sockets.base.BaseSocket", "on_events"),
}  # fmt: skip
COUNTS = "counters.Counters"


def test_each_variable_of_a_record_is_written_by_one_file() -> None:
    found, unknown = writers(sources())
    several = {
        f"{record.rpartition('.')[2]}.{variable}": sorted(files)
        for (record, variable), files in found.items()
        if len(files) > 1 and record != COUNTS
        and not any(record.endswith(name.rpartition(".")[2]) and variable == bits
                    for name, bits in SHARED)
    }  # fmt: skip
    assert several == {}
    assert unknown == []


RECORD = """
class Record:
    __slots__ = ("a", "b")
    def __init__(self) -> None:
        self.a = 0
        self.b: "Other | None" = None
class Other:
    __slots__ = ("c",)
"""


@pytest.mark.parametrize(
    ("text", "record", "variable"),
    [
        ("def f(r: Record) -> None:\n    r.a = 1", "Record", "a"),
        ("def f(r: Record | None) -> None:\n    r.a += 1", "Record", "a"),
        ("def f(r: 'Record') -> None:\n    x, r.a = 1, 2", "Record", "a"),
        ("def f(r: Record) -> None:\n    del r.a", "Record", "a"),
        ("def f(r: Record) -> None:\n    r.b.c = 1", "Other", "c"),
        ("def f(rs: list[Record]) -> None:\n    for r in rs:\n        r.a = 1", "Record", "a"),
        ("def f(rs: dict[int, Record]) -> None:\n    rs[0].a = 1", "Record", "a"),
        ("def f() -> None:\n    r = Record()\n    q = r\n    q.a = 1", "Record", "a"),
        ("def g() -> Record: ...\ndef f() -> None:\n    g().a = 1", "Record", "a"),
        ("class Sub(Record):\n    def f(self) -> None:\n        self.a = 1", "Record", "a"),
        ("def f(x: object) -> None:\n    isinstance(x, Record)\n    x.a = 1", "Record", "a"),
        ("def f(x) -> None:\n    x.a = 1", "Record", "a"),  # no other class has such a slot
    ],
)
def test_a_store_is_found_whatever_the_record_is_called(
    text: str, record: str, variable: str
) -> None:
    other = source_of("x/b.py", f"from pystack.x.a import Other, Record\n{text}")
    found, unknown = writers([source_of("x/a.py", RECORD), other])
    assert unknown == []
    assert {key: files for key, files in found.items() if key[1] == variable} == {
        (f"x.a.{record}", variable): {"x/a.py" if "Sub" in text else "x/b.py"}
    }
