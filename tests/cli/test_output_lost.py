"""When stdout goes nowhere: its reader has left, its disk is full, or it was closed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

from tests.cli.program import PATIENCE, PYSTACK, Program
from tests.live.namespace import Namespace

SIGPIPE = 128 + signal.SIGPIPE
SIMPLE = (["--help"], ["--version"], ["serve", "--help"], ["doctor"])
LIVE = (["demo", "--msl", "0.05"], ["demo", "--active", "--msl", "0.05"], ["serve"])
names = "-".join


@pytest.fixture
def nobody() -> Iterator[int]:
    """A pipe whose reader has left."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def ended(
    command: Sequence[str], stdout: int | None, *, stdin: bytes = b"", closed: int | None = None
) -> tuple[int, str]:
    """Exit status and stderr."""
    prefix = []
    if closed is not None:
        code = f"import os, sys; os.close({closed}); os.execv(sys.argv[1], sys.argv[1:])"
        prefix = [sys.executable, "-c", code]
    result = subprocess.run(
        [*prefix, *command], input=stdin, stdout=stdout, stderr=subprocess.PIPE,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    return result.returncode, result.stderr.decode()


@pytest.mark.parametrize("words", SIMPLE, ids=names)
def test_when_nobody_reads_a_command_ends_without_a_word(nobody: int, words: list[str]) -> None:
    assert ended([*PYSTACK, *words], nobody) == (SIGPIPE, "")


@pytest.mark.live
@pytest.mark.parametrize("words", LIVE, ids=names)
def test_commands_that_have_a_device_do_so_too(
    nobody: int, words: list[str], namespace: Namespace
) -> None:
    where = ["--netns", namespace.path] if words == ["serve"] else []
    assert ended([*PYSTACK, *words, *where], nobody) == (SIGPIPE, "")
    assert namespace.links() == {"lo"}


@pytest.mark.live
def test_a_shell_sees_what_it_sees_of_any_program(namespace: Namespace) -> None:
    command = shlex.join([*PYSTACK, "serve", "--netns", namespace.path])
    script = f"{command} | head -n 1; echo ${{PIPESTATUS[0]}}"
    argv = ["timeout", "-k", "1", str(PATIENCE), "bash", "-c", script]
    # the line that follows the first one may be written before its reader has left
    ping = namespace.popen(["sh", "-c", "while sleep 0.1; do nc -z 198.18.0.2 7; done"])
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    ping.kill()
    assert result.stdout.splitlines()[1:] == [str(SIGPIPE)]
    assert result.stderr == ""


@pytest.mark.live
def test_nc_does_so_too(nobody: int, namespace: Namespace) -> None:
    script = (
        "import socket; s = socket.create_server(('198.18.0.1', 9000)); print('', flush=True);"
        "c, _ = s.accept(); c.sendall(b'text'); c.recv(1)"
    )
    namespace.run(["ip", "address", "add", "198.18.0.1/32", "dev", "lo"])
    other = namespace.popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    namespace.run(["ip", "address", "delete", "198.18.0.1/32", "dev", "lo"])
    command = [*PYSTACK, "nc", "--netns", namespace.path, "198.18.0.1", "9000"]
    reading, _ = os.pipe()  # a stdin that says nothing
    result = subprocess.run(
        command, stdin=reading, stdout=nobody, stderr=subprocess.PIPE, timeout=PATIENCE, check=False
    )
    assert (result.returncode, result.stderr) == (SIGPIPE, b"")


@pytest.mark.parametrize("words", SIMPLE, ids=names)
def test_a_full_disk_is_told_in_one_line(words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        status, text = ended([*PYSTACK, *words], full.fileno())
    assert status == 2
    assert text.startswith("pystack")
    assert text.endswith(": stdout: No space left on device\n")
    assert text.count("\n") == 1


@pytest.mark.live
@pytest.mark.parametrize("words", LIVE, ids=names)
def test_a_full_disk_ends_what_has_a_device(words: list[str], namespace: Namespace) -> None:
    where = ["--netns", namespace.path] if words == ["serve"] else []
    with open("/dev/full", "wb") as full:
        status, text = ended([*PYSTACK, *words, *where], full.fileno())
    assert (status, text) == (2, f"pystack {words[0]}: stdout: No space left on device\n")
    assert namespace.links() == {"lo"}


@pytest.mark.parametrize("words", SIMPLE, ids=names)
def test_a_stdout_that_is_closed_is_nowhere(words: list[str]) -> None:
    assert ended([*PYSTACK, *words], None, closed=1) == (0, "")


@pytest.mark.parametrize("closed", [0, 2])
def test_the_other_two_may_be_closed_as_well(closed: int) -> None:
    assert ended([*PYSTACK, "doctor"], subprocess.DEVNULL, closed=closed)[0] in (0, 1)
    assert ended([*PYSTACK, "dance"], subprocess.DEVNULL, closed=closed)[0] == 2


def test_a_mistake_has_its_status_though_nobody_reads_of_it() -> None:
    with open("/dev/full", "wb") as full:
        result = subprocess.run([*PYSTACK, "dance"], stderr=full, timeout=PATIENCE, check=False)
    assert result.returncode == 2


SMALL_DISK = 'mount -t tmpfs -o size=16k none "$0" && exec "$@"'


@pytest.mark.live
def test_a_capture_on_a_full_disk_ends_alone_and_the_status_tells(
    namespace: Namespace, tmp_path: object
) -> None:
    prefix = ["unshare", "--mount", "sh", "-c", SMALL_DISK, str(tmp_path)]
    words = ["serve", "echo", "--netns", namespace.path, "--pcap", f"{tmp_path}/all.pcapng"]
    with Program(*words, prefix=prefix) as program:
        program.until("Ctrl-C ends it.")
        for _ in range(2):  # the second one after the end of the capture
            much = "x" * 100_000
            assert namespace.run(["nc", "-N", "198.18.0.2", "7"], input=much).stdout == much
        told = f"the capture to {tmp_path}/all.pcapng has ended early: No space left on device\n"
        program.until_err(told)
        assert program.end(signal.SIGTERM) == 1
        assert program.err == told


@pytest.mark.live
def test_a_capture_that_cannot_begin_is_told_before_anything_is_made(namespace: Namespace) -> None:
    with Program("serve", "--netns", namespace.path, "--pcap", "/dev/full") as program:
        assert program.end() == 2
        assert program.err == (
            "pystack serve: no capture to /dev/full (No space left on device): "
            "give a file to write to\n"
        )
    assert namespace.links() == {"lo"}


@pytest.mark.live
def test_a_program_whose_capture_has_ended_ends_with_1_too(
    namespace: Namespace, tmp_path: object
) -> None:
    prefix = ["unshare", "--mount", "sh", "-c", SMALL_DISK, str(tmp_path)]
    code = (
        "import asyncio\n"
        "async def main():\n"
        "    for port in range(500):\n"
        "        try: await asyncio.open_connection('198.18.0.1', 1 + port)\n"
        "        except OSError: pass\n"
        "asyncio.run(main())"
    )
    capture = ["--pcap", f"{tmp_path}/x"]
    words = ["run", "--netns", namespace.path, *capture, "--", "python", "-c", code]
    with Program(*words, prefix=prefix) as program:
        assert program.end() == 1
        assert "Traceback" not in program.err
        assert "has ended early: No space left on device" in program.err
