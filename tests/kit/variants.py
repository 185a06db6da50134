"""The variants that every script is played with: address family, sequence numbers, offload.

A script is the same in all of them: numbers are relative, the IPv6 link has an MTU 20 octets
larger so that the MSS is 1460 in both families, and super-segments are compared as the pieces
that a network card makes of them. Where numbers wrap, batches are full as well: no call of
`transmit` finds room for more than it must be able to wait for.
"""

from __future__ import annotations

from dataclasses import dataclass

PLAIN_ISS, PLAIN_IRS = 1_000_000, 3_000_000_000
# our numbers wrap within the first full segment, the peer's with its second octet
WRAP_ISS, WRAP_IRS = 2**32 - 700, 2**32 - 2


@dataclass(frozen=True)
class Variant:
    version: int
    iss: int
    irs: int
    offload: bool
    crowded: bool  # a batch takes nothing at first, then one packet, then all

    @property
    def mtu(self) -> int:
        return 1500 if self.version == 4 else 1520


VARIANTS = {
    f"ipv{version}{name}{'-offload' if offload else ''}": Variant(
        version, iss, irs, offload, crowded=bool(name)
    )
    for version in (4, 6)
    for name, iss, irs in (("", PLAIN_ISS, PLAIN_IRS), ("-wrap", WRAP_ISS, WRAP_IRS))
    for offload in (False, True)
}

USUAL = ("ipv4", "ipv4-wrap-offload", "ipv6-wrap")
SHORT = {"v4": ("ipv4", "ipv4-wrap-offload"), "v6": ("ipv6", "ipv6-wrap-offload")}


def chosen(asked: tuple[str, ...], every: bool) -> list[str]:
    """Names of the variants for a test: what its marker asks for ("v4", "v6" or full names)."""
    if not asked:
        return list(VARIANTS if every else USUAL)
    names: list[str] = []
    for name in asked:
        names += SHORT.get(name, (name,))
    return names
