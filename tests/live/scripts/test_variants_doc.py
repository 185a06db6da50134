"""The congestion control of docs/variants.md, on TUN against the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.documents import put
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

# a sink as the document wants it: takes all, then closes; what came is printed
SINK = """
import socket
with socket.create_server(("198.18.0.1", 5001)) as listener:
    print("ready", flush=True)
    connection, _ = listener.accept()
    with connection:
        total = 0
        while text := connection.recv(1 << 20):
            total += len(text)
print(total)
"""


@pytest.mark.live
def test_the_same_file_sends_to_the_kernel(namespace: Namespace, tmp_path: Path) -> None:
    put("variants.md", tmp_path)
    python = namespace.command([sys.executable])
    # the address is the kernel's before the device is: the device of the stack gets it then
    environment = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}
    namespace.set("net.ipv4.ip_nonlocal_bind", 1)
    sink = subprocess.Popen([*python, "-c", SINK], stdout=subprocess.PIPE, text=True)
    assert sink.stdout is not None
    assert sink.stdout.readline() == "ready\n"
    sent = subprocess.run(
        [*python, "upload.py", "tun"], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert sent.returncode == 0, sent.stderr
    assert sent.stdout == "mine 20000000\n"
    assert sink.communicate(timeout=PATIENCE)[0] == "20000000\n"
