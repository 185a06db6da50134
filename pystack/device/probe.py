"""What a stack over a TUN device needs, looked at one by one, for `pystack doctor`.

Each check changes nothing and leaves nothing; what has to be tried out is tried in a child
process, in a network namespace of its own. Only what a check is about is imported by it, so that
a missing package is a finding and not a crash.
"""

from __future__ import annotations

import errno
import importlib
import os
import stat
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pystack.device import kernel
from pystack.device.netns import open_namespace, unshare_network
from pystack.errors import SetupError

PACKAGES = ("cffi", "pytun", "pyroute2", "dpkt")


@dataclass(frozen=True, slots=True)
class Check:
    """A finding. `remedy` says what to do when `ok` is false."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    required: bool = True  # whether nothing works without it


async def run_checks(
    addresses: Iterable[tuple[str, str | None]], netns: str | None = None
) -> list[Check]:
    """All checks; `addresses` and `netns` as `open_tun` takes them."""
    rights = check_rights()
    packages = [check_package(name) for name in PACKAGES]
    checks = [
        *packages,
        check_compiled(),
        check_node(),
        rights,
        check_user_namespace(required=not rights.ok),
        check_offload(),
        check_ipv6(),
    ]
    if all(package.ok for package in packages):
        checks.append(await check_addresses(addresses, netns))
    return checks


def check_package(name: str) -> Check:
    """Whether a Python package can be imported."""
    try:
        importlib.import_module(name)
    except ImportError as error:
        wheel = "python-pytun" if name == "pytun" else name
        return Check(name, False, str(error), f"pip install {wheel}")
    return Check(name, True, "can be imported")


def check_compiled() -> Check:
    """Whether the C module is there and in use."""
    from pystack import config
    from pystack.compiling import is_compiled
    from pystack.wire import codec

    name = "compiled module"
    if not codec.PURE:
        core = "compiled" if is_compiled() else "interpreted"
        return Check(name, True, f"in use; the core is {core}", required=False)
    if config.PURE:
        return Check(
            name, False, "PYSTACK_PURE is set: the slower Python twins are used",
            "unset PYSTACK_PURE", required=False,
        )  # fmt: skip
    return Check(
        name, False, "not built: the slower Python twins are used",
        "install a C compiler, then `pip install --force-reinstall pystack-tcp`", required=False,
    )  # fmt: skip


def check_node() -> Check:
    """Whether /dev/net/tun is there and may be opened."""
    name = kernel.CLONE_DEVICE
    make = "`modprobe tun`; in a container give it --device /dev/net/tun"
    try:
        if not stat.S_ISCHR(os.stat(name).st_mode):
            return Check(name, False, "is no character device", f"remove it, then {make}")
        os.close(os.open(name, os.O_RDWR))
    except PermissionError as error:
        return Check(
            name, False, f"may not be opened ({error.strerror})",
            f"run as root, or let everybody open it: `chmod 666 {name}`",
        )  # fmt: skip
    except FileNotFoundError:
        node = "`mkdir -p /dev/net && mknod /dev/net/tun c 10 200`"
        return Check(name, False, "is missing", f"{make}, or {node}")
    except OSError as error:
        return Check(name, False, f"has no driver ({error.strerror})", make)
    return Check(name, True, "can be opened")


def check_rights() -> Check:
    """Whether this process may make devices in its own network namespace."""
    name = "CAP_NET_ADMIN"
    if _capable(kernel.CAP_NET_ADMIN):
        return Check(name, True, "devices can be made here")
    return Check(
        name, False, "no right to make devices here",
        "run as root, or take `pystack demo`, which makes a namespace of its own", required=False,
    )  # fmt: skip


def check_user_namespace(*, required: bool) -> Check:
    """Whether an unprivileged user namespace can be made: what `pystack demo` needs."""
    name = "user namespaces"
    problem = _tried(lambda: unshare_network(new_user=True))
    if not problem:
        return Check(name, True, "can be made", required=required)
    return Check(
        name, False, f"cannot be made ({problem})",
        "run as root, or `sysctl user.max_user_namespaces=10000` "
        "kernel.unprivileged_userns_clone=1 (Debian), "
        "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)", required=required,
    )  # fmt: skip


def check_offload() -> Check:
    """Whether the kernel takes checksum and TSO offload, on a device made and dropped at once."""
    name = "offload"
    problem = _tried(_make_with_offload)
    if not problem:
        return Check(name, True, "checksums, TSO4 and TSO6", required=False)
    return Check(
        name, False, f"not to be had here ({problem})",
        "not needed: packets are then cut and summed by pystack, more slowly", required=False,
    )  # fmt: skip


def check_ipv6() -> Check:
    """Whether a new device would have IPv6."""
    name = "IPv6"
    switch = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
    try:
        value = switch.read_text().strip()
    except OSError:
        return Check(
            name, False, "not in this kernel, or ipv6.disable=1",
            "leave out IPv6 addresses, or boot without ipv6.disable=1", required=False,
        )  # fmt: skip
    if value != "0" and not os.access(switch, os.W_OK):
        return Check(
            name, False, "switched off for new devices",
            "`sysctl net.ipv6.conf.default.disable_ipv6=0`", required=False,
        )  # fmt: skip
    return Check(name, True, "available", required=False)


async def check_addresses(
    addresses: Iterable[tuple[str, str | None]], netns: str | None = None
) -> Check:
    """Whether the addresses are free in that namespace. Needs pyroute2."""
    from pystack.device.addresses import AddressPair
    from pystack.device.link import clash

    name = "addresses"
    namespace = None
    try:
        pairs = [AddressPair.parse(ours, peer) for ours, peer in addresses]
        namespace = None if netns is None else open_namespace(netns)
        problem = await clash(namespace, pairs)
    except SetupError as error:
        return Check(name, False, error.problem, error.hint)
    except OSError as error:
        return Check(name, False, str(error), "run as root")
    finally:
        if namespace is not None:
            os.close(namespace)
    if problem:
        return Check(name, False, problem, "choose a prefix that nothing uses (--addr, --addr6)")
    return Check(name, True, ", ".join(f"{pair.ours} is free" for pair in pairs))


def _capable(capability: int) -> bool:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return False


def _make_with_offload() -> None:
    if sys.platform != "linux":
        raise NotImplementedError
    import fcntl

    unshare_network(new_user=not _capable(kernel.CAP_SYS_ADMIN))
    fd = os.open(kernel.CLONE_DEVICE, os.O_RDWR)
    flags = kernel.IFF_TUN | kernel.IFF_NO_PI | kernel.IFF_VNET_HDR
    fcntl.ioctl(fd, kernel.TUNSETIFF, struct.pack("16sH22x", b"", flags))
    fcntl.ioctl(fd, kernel.TUNSETOFFLOAD, kernel.OFFLOADS)


def _tried(function: Callable[[], None]) -> str:
    """Why `function` fails in a child process of ours; "" when it does not."""
    if sys.platform != "linux":
        raise NotImplementedError
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            function()
            code = 0
        except OSError as error:
            os.write(writing, (error.strerror or os.strerror(error.errno or errno.EIO)).encode())
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        problem = pipe.read()
    _, status = os.waitpid(child, 0)
    return problem or ("" if status == 0 else "the attempt failed")
