"""Addresses of a device: ours, which the kernel routes into it, and the kernel's own end."""

from __future__ import annotations

import errno
import ipaddress
from dataclasses import dataclass

from pystack.errors import SetupError
from pystack.wire import address

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


@dataclass(frozen=True, slots=True)
class AddressPair:
    """Our address with its prefix, and the address that the kernel gets on the device."""

    ours: Interface
    peer: IPAddress

    @classmethod
    def parse(cls, ours: str, peer: str | None = None) -> AddressPair:
        """From text such as "198.18.0.2/24" and "198.18.0.1" (a prefix there is ignored).

        Without a peer the kernel gets the first host address of the prefix that is not ours. A
        peer outside of the prefix makes a point-to-point link, with IPv4 only. Raises SetupError.
        """
        own = interface(ours)
        if peer is None:
            other = _first_host(own)
        else:
            other = interface(peer, peer_of=own).ip
            if other.version != own.version:
                raise _invalid(f"{peer} and {ours} are of different IP versions", peer_of=own)
            if other == own.ip:
                raise _invalid(f"{peer} cannot be both ours and the kernel's", peer_of=own)
            if other in own.network:
                interface(f"{other}/{own.network.prefixlen}", peer_of=own)
            if other.version == 6 and other not in own.network:
                # Linux routes no IPv6 peer's prefix, and forgets the peer while the link is down
                problem = f"{peer} lies outside of {own.network}, as IPv6 cannot"
                raise _invalid(problem, peer_of=own)
        return cls(own, other)

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.ours.version


def interface(text: str, peer_of: Interface | None = None) -> Interface:
    """An address with its prefix, that a device can have; `peer_of` is ours where it is to be the
    kernel's. Raises SetupError."""
    try:
        parsed = address.interface(text)
    except ValueError as error:
        raise _invalid(str(error), text, peer_of) from None
    if parsed.ip.is_loopback:
        problem = f"{text} is a loopback address, and never leaves its machine"
        raise _invalid(problem, text, peer_of)
    return parsed


def _first_host(own: Interface) -> IPAddress:
    network = own.network
    if network.prefixlen == network.max_prefixlen:
        raise SetupError(
            errno.EINVAL,
            f"{own} leaves no address for the kernel",
            "give the kernel's own address (peer) too, or a shorter prefix such as "
            f"{own.ip}/{24 if own.version == 4 else 64}",
        )
    return next(host for host in network.hosts() if host != own.ip)


def _invalid(problem: str, given: str = "", peer_of: Interface | None = None) -> SetupError:
    """With an example of the family of what was `given`, or one that goes with our address."""
    if peer_of is None:
        v6 = ":" in given and "." not in given  # an IPv4 address in IPv6's form is to be the former
        example = "fd00:198:18::2/64" if v6 else "198.18.0.2/24"
    elif peer_of.network.num_addresses > 1:
        example = str(_first_host(peer_of))
    elif peer_of.version == 4:
        example = "198.18.0.1"
    else:  # no other one is in a prefix of 128
        return SetupError(errno.EINVAL, problem, "give ours with a prefix such as /64")
    return SetupError(errno.EINVAL, problem, f"give an address such as {example}")
