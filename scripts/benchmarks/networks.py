"""Where it is measured: two private namespaces, joined by veth pairs, and the programs in them.

`near` has the clients and the TUN device of pystack; `far` the server on kernel sockets. All of it
ends with this process, however that ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from scripts.programs.child_program import Program
from tests.live.namespace import Namespace

PYSTACK = "pystack"
KERNEL = "kernel"
BESIDE = "beside"  # pystack as well, of another checkout
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
        if side != KERNEL:
            return "198.18.0.2" if self.version == 4 else "fd00:198:18::2"
        if self.version == 6:
            return "fd00:198:19::2"
        return "198.19.0.2" if self.offload else "198.19.1.2"

    def client(self, side: str) -> str:
        """The other end's address, which is the kernel's on both sides."""
        host = self.host(side)
        return f"{host[:-1]}1"


class Networks:
    """The two namespaces. A context manager. `beside` is the checkout of that side."""

    def __init__(self, beside: Path | None = None) -> None:
        self.beside = beside

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.near = stack.enter_context(Namespace())
            self.far = stack.enter_context(Namespace())
            for namespace in (self.near, self.far):
                # nothing learned in one measurement shall show in the next
                namespace.set("net.ipv4.tcp_no_metrics_save", 1)
            self._join("veth", "198.19.0", "fd00:198:19::")
            self._join("plain", "198.19.1", "fd00:198:191::")
            for namespace in (self.near, self.far):
                _without_offload(namespace, "plain")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *failure: Any) -> None:
        self._stack.__exit__(*failure)

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
        arguments = [_stack(side), way.host(side), *options, *self._tree(side)]
        if not way.offload:
            arguments.append("--no-offload")
        namespace = self.far if side == KERNEL else self.near
        with Program.within(namespace, "scripts.benchmarks.server", arguments) as program:
            program.line()
            yield program

    @contextlib.contextmanager
    def program(self, side: str, kind: str, *options: str) -> Iterator[Program]:
        """A program of `libraries.py`, ready: a server at `Way().host(side)`, or a client of the
        web server at the other end, which runs beside it."""
        way = Way()
        namespace = self.far if side == KERNEL else self.near
        is_client = kind in ("download", "latency")
        host = way.client(side) if is_client else way.host(side)
        own = ["--own", way.host(side), *self._tree(side)]
        arguments = [_stack(side), kind, host, *own, *options]
        with contextlib.ExitStack() as stack:
            if is_client:
                origin = Program.within(self.near, "scripts.benchmarks.origin", [])
                stack.enter_context(origin).line()
            program = Program.within(namespace, "scripts.benchmarks.libraries", arguments)
            stack.enter_context(program).line()
            yield program

    def _tree(self, side: str) -> list[str]:
        return ["--tree", str(self.beside)] if side == BESIDE else []

    @contextlib.contextmanager
    def client(self, kind: str, host: str, *options: Any) -> Iterator[Program]:
        """A client at work."""
        arguments = [kind, host, *map(str, options)]
        with Program.within(self.near, "scripts.benchmarks.client", arguments) as program:
            yield program


def _stack(side: str) -> str:
    """What a program is told to be on."""
    return KERNEL if side == KERNEL else PYSTACK


def _without_offload(namespace: Namespace, interface: str) -> None:
    """What leaves there is cut and has its checksums: the kernel's share of the work, too."""
    with namespace.socket() as sock:
        for setter in OFFLOAD_SETTERS:
            value = ctypes.create_string_buffer(struct.pack("II", setter, 0))
            request = struct.pack("16sQ16x", interface.encode(), ctypes.addressof(value))
            fcntl.ioctl(sock, SIOCETHTOOL, request)
