"""The site of docs/: built with warnings as errors, whole, and of use without a network."""

from __future__ import annotations

import html
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from pystack.cli.commands import pystack
from tests.kit.documents import DOCS

pytest.importorskip("mkdocs", reason="scripts/setup --docs brings it")
pytest.importorskip("mkdocstrings", reason="scripts/setup --docs brings it")

ROOT = DOCS.parent
PACKAGES = (
    "pystack", "pystack.aio", "pystack.cc", "pystack.path", "pystack.sim", "pystack.sockets",
    "pystack.testing",
)  # fmt: skip
LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}
INTRODUCED = {"canonical", "alternate", "next", "prev"}  # links that a browser does not follow


def build(config: Path, to: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(to)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "http_proxy": "http://127.0.0.1:9",
             "https_proxy": "http://127.0.0.1:9"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Page(HTMLParser):
    """What a page loads, links to, and can be linked at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors.add(given.get("id", ""))
        for name, value in given.items():
            if (tag, name) in LOADED and given.get("rel") not in INTRODUCED:
                self.loads.append(value)
            elif (tag, name) == ("a", "href"):
                self.links.append(value)


def pages(site: Path) -> Iterator[tuple[Path, Page]]:
    for path in sorted(site.rglob("*.html")):
        yield path, Page(path.read_text(encoding="utf-8"))


def test_every_page_of_docs_is_in_the_site(site: Path) -> None:
    wanted = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert wanted <= {path.relative_to(site) for path in site.rglob("*.html")}


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for path, page in pages(site):
        assert [what for what in page.loads if re.match(r"\w+:|//", what)] == [], path
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", path.read_text()), path


def test_every_link_leads_to_a_file_and_an_anchor_of_the_site(site: Path) -> None:
    found = dict(pages(site))
    found.pop(site / "404.html")
    for path, page in found.items():
        for link in page.links:
            if re.match(r"\w+:", link):
                assert re.match(r"https://[\w.-]+\.[a-z]+(/|$)", link), (path, link)
                continue
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), (path, link)
            if anchor and target.suffix == ".html" and target in found:
                assert anchor in found[target].anchors, (path, link)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(site: Path, package: str) -> None:
    anchors = {anchor for _, page in pages(site) for anchor in page.anchors}
    if package == "pystack":  # its names are described where they are made
        anchors = {f"pystack.{anchor.rpartition('.')[2]}" for anchor in anchors}
    names = set(importlib.import_module(package).__all__) - {"__version__"}
    assert {f"{package}.{name}" for name in names} - anchors == set()


def test_no_member_is_in_the_reference_that_dir_leaves_out(site: Path) -> None:
    anchors = {anchor for _, page in pages(site) for anchor in page.anchors}
    shown = 0
    for package in PACKAGES:
        module = importlib.import_module(package)
        named = [getattr(module, name) for name in module.__all__]
        for kind in (one for one in named if isinstance(one, type)):
            begin = f"{package}.{kind.__name__}."
            names = {anchor.removeprefix(begin) for anchor in anchors if anchor.startswith(begin)}
            shown += len(names)
            modules = [importlib.import_module(each.__module__) for each in kind.__mro__]
            inside = frozenset().union(*(getattr(one, "_INSIDE", ()) for one in modules))
            assert not names & (inside | {"__dir__", "__repr__"}), kind
    assert shown > 100


def test_every_option_of_every_command_is_in_the_reference(site: Path) -> None:
    text = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    text = text.partition("<article")[2].partition("</article")[0]
    text = html.unescape(re.sub(r"<[^>]+>", "", text))
    assert "\\" not in text.replace("\\\n", "")  # of Markdown; a shell's is at the end of a line
    assert "sudo scripts/pystack serve" in text
    assert isinstance(pystack, click.Group)
    for name, command in pystack.commands.items():
        assert f"pystack {name}: " in text
        options = [one for one in command.params if isinstance(one, click.Option)]
        for option in options:
            names, what = option.get_help_record(click.Context(command)) or ("", "")
            assert names in text, (name, names)
            assert what.partition("  [")[0].replace("`", "") in text, (name, what)


def test_every_setting_is_in_the_reference(site: Path) -> None:
    from pystack.config import Config

    text = (site / "reference" / "pystack.html").read_text(encoding="utf-8")
    missing = [name for name in Config.__slots__ if f"<code>{name}</code>" not in text]
    assert missing == []


def test_no_docstring_is_taken_for_other_markup_than_it_is(site: Path) -> None:
    for path in (site / "reference").glob("*.html"):
        article = path.read_text(encoding="utf-8").partition("<article")[2]
        prose = re.sub(r"<(code|pre|script)\b.*?</\1>", "", article, flags=re.DOTALL)
        assert not re.search(r"<(em|strong|blockquote|h[56]|hr)\b", prose), path  # * _ > # ---
        text = re.sub(r"<[^>]+>", "", prose)
        assert not re.search(r"`|\]\[|\]\(", text), path


@pytest.mark.parametrize(
    "words",
    ["[x](nowhere.md)", "[x](#nowhere)", "[x](asyncio.md#nowhere)", "[x](../tests/nowhere.py)",
     "[x](/index.md)", "[x][pystack.Nothing]", "::: pystack.aio.nothing"],
)  # fmt: skip
def test_what_leads_nowhere_ends_the_build(words: str, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("index.md", "asyncio.md"):
        (docs / name).write_text(f"# {name}\n")
    config = tmp_path / "mkdocs.yml"
    settings = (ROOT / "mkdocs.yml").read_text().partition("nav:\n  -")[0]
    for there, here in {
        "docs_dir: docs": f"docs_dir: {docs}",
        "[scripts/site/hooks.py]": f"[{ROOT}/scripts/site/hooks.py]",
        "[scripts/site/inside.py]": f"[{ROOT}/scripts/site/inside.py]",
        "[pystack, scripts/site]": "[]",
        "[site.css]": "[]",
        "paths: [.]": f"paths: [{ROOT}]",
    }.items():
        assert there in settings
        settings = settings.replace(there, here)
    config.write_text(settings)
    assert build(config, tmp_path / "site").returncode == 0
    (docs / "index.md").write_text(f"# index\n\n{words}\n")
    done = build(config, tmp_path / "site")
    assert done.returncode != 0
    assert "nowhere" in done.stderr or "othing" in done.stderr or "/index.md" in done.stderr
