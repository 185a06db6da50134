"""`pystack nc` with the kernel's netcat at the other end, each way round."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import PYSTACK, Program
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live

OURS = {4: "198.18.0.2", 6: "fd00:198:18::2"}
KERNELS = {4: "198.18.0.1", 6: "fd00:198:18::1"}
DATA = random.Random(7).randbytes(3_000_001)

SERVER = """
import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
listener = socket.socket(family)
if 'small' in sys.argv:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
listener.bind(('::' if ':' in sys.argv[1] else '', 9000))
listener.listen()
print('ready', flush=True)
connection, _ = listener.accept()
"""


def server(
    namespace: Namespace, version: int, script: str, *, small_window: bool = False
) -> subprocess.Popen[bytes]:
    """A program on the kernel's TCP at port 9000; `connection` is the socket it got."""
    process = namespace.popen(
        ["python3", "-c", SERVER + script, KERNELS[version], "small" if small_window else ""],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def nc(namespace: Namespace, *arguments: str, input: bytes = b"") -> tuple[int, bytes, str]:
    """`pystack nc` to its end: status, stdout, stderr."""
    result = subprocess.run(
        [*PYSTACK, "nc", "--netns", namespace.path, *arguments],
        input=input, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return result.returncode, result.stdout, result.stderr.decode()


ALL_THEN_ANSWER = """
data = b''
while more := connection.recv(1 << 16):
    data += more
connection.sendall(data[::-1])
connection.close()
"""


@pytest.mark.parametrize("version", [4, 6])
def test_the_end_of_stdin_closes_our_half_and_the_answer_still_comes(
    namespace: Namespace, version: int
) -> None:
    server(namespace, version, ALL_THEN_ANSWER)
    assert nc(namespace, KERNELS[version], "9000", input=DATA) == (0, DATA[::-1], "")


@pytest.mark.parametrize("version", [4, 6])
def test_listening_it_takes_one_connection_both_ways(namespace: Namespace, version: int) -> None:
    with Program("nc", "-lv", "--netns", namespace.path, "9000", stdin=subprocess.PIPE) as program:
        program.until_err("listening on 198.18.0.2:9000 and [fd00:198:18::2]:9000")
        client = namespace.popen(
            ["nc", "-N", OURS[version], "9000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        program.stdin.write(b"from pystack\n")
        program.stdin.close()
        out, _ = client.communicate(b"from the kernel\n", timeout=PATIENCE)
        assert out == b"from pystack\n"
        assert client.returncode == 0
        assert program.end() == 0
        assert program.out == "from the kernel\n"
        assert "closed: in 16 B, out 13 B" in program.err
    assert len(namespace.run(["ip", "-oneline", "link"]).stdout.splitlines()) == 1


def test_files_go_in_and_out_unchanged(namespace: Namespace, tmp_path: Path) -> None:
    sent, received = tmp_path / "sent", tmp_path / "received"
    sent.write_bytes(DATA)
    server(namespace, 4, ALL_THEN_ANSWER)
    with sent.open("rb") as stdin, received.open("wb") as stdout:
        result = subprocess.run(
            [*PYSTACK, "nc", "--netns", namespace.path, KERNELS[4], "9000"],
            stdin=stdin, stdout=stdout, timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert result.returncode == 0
    assert received.read_bytes() == DATA[::-1]


def test_all_of_stdin_is_delivered_to_a_peer_that_takes_its_time(
    namespace: Namespace, tmp_path: Path
) -> None:
    script = """
sys.stdin.readline()  # until then nothing is read
while more := connection.recv(4096):
    sys.stdout.buffer.write(more)
"""
    kernel = server(namespace, 4, script, small_window=True)
    source = tmp_path / "source"
    source.write_bytes(DATA[:300_000])
    with (
        source.open("rb") as stdin,
        Program("nc", "-v", "--netns", namespace.path, KERNELS[4], "9000", stdin=stdin) as program,
    ):
        program.until_err("connected")
        out, _ = kernel.communicate(b"go\n", timeout=PATIENCE)
        assert out == DATA[:300_000]
        assert program.end() == 0


def test_a_reader_that_does_not_read_stops_the_sender(namespace: Namespace) -> None:
    script = """
connection.settimeout(1)
sent = 0
try:
    while sent < 100_000_000:
        sent += connection.send(bytes(1 << 16))
except TimeoutError:
    pass
print(sent, flush=True)
connection.settimeout(None)
connection.shutdown(socket.SHUT_WR)
connection.recv(1)
"""
    kernel = server(namespace, 4, script)
    assert kernel.stdout is not None
    with Program("nc", "--netns", namespace.path, KERNELS[4], "9000") as program:
        sent = int(kernel.stdout.readline())
        assert 65536 <= sent < 40_000_000
        received = 0
        while data := os.read(program.stdout.fileno(), 1 << 20):
            received += len(data)
        assert received == sent
        assert program.end() == 0


def test_a_peer_that_does_not_read_stops_us(namespace: Namespace) -> None:
    server(namespace, 4, "sys.stdin.readline()\n")
    with Program(
        "nc", "-v", "--netns", namespace.path, KERNELS[4], "9000", stdin=subprocess.PIPE
    ) as program:
        program.until_err("connected")
        os.set_blocking(program.stdin.fileno(), False)
        taken = 0
        while select.select([], [program.stdin], [], 1)[1]:
            taken += os.write(program.stdin.fileno(), bytes(65536))
            assert taken < 40_000_000
        assert program.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert len(namespace.run(["ip", "-oneline", "link"]).stdout.splitlines()) == 1


def test_a_refused_connection_ends_with_status_1_and_one_line(namespace: Namespace) -> None:
    assert nc(namespace, KERNELS[4], "9") == (
        1, b"", "pystack nc: 198.18.0.1:9: Connection refused\n",
    )  # fmt: skip


def test_no_answer_in_time_ends_with_status_1_and_one_line(namespace: Namespace) -> None:
    assert nc(namespace, "-w", "0.3", "198.18.0.77", "9") == (
        1, b"", "pystack nc: 198.18.0.77:9: no connection in time\n",
    )  # fmt: skip


def test_a_reset_ends_with_status_1_and_one_line(namespace: Namespace) -> None:
    script = (
        "connection.recv(1)\n"
        "connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, *[0] * 7]))\n"
        "connection.close()"
    )
    server(namespace, 4, script)
    with Program(
        "nc", "--netns", namespace.path, KERNELS[4], "9000", stdin=subprocess.PIPE
    ) as program:
        program.stdin.write(b"x")
        program.stdin.flush()
        assert program.end() == 1
        assert program.err == "pystack nc: 198.18.0.1:9000: Connection reset by peer\n"


def test_when_its_stdout_is_closed_it_ends(namespace: Namespace) -> None:
    server(namespace, 4, "while True: connection.send(bytes(65536))\n")
    with Program("nc", "--netns", namespace.path, KERNELS[4], "9000") as program:
        assert program.stdout.read(100) == bytes(100)
        program.stdout.close()
        assert program.wait() == 128 + signal.SIGPIPE
        program.until_err("")
        assert program.err == ""


def test_the_interrupt_key_ends_it_as_a_shell_expects(namespace: Namespace) -> None:
    with Program("nc", "-lv", "--netns", namespace.path, "9000") as program:
        program.until_err("listening")
        assert program.stop() == 128 + signal.SIGINT
        assert program.err.count("\n") == 1
    assert len(namespace.run(["ip", "-oneline", "link"]).stdout.splitlines()) == 1
