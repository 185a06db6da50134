"""A router of the kernel on the way whose ICMP messages a firewall drops (nftables)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from tests.live.link_to_kernel import OURS, LinkToKernel
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live

OCTETS = 400_000
FAR = {4: "198.18.7.2", 6: "fd00:198:18:7::2"}
NEAR = {4: "198.18.7.1", 6: "fd00:198:18:7::1"}
PREFIX = {4: 24, 6: 64}
NARROW = 1300


@pytest.fixture
def far(namespace: Namespace) -> Iterator[Namespace]:
    """A namespace behind a link of 1300 octets, to which the test's own one forwards; it tells no
    sender that something was too big."""
    rules = "add table inet hole; add chain inet hole out { type filter hook output priority 0; };"
    rules += "add rule inet hole out icmp type destination-unreachable drop;"
    rules += "add rule inet hole out icmpv6 type packet-too-big drop"
    with Namespace() as other:
        namespace.run(["nft", rules])
        for where in (namespace, other):  # nothing waits for duplicate addresses to be looked for
            where.set("net.ipv6.conf.default.accept_dad", 0)
        namespace.run(
            ["ip", "link", "add", "hole0", "mtu", f"{NARROW}", "type", "veth", "peer", "name",
             "far0", "netns", f"{other.pid}"]  # its MSS option does not tell
        )  # fmt: skip
        for where, name, addresses in ((namespace, "hole0", NEAR), (other, "far0", FAR)):
            for version, own in addresses.items():
                where.run(["ip", f"-{version}", "addr", "add", f"{own}/{PREFIX[version]}", "dev",
                           name, *(["nodad"] if version == 6 else [])])  # fmt: skip
            where.run(["ip", "link", "set", name, "up"])
        for version in (4, 6):
            back = f"{OURS[version].rpartition('.' if version == 4 else '::')[0]}"
            network = f"{back}.0/24" if version == 4 else f"{back}::/64"
            other.run(["ip", f"-{version}", "route", "add", network, "via", NEAR[version]])
        namespace.set("net.ipv4.ip_forward", 1)
        namespace.set("net.ipv6.conf.all.forwarding", 1)
        yield other


async def upload(link: LinkToKernel, far: Namespace, seconds: float, **sysctl: int) -> int:
    """How much of `OCTETS` arrives in that time."""
    arrived = 0
    loop = asyncio.get_running_loop()
    kernels = far.socket(link.family)
    kernels.setblocking(False)
    kernels.bind((FAR[link.version], 0))
    kernels.listen()
    with link.namespace.socket(link.family) as first:  # the neighbours find each other
        first.setblocking(False)
        await asyncio.wait_for(loop.sock_connect(first, kernels.getsockname()), PATIENCE)
        (await loop.sock_accept(kernels))[0].close()
    async with link.stack(sysctl=sysctl, grace=0) as stack:
        _, writer = await stack.open_connection(*kernels.getsockname()[:2])
        sink, _ = await loop.sock_accept(kernels)
        writer.write(os.urandom(OCTETS))
        try:
            async with asyncio.timeout(seconds):
                while arrived < OCTETS:
                    arrived += len(await loop.sock_recv(sink, 1 << 20))
        except TimeoutError:
            pass
        writer.transport.abort()
        sink.close()
        kernels.close()
    return arrived


@pytest.mark.parametrize(("version", "offload"), [(4, True), (6, False)])
def test_a_path_whose_icmp_is_dropped_is_survived(
    namespace: Namespace, far: Namespace, version: int, offload: bool
) -> None:
    link = LinkToKernel(namespace, version, offload)
    assert asyncio.run(upload(link, far, 30, tcp_mtu_probing=1)) == OCTETS


@pytest.mark.parametrize("version", [4, 6])
def test_with_probing_from_the_start_it_costs_no_timeout(
    namespace: Namespace, far: Namespace, version: int
) -> None:
    link = LinkToKernel(namespace, version)
    assert asyncio.run(upload(link, far, 30, tcp_mtu_probing=2)) == OCTETS


def test_it_is_a_black_hole(namespace: Namespace, far: Namespace) -> None:
    assert asyncio.run(upload(LinkToKernel(namespace, 4), far, 1.5, tcp_mtu_probing=0)) == 0
