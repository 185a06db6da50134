"""What works without Linux, shown on Linux by taking away what other systems have not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.platforms.typeshed import missing
from tests.testing.inner_pytest import ECHO

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"
SYSTEMS = {"darwin": "macOS", "win32": "Windows"}
# what stands on a TUN device, or on the C module
LINUX_ALONE = {
    "pystack.aio.devices.tun", "pystack.device.link",
    "pystack.device.link_watch", "pystack.device.tun", "pystack.wire._fast",
    "pystack.wire.codec.fast",
}  # fmt: skip
BOUND = 120.0  # seconds: a net for what hangs

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def run(system: str, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one of the programs in a process that looks like another system's."""
    words = ["-X", "dev", "-m", "tests.platforms.elsewhere", system, PROGRAMS / f"{program}.py"]
    return subprocess.run(
        [sys.executable, *map(str, words), *map(str, arguments)], cwd=ROOT, timeout=BOUND,
        env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_is_taken_away_is_what_is_missing_there() -> None:
    names = {system: missing(system) for system in SYSTEMS}
    assert "fcntl" in names["win32"][0]
    assert "fcntl" not in names["darwin"][0]
    for module, name, systems in (
        ("socket", "TCP_USER_TIMEOUT", {"darwin", "win32"}), ("socket", "TCP_KEEPIDLE", {"darwin"}),
        ("socket", "AF_UNIX", {"win32"}), ("errno", "EBADFD", {"darwin", "win32"}),
        ("os", "eventfd", {"darwin", "win32"}), ("os", "register_at_fork", {"win32"}),
        ("select", "epoll", {"darwin", "win32"}), ("signal", "SIGHUP", {"win32"}),
    ):  # fmt: skip
        assert {one for one in SYSTEMS if name in names[one][1].get(module, ())} == systems, name


def test_all_but_the_device_can_be_imported(system: str) -> None:
    done = run(system, "imports")
    assert done.returncode == 0, done.stderr
    refused = {line.split("\t")[0] for line in done.stdout.splitlines()}
    assert refused | {"pystack.wire._fast"} == LINUX_ALONE, done.stdout  # which may not be built


@pytest.mark.parametrize("program", ["cable", "sockets", "bridge", "world", "host"])
def test_data_move(system: str, program: str) -> None:
    done = run(system, program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_stacks_run_on_the_loop_of_windows_and_what_it_cannot_do_says_so() -> None:
    done = run("win32", "proactor")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_who_asks_for_a_device_is_told_that_there_is_none(system: str) -> None:
    done = run(system, "tun")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"TUN devices are Linux's, and this is {SYSTEMS[system]}: ")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("words", ["serve", "demo", "doctor", "nc 198.18.0.1 80", "run -- a.py"])
def test_a_command_says_in_one_line_that_it_needs_linux(system: str, words: str) -> None:
    done = run(system, "command", *words.split())
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"pystack {words.split()[0]}: TUN devices are Linux's")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", ["--help", "demo --help", "--version"])
def test_help_needs_no_linux(system: str, words: str) -> None:
    done = run(system, "command", *words.split())
    assert done.returncode == 0, done.stderr
    assert "pystack" in done.stdout
    assert done.stderr == ""


def test_the_pytest_plugin_works(system: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        ECHO
        + '''
@pytest.mark.network(rtt="40ms", loss=0.01)
async def test_an_echo(network):
    reader, writer = await connected(network)
    writer.write(bytes(100_000))
    assert await reader.readexactly(100_000) == bytes(100_000)
    await closed(writer)
'''
    )
    done = run(system, "plugin", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("system", ["linux", *SYSTEMS])
def test_no_name_of_another_system_is_used_unasked(system: str) -> None:
    """mypy knows which names there are on which system."""
    cache = ROOT / ".mypy_cache" / system
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--platform", system,
         "--cache-dir", str(cache), "pystack"],
        cwd=ROOT, timeout=600, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
