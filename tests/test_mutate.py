"""scripts/mutate: what it changes, that the checkout stays as it is, and what counts as noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scripts.mutation import covering as covering_of_a_room
from scripts.mutation import equivalents, rooms
from scripts.mutation.c_changes import c_changes
from scripts.mutation.change import Change, on_lines, sampled
from scripts.mutation.covering import Covering
from scripts.mutation.python_changes import python_changes
from scripts.mutation.rooms import ROOT, Room
from scripts.mutation.trial import Copy
from tests.surroundings import PATIENCE


def said(source: str, *, c: bool = False) -> set[tuple[str, str]]:
    octets = source.encode()
    changes = c_changes("x.c", octets) if c else python_changes("x.py", octets)
    return {change.lines(octets) for change in changes}


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("if a < 1: go()", {"if a <= 1: go()", "if a < 2: go()", "if a < 1: pass"}),
        ("if a is not b: return", {"if a is b: return", "if a is not b: pass"}),
        ("if a and b: raise E('x')", {
            "if a or b: raise E('x')", "if (not a) and b: raise E('x')",
            "if a and (not b): raise E('x')", "if a and b: pass",
        }),
        ("x = a + (b - c)", {"x = a - (b - c)", "x = a + (b + c)"}),
        ("x.y = not a", {"pass", "x.y = a"}),
        ("x += True", {"x -= True", "x += False", "pass"}),
        ("return a.b", {"return None"}),
        ("return a == b", {"return a != b"}),
        ("for x in y[1:]: continue", {"for x in y[2:]: continue", "for x in y[1:]: pass"}),
        ("while a: f(0.5)", {"while (not a): f(0.5)", "while a: f(1.0)", "while a: pass"}),
        ("try: f()\nexcept E: g()", {"try: pass", "except E: pass"}),
    ],
)  # fmt: skip
def test_each_kind_of_line_is_changed(line: str, changed: set[str]) -> None:
    body = line.replace("\n", "\n    ")
    found = {after for _, after in said(f"def f():\n    {body}\n    done()\n")}
    assert found - {"pass"} | ({"pass"} & changed) == changed


def test_what_a_module_says_of_itself_is_left_alone() -> None:
    assert said('''
"""A docstring with 1 < 2."""
from a import b
__slots__ = ("a", "b")
@cache(1)
def f(a: int | None, *, b: dict[str, 3]) -> 1 | 2:
    """Another one."""
    assert a < 1
    x: int | None
    return f"{a + 1}"
''') == {('return f"{a + 1}"', "return None")}  # fmt: skip


def test_constants_of_modules_and_defaults_are_changed() -> None:
    assert said("LIMIT: Final = 16 * 1024  # octets\ndef f(a=0): ...\n") == {
        ("LIMIT: Final = 16 * 1024 # octets", "LIMIT: Final = 17 * 1024 # octets"),
        ("LIMIT: Final = 16 * 1024 # octets", "LIMIT: Final = 16 * 1025 # octets"),
        ("LIMIT: Final = 16 * 1024 # octets", "LIMIT: Final = 16 // 1024 # octets"),
        ("def f(a=0): ...", "def f(a=1): ..."),
    }


def test_a_statement_of_several_lines_is_left_out_whole() -> None:
    source = b"def f():\n    g(\n        a,\n    )\n    h()\n"
    change = python_changes("x.py", source)[0]
    assert change.applied(source) == b"def f():\n    pass\n    h()\n"
    assert (change.first, change.last) == (2, 4)


def test_c_is_changed_within_functions_only() -> None:
    source = """\
#define A (1 + 2)
static int f(int a) /* a < 1 */
{
    a->b = c + 1;
    if (!a && b)
        g("1 + 1");
}
"""
    assert said(source, c=True) == {
        ("a->b = c + 1;", "a->b = c - 1;"), ("a->b = c + 1;", "a->b = c + 2;"),
        ("a->b = c + 1;", ";"), ("if (!a && b)", "if (a && b)"), ("if (!a && b)", "if (!a || b)"),
        ('g("1 + 1");', ";"),
    }  # fmt: skip


def test_a_sample_is_decided_by_its_seed_and_stays_when_lines_are_added() -> None:
    lines = [f"    x.a{n} = a + {n}\n" for n in range(50)]
    sources = {"x.py": ("def f():\n" + "".join(lines)).encode()}
    more = {"x.py": ("import b\n\ndef f():\n    pass\n" + "".join(lines)).encode()}

    def sample(of: dict[str, bytes], seed: int) -> list[tuple[str, str]]:
        changes = python_changes("x.py", of["x.py"])
        return [c.lines(of["x.py"]) for c in sampled(changes, of, 10, seed)]

    assert len({before for before, _ in sample(sources, 1)}) == 10
    assert sample(sources, 1) == sample(more, 1) != sample(sources, 2)


def test_lines_are_chosen_by_number() -> None:
    changes = python_changes("x.py", b"A = 1\nB = 2\nC = 3\n")
    assert [c.line for c in on_lines(changes, "x.py", 2, 3)] == [2, 3]
    assert on_lines(changes, "y.py", 2, 3) == []


def test_each_change_that_is_called_equivalent_can_be_made() -> None:
    for name, line, becomes in equivalents.known():
        room = rooms.room(name)
        made = {change.lines(room.sources[change.file]) for change in room.changes()}
        assert (line, becomes) in made, f"{name}: {line}  ->  {becomes}"


@pytest.mark.parametrize("name", rooms.names())
def test_every_change_of_a_room_is_one_that_python_can_read(name: str) -> None:
    room = rooms.room(name)
    changes = room.changes()
    assert len({(c.file, c.start, c.old, c.new) for c in changes}) == len(changes) > 0
    for change in changes[:: max(1, len(changes) // 50)]:
        source = change.applied(room.sources[change.file])
        assert source != room.sources[change.file]
        if change.file.endswith(".py"):
            compile(source, change.file, "exec")


# -- a checkout of its own ------------------------------------------------------------------------
SOURCE = b"""\
LIMIT = 3

