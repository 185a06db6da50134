"""Makes this process look like one on another system, then runs a program in it.

    python -m tests.platforms.elsewhere {darwin,win32} PROGRAM [ARGUMENT]...

What Linux has and the other system has not is taken away: names and modules of the standard library
(`typeshed`), the packages that speak with Linux's kernel, the C module. Numbers of `socket` become
those of the other system, and on Windows asyncio's loop is one that waits for no descriptors. What
this cannot show: the other system's errno values, and how its kernel behaves.
"""

from __future__ import annotations

import asyncio
import enum
import os
import runpy
import selectors
import shutil
import socket
import ssl  # noqa: F401 (what follows must have been imported by a whole standard library)
import sys
from asyncio import proactor_events
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from types import SimpleNamespace
from typing import Any, NoReturn

from tests.platforms.typeshed import missing

# packages that a stack may import, and pytest for its plugin: they have other ways elsewhere, which
# are none of ours
WHOLE = (
    "aiohttp.web", "asyncio.staggered", "click", "cffi", "concurrent.futures.thread", "ctypes",
    "dpkt.pcapng", "importlib.metadata", "ipaddress", "logging", "multiprocessing", "pytest",
    "subprocess", "tempfile", "_pytest.faulthandler",
)  # fmt: skip

PACKAGES = ("pytun", "pyroute2", "pystack.wire._fast")
# what typeshed does not know: it has stubs of what may be there
ALSO_GONE = {"darwin": (), "win32": ("termios", "asyncio.unix_events")}
ALSO_MISSING = {"darwin": {"socket": ("MSG_NOSIGNAL", "SO_DOMAIN", "SO_PROTOCOL")}, "win32": {}}

_BSD = {
    "SOL_SOCKET": 0xFFFF, "SO_DEBUG": 1, "SO_ACCEPTCONN": 2, "SO_REUSEADDR": 4, "SO_KEEPALIVE": 8,
    "SO_DONTROUTE": 0x10, "SO_BROADCAST": 0x20, "SO_LINGER": 0x80, "SO_OOBINLINE": 0x100,
    "SO_SNDBUF": 0x1001, "SO_RCVBUF": 0x1002, "SO_SNDLOWAT": 0x1003, "SO_RCVLOWAT": 0x1004,
    "SO_SNDTIMEO": 0x1005, "SO_RCVTIMEO": 0x1006, "SO_ERROR": 0x1007, "SO_TYPE": 0x1008,
    "IP_OPTIONS": 1, "IP_HDRINCL": 2, "IP_TOS": 3, "IP_TTL": 4, "IPV6_UNICAST_HOPS": 4,
    "IPV6_V6ONLY": 27, "MSG_OOB": 1, "MSG_PEEK": 2, "MSG_DONTROUTE": 4, "TCP_NODELAY": 1,
}  # fmt: skip
# <sys/socket.h>, <netinet/tcp.h>, <netinet6/in6.h>; winsock2.h, ws2ipdef.h, mstcpip.h
NUMBERS = {
    "darwin": _BSD | {
        "AF_INET6": 30, "SO_REUSEPORT": 0x200, "TCP_MAXSEG": 2, "TCP_KEEPALIVE": 0x10,
        "TCP_KEEPINTVL": 0x101, "TCP_KEEPCNT": 0x102, "TCP_FASTOPEN": 0x105,
        "TCP_NOTSENT_LOWAT": 0x201, "IPV6_TCLASS": 36, "MSG_EOR": 8, "MSG_TRUNC": 0x10,
        "MSG_CTRUNC": 0x20, "MSG_WAITALL": 0x40, "MSG_DONTWAIT": 0x80,
    },
    "win32": _BSD | {
        "AF_INET6": 23, "SO_EXCLUSIVEADDRUSE": ~4, "TCP_KEEPIDLE": 3, "TCP_MAXSEG": 4,
        "TCP_FASTOPEN": 15, "TCP_KEEPCNT": 16, "TCP_KEEPINTVL": 17, "IPV6_TCLASS": 39,
        "MSG_WAITALL": 8, "MSG_TRUNC": 0x100, "MSG_CTRUNC": 0x200,
    },
}  # fmt: skip

