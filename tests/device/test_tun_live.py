"""The device in namespaces of the tests' own, against the kernel: made, used, lost, refused."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pystack.device import tun as tun_module
from pystack.device.link_state import GONE, LinkState
from pystack.device.netns import call_in, open_namespace
from pystack.device.tun import Tun, open_tun
from pystack.errors import SetupError
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live

V4, V6 = ("198.18.0.2/24", None), ("fd00:198:18::2/64", None)


def made(namespace: Namespace, **options: Any) -> Tun:
    options.setdefault("addresses", [V4, V6])
    return asyncio.run(open_tun(**options, netns=namespace.path))


@contextmanager
def device(namespace: Namespace, **options: Any) -> Iterator[Tun]:
    tun = made(namespace, **options)
    try:
        yield tun
    finally:
        tun.close()


def shown(namespace: Namespace, *argv: str) -> Any:
    return json.loads(namespace.run(["ip", "-j", *argv]).stdout)


def refusal(namespace: Namespace, **options: Any) -> SetupError:
    before = namespace.links()
    with pytest.raises(SetupError) as caught:
        made(namespace, **options)
    assert "\n" not in str(caught.value)
    assert namespace.links() == before
    return caught.value


# -- made ------------------------------------------------------------------------------------


def test_a_device_has_what_was_asked_for(namespace: Namespace) -> None:
    with device(namespace, mtu=1400, queue_length=321) as tun:
        link = shown(namespace, "addr", "show", "tun0")[0]
        assert (link["mtu"], link["txqlen"]) == (1400, 321)
        assert {"UP", "LOWER_UP"} <= set(link["flags"])
        held = {(entry["local"], entry["prefixlen"]) for entry in link["addr_info"]}
        assert held == {("198.18.0.1", 24), ("fd00:198:18::1", 64)}
        assert (tun.name, tun.mtu, tun.queue_length, tun.offload, tun.note) == (
            "tun0", 1400, 321, True, "",
        )  # fmt: skip
        assert tun.owner_pid == os.getpid()
        for ours in ("198.18.0.2", "fd00:198:18::2"):
            assert shown(namespace, "route", "get", ours)[0]["dev"] == "tun0"


def test_its_descriptor_does_not_block_and_is_not_inherited(namespace: Namespace) -> None:
    with device(namespace) as tun:
        assert not os.get_blocking(tun.fd)
        assert not os.get_inheritable(tun.fd)


def test_closing_removes_it_and_may_be_repeated(namespace: Namespace) -> None:
    tun = made(namespace)
    descriptor = tun.fd
    tun.close()
    assert tun.fd == -1
    assert namespace.links() == {"lo"}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    tun.close()
    assert shown(namespace, "route") == []


def test_the_kernel_may_choose_the_number(namespace: Namespace) -> None:
    with (
        device(namespace, name="tun%d") as first,
        device(namespace, name="tun%d", addresses=[("198.19.0.2/24", None)]) as second,
    ):
        assert (first.name, second.name) == ("tun0", "tun1")


def test_several_addresses_may_lie_in_one_prefix(namespace: Namespace) -> None:
    ours = [f"198.18.0.{n}/24" for n in (2, 3, 4)] + [f"fd00:198:18::{n}/64" for n in (2, 3)]
    with device(namespace, addresses=[(address, None) for address in ours]) as tun:
        assert [str(pair.ours) for pair in tun.addresses] == ours
        for address in ours:
            route = shown(namespace, "route", "get", address.partition("/")[0])[0]
            assert route["dev"] == "tun0"


def test_an_address_cannot_be_ours_and_the_kernels(namespace: Namespace) -> None:
    pairs = [("198.18.0.2/24", None), ("198.18.0.1/24", None)]
    assert refusal(namespace, addresses=pairs).errno == errno.EADDRINUSE


def test_the_kernels_address_may_lie_outside_of_our_prefix(namespace: Namespace) -> None:
    with device(namespace, addresses=[("198.18.0.2/32", "10.9.9.9")]):
        for _ in range(2):
            route = shown(namespace, "route", "get", "198.18.0.2")[0]
            assert (route["dev"], route["prefsrc"]) == ("tun0", "10.9.9.9")
            namespace.run(["ip", "link", "set", "tun0", "down"])
            namespace.run(["ip", "link", "set", "tun0", "up"])


def test_the_kernel_says_nothing_of_its_own_accord(namespace: Namespace) -> None:
    with device(namespace) as tun:
        # router solicitations would come within a second
        assert select.select([tun.fd], [], [], 1.5)[0] == []


def test_the_callers_thread_stays_in_its_namespace(namespace: Namespace) -> None:
    def here() -> str:
        return os.readlink("/proc/thread-self/ns/net")

    before = here()
    with device(namespace):
        assert here() == before
        assert os.readlink(namespace.path) != before
    refusal(namespace, name="lo")
    assert here() == before


def test_a_failure_within_a_namespace_comes_to_the_caller(namespace: Namespace) -> None:
    descriptor = open_namespace(namespace.path)
    try:
        with pytest.raises(ZeroDivisionError):
            call_in(descriptor, lambda: 1 // 0)
    finally:
        os.close(descriptor)


def test_ipv6_comes_even_where_it_is_off_by_default(namespace: Namespace) -> None:
    namespace.set("net.ipv6.conf.default.disable_ipv6", 1)
    with device(namespace, addresses=[V6]):
        assert shown(namespace, "route", "get", "fd00:198:18::2")[0]["dev"] == "tun0"


def test_offload_that_the_kernel_refuses_is_noted(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tun_module, "OFFLOADS", 1 << 15)
    with device(namespace) as tun:
        assert not tun.offload
        assert not tun.vnet
        assert "refuses" in tun.note
        assert namespace.links() == {"lo", "tun0"}


# -- used ------------------------------------------------------------------------------------


def test_packets_beyond_the_queue_are_counted_as_dropped(namespace: Namespace) -> None:
    async def scenario() -> None:
        tun = await open_tun(addresses=[V4], queue_length=4, netns=namespace.path)
        try:
            with namespace.socket(kind=socket.SOCK_DGRAM) as client:
                for _ in range(20):
                    client.sendto(b"x", ("198.18.0.2", 9))
            while select.select([tun.fd], [], [], 0)[0]:
                os.read(tun.fd, 2000)
            counters = await tun.counters()
            assert counters.read_packets == 4
            assert counters.read_dropped == 16
        finally:
            tun.close()
        with pytest.raises(OSError, match="closed"):
            await tun.counters()

    asyncio.run(scenario())


def test_after_the_link_was_down_everything_is_as_before(namespace: Namespace) -> None:
    packet = b"\x45" + bytes(39)
    with device(namespace, offload=False) as tun:
        namespace.run(["ip", "link", "set", "tun0", "down"])
        with pytest.raises(OSError, match="Input/output error") as caught:
            os.write(tun.fd, packet)
        assert caught.value.errno == errno.EIO
        namespace.run(["ip", "link", "set", "tun0", "up"])
        assert os.write(tun.fd, packet) == 40
        for ours in ("198.18.0.2", "fd00:198:18::2"):
            assert shown(namespace, "route", "get", ours)[0]["dev"] == "tun0"


def test_a_deleted_device_says_ebadfd(namespace: Namespace) -> None:
    with device(namespace, offload=False) as tun:
        namespace.run(["ip", "link", "delete", "tun0"])
        for call in (lambda: os.read(tun.fd, 2000), lambda: os.write(tun.fd, bytes(40))):
            with pytest.raises(OSError, match="bad state") as caught:
                call()
            assert caught.value.errno == errno.EBADFD


def followed(tun: Tun) -> asyncio.Queue[LinkState]:
    """What is told of the link, as it comes."""
    states: asyncio.Queue[LinkState] = asyncio.Queue()
    tun.follow_link(asyncio.get_running_loop(), states.put_nowait)
    return states


async def expect(states: asyncio.Queue[LinkState], wanted: LinkState) -> None:
    """Some changes come in several steps: wait for the last one."""
    async with asyncio.timeout(PATIENCE):
        while await states.get() != wanted:
            pass


def test_a_link_that_is_followed_tells_of_changes_until_it_is_gone(namespace: Namespace) -> None:
    async def scenario() -> None:
        tun = await open_tun(addresses=[V4, V6], netns=namespace.path)
        states = followed(tun)
        await asyncio.sleep(0)  # and no later turn of the loop, which is the program's
        assert states.get_nowait() == LinkState(present=True, up=True, mtu=1500)
        await namespace.arun(["ip", "link", "set", "tun0", "down"])
        await expect(states, LinkState(present=True, up=False, mtu=1500))
        await namespace.arun(["ip", "link", "set", "tun0", "up", "mtu", "1300"])
        await expect(states, LinkState(present=True, up=True, mtu=1300))
        (await open_tun("other", addresses=[], netns=namespace.path)).close()
        await namespace.arun(["ip", "link", "delete", "tun0"])
        await expect(states, GONE)
        tun.close()
        with pytest.raises(OSError, match="is closed"):
            followed(tun)

    asyncio.run(scenario())


def test_who_follows_a_link_too_slowly_asks_anew(namespace: Namespace) -> None:
    changes = "".join(f"link set tun0 mtu {1300 + n % 2}\n" for n in range(3000))

    async def scenario() -> None:
        tun = await open_tun(addresses=[V4], netns=namespace.path)
        states = followed(tun)
        assert (await states.get()).mtu == 1500
        # while the loop stands still, more comes than the socket holds
        namespace.run(["ip", "-batch", "-"], input=changes + "link set tun0 mtu 1400\n")
        await expect(states, LinkState(present=True, up=True, mtu=1400))
        tun.close()
        await expect(states, GONE)

    asyncio.run(scenario())


def test_closing_is_told_to_who_follows_the_link(namespace: Namespace) -> None:
    async def scenario() -> None:
        tun = await open_tun(addresses=[V4], netns=namespace.path)
        states = followed(tun)
        assert (await states.get()).up
        tun.close()
        await expect(states, GONE)

    asyncio.run(scenario())


# -- lost ------------------------------------------------------------------------------------


def test_after_fork_the_child_has_no_device_and_the_parent_keeps_it(namespace: Namespace) -> None:
    with device(namespace) as tun:
        descriptor = tun.fd
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.fstat(descriptor)
            except OSError:
                code = 0 if tun.fd == -1 else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert tun.fd == descriptor
        assert namespace.links() == {"lo", "tun0"}


def test_a_child_that_is_to_have_it_has_it_too_and_one_that_is_closed_is_nobodys(
    namespace: Namespace,
) -> None:
    other = [("198.19.0.2/24", None)]
    with device(namespace) as tun, device(namespace, name="tun1", addresses=other) as closed:
        tun.kept_in_child = True
        closed.close()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.fstat(tun.fd)
                code = 0 if closed.fd == -1 else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert namespace.links() == {"lo", "tun0"}


SERVER = """
import asyncio, sys
from pystack.device.tun import open_tun
async def main():
    tun = await open_tun(addresses=[("198.18.0.2/24", None), ("fd00:198:18::2/64", None)])
    print(tun.name, flush=True)
    await asyncio.sleep(600)
