"""The house rules that no type checker knows, held by reading the source.

Which room may import which, which rooms keep away from clocks and descriptors, and which file
writes a variable of the TCB.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "pystack"

# Leaves at the top that anyone may import; they import each other and plain numbers at most.
LEAVES = {
    "arguments", "compiling", "config", "counters", "errors", "invocation", "printed", "trace",
}  # fmt: skip
NUMBERS = {"wire.consts"}

# What a room may import besides itself and the leaves.
MAY_IMPORT: dict[str, set[str]] = {
    "wire": set(),
    "path": {"wire"},
    "cc": set(),
    "ip": {"wire", "tcp.isn"},
    "tcp": {"wire", "cc.base"},
    "parts": {"wire", "cc.base", "cc.registry", "ip", "tcp"},
    "device": {"wire"},
}
MAY_IMPORT["stack"] = MAY_IMPORT["parts"] | {"parts"}
MAY_IMPORT["sockets"] = MAY_IMPORT["stack"] | {"stack"}
MAY_IMPORT["aio"] = MAY_IMPORT["sockets"] | {"sockets", "path", "device"}
MAY_IMPORT["sim"] = (MAY_IMPORT["aio"] | {"aio"}) - {"device"}
MAY_IMPORT["recorder"] = MAY_IMPORT["sim"] - {"sim"}
MAY_IMPORT["testing"] = MAY_IMPORT["sim"] | {"sim", "recorder"}
MAY_IMPORT["cli"] = MAY_IMPORT["testing"] | {"testing", "device"}

# Names that a room's __init__ hands out, and the module that they are of.
DOORS_OF_ROOMS = {"cc.names": "cc.registry", "cc.register": "cc.registry"}

# What an algorithm may build on: the contract, and other algorithms.
ALGORITHMS = {f"cc.{path.stem}" for path in (PACKAGE / "cc").glob("[a-z]*.py")} - {"cc.registry"}

# Time, randomness and I/O come to these rooms as arguments.
SANS_IO = {"wire", "path", "cc", "ip", "tcp", "parts", "stack", "sockets"}
OUTSIDE = {
    "asyncio", "fcntl", "multiprocessing", "os", "random", "secrets", "select", "selectors",
    "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time",
}  # fmt: skip
OUTSIDE_CALLS = {"input", "open", "print"}
# The Python twin of C's batch read and write, on a descriptor that the caller owns.
OUTSIDE_ALLOWED = {("wire/descriptor.py", "os")}

# A world is decided by its seed: it asks no clock, no environment and no chance of others.
NOT_IN_A_WORLD = {"os", "secrets", "time", "uuid"}
FROM_RANDOM = {"random", "random.Random"}

# Bit sets of the TCB that any file may add to.
SHARED_TCB_VARIABLES = {"pending", "events"}


def sources(*rooms: str) -> Iterator[tuple[str, ast.Module]]:
    """Path below the package, and syntax tree, of each file (of these rooms)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not rooms or name.split("/")[0] in rooms:
            yield name, ast.parse(path.read_text(), name)


