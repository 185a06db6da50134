"""docs/architecture.md leads to files that are there, and every file can be found from it or from
the head of its folder."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house.source import PACKAGE, ROOT, sources

GUIDE = (ROOT / "docs" / "architecture.md").read_text()
TABLES = re.compile(
    r"^\| question \| file(?: below `([a-z]+)/`)? \|.*\n\|[-| ]*\n((?:\|.*\n)+)", re.MULTILINE
)


def named() -> list[str]:
    """All paths that the guide's tables and texts name, from the root or from a room."""
    found = []
    for below, rows in TABLES.findall(GUIDE):
        for row in rows.splitlines():
            for path in re.findall(r"`([a-z_0-9/]+(?:\.py|/))`", row.split("|")[2]):
                is_below = below and not (PACKAGE / path).exists()
                found.append(f"{below}/{path}" if is_below else path)
    rest = TABLES.sub("", GUIDE)
    found += re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]+\.(?:py|c))`", rest)
    return sorted(set(found))


@pytest.mark.parametrize("path", named())
def test_what_the_guide_names_is_there(path: str) -> None:
    assert (PACKAGE / path).exists() or (ROOT / path).exists(), path


def test_every_room_is_in_the_guide() -> None:
    rooms = {source.room for source in sources() if "/" in source.name}
    assert {room for room in rooms if f"| `{room}` |" not in GUIDE} == set()


def heads() -> dict[str, str]:
    return {
        source.folder: ast.get_docstring(source.tree) or ""
        for source in sources()
        if source.name.endswith("__init__.py")
    }


def test_every_file_is_named_by_the_guide_or_by_the_head_of_its_folder() -> None:
    guide = set(named())
    missing = []
    for source in sources():
        stem = source.name.rpartition("/")[2].removesuffix(".py")
        if stem in ("__init__", "__main__") or "/" not in source.name:
            continue
        if source.name not in guide and not re.search(rf"\b{stem}\b", heads()[source.folder]):
            missing.append(source.name)
    assert missing == []
