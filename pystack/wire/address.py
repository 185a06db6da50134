"""One form for both families: 16 bytes, an IPv4 address as its IPv4-mapped IPv6 address.

With it a flow key has one length, and IPv4 and IPv6 share one code path.
"""

from __future__ import annotations

import ipaddress
from typing import Final

V4_PREFIX: Final = bytes(10) + b"\xff\xff"
ANY_V6: Final = bytes(16)  # "::", and with IPV6_V6ONLY off every IPv4 address too
ANY_V4: Final = V4_PREFIX + bytes(4)  # "0.0.0.0"
BROADCAST_V4: Final = V4_PREFIX + b"\xff\xff\xff\xff"


def is_v4(address: bytes) -> bool:
    """Whether these 16 bytes stand for an IPv4 address."""
    return address.startswith(V4_PREFIX)


def pack(text: str) -> bytes:
    """16 bytes of an address in text. Raises ValueError when it is none."""
    parsed = ipaddress.ip_address(text.split("%", 1)[0])
    return V4_PREFIX + parsed.packed if parsed.version == 4 else parsed.packed


def interface(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    """An address with its prefix, such as "10.0.0.2/24", that a host can have on a link.

    Raises ValueError with the reason: malformed, no unicast address, or one that stands for a
    whole network. In prefixes of 31 bits (RFC 3021), 127 (RFC 6164) and longer ones each address
    is a host's.
    """
    parsed = ipaddress.ip_interface(text)
    own, whole = parsed.ip, parsed.network
    if parsed.version == 6 and parsed.scope_id is not None:
        raise ValueError(f"{text} has a scope, which is of one machine only")
    if own.version == 6 and own.ipv4_mapped is not None:
        raise ValueError(f"{text} is the IPv4 address {own.ipv4_mapped} in the form of IPv6")
    packed = pack(str(own))
    if not is_unicast_source(packed) and not is_loopback(packed):
        raise ValueError(f"{text} is no unicast address of a host")
    if whole.prefixlen >= whole.max_prefixlen - 1:
        return parsed
    if own == whole.network_address:
        if own.version == 6:  # RFC 4291 §2.6.1
            raise ValueError(f"{own} is the address of all routers in {whole}, not of one host")
        raise ValueError(f"{own} is the address of the network {whole} itself, not of a host in it")
    if own.version == 4 and own == whole.broadcast_address:
        raise ValueError(f"{own} is the broadcast address of {whole}, not of one host")
    return parsed


def network(text: str) -> tuple[bytes, int]:
    """Address (16 bytes) and mask (of 128 bits) of "10.0.0.0/8". Raises ValueError for none."""
    try:
        parsed = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}: a network such as 10.0.0.0/8 was expected") from None
    bits = parsed.prefixlen + (96 if parsed.version == 4 else 0)
    return pack(str(parsed.network_address)), (1 << 128) - (1 << (128 - bits))


def text(address: bytes) -> str:
    """The usual notation: dotted for IPv4 (mapped included), RFC 5952 for IPv6."""
    if address.startswith(V4_PREFIX):
        return ".".join(map(str, address[12:]))
    return str(ipaddress.IPv6Address(address))


def place(address: bytes, port: int) -> str:
    """An address with its port: "198.18.0.2:80", "[fd00::2]:80"."""
    host = text(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_multicast(address: bytes) -> bool:
    """224.0.0.0/4 or ff00::/8."""
    if address.startswith(V4_PREFIX):
        return 0xE0 <= address[12] < 0xF0
    return address[0] == 0xFF


def is_loopback(address: bytes) -> bool:
    """127.0.0.0/8 or ::1."""
    if address.startswith(V4_PREFIX):
        return address[12] == 127
    return address == b"\0" * 15 + b"\1"


def is_unicast_source(address: bytes) -> bool:
    """Whether a packet from outside may come from here (RFC 1122 §3.2.1.3, RFC 4291 §2.7)."""
    if address.startswith(V4_PREFIX):
        first = address[12]
        return first not in (0, 127) and first < 0xE0  # class E, broadcast, multicast out
    return address[0] != 0xFF and address != ANY_V6 and not is_loopback(address)
