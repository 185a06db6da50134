"""What mkdocs calls while it builds: sources that pages link to, and what is made of the source."""

from __future__ import annotations

import os
import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # mkdocs loads this file by its path
# Help is made of how the command is called, and by whom: in a checkout, and not by root alone. That
# is read when pystack is imported first.
os.environ["PYSTACK_CALLED_AS"] = "scripts/pystack"
os.environ["SUDO_UID"] = "1000"

from scripts.site import commands, helps, settings  # noqa: E402 (see above)

# what pages say where something is to be put that is made of the source
_MADE: Final = {
    "<!-- commands -->": commands.reference,
    "<!-- scripts -->": helps.texts,
    "<!-- settings -->": settings.tables,
}
_LINK: Final = re.compile(r"\]\(((?:\.\./)+[^)\s#]+)(#[^)\s]*)?\)")
_FENCE: Final = re.compile(r"^(`{3,}).*?^\1 *$", re.DOTALL | re.MULTILINE)
_log = get_plugin_logger("sources")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page as it is to be rendered."""
    for place, make in _MADE.items():
        if place in markdown:
            markdown = markdown.replace(place, make())
    return "".join(_with_sources(markdown, page, config, files))


def _with_sources(text: str, page: Page, config: MkDocsConfig, files: Files) -> Iterator[str]:
    """Links to files of the checkout lead to copies of them in the site; code stays as it is."""

    def to_copy(found: re.Match[str]) -> str:
        folder = posixpath.dirname(page.file.src_uri)
        path = posixpath.normpath(posixpath.join("docs", folder, found[1]))
        if path.startswith("docs/"):
            return found[0]
        if not (ROOT / path).is_file():
            _log.warning(f"{page.file.src_uri} links to {found[1]}, which is no file")
            return found[0]
        copy = f"sources/{path}.txt"
        if files.get_file_from_path(copy) is None:
            files.append(File.generated(config, copy, abs_src_path=str(ROOT / path)))
        return f"]({posixpath.relpath(copy, folder or '.')})"

    end = 0
    for fence in _FENCE.finditer(text):
        yield _LINK.sub(to_copy, text[end : fence.start()])
        yield fence[0]
        end = fence.end()
    yield _LINK.sub(to_copy, text[end:])
