"""A descriptor that stands for a socket of ours where programs poll one themselves.

It polls readable exactly while the socket has something to tell: text, the end of the stream, a
connection to accept, an error. It never carries data, and always polls writable.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

from pystack.sockets.constants import POLLERR, POLLHUP, POLLIN, POLLRDHUP

READABLE: Final = POLLIN | POLLRDHUP | POLLHUP | POLLERR  # what select and epoll call readable


class ReadyFd:
    """An eventfd, or one in place of another descriptor; `fd` is its number."""

    __slots__ = ("fd", "_is_set", "_is_ours")

    def __init__(self, fd: int = -1) -> None:
        """`fd`: an open descriptor that it takes the place of, for its owner to close."""
        own = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._is_ours = fd < 0
        self._is_set = False
        if fd < 0:
            self.fd = own
        else:
            try:
                os.dup2(own, fd, inheritable=False)
            finally:
                os.close(own)
            self.fd = fd

    def show(self, poll_bits: int) -> None:
        """Follow what the socket's `poll` says now."""
        ready = bool(poll_bits & READABLE)
        if ready != self._is_set and self.fd >= 0:
            self._is_set = ready
            if ready:
                os.eventfd_write(self.fd, 1)
            else:
                with contextlib.suppress(BlockingIOError):  # read by another one on it
                    os.eventfd_read(self.fd)

    def close(self) -> None:
        """Gone; may be called again."""
        if self._is_ours and self.fd >= 0:
            os.close(self.fd)
        self.fd = -1
