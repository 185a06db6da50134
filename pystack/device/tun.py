"""The TUN device: made with addresses, MTU and offloads, gone when its descriptor is closed.

`open_tun` makes it. Packets then pass through `codec.read_batch` and `codec.write_batch` on
`Tun.fd`, which is non-blocking. The device is never persistent: closing the descriptor, or the
end of the process however it comes, removes it with its addresses and routes.

What the descriptor says (measured on Linux 6.18): with the link down a write fails with EIO and
nothing can be read (older kernels: EIO too), and it becomes usable again when the link is up.
After the device was deleted both fail with EBADFD, and poll reports it as readable or in error
for ever: remove the reader. A write never blocks, and a packet the kernel cannot take in is
dropped there (`counters`). EINVAL on a write condemns that packet alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import pytun

from pystack import invocation
from pystack.device.addresses import AddressPair
from pystack.device.kernel import CLONE_DEVICE, IFNAMSIZ, MAX_MTU, OFFLOADS, TUNSETOFFLOAD
from pystack.device.link import LinkCounters, Netlink, clash
from pystack.device.link_state import LinkState
from pystack.device.link_watch import LinkWatch
from pystack.device.netns import call_in, open_namespace
from pystack.errors import SetupError
from pystack.invocation import sudo
from pystack.printed import printed
from pystack.wire import consts

_WORKER_PAUSE: Final = 0.002  # seconds
_WORKER_LOOKS: Final = 500


class Tun:
    """An open TUN device. `fd` is -1 once it is closed, and in a child process after fork, but with
    `kept_in_child`."""

    __slots__ = (
        "fd", "name", "index", "mtu", "queue_length", "addresses", "offload", "note",
        "owner_pid", "kept_in_child", "_device", "_namespace", "__weakref__",
    )  # fmt: skip

    fd: int
    name: str
    index: int  # of the interface, in its namespace
    mtu: int  # bytes, as set at the opening; `follow_link` tells of changes
    queue_length: int  # packets that wait to be read before the kernel drops
    addresses: tuple[AddressPair, ...]
    offload: bool  # whether each read and write begins with a virtio header (vnet)
    note: str  # why there is no offload though it was asked for; else ""
    owner_pid: int
    kept_in_child: bool  # a fork gives it to the child as well: see that one of them reads

    def __init__(self, device: Any, namespace: int | None, *, offload: bool, note: str) -> None:
        """Take over a pytun device and the descriptor of its namespace; see `open_tun`."""
        self._device = device
        self._namespace = namespace
        self.fd = device.fileno()
        self.name = device.name
        self.index = 0
        self.mtu = 0
        self.queue_length = 0
        self.addresses = ()
        self.offload = offload
        self.note = note
        self.owner_pid = os.getpid()
        self.kept_in_child = False
        _devices.add(self)

    @property
    def vnet(self) -> bool:
        """Whether packets have a virtio header before them: the `vnet` argument of the codec."""
        return self.offload

    def close(self) -> None:
        """Remove the device. May be called again, without a loop, and at any time."""
        if self.fd < 0:
            return
        self.fd = -1
        self._device.close()
        namespace, self._namespace = self._namespace, None
        if namespace is not None:
            os.close(namespace)

    def follow_link(
        self, loop: asyncio.AbstractEventLoop, changed: Callable[[LinkState], None]
    ) -> Callable[[], None]:
        """Call `changed` with the link's state on `loop`: soon, and after each change, until it is
        gone or what this returns is called. Raises OSError."""
        if self.fd < 0:
            raise OSError(errno.ENODEV, f"{self.name} is closed")
        return LinkWatch(self._namespace, self.index, loop, changed).close

    async def counters(self) -> LinkCounters:
        """What passed the device and what was dropped at it. OSError ENODEV when it is gone."""
        if self.fd < 0:
            raise OSError(errno.ENODEV, f"{self.name} is closed")
        async with Netlink(self._namespace) as netlink:
            return await netlink.counters(self.index)

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        state = f"fd {self.fd}" if self.fd >= 0 else "closed"
        return f"{self.name} {state}, mtu {self.mtu}, {'' if self.offload else 'no '}offload"


_devices: Final[weakref.WeakSet[Tun]] = weakref.WeakSet()


def _close_in_child() -> None:
    for tun in list(_devices):
        if not tun.kept_in_child:
            tun.close()  # only this process's copy: the device is the parent's


if sys.platform == "linux":  # this module is imported nowhere else
    os.register_at_fork(after_in_child=_close_in_child)


async def open_tun(
    name: str = "tun0",
    *,
    addresses: Iterable[tuple[str, str | None]],
    mtu: int = 1500,
    queue_length: int = 1000,
    offload: bool = True,
    netns: str | None = None,
) -> Tun:
    """Make a TUN device, ready for packets, and up.

    `addresses` has ("198.18.0.2/24", None) for each of ours; the second is the kernel's own, by
    default the first other one of the prefix. `name` may be "tun%d" for the first free number.
    `mtu` in bytes, `queue_length` in packets. `offload` asks for checksum and TCP segmentation
    offload; where the kernel refuses, `Tun.offload` is false and `Tun.note` says why. `netns` is
    a name or a path of the network namespace in which the device lies. Raises SetupError, having
    left nothing behind.
    """
    pairs = tuple(AddressPair.parse(ours, peer) for ours, peer in addresses)
    _check(name, pairs, mtu, queue_length)
    namespace = None if netns is None else open_namespace(netns)
    try:
        if problem := await clash(namespace, pairs):
            raise _in_use(problem)
        try:
            tun = _open_in(namespace, name, offload)
        except SetupError as error:
            if error.errno != errno.EBUSY:
                raise
            raise await _exists(namespace, name) from None
    except BaseException:
        if namespace is not None:
            os.close(namespace)
        raise
    try:
        tun.mtu = mtu
        tun.queue_length = queue_length
        tun.addresses = pairs
        await _configure(tun, namespace)
    except BaseException:
        tun.close()
        raise
    return tun


def _check(name: str, pairs: tuple[AddressPair, ...], mtu: int, queue_length: int) -> None:
    plain = name.replace("%d", "0", 1)
    if (
        not 1 <= len(os.fsencode(name)) < IFNAMSIZ
        or name in (".", "..")
        or any(c in "/:%" or c.isspace() or not c.isprintable() for c in plain)
    ):
        raise SetupError(
            errno.EINVAL,
            f"{name!r} is no name for an interface",
            f"take one of 1 to {IFNAMSIZ - 1} characters without blank, slash or colon: tun0",
        )
    least = max((_least_mtu(pair) for pair in pairs), default=consts.IPV4_MIN_MTU)
    if not least <= mtu <= MAX_MTU:
        why = " (IPv6 needs 1280, RFC 8200)" if mtu < least == consts.IPV6_MIN_MTU else ""
        raise SetupError(
            errno.EINVAL,
            f"an MTU of {mtu} is out of range{why}",
            f"give one of {least} to {MAX_MTU} bytes",
        )
    if not 1 <= queue_length <= 1_000_000:
        raise SetupError(
            errno.EINVAL,
            f"a queue of {queue_length} packets is out of range",
            "give 1 to 1000000, such as 1000",
        )


def _least_mtu(pair: AddressPair) -> int:
    return consts.IPV4_MIN_MTU if pair.version == 4 else consts.IPV6_MIN_MTU


def _in_use(problem: str) -> SetupError:
    hint = "choose a prefix that nothing uses, such as 198.18.77.2/24 or fd00:198:77::2/64"
    return SetupError(errno.EADDRINUSE, problem, hint)


def _open_in(namespace: int | None, name: str, offload: bool) -> Tun:
    note = ""
    if offload:
        device = _attach(namespace, name, pytun.IFF_VNET_HDR)
        try:
            if sys.platform != "linux":
                raise NotImplementedError
            fcntl.ioctl(device.fileno(), TUNSETOFFLOAD, OFFLOADS)
            return _made(device, namespace, offload=True, note="")
        except OSError as error:
            device.close()
            note = f"the kernel refuses checksum and TSO offload ({error.strerror})"
    return _made(_attach(namespace, name, 0), namespace, offload=False, note=note)


def _made(device: Any, namespace: int | None, *, offload: bool, note: str) -> Tun:
    if sys.platform != "linux":
        raise NotImplementedError
    fd = device.fileno()
    os.set_inheritable(fd, False)  # pytun opens without O_CLOEXEC
    os.set_blocking(fd, False)
    return Tun(device, namespace, offload=offload, note=note)


def _attach(namespace: int | None, name: str, flags: int) -> Any:
    # EXCL: never join a device that somebody else made and that would outlive us
    flags |= pytun.IFF_TUN | pytun.IFF_NO_PI | pytun.IFF_TUN_EXCL

    def attach() -> Any:
        return pytun.TunTapDevice(name=name, flags=flags, dev=CLONE_DEVICE)

    try:
        return attach() if namespace is None else call_in(namespace, attach)
    except SetupError:
        raise
    except OSError as error:
        raise _cannot_open(error, name) from None


def _cannot_open(error: OSError, name: str) -> SetupError:
    code = error.errno or errno.EIO
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return SetupError(
            code,
            f"there is no TUN driver behind {CLONE_DEVICE} ({error.strerror})",
            f"run `{sudo('modprobe tun')}`; in a container give it --device {CLONE_DEVICE}, "
            f"or `mkdir -p /dev/net && mknod {CLONE_DEVICE} c 10 200`",
        )
    if code in (errno.EPERM, errno.EACCES):
        if not os.access(CLONE_DEVICE, os.R_OK | os.W_OK):
            hint = f"in a container give it --device {CLONE_DEVICE}"
            return SetupError(code, f"{CLONE_DEVICE} may not be opened", _as_root(hint))
        hint = _as_root("in a container give it --cap-add NET_ADMIN")
        return SetupError(
            code,
            "no right to make a TUN device (CAP_NET_ADMIN)",
            f"{hint}, or take `{invocation.command()} demo`, which needs none where user "
            "namespaces are allowed",
        )
    return SetupError(code, f"no TUN device {name} ({error.strerror})", _ask_the_doctor())


async def _exists(namespace: int | None, name: str) -> SetupError:
    """What to say of a name that is taken. Advice to delete it is given for a TUN device only:
    another one may be the way to this very machine."""
    hint = "choose another name (tun%d takes the next free)"
    with contextlib.suppress(OSError):
        async with Netlink(namespace) as netlink:
            if await netlink.kind_of(name) == "tun":
                hint += f", or `{sudo(f'ip link delete {name}')}`"
    return SetupError(errno.EBUSY, f"an interface {name} exists already", hint)


def _as_root(in_container: str) -> str:
    """What gives the rights: `sudo`, or, for root, what the container was not given."""
    if invocation.is_plain_root():
        return in_container
    line = invocation.this_as_root()
    return f"run {f'`{line}`' if line else 'as root'}, {in_container}"


def _ask_the_doctor() -> str:
    return f"`{invocation.command()} doctor` looks for the cause"


async def _configure(tun: Tun, namespace: int | None) -> None:
    async with Netlink(namespace) as netlink:
        tun.index = await netlink.index_of(tun.name)
        try:
            await netlink.set_link(tun.index, mtu=tun.mtu, txqlen=tun.queue_length)
            await _quiet_ipv6(netlink, tun, namespace)
        except OSError as error:
            raise _refused(error, f"{tun.name} cannot be set up") from None
        # of several of ours in one prefix, one brings the kernel's end for all
        ends = {(pair.peer, pair.ours.network): pair for pair in tun.addresses}
        for pair in ends.values():
            try:
                await netlink.add_address(tun.index, pair)
            except OSError as error:
                raise _refused(error, f"the kernel does not take {pair.peer}") from None
        await netlink.set_link(tun.index, state="up")
        for pair in tun.addresses:
            through = await netlink.leaves_through(pair.ours.ip)
            if through != tun.name:
                way = f"leave through {through}" if through else "do not leave at all"
                raise _in_use(f"packets for {pair.ours.ip} would {way}")
        await _until_taken(netlink, [pair for pair in ends.values() if pair.version == 6])


async def _until_taken(netlink: Netlink, pairs: Sequence[AddressPair]) -> None:
    """Wait until the kernel takes what comes for its addresses: with IPv6 a worker sees to that,
    and on a busy machine the first packets would be lost. No longer than a second."""
    waiting = list(pairs)
    for _ in range(_WORKER_LOOKS):
        waiting = [pair for pair in waiting if not await netlink.takes(pair.peer)]
        if not waiting:
            return
        await asyncio.sleep(_WORKER_PAUSE)


async def _quiet_ipv6(netlink: Netlink, tun: Tun, namespace: int | None) -> None:
    wanted = any(pair.version == 6 for pair in tun.addresses)
    try:
        await netlink.set_quiet(tun.index)
    except OSError:
        if wanted:
            raise SetupError(
                errno.EAFNOSUPPORT,
                "this kernel or namespace has no IPv6",
                "leave out the IPv6 address, or boot without ipv6.disable=1",
            ) from None
        return  # nothing to quieten
    if wanted:
        settings = Path(f"/proc/sys/net/ipv6/conf/{tun.name}")
        if namespace is None:
            _enable_ipv6(settings)
        else:
            call_in(namespace, lambda: _enable_ipv6(settings))


def _enable_ipv6(settings: Path) -> None:
    switch = settings / "disable_ipv6"
    try:
        if switch.read_text().strip() == "1":  # as containers often come; this device's alone
            switch.write_text("0")
    except FileNotFoundError:
        return
    except OSError as error:
        raise SetupError(
            error.errno or errno.EACCES,
            f"IPv6 is switched off and stays so ({error.strerror})",
            "leave out the IPv6 address, or "
            f"`{sudo('sysctl net.ipv6.conf.default.disable_ipv6=0')}`",
        ) from None
    with contextlib.suppress(OSError):  # else IPv6 is gone after the link was down once
        (settings / "keep_addr_on_down").write_text("1")


def _refused(error: OSError, problem: str) -> SetupError:
    if isinstance(error, SetupError):
        return error
    code = error.errno or errno.EIO
    text = f"{problem} ({os.strerror(code)})"
    if code in (errno.EPERM, errno.EACCES):
        return SetupError(code, text, "run as root or with CAP_NET_ADMIN")
    if code == errno.EEXIST:
        return _in_use(text)
    return SetupError(code, text, _ask_the_doctor())
