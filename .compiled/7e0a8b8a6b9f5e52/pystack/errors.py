"""What goes wrong before a stack runs, told in one line that says what to do."""

from __future__ import annotations


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
