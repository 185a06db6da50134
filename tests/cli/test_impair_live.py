"""`--impair` against the kernel: what ping, curl and nc see of it, and that it leaves nothing."""

from __future__ import annotations

import hashlib
import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live

V4, V6 = "198.18.0.2", "fd00:198:18::2"
URLS = (f"http://{V4}", f"http://[{V6}]")
READY = "Ctrl-C ends it."


def serve(namespace: Namespace, impairment: str, *arguments: str) -> Program:
    return Program("serve", "--netns", namespace.path, "--impair", impairment, *arguments)


def curl(namespace: Namespace, *arguments: str) -> str:
    quietly = ["-q", "-sS", "-m", str(PATIENCE), "--noproxy", "*"]
    return namespace.run(["curl", *quietly, *arguments]).stdout


def round_trips(namespace: Namespace, address: str, count: int, *arguments: str) -> list[float]:
    """The RTTs in ms that ping measured."""
    argv = ["ping", "-n", "-c", str(count), "-i", "0.05", "-W", "2", *arguments, address]
    output = namespace.run(argv, check=False).stdout
    return [float(rtt) for rtt in re.findall(r"time=([\d.]+) ms", output)]


def summary(program: Program) -> tuple[dict[str, int], dict[str, int]]:
    """What it says at its end of the impairment: in and out."""
    assert program.stop() == 0
    assert program.err == ""
    ways = []
    for way in ("in", "out"):
        match = re.search(rf"^impaired {way}: (.*)$", program.out, re.MULTILINE)
        assert match, program.out
        pairs = re.findall(r"(\w+) ([\d,]+)", match[1])
        ways.append({name: int(count.replace(",", "")) for name, count in pairs})
    return ways[0], ways[1]


@pytest.mark.parametrize("address", [V4, V6])
def test_ping_sees_the_delay_of_both_directions(namespace: Namespace, address: str) -> None:
    with serve(namespace, "delay 20ms") as program:
        program.until(READY)
        assert "impaired: delay 20ms (seed " in program.out
        assert "offload on" in program.out
        rtts = sorted(round_trips(namespace, address, 20))
        assert len(rtts) == 20
        assert rtts[0] >= 40
        assert rtts[0] < 45  # 40.3 on an idle machine, more on a busy one for most of them
    assert namespace.links() == {"lo"}


def test_curl_gets_every_octet_over_a_bad_way(namespace: Namespace, tmp_path: Path) -> None:
    data = hashlib.sha256(b"seed").digest() * 10_000
    (tmp_path / "data.bin").write_bytes(data)
    words = "delay 20ms loss 5% duplicate 1% reorder 2% corrupt 1% seed 4"
    with serve(namespace, words, "http", "--dir", str(tmp_path)) as program:
        program.until(READY)
        assert "offload off" in program.out
        target = tmp_path / "got"
        for url in URLS:
            curl(namespace, "-o", str(target), f"{url}/files/data.bin")
            assert target.read_bytes() == data
        came, went = summary(program)
    assert went["lost"] > 5
    assert went["duplicated"] > 0
    assert went["reordered"] > 0
    assert went["corrupted"] > 0
    assert came["lost"] > 0
    assert "segments retransmitted" in program.out
    assert namespace.links() == {"lo"}


