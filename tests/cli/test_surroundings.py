"""The command where its user's shell is not as ours: locale, closed stdin, paths, limits."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import PYSTACK, Program
from tests.live.namespace import Namespace

pytestmark = pytest.mark.live

OWN = "198.18.0.2"
READY = "Ctrl-C ends it."
BARE = ["env", "-i", f"PATH={os.environ['PATH']}"]
LOCALES = {
    "none": [],
    "C": ["LANG=C", "LC_ALL=C"],
    "Latin-1": ["PYTHONIOENCODING=latin-1"],
}
FLOOD = "import socket\nfor _ in range(300): socket.create_connection(('198.18.0.2', 9)).close()"


@pytest.mark.parametrize("locale", LOCALES)
def test_serve_writes_what_the_locale_has(namespace: Namespace, locale: str) -> None:
    prefix = [*BARE, *LOCALES[locale]]
    with Program("serve", "--netns", namespace.path, prefix=prefix) as program:
        program.until(READY)
        namespace.run(["python3", "-c", FLOOD])
        program.until("more events")  # behind a character that is not in ASCII
        assert program.stop() == 0
        assert program.err == ""
    (line,) = re.findall(r"  (\S+) [\d,]+ more events", program.out)[:1]
    assert line == ("?" if locale == "Latin-1" else "…")


@pytest.mark.parametrize("locale", LOCALES)
def test_the_demo_needs_neither_home_nor_locale_nor_terminal(
    kernel_rights: None, locale: str
) -> None:
    result = subprocess.run(
        [*BARE, *LOCALES[locale], *PYSTACK, "demo", "--msl", "0.05"],
        stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, b"")
    assert "±".encode("latin-1" if locale == "Latin-1" else "utf-8") in result.stdout
    assert b"\x1b" not in result.stdout


@pytest.mark.parametrize("closed", ["<&-", "<&- 2>&-"])
def test_serve_goes_on_where_standard_descriptors_are_closed(
    namespace: Namespace, closed: str
) -> None:
    prefix = ["bash", "-c", f'exec "$@" {closed}', "bash"]
    with Program("serve", "--netns", namespace.path, prefix=prefix) as program:
        program.until(READY)
        page = namespace.run(["curl", "-q", "-sS", "--noproxy", "*", f"http://{OWN}/"]).stdout
        assert "ESTABLISHED" in page
        assert program.end(signal.SIGTERM) == 0


def test_a_low_limit_of_open_files_is_enough_to_serve(namespace: Namespace) -> None:
    prefix = ["bash", "-c", 'ulimit -n 64 && exec "$@"', "bash"]
    with Program("serve", "--netns", namespace.path, prefix=prefix) as program:
        program.until(READY)
        namespace.run(["python3", "-c", FLOOD])
        assert program.stop() == 0
        assert program.err == ""
        assert "300 connections" in program.out


def test_a_command_of_a_virtual_environment_whose_path_has_a_space_is_run(
    namespace: Namespace, tmp_path: Path
) -> None:
    """As pip writes it there: `#!` takes no spaces, and no long paths."""
    python = tmp_path / "a b" / "python3"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    command = python.parent / "hello"
    command.write_text(
        f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\nprint('hello', __name__)\n"
    )
    command.chmod(0o755)
    alone = subprocess.run([command], stdout=subprocess.PIPE, text=True, check=True)
    with Program("run", "--netns", namespace.path, "--", str(command)) as program:
        assert program.end() == 0, program.err
        assert program.out == alone.stdout == "hello __main__\n"


def test_from_a_path_with_a_space_it_serves_a_folder_and_captures(
    namespace: Namespace, tmp_path: Path
) -> None:
    copy = tmp_path / "a b" / "pystack-tcp"
    root = Path(__file__).parents[2]
    shutil.copytree(root / "pystack", copy / "pystack", ignore=shutil.ignore_patterns("__pyc*"))
    capture, folder = copy / "all of it.pcapng", copy / "a folder"
    folder.mkdir()
    (folder / "file").write_text("hello")
    words = ["serve", "http", "--dir", str(folder), "--pcap", str(capture)]
    prefix = ["env", "-C", str(copy), f"PYTHONPATH={copy}"]
    with Program(*words, "--netns", namespace.path, prefix=prefix) as program:
        program.until(READY)
        url = f"http://{OWN}/files/file"
        assert namespace.run(["curl", "-q", "-sS", "--noproxy", "*", url]).stdout == "hello"
        assert program.stop() == 0
    assert capture.stat().st_size > 500