def imported(name: str, tree: ast.Module) -> Iterator[str]:
    """Full names of all modules that a file may import, those inside of functions too."""
    here = ["pystack", *name.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def import_offences(name: str, tree: ast.Module) -> list[str]:
    """What this file imports and may not."""
    room = name.split("/")[0].removesuffix(".py")
    leaf = "/" not in name and room not in MAY_IMPORT
    allowed = NUMBERS if leaf else {room} | MAY_IMPORT[room]
    if name == "cc/__init__.py":
        allowed = {"cc.base", "cc.registry"}
    elif name == "cc/base.py":
        allowed = set()
    elif name.startswith("cc/") and name != "cc/registry.py":
        allowed = ALGORITHMS  # one may build on another
    found = []
    for module in imported(name, tree):
        top, _, inside = module.partition(".")
        inside = DOORS_OF_ROOMS.get(inside, inside)
        if top == "pystack" and inside and is_module(inside):
            permitted = any(
                inside == target or inside.startswith(f"{target}.") for target in allowed | LEAVES
            )
            if not permitted and not is_room_itself(inside, allowed):
                found.append(f"{name} imports {module}")
        elif room in SANS_IO and top in OUTSIDE and (name, top) not in OUTSIDE_ALLOWED:
            found.append(f"{name} imports {module}")
    return found


def is_module(inside: str) -> bool:
    path = PACKAGE / inside.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def is_room_itself(inside: str, allowed: set[str]) -> bool:
    """`cc` in `from pystack.cc import base`: what counts is the module that follows."""
    return any(target.startswith(f"{inside}.") for target in allowed)


def call_offences(name: str, tree: ast.Module) -> list[str]:
    """Built-in calls by which this file would do I/O."""
    return [
        f"{name}:{node.lineno} calls {node.func.id}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in OUTSIDE_CALLS
    ]


def tcb_writes(tree: ast.Module) -> set[str]:
    """The attributes that are stored (or deleted) on a name `tcb`."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and not isinstance(node.ctx, ast.Load)
        and isinstance(node.value, ast.Name)
        and node.value.id == "tcb"
    }


def test_every_room_is_known() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    files = {path.stem for path in PACKAGE.glob("*.py")}
    assert rooms <= set(MAY_IMPORT)
    assert files <= LEAVES | {"__init__", "__main__", "recorder"}


def test_imports_go_one_way_and_the_core_keeps_away_from_the_outside() -> None:
    doors = {"__init__.py", "__main__.py"}
    offences = [
        offence
        for name, tree in sources()
        if name not in doors
        for offence in import_offences(name, tree)
    ]
    assert not offences


def test_a_world_has_no_time_and_no_chance_but_its_own() -> None:
    offences = [
        f"{name} imports {module}"
        for name, tree in sources("sim")
        for module in imported(name, tree)
        if module.split(".")[0] in NOT_IN_A_WORLD
        or (module.split(".")[0] == "random" and module not in FROM_RANDOM)
    ]
    calls = [
        f"{name}:{node.lineno} calls {node.func.id}"
        for name, tree in sources("sim")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in ("hash", "id", "urandom")
    ]
    assert not offences + calls


def test_the_core_makes_no_io() -> None:
    offences = [
        offence for name, tree in sources(*SANS_IO) for offence in call_offences(name, tree)
    ]
    assert not offences


def test_each_tcb_variable_is_written_by_one_file() -> None:
    writers: dict[str, list[str]] = defaultdict(list)
    for name, tree in sources("tcp"):
        if name != "tcp/tcb.py":
            for variable in tcb_writes(tree) - SHARED_TCB_VARIABLES:
                writers[variable].append(name)
    assert {variable: files for variable, files in writers.items() if len(files) > 1} == {}


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("wire/x.py", "import time"),
        ("wire/x.py", "from pystack.tcp import tcb"),
        ("tcp/x.py", "from os import environ"),
        ("tcp/x.py", "def f():\n    import asyncio.events"),
        ("tcp/x.py", "from pystack.cc import reno"),
        ("tcp/x.py", "from ..stack import host"),
        ("tcp/x.py", "import pystack.stack.host"),
        ("tcp/x.py", "from pystack import stack"),
        ("tcp/x.py", "from pystack.cc import register"),
        ("cc/reno.py", "from pystack.cc.registry import make"),
        ("cc/reno.py", "from pystack.cc import register"),
        ("cc/base.py", "from pystack.cc.reno import Reno"),
        ("cc/__init__.py", "from pystack.cc.reno import Reno"),
        ("stack/x.py", "from pystack.device import tun"),
        ("sockets/x.py", "import socket"),
        ("device/x.py", "from pystack.tcp import tcb"),
        ("config.py", "from pystack.wire import seq"),
    ],
)
def test_an_import_against_the_rules_is_found(name: str, source: str) -> None:
    assert import_offences(name, ast.parse(source))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("wire/descriptor.py", "import os"),
        ("wire/x.py", "from pystack import config\nfrom . import seq\nfrom struct import Struct"),
        ("tcp/x.py", "from pystack.cc import base\nfrom pystack.cc.base import AckSample"),
        ("tcp/x.py", "from pystack.cc import AckSample, CongestionControl"),
        ("cc/registry.py", "from pystack.cc.reno import Reno"),
        ("cc/mine.py", "from pystack.cc.reno import Reno\nfrom pystack.cc.base import OPEN"),
        ("cc/__init__.py", "from pystack.cc.registry import register"),
        ("aio/x.py", "from pystack.cc import register"),
        ("aio/x.py", "import asyncio, os\nfrom pystack.device import tun"),
        ("cli/x.py", "from pystack.device import tun\nfrom pystack.wire.show import Notation"),
    ],
)
def test_an_import_within_the_rules_passes(name: str, source: str) -> None:
    assert not import_offences(name, ast.parse(source))


def test_writes_to_the_tcb_are_found_in_every_form() -> None:
    source = (
        "tcb.a = 1\ntcb.b += 1\ntcb.c, tcb.d = 1, 2\ndel tcb.e\nx = tcb.f\ntcb.g.h = 1\no.i = 1"
    )
    assert tcb_writes(ast.parse(source)) == set("abcde")
