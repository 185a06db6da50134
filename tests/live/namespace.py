"""A private network namespace for a test, which lives no longer than the test's own process.

    def test_something(namespace):                # the fixture of tests/live/conftest.py
        namespace.run(["ip", "link"])             # waits; raises when the command fails
        await namespace.arun(["curl", url])       # waits beside the event loop
        await namespace.start(["nc", "-l", "7"])  # runs on
        namespace.socket(socket.AF_INET)          # a kernel socket in there, for this process
        await open_tun(…, netns=namespace.path)

The namespace is held by a `cat` that reads a pipe from us: it ends at its end of file, however we
die, and with it the namespace and every device in it. What is run in it dies with us too; Ctrl-C
is for us alone, who then end it. Both need rights; `missing_rights()` says what is missing, for a
skip.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from pystack.aio.handles.known_fds import KernelSocket
from pystack.device.netns import call_in, open_namespace
from tests.surroundings import PATIENCE


class NotInstalled(FileNotFoundError):
    """A command that a test runs is not on this machine: pytest skips the test."""


TOOLS = ("unshare", "nsenter", "setpriv", "ip")


def missing_rights() -> str:
    """Why namespaces and TUN devices cannot be made here; "" when they can."""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "/dev/net/tun may not be opened"
    test = ["unshare", "--net", "ip", "link", "set", "lo", "up"]
    result = subprocess.run(test, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        return f"no right to make a network namespace (root, or `unshare -Ur`): {result.stderr}"
    return ""


class Namespace:
    """A network namespace with `lo` up. `pid` is its holder's, `path` what `netns=` takes."""

    pid: int
    path: str

    def __init__(self) -> None:
        self._holder: subprocess.Popen[bytes] | None = None
        self._started: list[asyncio.subprocess.Process | subprocess.Popen[Any]] = []
        self._watches: list[asyncio.Task[None]] = []

    def __enter__(self) -> Self:
        script = "ip link set lo up && echo ready && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the test, which then closes the pipe
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            self.__exit__(None, None, None)
            raise OSError("no network namespace: see the messages of unshare")
        self.pid = self._holder.pid
        self.path = f"/proc/{self.pid}/ns/net"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._started:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            if isinstance(process, subprocess.Popen):
                process.communicate()
        holder, self._holder = self._holder, None
        if holder is not None:
            holder.communicate()

    def command(self, argv: Sequence[str]) -> list[str]:
        """The argv that runs `argv` within, its process being killed when we die.

        Raises NotInstalled where there is no such command.
        """
        if shutil.which(argv[0]) is None:
            raise NotInstalled(errno.ENOENT, "not installed", argv[0])
        enter = ["nsenter", f"--net={self.path}", "setpriv", "--pdeathsig", "KILL", "--"]
        # we may have died before that was set
        alive = f'[ "$PPID" = {os.getpid()} ] && exec "$@"'
        return [*enter, "sh", "-c", alive, "-", *argv]

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        timeout: float = PATIENCE,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with its output as text.

        Not while our own event loop has to answer it: see `arun`.
        """
        result = subprocess.run(
            self.command(argv),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            start_new_session=True,
            **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}),
        )
        if check and result.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: {result.returncode}\n{result.stderr}")
        return result

    async def arun(
        self, argv: Sequence[str], *, input: bytes | None = None
    ) -> tuple[int, bytes, bytes]:
        """Run a command beside the event loop: its exit status, output and error output.

        It is killed when this is cancelled: put `asyncio.timeout(…)` around it.
        """
        process = await self.start(argv)
        try:
            out, err = await process.communicate(input)
        except BaseException:
            if process.returncode is None:
                process.kill()
                await process.wait()
            raise
        assert process.returncode is not None
        return process.returncode, out, err

    async def start(
        self, argv: Sequence[str], *, stdin: int | IO[Any] = asyncio.subprocess.PIPE
    ) -> asyncio.subprocess.Process:
        """A command running beside the event loop, with pipes; killed when the namespace goes."""
        process = await asyncio.create_subprocess_exec(
            *self.command(argv),
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._started.append(process)
        self._watches.append(asyncio.create_task(_until_over(process)))
        return process

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket of the kernel in there, for this process to use, whatever `socket.socket` is."""
        descriptor = open_namespace(self.path)
        try:
            return call_in(descriptor, lambda: KernelSocket(family, kind))
        finally:
            os.close(descriptor)

    def set(self, name: str, value: int) -> None:
        """Change a setting of the kernel's for this namespace, such as net.ipv4.ip_forward."""
        path = Path("/proc/sys") / name.replace(".", "/")
        self.run(["sh", "-c", 'echo "$1" >"$2"', "-", str(value), str(path)])

    def links(self) -> set[str]:
        """The names of the interfaces in there."""
        return {link["ifname"] for link in json.loads(self.run(["ip", "-j", "link"]).stdout)}

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """A command running beside us, as Popen; killed when the namespace goes.

        It reads nothing, if `stdin` is not given.
        """
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(self.command(argv), start_new_session=True, **options)
        self._started.append(process)
        return process


async def _until_over(process: asyncio.subprocess.Process) -> None:
    """Cancelled at the end of the loop, it ends a process that goes on: what asyncio has for one
    cannot be put away any more once its loop is closed."""
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if process.stdin is not None:
            process.stdin.close()
            with contextlib.suppress(ConnectionError):
                await process.stdin.wait_closed()
