"""What a stack over a TUN device needs, looked at one by one, for `pystack doctor`.

Each check changes nothing and leaves nothing; what has to be tried out is tried in a child
process, in a network namespace of its own. Only what a check is about is imported by it, so that
a missing package is a finding and not a crash.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import socket
import stat
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pystack import invocation
from pystack.device import kernel, rights
from pystack.device.netns import open_namespace, unshare_network
from pystack.errors import SetupError
from pystack.invocation import sudo

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
    node = check_node()
    privileges = check_rights(node=node.ok)
    packages = [check_package(name) for name in PACKAGES]
    checks = [
        *packages,
        check_compiled(),
        node,
        privileges,
        check_user_namespace(required=not privileges.ok),
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
        "install a C compiler, then run scripts/setup in a clone of pystack, or "
        "`pip install --force-reinstall .` there", required=False,
    )  # fmt: skip


def check_node() -> Check:
    """Whether /dev/net/tun is there and may be opened."""
    name = kernel.CLONE_DEVICE
    make = f"`{sudo('modprobe tun')}`; in a container give it --device {name}"
    try:
        if not stat.S_ISCHR(os.stat(name).st_mode):
            return Check(name, False, "is no character device", f"remove it, then {make}")
        os.close(os.open(name, os.O_RDWR))
    except PermissionError as error:
        return Check(
            name, False, f"may not be opened ({error.strerror})", _open_the_node(name),
        )  # fmt: skip
    except FileNotFoundError:
        node = f"`mkdir -p {os.path.dirname(name)} && mknod {name} c 10 200`"
        return Check(name, False, "is missing", f"{make}, or {node}")
    except OSError as error:
        return Check(name, False, f"has no driver ({error.strerror})", make)
    return Check(name, True, "can be opened")


def _open_the_node(name: str) -> str:
    if invocation.is_plain_root():
        return f"in a container give it --device {name}; else `chmod 666 {name}`"
    return (
        f"run `{invocation.command_as_root()} …`, for all commands; for "
        f"`{invocation.command()} demo` alone `{sudo(f'chmod 666 {name}')}` will do, too"
    )


def check_rights(*, node: bool = True) -> Check:
    """Whether this process may make devices in its own network namespace. `node` is whether
    /dev/net/tun can be opened, without which there is no device in any other one."""
    name = "CAP_NET_ADMIN"
    if rights.capable(kernel.CAP_NET_ADMIN):
        return Check(name, True, "devices can be made here")
    remedy = f"run `{invocation.command_as_root()} …`"
    if invocation.is_plain_root():
        remedy = "in a container give it --cap-add NET_ADMIN"
    if node:
        remedy += f", or take `{invocation.command()} demo`, which makes a namespace of its own"
    return Check(name, False, "no right to make devices here", remedy, required=False)


def check_user_namespace(*, required: bool) -> Check:
    """Whether an unprivileged user namespace can be made: what `pystack demo` needs."""
    name = "user namespaces"
    code = _tried(lambda: unshare_network(new_user=True))
    if not code:
        return Check(name, True, "can be made", required=required)
    problem, remedy = rights.no_user_namespace(code)
    return Check(
        name, False, f"cannot be made ({problem})", f"run as root, or {remedy}", required=required
    )


def check_offload() -> Check:
    """Whether the kernel takes checksum and TSO offload, on a device made and dropped at once."""
    name = "offload"
    own = not rights.capable(kernel.CAP_SYS_ADMIN)
    code = _tried(lambda: unshare_network(new_user=own))
    if code:
        return Check(
            name, False, f"could not be tried: no network namespace ({os.strerror(code)})",
            "see what fails above", required=False,
        )  # fmt: skip
    code = _tried(lambda: _make_with_offload(own))
    if not code:
        return Check(name, True, "checksums, TSO4 and TSO6", required=False)
    return Check(
        name, False, f"not available here ({os.strerror(code)})",
        "not needed: packets are then cut and summed by pystack, more slowly", required=False,
    )  # fmt: skip


def check_ipv6() -> Check:
    """Whether a new device would have IPv6."""
    name = "IPv6"
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    except OSError:
        return Check(
            name, False, "not in this kernel, or ipv6.disable=1",
            "leave out IPv6 addresses, or boot without ipv6.disable=1", required=False,
        )  # fmt: skip
    switch = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
    try:
        value = switch.read_text().strip()
    except OSError as error:
        why, remedy = str(error.strerror), "run as root"
        if not rights.has_proc():
            why, remedy = "/proc is not mounted", f"`{sudo(rights.MOUNT_PROC)}`"
        elif not rights.has_sysctls():
            why, remedy = "/proc/sys is hidden", "let it be seen in this container"
        return Check(
            name, False, f"whether new devices have it cannot be told: {why}", remedy,
            required=False,
        )  # fmt: skip
    if value != "0" and not os.access(switch, os.W_OK):
        return Check(
            name, False, "switched off for new devices",
            f"`{sudo('sysctl net.ipv6.conf.default.disable_ipv6=0')}`; for a container of Docker "
            "`--sysctl net.ipv6.conf.default.disable_ipv6=0`", required=False,
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


def _make_with_offload(new_user: bool) -> None:
    if sys.platform != "linux":
        raise NotImplementedError
    import fcntl

    unshare_network(new_user=new_user)
    fd = os.open(kernel.CLONE_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    flags = kernel.IFF_TUN | kernel.IFF_NO_PI | kernel.IFF_VNET_HDR
    fcntl.ioctl(fd, kernel.TUNSETIFF, struct.pack("16sH22x", b"", flags))
    fcntl.ioctl(fd, kernel.TUNSETOFFLOAD, kernel.OFFLOADS)


def _tried(function: Callable[[], None]) -> int:
    """The errno with which `function` fails in a child process of ours; 0 when it does not."""
    if sys.platform != "linux":
        raise NotImplementedError
    child = os.fork()
    if child == 0:
        code = errno.EIO
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # it is ours to say a word about Ctrl-C
            function()
            code = 0
        except OSError as error:
            code = error.errno or errno.EIO
        finally:
            os._exit(code)  # an errno is below 256
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else errno.EIO
