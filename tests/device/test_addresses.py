"""Which address is ours, which is the kernel's, and what is neither."""

from __future__ import annotations

import errno

import pytest

from pystack.device.addresses import AddressPair
from pystack.errors import SetupError


@pytest.mark.parametrize(
    ("ours", "peer"),
    [
        ("198.18.0.2/24", "198.18.0.1"),
        ("198.18.0.1/24", "198.18.0.2"),
        ("198.18.0.0/31", "198.18.0.1"),
        ("198.18.0.1/31", "198.18.0.0"),
        ("198.18.0.6/30", "198.18.0.5"),
        ("fd00:198:18::2/64", "fd00:198:18::1"),
        ("fd00:198:18::1/64", "fd00:198:18::2"),
        ("fd00:198:18::1/127", "fd00:198:18::"),
    ],
)
def test_the_kernel_gets_the_first_other_host_of_the_prefix(ours: str, peer: str) -> None:
    pair = AddressPair.parse(ours)
    assert str(pair.ours) == ours
    assert str(pair.peer) == peer


def test_the_kernels_address_may_be_given_with_or_without_a_prefix() -> None:
    assert str(AddressPair.parse("198.18.0.2/32", "10.0.0.1").peer) == "10.0.0.1"
    assert str(AddressPair.parse("198.18.0.2/24", "198.18.0.9/24").peer) == "198.18.0.9"


@pytest.mark.parametrize(
    ("ours", "peer", "says"),
    [
        ("198.18.0.2/32", None, "leaves no address for the kernel"),
        ("fd00::2/128", None, "leaves no address for the kernel"),
        ("198.18.0.300/24", None, "does not appear to be"),
        ("198.18.0.2/33", None, "does not appear to be"),
        ("", None, "does not appear to be"),
        ("198.18.0.2/24", "fd00::1", "different IP versions"),
        ("198.18.0.2/24", "198.18.0.2", "cannot be both"),
        ("fd00::2/64", "fd01::1", "fd01::1 lies outside of fd00::/64"),
        ("224.0.0.1/24", None, "no unicast address"),
        ("255.255.255.255/24", None, "no unicast address"),
        ("0.0.0.0/0", None, "no unicast address"),
        ("0.0.0.5/8", None, "no unicast address"),
        ("240.0.0.2/24", None, "no unicast address"),
        ("ff02::1/64", None, "no unicast address"),
        ("::/64", None, "no unicast address"),
        ("127.0.0.2/24", None, "a loopback address"),
        ("::1/64", None, "a loopback address"),
        ("198.18.0.255/24", None, "198.18.0.255 is the broadcast address of 198.18.0.0/24"),
        ("198.18.0.0/24", None, "198.18.0.0 is the address of the network 198.18.0.0/24 itself"),
        ("198.18.0.3/30", None, "the broadcast address"),
        ("fd00::/64", None, "the address of all routers in fd00::/64"),
        ("::ffff:198.18.0.2/120", None, "is the IPv4 address 198.18.0.2 in"),
        ("fe80::2%1/64", None, "has a scope"),
        ("198.18.0.2/24", "198.18.0.255", "198.18.0.255 is the broadcast address"),
        ("198.18.0.2/24", "198.18.0.0", "198.18.0.0 is the address of the network"),
        ("198.18.0.2/24", "10.0.0.255/24", "10.0.0.255 is the broadcast address"),
        ("198.18.0.2/24", "224.0.0.1", "no unicast address"),
        ("198.18.0.2/24", "0.0.0.0", "no unicast address"),
        ("fd00::2/64", "fd00::", "the address of all routers"),
        ("fd00::2/64", "::1", "a loopback address"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(ours: str, peer: str | None, says: str) -> None:
    with pytest.raises(SetupError, match=says) as caught:
        AddressPair.parse(ours, peer)
    assert caught.value.errno == errno.EINVAL
    assert "\n" not in str(caught.value)
    assert caught.value.hint.count("give") == 1
    example = caught.value.hint.rpartition(" ")[2]
    v6 = ":" in ours and "." not in ours
    assert (":" in example) == v6
    assert ("/" in example) == (peer is None)
    assert str(caught.value) == f"{caught.value.problem}: {caught.value.hint}"
