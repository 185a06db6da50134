"""A descriptor that stands for a socket of ours where programs poll one themselves.

It polls readable exactly while the socket has something to tell: text, the end of the stream, a
connection to accept, an error. It never carries data, and always polls writable.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import Final, Protocol

from pystack.sockets.constants import POLLERR, POLLHUP, POLLIN, POLLRDHUP

_Socket: Final = socket.socket  # also where a program's module has another one

READABLE: Final = POLLIN | POLLRDHUP | POLLHUP | POLLERR  # what select and epoll call readable


class Ready(Protocol):
    """What stands for a socket where it is polled; `fd` is its descriptor."""

    fd: int

    def show(self, poll_bits: int) -> None:
        """Follow what the socket's `poll` says now."""

    def close(self) -> None:
        """Gone; may be called again."""


class ReadyFd:
    """An eventfd, or one in place of another descriptor; `fd` is its number."""

    __slots__ = ("fd", "_is_set", "_is_ours")

    fd: int
    _is_set: bool
    _is_ours: bool

    def __init__(self, fd: int = -1) -> None:
        """`fd`: an open descriptor that it takes the place of, for its owner to close."""
        if sys.platform != "linux":
            raise NotImplementedError
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
            if sys.platform != "linux":
                raise NotImplementedError
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


class ReadyPair:
    """A socket pair, for systems without an eventfd: an octet lies in it while there is something.

    `shown` is the end that is polled, `fd` its number or that of a copy.
    """

    __slots__ = ("fd", "shown", "_told", "_is_set")

    def __init__(self) -> None:
        self.shown, self._told = socket.socketpair()
        self.shown.setblocking(False)
        self._told.setblocking(False)
        self.fd = self.shown.fileno()
        self._is_set = False

    def show(self, poll_bits: int) -> None:
        """Follow what the socket's `poll` says now."""
        ready = bool(poll_bits & READABLE)
        if ready != self._is_set and self.fd >= 0:
            self._is_set = ready
            with contextlib.suppress(BlockingIOError):  # read by another one on it
                if ready:
                    self._told.send(b"!")
                else:
                    self.shown.recv(1)

    def close(self) -> None:
        """Gone; may be called again."""
        self.shown.close()
        self._told.close()
        self.fd = -1


def ready_fd() -> Ready:
    """One of the kind that this system has."""
    return ReadyFd() if sys.platform == "linux" else ReadyPair()


def ready_in_place_of(sock: socket.socket) -> Ready:
    """As `ready_fd`, in place of the descriptor of `sock`, which is for `sock` to close."""
    if sys.platform == "linux":
        return ReadyFd(_Socket.fileno(sock))
    pair = ReadyPair()
    if sys.platform == "win32":  # where a socket cannot be put into the place of another one
        socket.close(_Socket.detach(sock))
        _Socket.__init__(sock, fileno=pair.shown.dup().detach())
    else:
        os.dup2(pair.fd, _Socket.fileno(sock), inheritable=False)
    pair.fd = _Socket.fileno(sock)
    return pair
