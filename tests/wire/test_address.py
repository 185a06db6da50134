"""Addresses that a host can have on a link, and networks."""

from __future__ import annotations

import pytest

from pystack.wire import address


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1/24", "10.0.0.0/31", "10.0.0.1/31", "10.0.0.1/32", "10.0.0.1", "127.0.0.1/8",
        "2001:db8::1/64", "2001:db8::/127", "2001:db8::1/127", "2001:db8::/128", "fe80::1/64",
        "2001:db8::ffff:ffff:ffff:ffff/64", "::1/128",
    ],
)  # fmt: skip
def test_each_address_of_a_host_is_taken(text: str) -> None:
    found = address.interface(text)
    assert found.with_prefixlen == (text if "/" in text else f"{text}/32")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.0.0.0/24", "10.0.0.0 is the address of the network 10.0.0.0/24 itself, not of a host"),
        ("10.0.0.0/30", "is the address of the network 10.0.0.0/30 itself"),
        ("10.0.0.255/24", "10.0.0.255 is the broadcast address of 10.0.0.0/24, not of one host"),
        ("2001:db8::/64", "2001:db8:: is the address of all routers in 2001:db8::/64, not of one"),
        ("2001:db8::/126", "is the address of all routers in 2001:db8::/126"),
        ("224.0.0.1/24", "224.0.0.1/24 is no unicast address of a host"),
        ("255.255.255.255/32", "is no unicast address of a host"), ("ff02::1/64", "is no unicast"),
        ("0.0.0.0/0", "is no unicast address of a host"), ("::/0", "is no unicast address"),
        ("fe80::1%eth0/64", "has a scope, which is of one machine only"),
        ("::ffff:10.0.0.1/120", "is the IPv4 address 10.0.0.1 in the form of IPv6"),
        ("10.0.0.1/33", "10.0.0.1/33"), ("ten", "ten"),
    ],
)  # fmt: skip
def test_what_no_host_can_have_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace(".", r"\.")):
        address.interface(text)