_getaddrinfo, _AF_INET6 = socket.getaddrinfo, socket.AF_INET6
_pair = socket._socket.socketpair  # type: ignore[attr-defined]
_UNIX, _STREAM = socket.AF_UNIX, socket.SOCK_STREAM


class Gone(MetaPathFinder):
    """Finds none of some modules, whatever is installed."""

    def __init__(self, modules: Sequence[str]) -> None:
        self.modules = frozenset(modules)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname in self.modules:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def socketpair(*_: Any) -> tuple[socket.socket, socket.socket]:
    """As `socket.socketpair` without arguments; Windows' own makes it of two sockets of TCP."""
    first, second = _pair(_UNIX, _STREAM, 0)
    return socket.socket(fileno=first.detach()), socket.socket(fileno=second.detach())


def getaddrinfo(host: Any, port: Any, family: int = 0, *rest: Any, **options: Any) -> list[Any]:
    """As `socket.getaddrinfo`, with the other system's AF_INET6."""
    asked = _AF_INET6 if family == socket.AF_INET6 else family
    return [
        (socket.AF_INET6 if found == _AF_INET6 else found, *others)
        for found, *others in _getaddrinfo(host, port, asked, *rest, **options)
    ]


def _refuse(*_: Any) -> NoReturn:
    raise NotImplementedError


class ProactorLike(asyncio.SelectorEventLoop):
    """A loop whose users cannot have it wait for descriptors, pipes and signals."""

    add_reader = add_writer = remove_reader = remove_writer = _refuse
    add_signal_handler = remove_signal_handler = _refuse


def become(system: str) -> None:
    """Look like `system` from now on; there is no way back."""
    for module in WHOLE:
        import_module(module)
    gone, lacking = missing(system)
    gone += [*PACKAGES, *ALSO_GONE[system]]
    for module in gone:
        sys.modules.pop(module, None)
        parent, _, name = module.rpartition(".")
        if parent in sys.modules and hasattr(sys.modules[parent], name):
            delattr(sys.modules[parent], name)
    sys.meta_path.insert(0, Gone(gone))
    for module, names in [*lacking.items(), *ALSO_MISSING[system].items()]:
        found = sys.modules.get(module)
        for name in names:
            if found is not None and name in vars(found):
                delattr(found, name)
    os.process_cpu_count = os.cpu_count  # type: ignore[attr-defined]  # 3.13 asks for the affinity
    _renumber(NUMBERS[system])
    socket.socketpair = socketpair
    socket.getaddrinfo = getaddrinfo
    selectors.DefaultSelector = selectors.SelectSelector  # type: ignore[misc]
    if system == "win32":
        proactor_events.BaseProactorEventLoop = ProactorLike  # type: ignore[misc,assignment]
        # `shutil.which` asks it whether commands are looked for in the working directory
        here = SimpleNamespace(NeedCurrentDirectoryForExePath=lambda name: True)
        shutil._winapi = here  # type: ignore[attr-defined]
    sys.platform = system


def _renumber(numbers: dict[str, int]) -> None:
    families = {one.name: int(one) for one in socket.AddressFamily if hasattr(socket, one.name)}
    families["AF_INET6"] = numbers["AF_INET6"]
    socket.AddressFamily = enum.IntEnum("AddressFamily", families)  # type: ignore[misc]
    for family in socket.AddressFamily:
        setattr(socket, family.name, family)
    for name, number in numbers.items():
        if not name.startswith("AF_"):
            setattr(socket, name, number)


if __name__ == "__main__":
    if sys.argv[1] != "linux":
        become(sys.argv[1])
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
