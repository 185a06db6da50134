"""Which addresses a host can have."""

from __future__ import annotations

import errno

import pytest

from pystack import Host
from pystack.wire.address import ANY_V4
from tests.kit.packets.decode import decode
from tests.kit.packets.errnos import fails_with


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("198.18.0.255/24", "is the broadcast address of 198.18.0.0/24"),
        ("198.18.0.0/24", "is the address of the network 198.18.0.0/24 itself"),
        ("198.18.0.3/30", "is the broadcast address of 198.18.0.0/30"),
        ("fd00::/64", "is the address of all routers in fd00::/64"),
        ("0.0.0.0/0", "is no unicast address of a host"),
        ("255.255.255.255/32", "is no unicast address of a host"),
        ("224.0.0.1/24", "is no unicast address of a host"),
        ("240.0.0.1/24", "is no unicast address of a host"),
        ("::/0", "is no unicast address of a host"),
        ("ff02::1/64", "is no unicast address of a host"),
        ("::ffff:198.18.0.2/120", "is the IPv4 address 198.18.0.2 in the form of IPv6"),
        ("198.18.0.300/24", "does not appear to be"),
    ],
)
def test_what_is_no_hosts_address_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Host([text], secret=bytes(32))


@pytest.mark.parametrize(
    "text",
    ["198.18.0.0/31", "198.18.0.1/31", "198.18.0.255/32", "198.18.0.0/32", "198.18.0.254/24",
     "198.18.0.255/23", "fd00::/127", "fd00::/128", "fd00::1/64", "127.0.0.1/8"],
)  # fmt: skip
def test_what_only_looks_like_a_network_is_taken(text: str) -> None:
    host = Host([text], secret=bytes(32))
    assert len(host.addresses.local) == 1


class Nobody:
    """An owner that is told nothing."""

    def notify(self, events: int) -> None:
        raise AssertionError(events)


def test_an_address_and_a_port_have_one_listener() -> None:
    host = Host(["198.18.0.1/24"], secret=bytes(32))
    listener = host.listen(ANY_V4, 80, 5, Nobody())
    with fails_with(errno.EADDRINUSE):
        host.listen(ANY_V4, 80, 5, Nobody())
    host.listen(ANY_V4, 81, 5, Nobody())
    host.unlisten(listener)
    host.listen(ANY_V4, 80, 5, Nobody())


def test_a_host_is_on_an_ethernet_unless_it_is_told() -> None:
    """MTU 1500, no GSO, checksums left to whoever carries the packets."""
    host = Host(["198.18.0.1/24"], secret=bytes(32))
    sock = host.socket()
    sock.connect_ex(("198.18.0.2", 80))
    ((packet, gso_size, _),) = [(bytes(view), gso, state) for view, gso, state in host.transmit(1)]
    (syn,) = decode(packet)
    assert (syn.options[0], gso_size) == (("mss", (1460,)), 0)
    assert host.mtu == 1500
