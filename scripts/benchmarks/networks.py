"""Where it is measured: two private namespaces, joined by veth pairs, and the programs in them.

`near` has the clients and the TUN device of pystack; `far` the server on kernel sockets. All of it
ends with this process, however that ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import select
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.live.namespace import Namespace

PYSTACK = "pystack"
KERNEL = "kernel"

PATIENCE = 60.0  # s, for a program to start, or to end once its time is over
SIOCETHTOOL = 0x8946
# <linux/ethtool.h>: generic receive offload, segmentation by software and by hardware, checksums
OFFLOAD_SETTERS = (0x2C, 0x24, 0x1F, 0x17, 0x15)


@dataclass(frozen=True)
class Way:
    """Which addresses a measurement uses, and whether large packets may go there."""

    offload: bool = True
    version: int = 4

    def host(self, side: str) -> str:
        """The server's address."""
        if side == PYSTACK:
            return "198.18.0.2" if self.version == 4 else "fd00:198:18::2"
        if self.version == 6:
            return "fd00:198:19::2"
        return "198.19.0.2" if self.offload else "198.19.1.2"


class Program:
    """A program of ours in a namespace, talked with in lines on stdin and stdout."""

    def __init__(self, namespace: Namespace, module: str, arguments: Sequence[str]) -> None:
        command = [sys.executable, "-m", f"scripts.benchmarks.{module}", *arguments]
        self.name = f"{module} {' '.join(arguments)}"
        self.process = namespace.popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def line(self, patience: float = PATIENCE) -> str:
        """The next line it prints. Raises RuntimeError when it prints none."""
        output: IO[str] = self.process.stdout  # type: ignore[assignment]
        text = output.readline() if select.select([output], [], [], patience)[0] else ""
        if not text:
            raise RuntimeError(f"{self.name}: no answer, see its messages above")
        return text

    def ask(self) -> dict[str, float]:
        """Its answer to an empty line."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer: dict[str, float] = json.loads(self.line())
        return answer

    def work(self) -> dict[str, float]:
        """How long it has been on a processor (s), and how often it was woken, until now."""
        nanoseconds = wake_ups = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            nanoseconds += int((task / "schedstat").read_text().split()[0])
            for text in (task / "status").read_text().splitlines():
                if text.startswith("voluntary_ctxt_switches"):
                    wake_ups += int(text.split()[1])
        return {"cpu_s": nanoseconds / 1e9, "wake_ups": wake_ups}

    def end(self) -> None:
        """Close its stdin and wait for it; kill it if that does not help."""
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


class Networks:
    """The two namespaces. A context manager."""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.near = stack.enter_context(Namespace())
            self.far = stack.enter_context(Namespace())
            for namespace in (self.near, self.far):
                # nothing learned in one measurement shall show in the next
                namespace.run(["sysctl", "-q", "net.ipv4.tcp_no_metrics_save=1"])
            self._join("veth", "198.19.0", "fd00:198:19::")
            self._join("plain", "198.19.1", "fd00:198:191::")
            for namespace in (self.near, self.far):
                _without_offload(namespace, "plain")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _join(self, name: str, v4: str, v6: str) -> None:
        pair = f"ip link add {name} type veth peer name {name} netns {self.far.pid}"
        self.near.run(pair.split())
        for namespace, number in ((self.near, 1), (self.far, 2)):
            namespace.run(f"ip address add {v4}.{number}/24 dev {name}".split())
            namespace.run(f"ip address add {v6}{number}/64 dev {name} nodad".split())
            namespace.run(f"ip link set {name} up".split())

    @contextlib.contextmanager
    def server(self, side: str, way: Way, *options: str) -> Iterator[Program]:
        """The server, ready to be connected to at `way.host(side)`."""
        arguments = [side, way.host(side), *options]
        if not way.offload:
            arguments.append("--no-offload")
        program = Program(self.near if side == PYSTACK else self.far, "server", arguments)
        try:
            program.line()
            yield program
        finally:
            program.end()

    @contextlib.contextmanager
    def client(self, kind: str, host: str, *options: Any) -> Iterator[Program]:
        """A client at work."""
        program = Program(self.near, "client", [kind, host, *map(str, options)])
        try:
            yield program
        finally:
            program.end()


def _without_offload(namespace: Namespace, interface: str) -> None:
    """What leaves there is cut and has its checksums: the kernel's share of the work, too."""
    with namespace.socket() as sock:
        for setter in OFFLOAD_SETTERS:
            value = ctypes.create_string_buffer(struct.pack("II", setter, 0))
            request = struct.pack("16sQ16x", interface.encode(), ctypes.addressof(value))
            fcntl.ioctl(sock, SIOCETHTOOL, request)
