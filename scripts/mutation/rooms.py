"""A room: a folder of `pystack`, its sources, and the folders of tests that are its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.mutation.c_changes import c_changes
from scripts.mutation.change import Change
from scripts.mutation.python_changes import python_changes

ROOT: Final = Path(__file__).resolve().parent.parent.parent

# Sources besides pystack/ROOM, and tests that are not, or not only, in tests/ROOM.
_MORE_SOURCES: Final = {"wire": ("csrc/*.c",)}
_TESTS: Final = {
    "ip": ("tests/ip", "tests/stack", "tests/tcp"),
    "parts": ("tests/parts", "tests/stack", "tests/tcp"),
    "wire": ("tests/wire", "tests/path"),  # marks and runs that are cut
    "stack": ("tests/stack", "tests/tcp"),  # LISTEN and TIME_WAIT are in the RFC of TCP
    "tcp": ("tests/tcp", "tests/stack"),  # ICMP errors and path MTUs, as a connection takes them
}


@dataclass(frozen=True, slots=True)
class Room:
    """`sources` has each file's octets by its path in the checkout; `tests` are folders."""

    name: str
    sources: dict[str, bytes]
    tests: tuple[str, ...]

    def changes(self) -> list[Change]:
        """All of them, by file and place."""
        return [
            change
            for file, source in self.sources.items()
            for change in (c_changes if file.endswith(".c") else python_changes)(file, source)
        ]


def names() -> list[str]:
    """The rooms that have tests of their own."""
    folders = sorted((ROOT / "pystack").iterdir())
    return [f.name for f in folders if (f / "__init__.py").exists() and _tests(f.name)]


def _tests(name: str) -> tuple[str, ...]:
    wanted = _TESTS.get(name, (f"tests/{name}",))
    return tuple(folder for folder in wanted if (ROOT / folder).is_dir())


def room(name: str, tests: tuple[str, ...] = ()) -> Room:
    """A room as it is in the checkout; with other tests than its own, if there are any."""
    paths = sorted((ROOT / "pystack" / name).rglob("*.py"))
    for pattern in _MORE_SOURCES.get(name, ()):
        paths += sorted(ROOT.glob(pattern))
    sources = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}
    return Room(name, sources, tests or _tests(name))
