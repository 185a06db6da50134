"""Each command in a block of README.md and docs/ is run as it stands there, or says why not.

A block runs in a folder that looks like the clone (`scripts/` and `.venv/` are there, and the
programs of its document), in a network namespace of its own. A server runs until the end of its
block, or the next one; the lines below it are tried until it answers.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.docs.commands import ROOT, Command, blocks, documents, problem, spans
from tests.kit.documents import programs_in
from tests.live.namespace import Namespace

PATIENCE = 60.0  # seconds, for what takes a few

# what is not run here, by how it begins; a reason that names a file names the test that does
NOT_RUN = {
    r"git clone ": "test_a_clone_is_whole",
    r"cd ": "test_a_clone_is_whole",
    r"(\.venv/bin/)?pip install ": "it would change the environment that runs this; the names are "
    "looked up among what the tests need. tests/test_install.py installs from a clone",
    r"\.venv/bin/pytest test_asking\.py": "tests/testing/test_testing_doc.py",
    r"\.venv/bin/python mine\.py": "tests/sim/test_variants_doc.py",
    r"\.venv/bin/python upload\.py world": "tests/sim/test_variants_doc.py",
    r"scripts/asyncio-suites": "takes minutes; its options are looked up. "
    "tests/live/aio/test_asyncio_suites.py",
    r"scripts/test$": "it is what runs this test",
    r"scripts/bench": "takes minutes; its options are looked up. tests/live/scripts/test_bench.py",
}
# where a clone comes from, until there is a place for it
ADDRESS = "https://example.org/pystack.git"
# what serves until Ctrl-C, and how to ask it where the block does not say
SERVERS = {
    r"sudo scripts/run|sudo scripts/pystack serve": "curl http://198.18.0.2/",
    r"sudo scripts/pystack run .*-- uvicorn": "curl http://198.18.0.2:8000/",
    r"sudo scripts/pystack run .*-- hypercorn": "curl http://198.18.0.2/",
    r"sudo \.venv/bin/python hello\.py": "echo hi | nc 198.18.0.2 7000",
    r"sudo \.venv/bin/python served\.py": "curl http://198.18.0.2/",
}
ASKING = ("curl ", "nc ", "echo ", "ping ")
# what is to be seen, where that is more than something
ANSWERS = {"hello.py": "You said: hi\n", "served.py": '"hello"', "uvicorn": '"hello"'}
# what would go on for ever
BOUNDS = {"ping ": "ping -c 1 -W 5 "}
# what a reader has of his own
APPLICATION = programs_in((ROOT / "README.md").read_text(encoding="utf-8"))["app.py"]
MODULE = "import asyncio\nasyncio.run(asyncio.sleep(0))\nprint('done')\n"
READERS = {"app.py": APPLICATION, "client.py": MODULE, "mypackage/__main__.py": MODULE}

BLOCKS = blocks()


def rule(table: dict[str, str], command: Command) -> str:
    """What a table has for a command, or ""."""
    return next((value for key, value in table.items() if re.match(key, command.text)), "")


# -- without running -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "command", [*(command for block in BLOCKS for command in block), *spans()], ids=str
)
def test_a_command_can_be_typed_in_a_clone(command: Command) -> None:
    assert not problem(command.text)


@pytest.mark.parametrize("text", [
    "pystack serve", "sudo pystack serve --cc reno", "scripts/run --no-such", "scripts/nothing",
    "sudo scripts/pystack run --cc", "scripts/pystack sing", "python mine.py",
    "scripts/setup --tset", ".venv/bin/pystacks", "pip install 'pystack-tcp[cli]'",
    "pip install '.[no]'", "scripts/bench --only nothing", "scripts/conformance --ruin",
    "scripts/test --no-such", "scripts/compiled .venv/bin/python -m pytest tests/tpc",
    "sudo scripts/run --impair 'dealy 1ms'",
])  # fmt: skip
def test_one_that_cannot_is_found(text: str) -> None:
    assert problem(text)


def test_every_reason_not_to_run_is_needed_and_names_a_test_that_there_is() -> None:
    for pattern, reason in NOT_RUN.items():
        assert any(re.match(pattern, one.text) for block in BLOCKS for one in block), pattern
        for name in re.findall(r"tests/\S+\.py", reason):
            assert (ROOT / name).exists(), name
        assert not reason.startswith("test_") or reason in globals()
    for name in READERS:
        assert any(name.partition(".")[0].partition("/")[0] in one.text
                   for block in BLOCKS for one in block), name  # fmt: skip


def test_blocks_are_found_in_readme_and_docs() -> None:
    texts = [command.text for block in BLOCKS for command in block]
    assert "sudo scripts/run" in texts
    shown = sum(len(re.findall(r"^ *\$ ", path.read_text("utf-8"), re.M)) for path in documents())
    assert len(texts) >= shown > 20


# -- by running ------------------------------------------------------------------------------------
@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like the clone that this is; `sudo` is for who is root already."""
    if Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
        pytest.skip("the scripts of a clone take its .venv, and this is another environment")
    folder = tmp_path / "pystack"
    (folder / "scripts").mkdir(parents=True)
    for name in (".venv", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    for script in (ROOT / "scripts").iterdir():
        if script.is_file() and os.access(script, os.X_OK):
            _executable(folder / "scripts" / script.name, f'exec "{script}" "$@"')
    _executable(tmp_path / "bin" / "sudo", 'exec "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    return folder


def _executable(path: Path, line: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _put_programs(folder: Path, document: str) -> None:
    programs = programs_in((ROOT / document).read_text(encoding="utf-8"))
    for name, source in {**READERS, **programs}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(source)


def _to_run() -> Iterator[list[Command]]:
    for block in BLOCKS:
        if block and not all(rule(NOT_RUN, command) for command in block):
            yield block


@pytest.mark.live
@pytest.mark.parametrize("block", [*_to_run()], ids=lambda block: str(block[0]))
def test_a_block_runs(
    block: list[Command], namespace: Namespace, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone)
    _put_programs(clone, block[0].document)
    with ExitStack() as behind:
        server: _Server | None = None
        for command in block:
            if rule(NOT_RUN, command):
                continue
            if server is not None and command.text.startswith(ASKING):
                server.answers(command.text)
                continue
            if server is not None:
                server.end()
                server = None
            if probe := rule(SERVERS, command):
                server = behind.enter_context(_Server(namespace, command.text, probe))
            elif command.text.endswith(" &"):
                _listens(behind, namespace, command.text.removesuffix(" &"))
            else:
                _runs(namespace, command.text)
        if server is not None:
            server.end()


def _shell(namespace: Namespace, text: str) -> subprocess.CompletedProcess[str]:
    for start, bounded in BOUNDS.items():
        if text.startswith(start):
            text = bounded + text.removeprefix(start)
    result = namespace.run(["bash", "-c", text], check=False, timeout=PATIENCE)
    if found := re.search(r"(\S+): command not found", result.stderr):
        pytest.skip(f"{found[1]} is not installed")
    return result


def _runs(namespace: Namespace, text: str) -> None:
    result = _shell(namespace, text)
    assert result.returncode == 0, f"{text}\n{result.stdout}{result.stderr}"


def _listens(behind: ExitStack, namespace: Namespace, text: str) -> None:
    """Start what is to run on, and wait until it listens at the port that its last number is."""
    process = behind.enter_context(namespace.popen(["bash", "-c", text]))
    port = re.findall(r"\d+", text)[-1]
    end = time.monotonic() + PATIENCE
    while not namespace.run(["ss", "-Hltn", "sport", "=", port]).stdout:
        assert process.poll() is None, text
        assert time.monotonic() < end, text


class _Server:
    """A command that serves until Ctrl-C, and has to answer once."""

    def __init__(self, namespace: Namespace, text: str, probe: str) -> None:
        self.namespace, self.text, self.probe = namespace, text, probe
        self.asked = False
        enter = namespace.command(["bash", "-c", f"exec {text}"])
        self.program = Program(command=enter)

    def __enter__(self) -> _Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.program.__exit__(None, None, None)

    def answers(self, text: str) -> None:
        """Ask until there is an answer."""
        self.asked = True
        wanted = next((value for key, value in ANSWERS.items() if key in self.text), "")
        end = time.monotonic() + PATIENCE
        while True:
            result = _shell(self.namespace, text)
            if result.returncode == 0 and result.stdout:
                break
            assert self.program.is_running(), f"{self.text}\n{self.program.err}"
            assert time.monotonic() < end, f"{text}: {result.stderr}"
        assert wanted in result.stdout

    def end(self) -> None:
        """Ask it if nobody has, then Ctrl-C; no device is left."""
        if not self.asked:
            self.answers(self.probe)
        status = self.program.stop()
        assert status in (0, 130, -signal.SIGINT), f"{self.text}\n{self.program.err}"
        assert self.namespace.links() == {"lo"}


def test_a_clone_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone itself")
    first = [command.text for command in BLOCKS[0]]
    assert first[1] == "cd pystack"
    settings = tmp_path / "gitconfig"
    settings.write_text("[safe]\n\tdirectory = *\n")  # whoever owns the checkout
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    assert ADDRESS in first[0]
    clone_it = first[0].replace(ADDRESS, f'"{ROOT}" pystack')
    done = subprocess.run(
        ["bash", "-c", f"{clone_it} && {first[1]} && pwd"], cwd=tmp_path, capture_output=True,
        text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    whole = Path(done.stdout.strip())
    for command in (command for block in BLOCKS for command in block):
        for script in re.findall(r"\bscripts/[\w-]+", command.text):
            assert os.access(whole / script, os.X_OK), script
    usage = subprocess.check_output([whole / "scripts" / "setup", "--help"], text=True)
    assert usage.startswith("Usage: scripts/setup")