def test_a_rate_is_kept_in_each_direction(namespace: Namespace, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(bytes(1_500_000))
    with serve(
        namespace, "delay 5ms out: rate 10mbit limit 100 in: rate 50mbit", "http", "--dir",
        str(tmp_path),
    ) as program:  # fmt: skip
        program.until(READY)
        before = time.monotonic()
        curl(namespace, "-o", "/dev/null", f"{URLS[0]}/files/data.bin")
        took = time.monotonic() - before
        # 1.5 MB in packets of 1500 octets with 1448 of text: 1.243 s, and the slow start
        assert 1.24 < took < 10
        program.stop()


@pytest.mark.parametrize("queue", ["red", "codel", "fq_codel"])
def test_a_discipline_marks_packets_of_a_client_that_asks_for_ecn(
    namespace: Namespace, tmp_path: Path, queue: str
) -> None:
    (tmp_path / "data.bin").write_bytes(bytes(3_000_000))
    namespace.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/tcp_ecn"])
    with serve(
        namespace, f"delay 10ms rate 20mbit limit 300 queue {queue} ecn", "http", "--dir",
        str(tmp_path), "--sysctl", "tcp_ecn=1",
    ) as program:  # fmt: skip
        program.until(READY)
        curl(namespace, "-o", "/dev/null", f"{URLS[0]}/files/data.bin")
        _, went = summary(program)
    assert went["marked"] > 0
    if queue != "red":  # which drops above its upper threshold, as RFC 3168 wants it
        assert went.get("early_dropped", 0) <= went["marked"]


@pytest.mark.parametrize("url", URLS)
def test_a_narrow_place_is_found_by_both_ends(
    namespace: Namespace, tmp_path: Path, url: str
) -> None:
    """The stack and the kernel are told by ICMP, each of its own packets."""
    data = bytes(range(256)) * 2_000
    (tmp_path / "data.bin").write_bytes(data)
    with serve(namespace, "mtu 1300", "http", "discard", "--dir", str(tmp_path)) as program:
        program.until(READY)
        target = tmp_path / "got"
        curl(namespace, "-o", str(target), f"{url}/files/data.bin")
        assert target.read_bytes() == data
        address = url.removeprefix("http://").strip("[]")
        script = f"head -c 500000 /dev/zero | nc -N -w 20 {address} 9"
        namespace.run(["sh", "-c", script])
        came, went = summary(program)
    assert went["too_big"] > 0
    assert came["too_big"] > 0


def test_an_outage_ends_and_the_transfer_goes_on(namespace: Namespace, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(bytes(1_000_000))
    words = "delay 5ms rate 10mbit outage 500ms 300ms every 1s"
    with serve(namespace, words, "http", "--dir", str(tmp_path)) as program:
        program.until(READY)
        curl(namespace, "-o", "/dev/null", f"{URLS[0]}/files/data.bin")
        came, went = summary(program)
    assert came.get("cut_off", 0) + went.get("cut_off", 0) > 0


def test_a_trace_file_sets_the_pace(namespace: Namespace, tmp_path: Path) -> None:
    (tmp_path / "trace").write_text("2\n4\n")  # 6 Mbit/s
    (tmp_path / "data.bin").write_bytes(bytes(700_000))
    words = f"out: trace {shlex.quote(str(tmp_path))}/trace"
    with serve(namespace, words, "http", "--dir", str(tmp_path)) as program:
        program.until(READY)
        before = time.monotonic()
        curl(namespace, "-o", "/dev/null", f"{URLS[0]}/files/data.bin")
        assert 0.95 < time.monotonic() - before < 10


@pytest.mark.parametrize("listens", [True, False])
def test_nc_delivers_to_the_last_octet_before_it_ends(namespace: Namespace, listens: bool) -> None:
    """What is on the way when it ends still arrives."""
    arguments = ["--netns", namespace.path, "--impair", "delay 30ms loss 2% seed 1", "-v"]
    data = b"to the last octet\n" * 5_000
    if not listens:
        kernel = namespace.popen(["nc", "-l", "9000"], stdout=subprocess.PIPE)
        script = "until ss -Htln | grep -q 9000; do sleep 0.05; done"
        namespace.run(["sh", "-c", script])
        place = ["198.18.0.1", "9000"]
    else:
        place = ["-l", "9000"]
    with Program("nc", *arguments, *place, stdin=subprocess.PIPE) as program:
        if listens:
            program.until_err("listening on")
            kernel = namespace.popen(["nc", "-d", V4, "9000"], stdout=subprocess.PIPE)
        program.until_err("connected to")
        assert "impaired: delay 30ms loss 2% seed 1 (seed 1)" in program.err
        program.stdin.write(data)
        program.stdin.close()
        assert kernel.communicate(timeout=PATIENCE)[0] == data
        assert program.end() == 0
    assert namespace.links() == {"lo"}


def test_without_impairments_nothing_is_said(namespace: Namespace) -> None:
    with Program("serve", "--netns", namespace.path) as program:
        program.until(READY)
        program.stop()
    assert "impaired" not in program.out
