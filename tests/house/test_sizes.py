"""Nothing is too large to be seen: folders of 20 files, files of 400 lines, functions of 60."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from tests.house.source import ROOT, sources

FILES_OF_A_FOLDER = 20
LINES_OF_A_FILE = 420
LINES_OF_A_TEST = 600  # cases of one RFC's section stand together
LINES_OF_A_FUNCTION = 66


def code(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_no_folder_has_more_files_than_one_can_see() -> None:
    counted: Counter[str] = Counter()
    c = (ROOT / "csrc").glob("*.[ch]")
    for path in [*code("pystack", "build_tools", "scripts", "tests"), *c]:
        if path.name != "__init__.py":
            counted[path.parent.relative_to(ROOT).as_posix()] += 1
    for path in (ROOT / "scripts").iterdir():
        if path.is_file() and not path.suffix:
            counted["scripts"] += 1
    found = {folder: n for folder, n in counted.items() if n > FILES_OF_A_FOLDER}
    assert found == {}


def test_no_file_is_too_long() -> None:
    found = {}
    for path in code("pystack", "build_tools", "scripts", "tests"):
        name = path.relative_to(ROOT).as_posix()
        lines = len(path.read_text().splitlines())
        if lines > (LINES_OF_A_TEST if name.startswith("tests/") else LINES_OF_A_FILE):
            found[name] = lines
    assert found == {}


def test_no_function_is_too_long() -> None:
    found = {}
    for path in code("pystack", "build_tools", "scripts"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LINES_OF_A_FUNCTION:
                    found[f"{path.relative_to(ROOT).as_posix()}:{node.name}"] = lines
    assert found == {}


def test_no_room_is_a_drawer_for_anything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "shared"}
    found = {part for source in sources() for part in source.module.split(".") if part in drawers}
    assert not found
