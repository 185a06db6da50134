"""RFC 6724 §5: the IPv6 address that a packet leaves from, as Linux chooses it."""

from __future__ import annotations

import pytest

from pystack.ip.addresses import Addresses
from pystack.wire import address

LOCAL, UNIQUE, ONE, TWO = "fe80::1/64", "fd00::1/64", "2001:db8:1::1/64", "2001:db8:2::1/64"
SIX_TO_FOUR = "2002:c000:201::1/64"


@pytest.mark.requirement("RFC6724-S5-1")
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("remote", "own", "source"),
    [
        ("2001:db8:1::1", [LOCAL, TWO, ONE], ONE),  # rule 1: itself
        ("fe80::9", [ONE, UNIQUE, LOCAL], LOCAL),  # rule 2: the scope
        ("2001:db8:9::9", [LOCAL, ONE], ONE),
        ("2606:4700::1", [LOCAL, UNIQUE], UNIQUE),
        ("fe80::9", [UNIQUE], UNIQUE),
        ("2606:4700::1", [LOCAL], LOCAL),
        ("2606:4700::1", [UNIQUE, ONE], ONE),  # rule 6: the label
        ("fd12::9", [ONE, UNIQUE], UNIQUE),
        ("2002:c000:299::9", [ONE, SIX_TO_FOUR], SIX_TO_FOUR),
        ("2606:4700::1", [SIX_TO_FOUR, ONE], ONE),
        ("2001:db8:1::99", [TWO, ONE], ONE),  # rule 8: the longest common prefix
        ("2001:db8:2:3::99", [ONE, TWO], TWO),
    ],
)
def test_the_source_is_chosen_by_the_rules(
    remote: str, own: list[str], source: str, turned: bool
) -> None:
    addresses = Addresses()
    for text in reversed(own) if turned else own:
        addresses.add(text)
    assert addresses.source_for(address.pack(remote)) == address.pack(source.partition("/")[0])


def test_of_equals_the_first_is_taken() -> None:
    """No further than the prefix: what follows it says nothing of the way."""
    addresses = Addresses()
    for text in ("2001:db8:1::1/64", "2001:db8:1::ff/64"):
        addresses.add(text)
    source = addresses.source_for(address.pack("2001:db8:1::fe"))
    assert source == address.pack("2001:db8:1::1")
