"""A library on pystack at one end of a TUN device, the kernel's sockets at the other.

    @pytest.mark.cell("aiohttp", "server", "HTTP/1.1")
    def test_…(link):
        async def main():
            …  # on `EventLoop(Stack.over_tun(…))`: serve at link.ours with link.server_tls()
            assert await link.output("curl", *link.curl, link.url(port)) == "hello"

        link.run(main)

`link.run` has the stack's loop in this process; `link.program("uvicorn", …)` is `pystack run --
uvicorn …`, a process of its own. The other end is the kernel, in a network namespace of the test's
own: `link.output` and `link.start` for commands (curl, redis-server), `link.listening()` and
`await link.connection(port)` for kernel sockets that a library in this process takes, on the same
loop (`sock=`), `link.beside("python", …)` for a program on kernel sockets.

With `pytest --kernel` all of it runs on the kernel's sockets alone: what a test says is right if it
passes there too.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

from pystack.aio import EventLoop, Stack
from pystack.aio.handles.lazy_socket import replaced
from pystack.device.netns import call_in, open_namespace
from tests.cli.program import Program
from tests.libraries.certificates import Certificates
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

T = TypeVar("T")

OURS = {4: "198.18.0.2", 6: "fd00:198:18::2"}
THEIRS = {4: "198.18.0.1", 6: "fd00:198:18::1"}
PREFIX = {4: 24, 6: 64}
NAME = "peer.test"  # both addresses of the kernel's side, for the stack


class Link:
    """Which IP version, with TLS or without, and the namespace of the kernel's side."""

    def __init__(
        self, namespace: Namespace, certificates: Certificates, version: int, tls: bool,
        kernel: bool = False,
    ) -> None:  # fmt: skip
        """`kernel`: no stack; both addresses are the kernel's, in the namespace."""
        self.namespace = namespace
        self.certificates = certificates
        self.version = version
        self.tls = tls
        self.kernel = kernel
        self.family = socket.AF_INET if version == 4 else socket.AF_INET6
        if kernel:
            for table in (OURS, THEIRS):
                for each, address in table.items():
                    more = ["nodad"] if each == 6 else []
                    place = f"{address}/{PREFIX[each]}"
                    namespace.run(["ip", "addr", "add", place, "dev", "lo", *more])

    # -- names of things -------------------------------------------------------------------------
    @property
    def ours(self) -> str:
        """The address of the library under test (the stack's)."""
        return OURS[self.version]

    @property
    def theirs(self) -> str:
        """The kernel's."""
        return THEIRS[self.version]

    def url(self, port: int, path: str = "/", *, scheme: str = "http", host: str = "") -> str:
        """Of our server; `host=link.theirs` of theirs. "http" and "ws" get an "s" with TLS."""
        host = host or self.ours
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}{'s' if self.tls else ''}://{host}:{port}{path}"

    @property
    def curl(self) -> list[str]:
        """Options for curl: silent, an error for a bad status, TLS 1.3 with our authority."""
        always = ["--silent", "--show-error", "--fail", "--max-time", str(PATIENCE)]
        secure = ["--tlsv1.3", "--cacert", str(self.certificates.authority)]
        return [*always, "--interface", self.theirs, *secure]

    def server_tls(self, *alpn: str) -> ssl.SSLContext | None:
        """For `ssl=` of a server; None without TLS."""
        return self.certificates.for_server(*alpn) if self.tls else None

    def client_tls(self, *alpn: str) -> ssl.SSLContext | None:
        """For `ssl=` of a client; None without TLS."""
        return self.certificates.for_client(*alpn) if self.tls else None

    # -- our side --------------------------------------------------------------------------------
    def run(
        self, main: Callable[[], Coroutine[Any, Any, T]], *, facade: bool = False,
        seconds: float = PATIENCE,
    ) -> T:  # fmt: skip
        """What `main` returns, run on a loop with the stack. TimeoutError after `seconds`.

        With `facade`, `socket.socket` is `LazySocket` meanwhile, as under `pystack run`.
        """
        if not self.kernel:
            with asyncio.Runner(loop_factory=self.make_loop) as runner:
                loop = runner.get_loop()
                assert isinstance(loop, EventLoop)
                with replaced(loop.router) if facade else nullcontext():
                    return runner.run(_within(seconds, main()))

        def on_the_kernel() -> T:
            return asyncio.run(_within(seconds, main()))

        descriptor = open_namespace(self.namespace.path)
        try:
            return call_in(descriptor, on_the_kernel)
        finally:
            os.close(descriptor)

    def make_loop(self) -> EventLoop:
        """An event loop with the stack, whose device lies in the namespace."""
        return EventLoop(
            Stack.over_tun(
                "tun0", f"{OURS[4]}/{PREFIX[4]}", addr6=f"{OURS[6]}/{PREFIX[6]}",
                netns=self.namespace.path, names={NAME: [THEIRS[6], THEIRS[4]]},
            )
        )  # fmt: skip

    def program(self, *words: str, options: tuple[str, ...] = ()) -> Program:
        """`pystack run [options] -- words`: "uvicorn" and others, or "python" and a script.

        To be entered by `with`; see `Program` for `until`, `until_err`, `end`.
        """
        if self.kernel:
            return self.beside(*words)
        return Program("run", "--netns", self.namespace.path, *options, "--", *words)

    # -- the other side --------------------------------------------------------------------------
    def beside(self, *words: str) -> Program:
        """A Python command or script on the kernel's sockets, as `program` takes them."""
        folder = Path(sys.executable).parent
        name = words[0]
        command = sys.executable if name == "python" else str(folder / name)
        return Program(command=self.namespace.command([command, *words[1:]]))

    async def output(self, *argv: str, input: bytes | None = None) -> str:
        """What a command of the kernel's side prints. AssertionError if it fails."""
        status, out, err = await self.namespace.arun(argv, input=input)
        assert status == 0, f"{' '.join(argv)}: {status}\n{out.decode()}{err.decode()}"
        return out.decode()

    async def start(self, *argv: str) -> asyncio.subprocess.Process:
        """A command of the kernel's side that runs on, with pipes."""
        return await self.namespace.start(argv)

    def socket(self, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A kernel socket of the other side, not blocking, for this process and its loop."""
        made = self.namespace.socket(self.family, kind)
        made.setblocking(False)
        return made

    def listening(self) -> tuple[socket.socket, int]:
        """A listening kernel socket at `theirs`, and its port."""
        made = self.socket()
        made.bind((self.theirs, 0))
        made.listen(128)
        return made, made.getsockname()[1]

    async def connection(self, port: int) -> socket.socket:
        """A kernel socket connected to `port` of `ours`."""
        made = self.socket()
        made.bind((self.theirs, 0))
        await asyncio.get_running_loop().sock_connect(made, (self.ours, port))
        return made

    async def until_served(self, port: int) -> None:
        """Wait until a server in this process accepts connections at `port` of `ours`."""
        while True:
            try:
                (await self.connection(port)).close()
                return
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)


async def _within(seconds: float, main: Coroutine[Any, Any, T]) -> T:
    async with asyncio.timeout(seconds):
        return await main
