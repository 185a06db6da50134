"""An event loop with connections and nothing to do leaves the processor alone."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import pytest

from scripts.benchmarks.ports import WEB
from scripts.programs.child_program import Program
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

SERVER = "198.18.0.2"
CONNECTIONS = 50
SETTLING_S = 1.5  # delayed acknowledgements and probes are due by then
WATCHED_S = 2.0

pytestmark = pytest.mark.live


def test_an_idle_loop_with_open_connections_is_never_woken(namespace: Namespace) -> None:
    arguments = ["pystack", "files", SERVER]
    program = Program.within(namespace, "scripts.benchmarks.libraries", arguments)
    with ExitStack() as cleanup:
        cleanup.enter_context(program)
        program.line()
        for _ in range(CONNECTIONS):
            client = cleanup.enter_context(namespace.socket(socket.AF_INET))
            client.settimeout(PATIENCE)
            client.connect((SERVER, WEB))
            client.sendall(b"GET /0 HTTP/1.1\r\nHost: it\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
        time.sleep(SETTLING_S)  # that nothing happens shows in time only
        before = program.work()
        time.sleep(WATCHED_S)
        after = program.work()
        assert after == before  # no wake-up, and not a nanosecond on a processor
        client.sendall(b"GET /0 HTTP/1.1\r\nHost: it\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
        assert program.work()["cpu_s"] > after["cpu_s"]
