"""Programs in a document: each code block behind `<!-- file: NAME -->` is that file."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)```\n", re.DOTALL)


def programs(document: str) -> dict[str, str]:
    """Name and source of each program in a file of docs/, in their order."""
    found = programs_in((DOCS / document).read_text(encoding="utf-8"))
    assert found, f"no programs in {document}"
    return found


def programs_in(text: str) -> dict[str, str]:
    """The same for the text of any document; it may have none."""
    return dict(_BLOCK.findall(text))


def put(document: str, folder: Path) -> None:
    """Write all of them into a folder."""
    for name, source in programs(document).items():
        (folder / name).write_text(source)
