"""`pystack demo`: the whole of a connection's life, with rights and without."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.program import PYSTACK, Program
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
# uid 0 with but the right to take its own uid along into a user namespace (Linux 5.12)
ROOT_IN_NAME = ["setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all", "--"]

STATES = (
    "LISTEN|SYN_SENT|SYN_RECEIVED|ESTABLISHED|FIN_WAIT_1|FIN_WAIT_2|CLOSE_WAIT|CLOSING|LAST_ACK"
    "|TIME_WAIT|CLOSED"
)


def demo(*arguments: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, *PYSTACK, "demo", *arguments],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


# /dev/net/tun open to everybody (as it is, where no nodes can be made), and to nobody
OPEN_DEVICE = (
    "mount -t tmpfs none /dev/net && chmod 755 /dev/net && "
    'mknod -m 666 /dev/net/tun c 10 200 2>/dev/null || umount /dev/net; exec "$@"'
)
CLOSED_DEVICE = (
    "mount -t tmpfs none /dev/net && chmod 755 /dev/net && "
    'touch /dev/net/tun && chmod 0 /dev/net/tun && exec "$@"'
)


def after(script: str) -> list[str]:
    """A prefix for commands that are to run after `script`, which may mount what it likes."""
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


def no_rights() -> list[str]:
    """A prefix for commands that are to have none: as nobody, if that one reaches our Python."""
    test = [*NOBODY, sys.executable, "-c", "import pystack.cli.commands"]
    reached = subprocess.run(test, capture_output=True, check=False).returncode == 0
    return NOBODY if reached else ROOT_IN_NAME


def states(output: str) -> list[str]:
    """The states at the end of lines, in their order."""
    return re.findall(rf"^(?: *\d+\.\d{{3}}  .* | +)({STATES})$", output, re.MULTILINE)


CURL_CLOSES = [
    "CLOSED", "LISTEN", "SYN_RECEIVED", "ESTABLISHED", "CLOSE_WAIT", "LAST_ACK", "CLOSED",
]  # fmt: skip
WE_CLOSE = [
    "LISTEN", "SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT", "CLOSED",
]  # fmt: skip
WE_OPEN = [
    "CLOSED", "SYN_SENT", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT", "CLOSED",
]  # fmt: skip


@pytest.mark.parametrize("family", [(), ("-6",)], ids=["ipv4", "ipv6"])
def test_the_states_come_in_order_from_listen_to_closed(
    kernel_rights: None, family: tuple[str, ...]
) -> None:
    result = demo("--msl", "0.05", *family)
    assert result.stderr == ""
    assert result.returncode == 0
    assert states(result.stdout) == CURL_CLOSES + WE_CLOSE
    assert "shortened from 30 s to 0.05 s" in result.stdout


def test_with_active_the_other_half_of_the_diagram_shows(kernel_rights: None) -> None:
    result = demo("--active", "--msl", "0.05")
    assert result.stderr == ""
    assert result.returncode == 0
    assert states(result.stdout) == WE_OPEN
    assert "What pystack got: Hello from the other side" in result.stdout


def test_every_segment_of_handshake_data_and_close_is_shown(kernel_rights: None) -> None:
    output = demo("--msl", "0.05").stdout
    segments = [
        match[1] + " " + match[2]
        for match in re.finditer(r"^ *\d+\.\d{3}  ([<>]) (\S+) ", output, re.MULTILINE)
    ]
    assert segments[:3] == ["< S", "> S.", "< ."]
    for direction, flag in (("<", "P"), (">", "P"), ("<", "F"), (">", "F")):
        # the end may come with the last data
        assert sum(flag in segment for segment in segments if segment[0] == direction) == 2
    assert re.search(r"< S 0:0\(0\) win \d+ <mss 1460,sackOK,TS val 0 ecr 0,nop,wscale", output)
    assert re.search(r"> S\. 0:0\(0\) ack 1 win \d+ <mss 1460,sackOK,TS val 0 ecr 0", output)
    assert re.search(r"< P\. 1:\d+\(\d+\) ack 1 win \d+ <nop,nop,TS val", output)
    assert "your end" in output.partition("What curl got")[2]


def test_lines_are_aligned_without_colours_and_fit_100_columns(kernel_rights: None) -> None:
    output = demo("--msl", "0.05").stdout
    assert "\x1b" not in output
    assert max(map(len, output.splitlines())) <= 100
    columns = {line.rindex(" ") for line in output.splitlines() if states(line)}
    assert len(columns) == 1


@pytest.mark.parametrize("arguments", [(), ("-6",), ("--active",), ("-6", "--active")])
def test_in_a_terminal_of_80_columns_every_line_fits(
    kernel_rights: None, arguments: tuple[str, ...]
) -> None:
    ours, programs = os.openpty()
    fcntl.ioctl(programs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    with subprocess.Popen(
        [*PYSTACK, "demo", "--msl", "0.05", *arguments], stdin=programs, stdout=programs,
    ) as process:  # fmt: skip
        os.close(programs)
        output = b"".join(iter(lambda: read(ours), b"")).decode()
        assert process.wait(PATIENCE) == 0
    os.close(ours)
    lines = re.sub(r"\x1b\[[\d;]*m", "", output).splitlines()
    assert any("ESTABLISHED" in line for line in lines)
    assert [line for line in lines if len(line) > 80] == []


def read(terminal: int) -> bytes:
    """What comes next from a terminal; nothing when its program has ended."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


