"""For programs whose timing is part of what is measured."""

from __future__ import annotations

import contextlib
import ctypes
import os

PR_SET_TIMERSLACK = 29


def be_punctual() -> None:
    """Run before all ordinary work, where that is allowed, and without slack in our timers."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