try:
    asyncio.run(main())
except OSError as error:
    sys.exit(f"{error.errno} {error}")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_killed_leaves_no_device(namespace: Namespace, number: int) -> None:
    server = namespace.popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert server.stdout.readline() == "tun0\n"
    assert namespace.links() == {"lo", "tun0"}
    server.send_signal(number)
    server.wait(10)
    assert namespace.links() == {"lo"}


def test_an_opening_that_is_cancelled_leaves_nothing(namespace: Namespace) -> None:
    async def cancelled_after(steps: int) -> bool:
        task = asyncio.create_task(open_tun(addresses=[V4, V6], netns=namespace.path))
        for _ in range(steps):
            await asyncio.sleep(0)
        if task.done():
            (await task).close()
            return True
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return False

    async def scenario() -> None:
        descriptors = len(os.listdir("/proc/self/fd"))
        steps = 0
        while not await cancelled_after(steps):
            steps += 3
            assert namespace.links() == {"lo"}
            assert len(os.listdir("/proc/self/fd")) == descriptors
            assert steps < 3000

    asyncio.run(scenario())


# -- refused -----------------------------------------------------------------------------------


def test_a_name_in_use_is_refused(namespace: Namespace) -> None:
    assert refusal(namespace, name="lo").errno == errno.EBUSY
    with device(namespace):
        error = refusal(namespace, addresses=[("198.19.0.2/24", None)])
        assert error.errno == errno.EBUSY
        assert "tun0 exists already" in str(error)


