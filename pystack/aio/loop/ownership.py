"""Which process of a program uses its stack: one at a time, whatever it forks.

A fork copies the stack and the descriptor of its device, but a device gives each packet to one
reader only. So a process takes the stack before it uses it. Locks of a file in memory say who has
it: they end with their process, however that ends. Each record lock is on one byte (fcntl(2)).
"""

from __future__ import annotations

import os
import struct
import sys
import time
from typing import Any, Final

if sys.platform == "linux":
    import fcntl
else:  # where `pystack run` does not run
    fcntl: Any = None
_os: Final[Any] = os  # names that other systems lack

_USES: Final = 0  # locked by the process with an event loop that has the stack
_READS: Final = 1  # locked by the process that reads from the device: that one, or one that refuses
_TELLS: Final = 2  # locked while a process finds out whether another has told why all ends
_LIVES: Final = 64  # and the number of a process: locked by that one for as long as it lives

_LOCK: Final = struct.Struct("hhqqi4x")  # struct flock: type, whence, start, length, pid
_RECORD: Final = struct.Struct("ii")  # a process, and whether it has had the stack
_PAUSE: Final = 0.002  # seconds between two looks
_LOOKS: Final = 1000


class Ownership:
    """The locks of one program. `wanted_fd` becomes readable in the first process when a child
    wants the device."""

    __slots__ = ("first_pid", "may_take", "wanted_fd", "_fd", "_pid")

    def __init__(self) -> None:
        """To be made in the first process, before any fork."""
        self.first_pid = os.getpid()
        self.may_take = True  # in a child: nobody had it at the fork
        self.wanted_fd = _os.eventfd(0, _os.EFD_CLOEXEC | _os.EFD_NONBLOCK)
        self._fd = _os.memfd_create("pystack", _os.MFD_CLOEXEC)
        fcntl.fcntl(self._fd, fcntl.F_SETFL, os.O_APPEND)
        self._pid = self.first_pid
        self._lock(_LIVES + self._pid)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that made the stack."""
        return self._pid == self.first_pid

    def close(self) -> None:
        """Give all locks back, for good."""
        os.close(self._fd)
        os.close(self.wanted_fd)

    def begin_child(self, may_take: bool) -> None:
        """To be called in a child, after the fork; `may_take`: nobody had the stack then."""
        self._pid = os.getpid()
        self.may_take = self.may_take and may_take
        self._lock(_LIVES + self._pid)
        os.write(self._fd, _RECORD.pack(self._pid, False))

    # -- the stack -------------------------------------------------------------------------------
    def take(self) -> bool:
        """Have the stack for this process, if no other has it."""
        if not self.may_take or not self._lock(_USES):
            return False
        if not self._lock(_READS):
            _os.eventfd_write(self.wanted_fd, 1)
            for _ in range(_LOOKS):
                time.sleep(_PAUSE)
                if self._lock(_READS):
                    break
            else:
                self._unlock(_USES)
                return False
        if not self.is_first:
            os.write(self._fd, _RECORD.pack(self._pid, True))
        return True

    def give(self) -> None:
        """Have it no more. May be called again."""
        self._unlock(_USES)
        self._unlock(_READS)

    def user(self) -> int:
        """The number of the other process that has it, 0 for none."""
        return self._holder(_USES)

    # -- the device alone --------------------------------------------------------------------------
    def read_device(self) -> bool:
        """Have the device, to refuse what comes, if no process has the stack."""
        return not self.user() and self._lock(_READS)

    def leave_device(self) -> None:
        """Have it no more."""
        self._unlock(_READS)

    # -- the children ------------------------------------------------------------------------------
    def children(self) -> list[int]:
        """Those that were forked, however deep, and live."""
        pids = {pid for pid, _ in self._records() if pid}
        return sorted(pid for pid in pids if self._holder(_LIVES + pid) == pid)

    def first_lives(self) -> bool:
        """Whether the process that made the stack lives."""
        return self.is_first or self._holder(_LIVES + self.first_pid) == self.first_pid

    def take_wish(self) -> bool:
        """Whether a child has wanted the device since this was called last."""
        try:
            _os.eventfd_read(self.wanted_fd)
        except BlockingIOError:
            return False
        return True

    def has_moved(self) -> bool:
        """Whether a child has had the stack."""
        return any(had for _, had in self._records())

    def tells_first(self) -> bool:
        """Whether no process has called this before: one of them tells why all of them end."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, _TELLS)
        told = (0, False) in self._records()
        os.write(self._fd, _RECORD.pack(0, False))
        self._unlock(_TELLS)
        return not told

    def _records(self) -> list[tuple[int, int]]:
        size = os.fstat(self._fd).st_size
        whole = size // _RECORD.size * _RECORD.size
        return list(_RECORD.iter_unpack(_os.pread(self._fd, whole, 0)))

    def _lock(self, byte: int) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except OSError:
            return False
        return True

    def _unlock(self, byte: int) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)

    def _holder(self, byte: int) -> int:
        """The other process that has the lock, 0 for none."""
        asked = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
        kind, _, _, _, pid = _LOCK.unpack(fcntl.fcntl(self._fd, fcntl.F_GETLK, asked))
        return 0 if kind == fcntl.F_UNLCK else int(pid)
