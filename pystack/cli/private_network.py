"""A network namespace of this process's own, without any rights where the kernel allows that."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
from typing import Any, Final

from pystack.device import rights
from pystack.device.kernel import CLONE_DEVICE
from pystack.device.netns import unshare_network
from pystack.errors import SetupError
from pystack.invocation import sudo

_PR_SET_PDEATHSIG: Final = 1
_libc: Final[Any] = ctypes.CDLL(None) if sys.platform == "linux" else None


def enter() -> None:
    """Put this process into an empty network namespace in which it may do everything, for good.

    Without the rights it takes a user namespace as well. To be called while there is one
    thread. Raises SetupError that says which of the two it needs is missing.
    """
    try:
        os.close(os.open(CLONE_DEVICE, os.O_RDWR))
    except OSError as error:
        raise SetupError(
            error.errno or errno.EACCES,
            f"{CLONE_DEVICE} may not be opened ({error.strerror})",
            f"let everybody open it, `{sudo(f'chmod 666 {CLONE_DEVICE}')}`, or run as root; "
            f"if it is missing: `{sudo('modprobe tun')}`",
        ) from None
    try:
        _unshare()
    except OSError as error:
        raise no_user_namespace(error) from None


def _unshare() -> None:
    try:
        unshare_network(new_user=False)
    except PermissionError:
        unshare_network(new_user=True)


def no_user_namespace(error: OSError) -> SetupError:
    """What to say when the kernel does not let us be root in a namespace of our own."""
    code = error.errno or errno.EPERM
    problem, remedy = rights.no_user_namespace(code)
    return SetupError(
        code, f"user namespaces are not allowed here ({problem})", f"run as root, or {remedy}"
    )


def die_with_parent() -> None:
    """To be called in a child before it runs its program: it ends when we do, however we end."""
    if sys.platform != "linux":
        raise NotImplementedError
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