@pytest.mark.parametrize("name", ["", ".", "x" * 16, "a/b", "a b", "a:b", "tun%s", "tun%d%d"])
def test_a_name_that_is_none_is_refused(namespace: Namespace, name: str) -> None:
    error = refusal(namespace, name=name)
    assert error.errno == errno.EINVAL
    assert "no name for an interface" in str(error)


@pytest.mark.parametrize(
    ("mtu", "pairs"), [(67, [V4]), (65536, [V4]), (1279, [V4, V6]), (65536, [V6])]
)
def test_an_mtu_out_of_range_is_refused(
    namespace: Namespace, mtu: int, pairs: list[tuple[str, str | None]]
) -> None:
    error = refusal(namespace, mtu=mtu, addresses=pairs)
    assert error.errno == errno.EINVAL
    assert "MTU" in str(error)


@pytest.mark.parametrize(("mtu", "pairs"), [(68, [V4]), (65535, [V4, V6]), (1280, [V4, V6])])
def test_an_mtu_at_the_bounds_is_taken(
    namespace: Namespace, mtu: int, pairs: list[tuple[str, str | None]]
) -> None:
    with device(namespace, mtu=mtu, addresses=pairs):
        assert shown(namespace, "link", "show", "tun0")[0]["mtu"] == mtu