def is_small(a):
    return a < LIMIT

def rest(a):
    while a > 9:
        a -= 1
    return a

def unused():
    return print
"""
TESTS = """\
from pystack.little import source

def test_small():
    assert source.is_small(2)
    assert not source.is_small(4)

def test_rest():
    assert source.rest(12) == 9
"""
FILE = "pystack/little/source.py"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("pystack/__init__", "pystack/testing/__init__", "pystack/testing/pytest_plugin",
                 "pystack/little/__init__", "tests/__init__", "tests/little/__init__"):  # fmt: skip
        (folder / f"{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").touch()
    (folder / FILE).write_bytes(SOURCE)
    (folder / "tests/little/test_source.py").write_text(TESTS)
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    return folder


def test_of_a_function_with_many_parameters_a_few_may_do() -> None:
    names = ["x.py::test_a[1]", "x.py::test_a[2]", "x.py::test_b", "x.py::test_a[3]"]
    found = {
        "tests": [(name, 0.1) for name in names],
        "lines": {FILE: {"4": [0, 1, 2, 3], "1": [1, 3], "7": [3]}},
    }
    room = Room("little", {FILE: SOURCE}, ())
    one = change("return a < LIMIT", "return a <= LIMIT")
    # those that execute few lines come first
    assert Covering(room, found).tests(one) == [names[n] for n in (0, 2, 1, 3)]
    assert Covering(room, found, 2).tests(one) == [names[n] for n in (0, 2, 1)]
    assert Covering(room, found, 1).tests(one) == [names[n] for n in (0, 2)]


@pytest.fixture(scope="module")
def copy(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(checkout, tmp_path_factory.mktemp("copy"))


@pytest.fixture(scope="module")
def covering(copy: Copy) -> Covering:
    found = copy.map(["tests/little"], PATIENCE)
    assert found["failed"] == []
    return Covering(Room("little", {FILE: SOURCE}, ("tests/little",)), found)


@pytest.mark.parametrize("place", ["tests/little", "tests/little/test_source.py"])
def test_what_is_known_of_the_tests_is_kept_until_one_changes(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(covering_of_a_room, "ROOT", checkout)
    room = Room("little", {FILE: SOURCE}, (place,))
    tests = checkout / "tests/little/test_source.py"
    before = covering_of_a_room.kept_as(room)
    assert covering_of_a_room.kept_as(room) == before
    try:
        tests.write_text(TESTS + "\n")
        assert covering_of_a_room.kept_as(room) != before
    finally:
        tests.write_text(TESTS)


def change(before: str, after: str) -> Change:
    changes = python_changes(FILE, SOURCE)
    (found,) = [c for c in changes if c.lines(SOURCE) == (before, after)]
    return found


SMALL, REST = [f"tests/little/test_source.py::test_{name}" for name in ("small", "rest")]


@pytest.mark.parametrize(
    ("before", "after", "tests", "noticed"),
    [
        ("while a > 9:", "while a > 10:", [REST], True),
        ("return a < LIMIT", "return a <= LIMIT", [SMALL], False),
        ("LIMIT = 3", "LIMIT = 4", [SMALL, REST], False),
        ("return print", "return None", [REST, SMALL], False),
    ],
)
def test_the_tests_of_a_line_are_run_and_say_whether_they_notice(
    copy: Copy, covering: Covering, before: str, after: str, tests: list[str], noticed: bool
) -> None:
    one = change(before, after)
    assert sorted(covering.tests(one)) == sorted(tests)
    outcome = copy.outcome(one, [(name, 0.1) for name in covering.tests(one)], PATIENCE)
    assert outcome.noticed is noticed
    assert outcome.by == (tests[0] if noticed else "")
    assert (copy.tree / FILE).read_bytes() == SOURCE


def test_a_change_that_never_ends_is_noticed_by_the_time(copy: Copy, checkout: Path) -> None:
    one = change("a -= 1", "pass")
    outcome = copy.outcome(one, [(REST, 0.1)], 5.0)
    assert (outcome.noticed, outcome.by) == (True, "not done after 5 s")
    assert (copy.tree / FILE).read_bytes() == (checkout / FILE).read_bytes() == SOURCE


def test_a_copy_that_was_ended_runs_nothing_more(checkout: Path, tmp_path: Path) -> None:
    copy = Copy(checkout, tmp_path)
    copy.end()
    assert copy.chosen([SMALL], PATIENCE).status is None
