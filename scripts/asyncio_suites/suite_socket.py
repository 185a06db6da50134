"""What the tests get for `socket.socket`: a program's, and two things besides.

Threads of tests block, so their sockets stay with the kernel. Where a test blocks in the main
thread while the loop does not run, the loop is run meanwhile: the kernel would have gone on by
itself, too.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.handles.lazy_socket import LazySocket, may_change, route
from pystack.aio.loop.routing import StackRouter
from scripts.asyncio_suites.places import NAMES


class MainThread(StackRouter):
    """The stack for the main thread, the kernel for others."""

    def stack_at(self, own: bytes, /, v6only: bool = True) -> Endpoint | None:
        """As `StackRouter`."""
        return super().stack_at(own, v6only) if _in_main_thread() else None

    def stack_to(self, remote: bytes, /, own: bytes | None = None) -> Endpoint | None:
        """As `StackRouter`."""
        return super().stack_to(remote, own) if _in_main_thread() else None


class SuiteSocket(LazySocket):
    """See the module."""

    __slots__ = ()

    def bind(self, address: Any) -> None:
        """As `socket.bind`."""
        super().bind(self._named(address))

    def connect(self, address: Any) -> None:
        """As `socket.connect`."""
        address = self._named(address)
        if may_change(self):
            route(self, address)
        if self._may_wait:
            self._done("connect", address)
        else:
            super().connect(address)

    def accept(self) -> tuple[socket.socket, Any]:
        """As `socket.accept`."""
        if self._may_wait:
            accepted: tuple[socket.socket, Any] = self._done("accept")
            return accepted
        child, peer = super().accept()
        return _one_of_these(child), peer

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As `socket.recv`."""
        if not self._may_wait or flags:
            return super().recv(size, flags)
        data: bytes = self._done("recv", size)
        return data

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As `socket.sendall`."""
        if self._may_wait and not flags:
            self._done("sendall", data)
        else:
            super().sendall(data, flags)

    def sendto(self, data: Any, *more: Any) -> int:
        """As `socket.sendto`; it has left when this returns, as at the kernel."""
        sent: int = super().sendto(data, *more)
        if self._may_wait:
            self.stack.loop.run_until_complete(asyncio.sleep(0))
        return sent

    async def awaited(self, call: str, *args: Any) -> Any:
        """A call that would block, through the loop. See `rewriting`, too."""
        loop: Any = asyncio.get_running_loop()
        timeout = self.gettimeout()
        self.setblocking(False)
        try:
            result = await getattr(loop, f"sock_{call}")(self, *args)
        finally:
            self.settimeout(timeout)
        if call == "accept":
            _one_of_these(result[0]).settimeout(timeout)
        return result

    def _named(self, address: Any) -> Any:
        """`address` with one of `NAMES` looked up."""
        if isinstance(address, tuple) and address[0] in NAMES:
            return (NAMES[address[0]][4 if self.family == socket.AF_INET else 6], *address[1:])
        return address

    @property
    def _may_wait(self) -> bool:
        return self.is_ours and self.gettimeout() != 0 and not self.stack.loop.is_running()

    def _done(self, call: str, *args: Any) -> Any:
        return self.stack.loop.run_until_complete(self.awaited(call, *args))


def _one_of_these(child: Any) -> Any:
    """An accepted socket, which is a `StackSocket`, as a socket of the suites."""
    child.__class__ = SuiteSocket
    return child


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