def test_a_queue_out_of_range_is_refused(namespace: Namespace) -> None:
    assert "queue" in str(refusal(namespace, queue_length=0))


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        (("10.7.0.2/24", None), "10.7.0.2 is in use on other"),
        (("10.7.0.9/24", "10.7.0.2"), "10.7.0.2 is in use on other"),
        (("10.7.0.9/24", None), "10.7.0.9 lies in 10.7.0.0/24, which is other's"),
        (("10.7.0.9/16", None), "10.7.0.9 lies in 10.7.0.0/24, which is other's"),
        (("fd00:7::9/64", "fd00:7::8"), "fd00:7::9 lies in fd00:7::/64, which is other's"),
        (("10.8.0.9/24", None), "packets for 10.8.0.9 would leave through other"),
    ],
)
def test_an_address_in_use_is_refused(
    namespace: Namespace, pair: tuple[str, str | None], says: str
) -> None:
    others = [("10.7.0.3/24", "10.7.0.2"), ("fd00:7::3/64", None)]
    with device(namespace, name="other", addresses=others):
        namespace.run(["ip", "route", "add", "10.8.0.0/25", "dev", "other"])
        error = refusal(namespace, addresses=[pair])
    assert error.errno == errno.EADDRINUSE
    assert says in str(error)


def test_a_narrower_prefix_than_another_interfaces_is_taken(namespace: Namespace) -> None:
    with (
        device(namespace, name="other", addresses=[("10.7.0.1/8", None)]),
        device(namespace, addresses=[("10.9.0.2/24", None)]),
    ):
        assert shown(namespace, "route", "get", "10.9.0.2")[0]["dev"] == "tun0"


@pytest.mark.parametrize(
    ("netns", "code", "says"),
    [
        ("no-such-namespace", errno.ENOENT, "ip netns add no-such-namespace"),
        ("/proc/no-such/ns/net", errno.ENOENT, "no network namespace"),
        ("/etc/passwd", errno.EINVAL, "no network namespace"),
    ],
)
def test_an_absent_namespace_is_refused_and_not_made(
    kernel_rights: None, netns: str, code: int, says: str
) -> None:
    with pytest.raises(SetupError, match=says) as caught:
        asyncio.run(open_tun(addresses=[V4], netns=netns))
    assert caught.value.errno == code
    assert not os.path.exists("/run/netns/no-such-namespace")


def refused_under(namespace: Namespace, *wrapper: str) -> str:
    """What a process says that a wrapper has deprived of something."""
    result = namespace.run([*wrapper, sys.executable, "-c", SERVER], check=False)
    assert result.returncode == 1
    assert namespace.links() == {"lo"}
    return result.stderr.strip().splitlines()[-1]


def test_without_rights_the_error_says_which(namespace: Namespace) -> None:
    less = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
    line = refused_under(namespace, *less)
    assert line.startswith(f"{errno.EPERM} no right to make a TUN device (CAP_NET_ADMIN)")
    assert "--cap-add NET_ADMIN" in line
    assert "chmod" not in line


def test_a_node_that_may_not_be_opened_is_named(namespace: Namespace, own_mounts: None) -> None:
    hide = "mount -t tmpfs none /dev/net && touch /dev/net/tun && chmod 0 /dev/net/tun"
    drop = "exec setpriv --bounding-set -dac_override --inh-caps -dac_override"
    line = refused_under(namespace, "unshare", "--mount", "sh", "-c", f'{hide} && {drop} "$@"', "-")
    assert line.startswith(f"{errno.EACCES} /dev/net/tun may not be opened")


def test_a_missing_node_is_named(namespace: Namespace, own_mounts: None) -> None:
    hide = 'mount -t tmpfs none /dev/net && exec "$@"'
    line = refused_under(namespace, "unshare", "--mount", "sh", "-c", hide, "-")
    assert line.startswith(f"{errno.ENOENT} there is no TUN driver behind /dev/net/tun")
    assert "modprobe tun" in line
