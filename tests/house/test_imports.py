"""Who imports whom: one way between rooms, folders and files, and none of them in a circle.

Imports for types alone count as others do. The rooms of the core keep away from clocks, chance and
descriptors: time and packets are arguments.
"""

from __future__ import annotations

import ast

import pytest

from tests.house.circles import circles
from tests.house.source import PACKAGE, Source, imported, neighbours, source_of, sources

# Leaves at the top that anyone may import; they import each other and plain numbers at most.
LEAVES = {
    "arguments", "compiling", "config", "counters", "errors", "events", "invocation", "lazy",
    "printed",
}  # fmt: skip
NUMBERS = {"wire.consts"}

# What a room may import besides itself and the leaves.
MAY_IMPORT: dict[str, set[str]] = {
    "wire": set(),
    "path": {"wire"},
    "cc": set(),
    "ip": {"wire"},
    "udp": {"wire", "ip"},
    "tcp": {"wire", "cc.base", "ip.keyed_hash", "ip.siphash", "ip.reports", "ip.route_metrics"},
    "parts": {"wire", "cc.base", "cc.registry", "ip", "tcp"},
    "device": {"wire"},
}
MAY_IMPORT["stack"] = MAY_IMPORT["parts"] | {"parts", "udp"}
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
SANS_IO = {"wire", "path", "cc", "ip", "tcp", "udp", "parts", "stack", "sockets"}
OUTSIDE = {
    "asyncio", "fcntl", "multiprocessing", "os", "random", "secrets", "select", "selectors",
    "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time",
}  # fmt: skip
OUTSIDE_CALLS = {"input", "open", "print"}
# The Python twin of C's batch read and write, on a descriptor that the caller owns.
OUTSIDE_ALLOWED = {("wire/codec/descriptor.py", "os")}

# A world is decided by its seed: it asks no clock, no environment and no chance of others.
NOT_IN_A_WORLD = {"os", "secrets", "time", "uuid"}
FROM_RANDOM = {"random", "random.Random"}

def import_offences(source: Source) -> list[str]:
    """What this file imports and may not."""
    name, room = source.name, source.room
    leaf = "/" not in name and room not in MAY_IMPORT
    allowed = NUMBERS if leaf else {room} | MAY_IMPORT[room]
    if name == "cc/__init__.py":
        allowed = {"cc.base", "cc.registry"}
    elif name == "cc/base.py":
        allowed = set()
    elif name.startswith("cc/") and name != "cc/registry.py":
        allowed = ALGORITHMS  # one may build on another
    found = []
    for module in imported(source):
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


def call_offences(source: Source) -> list[str]:
    """Built-in calls by which this file would do I/O."""
    return [
        f"{source.name}:{node.lineno} calls {node.func.id}"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in OUTSIDE_CALLS
    ]


def test_circles_are_found() -> None:
    arrows = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": set()}
    assert [set(circle) for circle in circles(arrows)] == [{"a", "b", "c"}]


def test_every_room_is_known() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    files = {path.stem for path in PACKAGE.glob("*.py")}
    assert rooms <= set(MAY_IMPORT)
    assert files <= LEAVES | {"__init__", "__main__", "recorder"}


def test_imports_go_one_way_and_the_core_keeps_away_from_the_outside() -> None:
    doors = {"__init__.py", "__main__.py"}
    offences = [
        offence
        for source in sources()
        if source.name not in doors
        for offence in import_offences(source)
    ]
    assert not offences


def test_a_world_has_no_time_and_no_chance_but_its_own() -> None:
    offences = [
        f"{source.name} imports {module}"
        for source in sources()
        if source.room == "sim"
        for module in imported(source)
        if module.split(".")[0] in NOT_IN_A_WORLD
        or (module.split(".")[0] == "random" and module not in FROM_RANDOM)
    ]
    calls = [
        f"{source.name}:{node.lineno} calls {node.func.id}"
        for source in sources()
        if source.room == "sim"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in ("hash", "id", "urandom")
    ]
    assert not offences + calls


def test_the_core_makes_no_io() -> None:
    offences = [
        offence
        for source in sources()
        if source.room in SANS_IO
        for offence in call_offences(source)
    ]
    assert not offences


def test_no_file_imports_in_a_circle() -> None:
    arrows = {source.module: neighbours(source) for source in sources()}
    found = {frozenset(circle) for circle in circles(arrows)}
    assert not found


def test_folders_import_each_other_one_way() -> None:
    """A folder's own page (`__init__`) hands out names of its files, so it does not count."""
    arrows: dict[str, set[str]] = {}
    for source in sources():
        if source.name.endswith("__init__.py") or not source.folder:
            continue
        folder = source.folder.replace("/", ".")
        others = {module.rpartition(".")[0] for module in neighbours(source)} - {"", folder}
        arrows.setdefault(folder, set()).update(others)
    found = {frozenset(circle) for circle in circles(arrows)}
    assert not found


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
    assert import_offences(source_of(name, source))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("wire/codec/descriptor.py", "import os"),
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
    assert not import_offences(source_of(name, source))
