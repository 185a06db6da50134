"""Which of several IPv6 addresses a packet leaves from (RFC 6724 §5).

Rules 1, 2, 6 and 8: the address itself, the scope, the label, the longest common prefix. The
others ask for what a host with one interface has not got: addresses that are deprecated,
temporary, of a mobile home, or of another interface.
"""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import Final

_LINK_LOCAL: Final = 0x02  # scopes, as in multicast addresses
_SITE_LOCAL: Final = 0x05
_GLOBAL: Final = 0x0E


def _prefix(text: str) -> tuple[int, int]:
    network = IPv6Network(text)
    return int(network.network_address), int(network.netmask)


# the policy table of §2.1, longest prefix first
_LABELS: Final = tuple(
    (*_prefix(text), label)
    for text, label in (
        ("::1/128", 0), ("::ffff:0:0/96", 4), ("::/96", 3), ("2001::/32", 5), ("2002::/16", 2),
        ("3ffe::/16", 12), ("fec0::/10", 11), ("fc00::/7", 13),
    )
)  # fmt: skip
_OTHERS: Final = 1


def rank(own: int, mask: int, remote: int) -> tuple[bool, int, bool, int]:
    """What is largest for the address to send from; `mask` is that of its prefix."""
    scope, wanted = _scope(own), _scope(remote)
    wide_enough = scope >= wanted
    apart = own ^ remote
    common = 128 - (apart & mask).bit_length() if apart & mask else mask.bit_count()
    return (
        wide_enough, -scope if wide_enough else scope, _label(own) == _label(remote), common
    )  # fmt: skip


def _scope(address: int) -> int:
    top = address >> 112
    if top >> 8 == 0xFF:
        return top & 0xF
    if top & 0xFFC0 == 0xFE80 or address == 1:
        return _LINK_LOCAL
    return _SITE_LOCAL if top & 0xFFC0 == 0xFEC0 else _GLOBAL


def _label(address: int) -> int:
    for network, mask, label in _LABELS:
        if address & mask == network:
            return label
    return _OTHERS
