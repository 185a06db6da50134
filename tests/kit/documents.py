"""Programs in a document: each code block behind `<!-- file: NAME -->` is that file."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)```\n", re.DOTALL)


def programs(document: str) -> dict[str, str]:
    """Name and source of each program in a file of docs/, in their order."""
    found = _BLOCK.findall((DOCS / document).read_text())
    assert found, f"no programs in {document}"
    return dict(found)


def put(document: str, folder: Path) -> None:
    """Write all of them into a folder."""
    for name, source in programs(document).items():
        (folder / name).write_text(source)
