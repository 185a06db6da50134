"""What goes wrong before a stack runs, told in one line that says what to do; and errno values.

The errors that a stack raises have the numbers of the system that it runs on, as Python's own
have: those are what `except ConnectionRefusedError` and a look at `errno` go by.
"""

from __future__ import annotations

import errno
from typing import Final

# Linux's alone; elsewhere what comes closest
ENONET: Final[int] = getattr(errno, "ENONET", errno.EHOSTUNREACH)
EBADFD: Final[int] = getattr(errno, "EBADFD", errno.EBADF)


class SetupError(OSError):
    """The device or the namespace could not be had as asked; nothing was left behind.

    `errno` is what the kernel gave (or would have given), `problem` what is wrong, `hint` what to
    do about it. `str()` is both in one line.
    """

    def __init__(self, code: int, problem: str, hint: str) -> None:
        super().__init__(code, problem)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.problem}: {self.hint}"
