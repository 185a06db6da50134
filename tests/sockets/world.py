"""The same calls on our sockets and on the kernel's: where a test asks for a `world`, what it
expects of us it also expects of Linux.

    def test_something(world):
        client, server = world.pair()
        ...
        world.settle()          # what was sent has arrived
        assert outcome(client.recv, 1) == "EAGAIN"

A kernel world has both ends on the loopback of a namespace of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from pystack.sockets import constants as c
from tests.live.namespace import Namespace
from tests.sockets.wire import ADDRESSES, make_wire

POLL_NAMES = {
    c.POLLIN: "IN", c.POLLPRI: "PRI", c.POLLOUT: "OUT", c.POLLERR: "ERR", c.POLLHUP: "HUP",
    c.POLLRDHUP: "RDHUP",
}  # fmt: skip
NAMES = {c.AF_INET: "IPv4", c.AF_INET6: "IPv6"}
LINGER_0 = (c.SOL_SOCKET, c.SO_LINGER, struct.pack("ii", 1, 0))
Option = tuple[int, int, Any]


def outcome(call: Callable[..., Any], *args: Any) -> Any:
    """What a call returns, or the name of its errno."""
    try:
        return call(*args)
    except OSError as error:
        code = error.errno or 0
        return "EOPNOTSUPP" if code == errno.ENOTSUP else errno.errorcode.get(code, str(code))


def error_of(sock: Any) -> Any:
    """SO_ERROR, by name, which is thereby cleared."""
    code = sock.getsockopt(c.SOL_SOCKET, c.SO_ERROR)
    return errno.errorcode[code] if code else 0


def polled(sock: Any) -> set[str]:
    """The names of the poll bits that are set."""
    bits = sock.poll()
    return {name for bit, name in POLL_NAMES.items() if bits & bit}


def worlds(*families: int) -> list[Any]:
    """Values of the fixture `world`: of these families, on ours and on the kernel."""
    live = [pytest.mark.live]
    return [
        pytest.param((one, is_kernel), id=f"{who}-{NAMES[one]}", marks=live * is_kernel)
        for is_kernel, who in enumerate(("ours", "kernel"))
        for one in families
    ]


IPV4_ONLY = pytest.mark.parametrize("world", worlds(c.AF_INET), indirect=True)
IPV6_ONLY = pytest.mark.parametrize("world", worlds(c.AF_INET6), indirect=True)
_OURS, _KERNELS = worlds(*NAMES)[:2], worlds(*NAMES)[2:]
OURS_ONLY = pytest.mark.parametrize("world", _OURS, indirect=True)
KERNEL_ONLY = pytest.mark.parametrize("world", _KERNELS, indirect=True)


class World:
    """Where sockets are made. `near` ones connect, `far` ones usually listen."""

    family: int
    is_kernel: bool
    here: str  # the near side's address
    there: str
    no_such: str  # an address of the family that nobody here has
    broadcast: str
    buffers: tuple[int, int]  # of a fresh socket: SO_SNDBUF, SO_RCVBUF
    most: tuple[int, int]  # wmem_max, rmem_max
    device: str  # the name of its interface, number 1
    kept: list[Any]  # what must not be closed yet

    def near(self, family: int = 0) -> Any:
        raise NotImplementedError

    def far(self, family: int = 0) -> Any:
        raise NotImplementedError

    def datagram(self, *, far: bool = False, family: int = 0) -> Any:
        """A UDP socket, of the near side unless `far`."""
        raise NotImplementedError

    def settle(self) -> None:
        raise NotImplementedError

    def know_the_time(self) -> None:
        """The hosts know the time of day."""

    def time_of_day(self) -> float:
        """Seconds since 1970, as the hosts have it."""
        return time.time()

    def listener(self, *, backlog: int = 5, options: Iterable[Option] = ()) -> Any:
        """A far socket that listens at its address and a free port."""
        sock = self.far()
        for option in options:
            sock.setsockopt(*option)
        sock.bind((self.there, 0))
        sock.listen(backlog)
        return sock

    def where(self, listener: Any) -> tuple[str, int]:
        """The address to connect to."""
        return self.there, listener.getsockname()[1]

    def closed_port(self) -> tuple[str, int]:
        """An address that refuses connections."""
        listener = self.listener()
        address = self.where(listener)
        listener.close()
        return address

    def silent_port(self) -> tuple[str, int]:
        """An address that does not answer a SYN: the accept queue there is full."""
        listener = self.listener(backlog=0)
        filler = self.near()
        self.kept = [listener, filler]
        outcome(filler.connect, self.where(listener))
        self.settle()
        return self.where(listener)

    def pair(self, *, near: Iterable[Option] = (), far: Iterable[Option] = ()) -> tuple[Any, Any]:
        """A connection, the near end first; `connect` has told of its success."""
        listener = self.listener(options=far)
        client = self.near()
        for option in near:
            client.setsockopt(*option)
        assert outcome(client.connect, self.where(listener)) == "EINPROGRESS"
        self.settle()
        server, _ = listener.accept()
        client.connect(self.where(listener))
        listener.close()
        return client, server

    def reset(self, sock: Any) -> None:
        """Close with a RST, which then arrives."""
        sock.setsockopt(*LINGER_0)
        sock.close()
        self.settle()


class OurWorld(World):
    """Two hosts of ours back to back."""

    is_kernel = False

    def __init__(self, family: int) -> None:
        self.family = family
        self.wire = make_wire()
        config = self.wire.near.config
        self.buffers = config.tcp_wmem[1], config.tcp_rmem[1]
        self.most = config.wmem_max, config.rmem_max
        self.here, self.there = ADDRESSES[family]
        self.no_such = "198.18.0.99" if family == c.AF_INET else "fd00::99"
        self.broadcast = "198.18.0.255"
        self.device = self.wire.near.ip.interface.name

    def near(self, family: int = 0) -> Any:
        return self.wire.near.socket(family or self.family)

    def far(self, family: int = 0) -> Any:
        return self.wire.far.socket(family or self.family)

    def datagram(self, *, far: bool = False, family: int = 0) -> Any:
        host = self.wire.far if far else self.wire.near
        return host.socket(family or self.family, c.SOCK_DGRAM)

    def know_the_time(self) -> None:
        for host in (self.wire.near, self.wire.far):
            host.set_realtime(self.wire.now_us, 1_700_000_000_250_000)
        self._began_us = self.wire.now_us

    def time_of_day(self) -> float:
        return (1_700_000_000_250_000 + self.wire.now_us - self._began_us) / 1e6

    def settle(self) -> None:
        self.wire.run(250_000)  # delayed ACKs included

    def close(self) -> None:
        pass


class KernelSocket:
    """A kernel socket with the calls of ours that Python's has not got."""

    def __init__(self, sock: socket.socket, world: KernelWorld) -> None:
        self.sock = sock
        self.world = world
        sock.setblocking(False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def accept(self) -> tuple[KernelSocket, Any]:
        sock, address = self.sock.accept()
        return self.world.keep_open(sock), address

    def connect(self, address: Any) -> None:
        if address is None:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.connect(self.sock.fileno(), bytes(16), 16):
                raise OSError(ctypes.get_errno(), "connect")
            return
        self.sock.connect(address)

    def getsockopt(self, level: int, name: int, size: int = 0) -> int | bytes:
        size_if_any = (size,) if size else ()
        return self.sock.getsockopt(level, name, *size_if_any)

    def poll(self) -> int:
        poller = select.poll()
        poller.register(self.sock.fileno(), 0x7FFF)
        found = poller.poll(0)
        return found[0][1] if found else 0

    def ioctl(self, request: int) -> int:
        number: int = struct.unpack("i", fcntl.ioctl(self.sock.fileno(), request, bytes(4)))[0]
        return number


class KernelWorld(World):
    """Both ends on the loopback device of a namespace."""

    is_kernel = True

    def __init__(self, family: int, namespace: Namespace) -> None:
        self.family = family
        self.namespace = namespace
        self.here = self.there = "127.0.0.1" if family == c.AF_INET else "::1"
        self.no_such = "198.18.0.99" if family == c.AF_INET else "fd00::99"
        self.broadcast = "255.255.255.255"
        self.device = "lo"
        self.buffers = _sysctl("net/ipv4/tcp_wmem")[1], _sysctl("net/ipv4/tcp_rmem")[1]
        self.most = _sysctl("net/core/wmem_max")[0], _sysctl("net/core/rmem_max")[0]
        self.sockets: list[socket.socket] = []

    def keep_open(self, sock: socket.socket) -> KernelSocket:
        self.sockets.append(sock)
        return KernelSocket(sock, self)

    def near(self, family: int = 0) -> Any:
        kind = socket.AF_INET6 if (family or self.family) == c.AF_INET6 else socket.AF_INET
        return self.keep_open(self.namespace.socket(kind))

    far = near

    def datagram(self, *, far: bool = False, family: int = 0) -> Any:
        kind = socket.AF_INET6 if (family or self.family) == c.AF_INET6 else socket.AF_INET
        return self.keep_open(self.namespace.socket(kind, socket.SOCK_DGRAM))

    def settle(self) -> None:
        time.sleep(0.005)  # loopback delivers within the call that sends; timers may not matter

    def close(self) -> None:
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.setsockopt(*LINGER_0)
            sock.close()


def kernel_world(family: int, namespace: Namespace) -> KernelWorld:
    """A world of the kernel's; skips where that has no such family."""
    world = KernelWorld(family, namespace)
    if outcome(world.near().bind, (world.here, 0)) is not None:
        world.close()
        pytest.skip("the kernel has no address of that family")
    return world


def _sysctl(name: str) -> list[int]:
    """The numbers of a setting; a new namespace takes these over from the first one."""
    return [int(word) for word in (Path("/proc/sys") / name).read_text().split()]
