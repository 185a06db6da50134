"""Network namespaces: something done in another one, while this process stays where it is.

setns(2) moves the calling thread only. It is therefore always done in a thread that lives just as
long as the one function called in it: there is nothing to restore, whatever fails, and the event
loop's own thread never leaves its namespace. What the function opened there (a TUN device, a
netlink socket) keeps belonging to that namespace.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shlex
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from pystack.errors import SetupError
from pystack.invocation import sudo

T = TypeVar("T")

CLONE_NEWNET: Final = 0x4000_0000
CLONE_NEWUSER: Final = 0x1000_0000
_NAMED: Final = "/run/netns"

_libc: Final[Any] = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def open_namespace(netns: str) -> int:
    """A descriptor of a network namespace: of a name (as in `ip netns`) or of a path.

    A path is what has a slash in it, such as /proc/PID/ns/net. Raises SetupError.
    """
    if not netns:
        hint = "give a name that `ip netns` lists, or a path such as /proc/PID/ns/net"
        raise SetupError(errno.EINVAL, "the network namespace has an empty name", hint)
    path = netns if "/" in netns else f"{_NAMED}/{netns}"
    try:
        return os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        make = f"make it with `{sudo(f'ip netns add {shlex.quote(netns)}')}`"
        hint = make if path != netns else "does it still run?"
        raise SetupError(errno.ENOENT, f"no network namespace {netns}", hint) from None
    except OSError as error:
        raise SetupError(
            error.errno or errno.EACCES,
            f"network namespace {netns} cannot be opened ({error.strerror})",
            "run as root",
        ) from None


def call_in(namespace: int, function: Callable[[], T]) -> T:
    """What `function` returns or raises when called within the namespace of that descriptor.

    It runs in a thread of its own, which is waited for: meant for the millisecond that opening
    something takes. Raises SetupError when the namespace may not be entered.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            _enter(namespace)
            outcome.append(function())
        except BaseException as error:  # handed to the caller, whatever it is
            failure.append(error)

    thread = threading.Thread(target=body, name="pystack-netns", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def unshare_network(*, new_user: bool) -> None:
    """Put this process into a new, empty network namespace, for good.

    With `new_user` also into a new user namespace in which it is root: then it needs no rights
    before, but must have a single thread. Raises OSError.
    """
    if sys.platform != "linux":
        raise NotImplementedError
    uid, gid = os.geteuid(), os.getegid()
    _checked(_libc.unshare(CLONE_NEWNET | (CLONE_NEWUSER if new_user else 0)))
    if new_user:
        # without privilege, gid_map may be written only after setgroups is given up
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"0 {uid} 1"),
            ("gid_map", f"0 {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)


def _enter(namespace: int) -> None:
    try:
        _checked(_libc.setns(namespace, CLONE_NEWNET))
    except OSError as error:
        problem = f"the network namespace may not be entered ({error.strerror})"
        hint = "run as root (CAP_SYS_ADMIN in both namespaces)"
        if error.errno == errno.EINVAL:
            problem = "that is no network namespace"
            hint = "give a name that `ip netns` lists, or a path such as /proc/PID/ns/net"
        raise SetupError(error.errno or errno.EPERM, problem, hint) from None


def _checked(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
