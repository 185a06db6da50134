"""`pystack serve` against the kernel's curl and nc, in a namespace of the test's own."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live

V4, V6 = "198.18.0.2", "fd00:198:18::2"
URLS = (f"http://{V4}", f"http://[{V6}]")
READY = "Ctrl-C ends it."


def curl(namespace: Namespace, *arguments: str) -> str:
    quietly = ["-q", "-sS", "-m", str(PATIENCE), "--noproxy", "*"]
    return namespace.run(["curl", *quietly, *arguments]).stdout


def links(namespace: Namespace) -> list[str]:
    lines = namespace.run(["ip", "-oneline", "link"]).stdout.splitlines()
    return [line.split()[1].rstrip(":") for line in lines]


@pytest.fixture
def served(namespace: Namespace) -> Iterator[Program]:
    """All five, in the namespace, from outside of it."""
    with Program("serve", "--netns", namespace.path) as program:
        program.until(READY)
        yield program


@pytest.mark.parametrize("url", URLS)
def test_curl_reads_about_its_own_connection(
    namespace: Namespace, served: Program, url: str
) -> None:
    text = curl(namespace, f"{url}/")
    assert re.search(r"^state +ESTABLISHED$", text, re.MULTILINE)
    for name in ("your end", "pystack's end", "options", "RTT", "cwnd"):
        assert re.search(rf"^{name} +\S", text, re.MULTILINE)
    assert re.search(r"^options .* wscale \d+ \(yours\), \d+ \(ours\)", text, re.MULTILINE)


@pytest.mark.parametrize("url", URLS)
def test_the_connection_is_there_as_json(namespace: Namespace, served: Program, url: str) -> None:
    known = json.loads(curl(namespace, "--local-port", "40123", f"{url}/connection"))
    assert known["local"]["port"] == 80
    assert known["local"]["address"] in (V4, V6)
    assert known["remote"]["port"] == 40123
    assert known["state"] == "ESTABLISHED"
    assert known["options"]["sack"] is known["options"]["timestamps"] is True
    assert known["rtt_us"] > 0
    assert known["cwnd_segments"] == 10


def test_a_browser_gets_a_page(namespace: Namespace, served: Program) -> None:
    text = curl(namespace, "-H", "Accept: text/html,*/*;q=0.8", f"{URLS[0]}/")
    assert text.startswith("<!doctype html>")
    assert "ESTABLISHED" in text


@pytest.mark.parametrize("address", [V4, V6])
def test_nc_meets_the_small_servers(namespace: Namespace, served: Program, address: str) -> None:
    def nc(*arguments: str, input: str = "") -> str:
        return namespace.run(["nc", "-N", *arguments], input=input).stdout

    assert nc(address, "7", input="hello\n" * 10_000) == "hello\n" * 10_000
    assert nc(address, "9", input="hello\n" * 10_000) == ""
    assert re.fullmatch(r"\w+day, \w+ \d+, \d{4} \d\d:\d\d:\d\d-\S+\n", nc("-d", address, "13"))
    script = f"nc -d {address} 19 | head -n 100"
    lines = namespace.run(["sh", "-c", script]).stdout.splitlines()
    assert len(lines) == 100
    assert {len(line) for line in lines} == {72}


def test_it_prints_the_very_commands_to_try(namespace: Namespace, served: Program) -> None:
    tried = []
    for line in served.out.partition("Try:\n")[2].partition("\n\n")[0].splitlines():
        command = re.split(r" {3,}", line.strip())[0].replace("100M", "1M")
        if command.endswith("| head"):
            command = command.replace("nc -d", "timeout 20 nc -d")
        assert "nsenter --net=" in command
        result = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert result.returncode == 0, (command, result.stderr)
        tried.append(command)
    assert len(tried) == 12


def test_each_connection_has_a_line_when_it_opens_and_one_when_it_ends(
    namespace: Namespace, served: Program
) -> None:
    namespace.run(["nc", "-N", "-p", "40321", V4, "7"], input="hello\n")
    served.until(" B, out ")
    opened, closed = (line for line in served.out.splitlines() if ":40321 " in line)
    assert re.search(
        r"echo +198\.18\.0\.1:40321 +opened +mss 1448, wscale \d+/\d+, sack, timestamps$", opened
    )
    assert re.search(r"echo .*closed +in 6 B, out 6 B, \d+\.\d{3} s$", closed)


def test_the_line_of_a_lossy_echo_that_closes_counts_out_what_came_in(
    namespace: Namespace,
) -> None:
    with Program("serve", "echo", "--netns", namespace.path, "--impair", "loss 1%") as program:
        program.until(READY)
        data = "x" * 3_145_728
        assert namespace.run(["nc", "-N", V4, "7"], input=data).stdout == data
        program.until(" B, out ")
        assert " in 3,145,728 B, out 3,145,728 B, " in program.out


def test_a_reset_by_the_peer_is_told(namespace: Namespace, served: Program) -> None:
    script = (
        "import socket, struct\n"
        f"s = socket.create_connection(('{V4}', 7))\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n"
        "s.send(b'x'); s.recv(1); s.close()"
    )
    namespace.run(["python3", "-c", script])
    assert "echo" in served.until(" reset ")


def test_many_connections_at_once_do_not_flood_the_terminal(
    namespace: Namespace, served: Program
) -> None:
    script = (
        "import socket\n"
        f"all = [socket.create_connection(('{V4}', 9)) for _ in range(200)]\n"
        "for one in all: one.close()"
    )
    namespace.run(["python3", "-c", script])
    served.until("more events")
    served.stop()
    assert served.out.count(" opened ") < 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_leaves_nothing(
    namespace: Namespace, served: Program, number: int
) -> None:
    assert links(namespace) == ["lo", "tun0"]
    assert served.end(number) == 0
    assert links(namespace) == ["lo"]
    assert served.err == ""
    assert "0 connections, " in served.out


def test_a_signal_in_the_midst_of_a_transfer_ends_it_too(
    namespace: Namespace, served: Program
) -> None:
    client = namespace.popen(["nc", "-d", V4, "19"], stdout=subprocess.PIPE)
    served.until("chargen ")
    assert served.end(signal.SIGTERM) == 0
    assert links(namespace) == ["lo"]
    client.communicate(timeout=PATIENCE)


def test_when_nobody_reads_its_output_it_ends(namespace: Namespace) -> None:
    with Program("serve", "--netns", namespace.path) as program:
        program.until("Try:")
        program.stdout.close()
        namespace.run(["nc", "-z", "-w", "5", V4, "7"], check=False)
        assert program.wait() == 128 + signal.SIGPIPE
    assert links(namespace) == ["lo"]


def test_a_folder_is_served_with_listing_and_ranges(namespace: Namespace, tmp_path: Path) -> None:
    data = bytes(range(256)) * 40_000
    (tmp_path / "data.bin").write_bytes(data)
    (tmp_path / "inner").mkdir()
    with Program("serve", "http", "--netns", namespace.path, "--dir", str(tmp_path)) as program:
        program.until(READY)
        listing = curl(namespace, f"{URLS[0]}/files/")
        assert "data.bin" in listing
        assert "inner" in listing
        for url in URLS:
            target = tmp_path.parent / f"{tmp_path.name}.got"
            curl(namespace, "-o", str(target), f"{url}/files/data.bin")
            assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(data).digest()
        target.unlink()
        part = curl(namespace, "-r", "32-63", "-D", "-", f"{URLS[0]}/files/data.bin")
        assert "206 Partial Content" in part
        assert "bytes 32-63/10240000" in part
        assert part.endswith("".join(map(chr, range(32, 64))))
        code = ["-o", "/dev/null", "-w", "%{http_code}", "--path-as-is"]
        assert curl(namespace, *code, f"{URLS[0]}/files/../../etc/passwd") in ("403", "404")


def test_named_services_other_ports_and_settings_are_taken(
    namespace: Namespace, tmp_path: Path
) -> None:
    capture = tmp_path / "all.pcapng"
    with Program(
        "serve", "http", "--netns", namespace.path, "--port", "http=8080", "--dev", "blue",
        "--addr", "10.9.0.5/24", "--peer", "10.9.0.9", "--addr6", "none", "--mtu", "1300",
        "--no-offload", "--sysctl", "tcp_sack=0", "--sysctl", "net.ipv4.tcp_timestamps=0",
        "--msl", "0.1", "--pcap", str(capture),
    ) as program:  # fmt: skip
        program.until(READY)
        assert "10.9.0.5 on blue" in program.out
        assert "MTU 1300, offload off" in program.out
        assert links(namespace) == ["lo", "blue"]
        known = json.loads(curl(namespace, "http://10.9.0.5:8080/connection"))
        assert known["remote"]["address"] == "10.9.0.9"
        assert known["options"]["mss"] == 1260
        assert known["options"]["sack"] is known["options"]["timestamps"] is False
        refused = namespace.run(["nc", "-z", "10.9.0.5", "80"], check=False)
        assert refused.returncode == 1
        assert program.stop() == 0
    assert capture.read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    assert capture.stat().st_size > 1000


def test_an_interface_of_that_name_ends_it_with_one_line(
    namespace: Namespace, served: Program
) -> None:
    with Program(
        "serve", "--netns", namespace.path, "--addr", "10.9.0.2/24", "--addr6", "none"
    ) as program:
        assert program.end() == 2
    assert program.err.startswith("pystack serve: an interface tun0 exists already: choose another")
    assert "ip link delete tun0" in program.err
    assert program.err.count("\n") == 1
    assert program.out == ""
    assert links(namespace) == ["lo", "tun0"]


def test_one_that_is_no_tun_device_is_not_to_be_deleted(namespace: Namespace) -> None:
    namespace.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other"])
    for name in ("lo", "eth0"):
        with Program("serve", "--netns", namespace.path, "--dev", name) as program:
            assert program.end() == 2
        assert f"an interface {name} exists already: choose another name" in program.err
        assert "delete" not in program.err


@pytest.mark.parametrize("arguments", [("--addr", "none"), ("--addr", "fd00:198:18::2/64")])
def test_it_serves_ipv6_alone(namespace: Namespace, arguments: tuple[str, ...]) -> None:
    with Program("serve", "http", "--netns", namespace.path, *arguments) as program:
        program.until(READY)
        assert f"pystack is {V6} on tun0" in program.out
        assert "ESTABLISHED" in curl(namespace, f"{URLS[1]}/")
        program.stop()
    assert "\n1 connection, " in program.out


def test_an_address_of_ipv6_for_addr_is_the_only_one(namespace: Namespace) -> None:
    with Program("serve", "--netns", namespace.path, "--addr", "fd00:77::2/64") as program:
        program.until(READY)
        assert "pystack is fd00:77::2 on tun0" in program.out


def test_an_address_in_use_ends_it_with_one_line(namespace: Namespace) -> None:
    namespace.run(["ip", "address", "add", f"{V4}/32", "dev", "lo"])
    with Program("serve", "--netns", namespace.path) as program:
        assert program.end() == 2
    assert program.err == (
        f"pystack serve: {V4} is in use on lo: choose a prefix that nothing uses, such as "
        "198.18.77.2/24 or fd00:198:77::2/64\n"
    )
    assert links(namespace) == ["lo"]


def test_without_ipv6_it_goes_on_with_ipv4_and_says_so(namespace: Namespace) -> None:
    with Program("serve", "--netns", namespace.path, "--mtu", "1000") as program:
        program.until(READY)
        assert "no IPv6: it needs an MTU of 1280" in program.out
        assert curl(namespace, f"{URLS[0]}/")


def test_a_device_removed_behind_its_back_ends_it_with_one_line(
    namespace: Namespace, served: Program
) -> None:
    namespace.run(["ip", "link", "delete", "tun0"])
    assert served.end() == 2
    assert served.err == "pystack serve: tun0 was removed: start again to make it anew\n"


def test_the_link_down_and_up_again_is_told(namespace: Namespace, served: Program) -> None:
    namespace.run(["ip", "link", "set", "tun0", "down"])
    served.until("tun0 is down")
    namespace.run(["ip", "link", "set", "tun0", "up"])
    served.until("tun0 is up again")
    # the kernel forgets IPv4 routes of a link that goes down, never its addresses
    assert curl(namespace, f"{URLS[0]}/")


SYN_FLOOD = """
import socket
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
source, target = map(socket.inet_aton, ('198.18.0.77', '198.18.0.2'))  # nobody is 198.18.0.77
for port in range(20000, 25000):
    tcp = port.to_bytes(2, 'big') + b'\\0\\x09' + bytes(8) + b'\\x50\\x02\\x04' + bytes(5)
    pseudo = source + target + b'\\0\\x06\\0\\x14' + tcp
    total = sum(int.from_bytes(pseudo[i:i + 2], 'big') for i in range(0, len(pseudo), 2))
    total = (total & 0xffff) + (total >> 16)
    tcp = tcp[:16] + (~total & 0xffff).to_bytes(2, 'big') + tcp[18:]
    raw.sendto(b'\\x45' + bytes(7) + b'\\x40\\x06\\0\\0' + source + target + tcp, ('198.18.0.2', 0))
"""


def test_a_syn_flood_writes_no_lines_and_stops_nobody_else(
    namespace: Namespace, served: Program
) -> None:
    namespace.run(["python3", "-c", SYN_FLOOD])
    assert curl(namespace, f"{URLS[0]}/")
    assert served.stop() == 0
    assert " discard " not in served.out.partition(READY)[2]
    assert "dropped: " in served.out
    assert served.err == ""
