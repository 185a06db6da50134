"""What this process may do: its capabilities, and why it can make no user namespace.

Nothing here needs /proc, which a chroot may lack; what it says then is that.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from pathlib import Path
from typing import Final

from pystack.invocation import sudo

_CAPABILITY_VERSION_3: Final = 0x2008_0522
_ROOT_OF_INIT: Final = "/proc/1/root/."
MOUNT_PROC: Final = "mount -t proc proc /proc"

# switches of the kernel that forbid user namespaces, the value that does, and the one that helps
_SWITCHES: Final = (
    ("user.max_user_namespaces", "0", "10000"),
    ("kernel.unprivileged_userns_clone", "0", "1"),  # Debian
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu
)


def capable(capability: int) -> bool:
    """Whether this process has it, effectively (capget(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: low words, high words
    if libc.capget(header, data) != 0:
        return False
    return bool(data[3 * (capability // 32)] >> capability % 32 & 1)


def no_user_namespace(code: int) -> tuple[str, str]:
    """Why there is none, after the kernel has answered with that errno, and what to do about it."""
    text = os.strerror(code)
    if not has_proc():
        return f"{text}; /proc is not mounted", f"`{sudo(MOUNT_PROC)}`"
    for name, forbids, helps in _SWITCHES:
        if _sysctl(name) == forbids:
            return f"{text}; {name} is {forbids}", f"`{sudo(f'sysctl {name}={helps}')}`"
    if code == errno.EPERM and in_chroot():
        return f"{text}; this is a chroot", "run outside of the chroot"
    if code in (errno.EROFS, errno.EACCES, errno.ENOENT):
        return f"{text}; /proc is not ours to write to", "let /proc be writable in this container"
    if code in (errno.ENOSPC, errno.EUSERS):
        return f"{text}; there are too many", "end programs that have some, or raise the limit"
    return text, "look what forbids them: a chroot, a container's seccomp, a security module"


def has_proc() -> bool:
    """Whether /proc is mounted."""
    return os.path.exists("/proc/self/status")


def has_sysctls() -> bool:
    """Whether the kernel's switches can be read."""
    return os.path.isdir("/proc/sys/kernel")


def in_chroot() -> bool:
    """Whether / is not the root of the mounts, as far as that can be told."""
    try:
        ours, init = os.stat("/"), os.stat(_ROOT_OF_INIT)
        if os.readlink("/proc/1/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
            return (ours.st_dev, ours.st_ino) != (init.st_dev, init.st_ino)
    except OSError:
        pass  # not root: then the list of mounts lacks what lies outside
    with contextlib.suppress(OSError):
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
        return all(line.split()[4] != "/" for line in mounts)
    return False


def _sysctl(name: str) -> str:
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError:
        return ""
