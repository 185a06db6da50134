"""docs/troubleshooting.md quotes what is really printed: each message of ours is provoked."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.documents import DOCS
from tests.live.namespace import Namespace

TEXT = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```text\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
QUOTED = [line for block in BLOCKS for line in block.splitlines()]
OTHERS = (  # what tools print that are not ours
    "198.18.0.2.80 > ", "ERROR: Failed building", "ModuleNotFoundError: No module", "curl: ",
    "nc: ",
    "pytun.c: ", "sudo: ",
)  # fmt: skip
OURS = sorted({line for line in QUOTED if not line.startswith(OTHERS)})
OWN_VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
PYTHON = shlex.quote(sys.executable)
PYSTACK = f"{PYTHON} -m pystack"


def program(text: str) -> str:
    """A Python program, under `pystack run`."""
    return f"exec {PYSTACK} run -- python -c {shlex.quote(text)}"


def as_quoted(text: str) -> list[str]:
    """Lines as the page has them: with its version of Python, and its number of a process."""
    text = text.replace(f"Python {OWN_VERSION}", "Python 3.11")
    text = re.sub(r"process of the program \(\d+\)", "process of the program (4711)", text)
    return text.splitlines()


# A part of the message, and what provokes it in a network namespace and a folder of its own.
PROVOKED = {
    "an interface tun0 exists": f"ip tuntap add dev tun0 mode tun; {PYSTACK} serve",
    "198.18.0.1 is in use on tun0": f"""
        ip tuntap add dev tun0 mode tun; ip address add 198.18.0.1/24 dev tun0
        {PYSTACK} serve --dev tun1""",
    "198.18.0.2 lies in": f"""
        ip link add vpn0 type veth peer name vpn1; ip link set vpn0 up
        ip address add 198.18.0.77/24 dev vpn0; {PYSTACK} serve""",
    "would leave through vpn0": f"""
        ip link add vpn0 type veth peer name vpn1; ip link set vpn0 up; ip link set vpn1 up
        ip route add 198.18.0.0/25 dev vpn0; {PYSTACK} serve""",
    "no right to make a TUN device": f"exec setpriv --bounding-set -net_admin {PYSTACK} serve",
    "/dev/net/tun may not be opened": f"""
        exec unshare --mount sh -c "mount -t tmpfs none /dev/net && touch /dev/net/tun &&
            chmod 000 /dev/net/tun && exec setpriv --bounding-set \
            -dac_override,-dac_read_search {PYSTACK} serve" """,
    "there is no TUN driver": f"""
        exec unshare --mount sh -c "mount -t tmpfs none /dev/net && exec {PYSTACK} serve" """,
    "user namespaces are not allowed": f"""
        exec unshare --user --map-root-user sh -c "echo 0 >/proc/sys/user/max_user_namespaces &&
            exec setpriv --bounding-set -sys_admin,-net_admin {PYSTACK} demo" """,
    "pystack serve: IPv6 is switched off": f"""
        echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
        exec unshare --mount sh -c "mount --bind /proc/sys /proc/sys &&
            mount -o remount,ro,bind /proc/sys &&
            exec {PYSTACK} serve --addr6 fd00:198:18::2/64" """,
    "no IPv6: ": rf"""
        echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
        exec unshare --mount sh -c "mount --bind /proc/sys /proc/sys &&
            mount -o remount,ro,bind /proc/sys || exit; mkfifo said; {PYSTACK} serve >said 2>&1 &
            sed '/no IPv6/q' said; kill \$!" """,
    "tun0 is down": f"""
        {PYSTACK} serve 2>&1 | while read -r line; do echo "$line"; case $line in
            *'Ctrl-C ends it'*) ip link set tun0 down ;;
            *'tun0 is down') ip link delete tun0 ;;
        esac; done""",
    "tun0 was removed": f"""
        {PYSTACK} serve 2>&1 | while read -r line; do echo "$line"; case $line in
            *'Ctrl-C ends it'*) ip link delete tun0 ;;
        esac; done""",
    "is used by another process of the program": program("""
import os, socket
listening = socket.socket()
listening.bind(("198.18.0.2", 80))
listening.listen()
async def serve():
    await asyncio.start_server(print, sock=listening)
    ready.set()
    await asyncio.sleep(60)
import asyncio, multiprocessing
context = multiprocessing.get_context("fork")
ready = context.Event()
for _ in range(2):
    worker = context.Process(target=lambda: asyncio.run(serve()))
    worker.start()
    ready.wait(30)
worker.join()"""),
    "the program becomes": program("import os; os.execv('/bin/true', ['true'])"),
    "the program runs on Python": f"exec {PYSTACK} run -- python3.99 -c pass",
    "no asyncio event loop has the stack": program("""
import socket
with socket.socket() as sock:
    sock.setblocking(False)
    sock.connect(("198.18.0.1", 99))"""),
    "once it is connected": program("""
import socket, ssl
with socket.socket() as sock:
    sock.bind(("198.18.0.2", 443))
    sock.listen()
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_socket(sock, server_side=True)"""),
    "is not written in Python": f'PATH="$PWD:$PATH"; exec {PYSTACK} run -- /usr/bin/curl',
    "[Errno 99]": f"""exec {PYTHON} -c '
import asyncio, pystack, socket
async def main():
    async with pystack.Stack.over_tun("tun0", "198.18.0.2/24"):
        socket.socket().bind(("198.18.0.2", 80))
asyncio.run(main())'""",
    "[Errno 98]": program("""
import asyncio
async def main():
    await asyncio.start_server(print, "198.18.0.2", 80)
    await asyncio.start_server(print, "198.18.0.2", 80)
asyncio.run(main())"""),
    "uvloop": program("import uvloop"),
    "cannot be given to another process": program("""
import pickle, socket
with socket.socket() as listener:
    listener.bind(("198.18.0.2", 80))
    pickle.dumps(listener)"""),
    "runs no asyncio event loop": f"""
        mkfifo said; {PYSTACK} run -- python -c '
import http.server
http.server.test(http.server.SimpleHTTPRequestHandler, port=80, bind="198.18.0.2")' >said 2>&1 &
        sed '/runs no asyncio event loop/q' said; kill $!""",
    "a socket of a stack cannot block": program("""
import asyncio, socket
async def main():
    socket.create_connection(("198.18.0.1", 99))
asyncio.run(main())"""),
    "can block only while": program("""
import socket
socket.create_connection(("198.18.0.1", 99))"""),
    "no packet went through the stack": program("pass"),
    "from the thread of its event loop only": f"""exec {PYTHON} -c '
import asyncio, pystack
async def main():
    async with pystack.Stack.over_tun("tun0", "198.18.0.2/24") as stack:
        await asyncio.to_thread(lambda: stack.socket().bind(("198.18.0.2", 80)))
asyncio.run(main())'""",
}  # fmt: skip


def test_what_is_quoted_of_ours_is_provoked_here_and_nothing_else() -> None:
    found = {line: [part for part in PROVOKED if part in line] for line in OURS}
    assert {line: parts for line, parts in found.items() if len(parts) != 1} == {}
    assert {part for parts in found.values() for part in parts} == set(PROVOKED)


@pytest.mark.live
@pytest.mark.parametrize("line", OURS, ids=[re.sub(r"\W+", "-", line)[:50] for line in OURS])
def test_a_message_is_quoted_as_it_is_printed(
    line: str, namespace: Namespace, tmp_path: Path
) -> None:
    script = next(script for part, script in PROVOKED.items() if part in line)
    told = subprocess.run(
        namespace.command(["sh", "-c", f"exec 2>&1; {script}"]), cwd=tmp_path, timeout=60,
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYSTACK_CALLED_AS": "scripts/pystack", "COLUMNS": "80",
             "SUDO_UID": "1000"},
    )  # fmt: skip
    missing = [word for word in ("unshare: ", "mount: ") if word in told.stdout]
    if missing and line not in told.stdout:
        pytest.skip(f"not to be provoked here: {told.stdout.strip()}")
    assert any(said.endswith(line) for said in as_quoted(told.stdout)), told.stdout
