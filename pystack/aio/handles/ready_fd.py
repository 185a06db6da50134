"""Descriptors that stand for a socket of ours where programs poll one themselves.

They carry no data. `ReadyFd` is a transport's: it polls readable exactly while the socket has
something to tell (text, the end of the stream, a connection to accept, an error), and always
writable. `ReadyPair` takes the place of a socket's own descriptor: it polls writable exactly while
the socket is, too; so a connection that is still being made looks like one. `ReadyDatagrams` is
the very socket of UDP that a program had before it became a stack's. An epoll knows open files: it
would forget one whose place another takes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import Any, Final, Protocol

from pystack.sockets.constants import POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP

_os: Final[Any] = os  # names that other systems lack
_Socket: Final = socket.socket  # also where a program's module has another one

READABLE: Final = POLLIN | POLLRDHUP | POLLHUP | POLLERR  # what select and epoll call readable
WRITABLE: Final = POLLOUT | POLLHUP | POLLERR
_FILLING: Final = bytes(4096)
_LEAST: Final = 1  # octets: the smallest buffer that the system gives


class Ready(Protocol):
    """What stands for a socket where it is polled; `fd` is its descriptor."""

    fd: int

    def show(self, poll_bits: int) -> None:
        """Follow what the socket's `poll` says now."""

    def close(self) -> None:
        """Gone; may be called again."""


class ReadyFd:
    """An eventfd; `fd` is its number."""

    __slots__ = ("fd", "_is_set")

    fd: int
    _is_set: bool

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise NotImplementedError
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._is_set = False

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
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


class ReadyPair:
    """A socket pair: an octet lies in it while there is something to read, and its buffer is full
    while nothing can be written. `fd` is the end that is polled.
    """

    __slots__ = ("fd", "_shown", "_far", "_is_readable", "_is_writable")

    def __init__(self) -> None:
        self._shown, self._far = socket.socketpair()
        for end in self._shown, self._far:
            end.setblocking(False)
        with contextlib.suppress(OSError):  # only so that it is full soon
            self._shown.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LEAST)
        self.fd = self._shown.fileno()
        self._is_readable = False
        self._is_writable = True

    def take_place_of(self, sock: socket.socket) -> None:
        """Be the descriptor of `sock`, which is for `sock` to close."""
        if sys.platform == "win32":  # where a socket cannot be put into the place of another one
            socket.close(_Socket.detach(sock))
            _Socket.__init__(sock, fileno=self._shown.dup().detach())
            self.fd = _Socket.fileno(sock)
        else:
            os.dup2(self.fd, _Socket.fileno(sock), inheritable=False)
            self._shown.close()
            self.fd = _Socket.fileno(sock)

    def show(self, poll_bits: int) -> None:
        """Follow what the socket's `poll` says now."""
        if self.fd < 0:
            return
        readable, writable = bool(poll_bits & READABLE), bool(poll_bits & WRITABLE)
        if readable != self._is_readable:
            self._is_readable = readable
            with contextlib.suppress(BlockingIOError):  # read by another one on it
                if readable:
                    self._far.send(b"!")
                else:
                    self._read_shown()
        if writable != self._is_writable:
            self._is_writable = writable
            with contextlib.suppress(BlockingIOError):
                while not writable:
                    self._fill_shown()
                while writable:
                    self._far.recv(65_536)

    def _read_shown(self) -> None:
        if self._shown.fileno() >= 0:
            self._shown.recv(1)
        else:
            os.read(self.fd, 1)

    def _fill_shown(self) -> None:
        if self._shown.fileno() >= 0:
            self._shown.send(_FILLING)
        else:
            os.write(self.fd, _FILLING)

    def close(self) -> None:
        """Gone; may be called again."""
        self._shown.close()
        self._far.close()
        self.fd = -1


class ReadyDatagrams:
    """A socket of UDP of the kernel's, whose only peer is one of ours over the loopback: a datagram
    lies in it while there is something to read. Like every socket of UDP it polls writable.
    """

    __slots__ = ("fd", "_far", "_is_readable")

    def __init__(self, sock: socket.socket) -> None:
        """`sock` is bound to a wildcard or not at all, and for its owner to close. Raises OSError
        where nothing passes over the loopback; then it is to be replaced."""
        family = _Socket.family.__get__(sock)
        self.fd = _Socket.fileno(sock)
        self._is_readable = False
        self._far = _Socket(family, socket.SOCK_DGRAM)
        try:
            self._far.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
            _Socket.connect(sock, self._far.getsockname())
            self._far.connect(_Socket.getsockname(sock))
            _os.set_blocking(self.fd, False)
            self._empty()  # what had come from others
            self._far.send(b"!")
            os.read(self.fd, 1)
        except BaseException:
            self._far.close()
            raise

    def show(self, poll_bits: int) -> None:
        """Follow what the socket's `poll` says now."""
        readable = bool(poll_bits & READABLE)
        if readable != self._is_readable and self.fd >= 0:
            self._is_readable = readable
            if readable:
                self._far.send(b"!")
            else:
                self._empty()

    def _empty(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                os.read(self.fd, 1)

    def close(self) -> None:
        """Gone; may be called again."""
        self._far.close()
        self.fd = -1


def ready_fd() -> Ready:
    """One of the cheapest kind that this system has."""
    return ReadyFd() if sys.platform == "linux" else ReadyPair()


def ready_in_place_of(sock: socket.socket) -> Ready:
    """One that takes the place of the descriptor of `sock`, which is for `sock` to close. A socket
    of UDP that is polled already stays polled."""
    if _Socket.type.__get__(sock) == socket.SOCK_DGRAM and sys.platform != "win32":
        with contextlib.suppress(OSError):  # there may be no loopback
            return ReadyDatagrams(sock)
    pair = ReadyPair()
    try:
        pair.take_place_of(sock)
    except BaseException:
        pair.close()
        raise
    return pair
