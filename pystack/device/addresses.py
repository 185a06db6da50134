"""Addresses of a device: ours, which the kernel routes into it, and the kernel's own end."""

from __future__ import annotations

import errno
import ipaddress
from dataclasses import dataclass

from pystack.errors import SetupError
from pystack.wire import address

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class AddressPair:
    """Our address with its prefix, and the address that the kernel gets on the device."""

    ours: ipaddress.IPv4Interface | ipaddress.IPv6Interface
    peer: IPAddress

    @classmethod
    def parse(cls, ours: str, peer: str | None = None) -> AddressPair:
        """From text such as "198.18.0.2/24" and "198.18.0.1" (a prefix there is ignored).

        Without a peer the kernel gets the first host address of the prefix that is not ours. A
        peer outside of the prefix makes a point-to-point link, with IPv4 only. Raises SetupError.
        """
        interface = _interface(ours)
        if peer is None:
            other = _first_host(interface)
        else:
            other = _interface(peer).ip
            if other.version != interface.version:
                raise _invalid(f"{peer} and {ours} are of different IP versions")
            if other == interface.ip:
                raise _invalid(f"{peer} cannot be both ours and the kernel's")
            if other in interface.network:
                _interface(f"{other}/{interface.network.prefixlen}")
            if other.version == 6 and other not in interface.network:
                # Linux routes no IPv6 peer's prefix, and forgets the peer while the link is down
                raise _invalid(f"{peer} lies outside of {interface.network}, as IPv6 cannot")
        return cls(interface, other)

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.ours.version


def _interface(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    try:
        interface = address.interface(text)
    except ValueError as error:
        raise _invalid(str(error)) from None
    if interface.ip.is_loopback:
        raise _invalid(f"{text} is a loopback address, and never leaves its machine")
    return interface


def _first_host(interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> IPAddress:
    network = interface.network
    if network.prefixlen == network.max_prefixlen:
        raise SetupError(
            errno.EINVAL,
            f"{interface} leaves no address for the kernel",
            "give the kernel's address too, or a shorter prefix such as /24",
        )
    return next(host for host in network.hosts() if host != interface.ip)


def _invalid(problem: str) -> SetupError:
    return SetupError(errno.EINVAL, problem, "give an address such as 198.18.0.2/24")