@pytest.mark.usefixtures("own_mounts", "user_namespaces")
def test_it_needs_no_rights_where_user_namespaces_are_allowed() -> None:
    result = demo("--msl", "0.05", prefix=[*after(OPEN_DEVICE), *no_rights()])
    assert result.stderr == ""
    assert result.returncode == 0
    assert states(result.stdout) == CURL_CLOSES + WE_CLOSE


def test_where_user_namespaces_are_not_allowed_it_says_so(user_namespaces: None) -> None:
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    outer = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    result = demo(prefix=[*outer, *ROOT_IN_NAME])
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("pystack demo: user namespaces are not allowed here (")
    assert "run as root" in result.stderr
    assert result.stderr.count("\n") == 1


def test_where_the_device_may_not_be_opened_it_says_so(own_mounts: None) -> None:
    result = demo(prefix=[*after(CLOSED_DEVICE), *no_rights()])
    assert result.returncode == 2
    assert result.stderr.startswith("pystack demo: /dev/net/tun may not be opened (")
    assert "chmod 666 /dev/net/tun" in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_curl_it_says_what_to_install(kernel_rights: None) -> None:
    result = demo(prefix=["env", "PATH=/nowhere"])
    assert result.returncode == 2
    assert result.stderr == "pystack demo: curl is not installed: apt-get install curl\n"


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_two_signals_while_curl_runs_end_it_in_one_line(
    kernel_rights: None, tmp_path: Path, first: signal.Signals
) -> None:
    curl = tmp_path / "curl"
    curl.write_text("#!/bin/sh\nexec sleep 60\n")
    curl.chmod(0o755)
    second = {signal.SIGINT: signal.SIGTERM, signal.SIGTERM: signal.SIGINT}[first]
    with Program("demo", prefix=["env", f"PATH={tmp_path}:{os.environ['PATH']}"]) as program:
        program.until("CLOSED")
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children")
        while not (running := children.read_text().split()):
            assert program.is_running()
        program.signal(first)
        status = program.end(second)
    assert (status, program.err) in (
        (130, "pystack demo: interrupted\n"), (128 + signal.SIGTERM, ""),
    )  # fmt: skip
    assert not any(Path("/proc", pid).exists() for pid in running)


def test_ctrl_c_as_curl_ends_has_its_one_line_and_no_other(
    kernel_rights: None, tmp_path: Path
) -> None:
    curl = tmp_path / "curl"
    curl.write_text("#!/bin/sh\nkill -INT $PPID\n")  # and it ends in the same moment
    curl.chmod(0o755)
    for _ in range(8):  # who is first to hear of its end is a matter of luck
        result = demo(prefix=["env", f"PATH={tmp_path}:{os.environ['PATH']}"])
        assert (result.returncode, result.stderr) == (130, "pystack demo: interrupted\n")


def test_it_leaves_no_device_and_no_process(kernel_rights: None) -> None:
    before = subprocess.run(["ip", "-o", "link"], capture_output=True, check=True).stdout
    demo("--active", "--msl", "0.05")
    after = subprocess.run(["ip", "-o", "link"], capture_output=True, check=True).stdout
    assert before.count(b"tun") == after.count(b"tun")


def test_a_reader_that_leaves_ends_it_without_a_word(kernel_rights: None) -> None:
    command = shlex.join([*PYSTACK, "demo", "--msl", "0.05"])
    result = subprocess.run(
        ["bash", "-c", f"{command} | head -n 8"],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 8
