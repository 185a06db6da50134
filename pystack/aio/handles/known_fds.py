"""Descriptors of sockets that are, or may become, a stack's, once `fileno` was called.

`loop.add_reader` and others may be given the number alone.
"""

from __future__ import annotations

import socket
import weakref
from typing import Any, Final

KernelSocket: Final = socket.socket  # also where a program's module has another one


def add(sock: socket.socket, fd: int) -> None:
    """`fileno` of `sock` was called."""
    _by_fd[fd] = sock


def get(fd: Any) -> socket.socket | None:
    """The socket of a descriptor, or of what has one (`fileno()`); None for others."""
    if not isinstance(fd, int):
        try:
            fd = fd.fileno()
        except (AttributeError, ValueError):
            return None
    return _by_fd.get(fd)


def has(sock: socket.socket) -> bool:
    """Whether `fileno` of `sock` was called."""
    return _by_fd.get(KernelSocket.fileno(sock)) is sock


def remove(sock: socket.socket) -> None:
    """The descriptor is closed, or belongs to another object, from now on."""
    if has(sock):
        del _by_fd[KernelSocket.fileno(sock)]


_by_fd: Final[weakref.WeakValueDictionary[int, socket.socket]] = weakref.WeakValueDictionary()
