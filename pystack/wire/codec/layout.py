"""Where the parts of an IP packet lie (RFC 791, RFC 8200): twin of `locate` in csrc/parse.c."""

from __future__ import annotations

from typing import Final

from pystack.wire import consts

_EXTENSIONS: Final = frozenset(
    (consts.IPPROTO_HOPOPTS, consts.IPPROTO_ROUTING, consts.IPPROTO_FRAGMENT,
     consts.IPPROTO_DSTOPTS)
)  # fmt: skip


class Layout:
    """Offsets from the IP header: of the upper layer, and of the packet's end."""

    __slots__ = ("end", "fragment", "protocol", "upper", "version")

    def __init__(self) -> None:
        self.version = 0
        self.protocol = 0
        self.fragment = False
        self.upper = 0
        self.end = 0

    def put(self, version: int, protocol: int, upper: int) -> None:
        """Be that of a packet that is being built."""
        self.version = version
        self.protocol = protocol
        self.upper = upper


def locate(ip: memoryview, at: Layout) -> int:
    """Fill `at` from the IP headers at the start of `ip`; 0 or a DROP_… reason."""
    if len(ip) == 0:
        return consts.DROP_TRUNCATED
    version = ip[0] >> 4
    if version == 4:
        return _locate_ipv4(ip, at)
    if version == 6:
        return _locate_ipv6(ip, at)
    return consts.DROP_BAD_VERSION


def tcp_header(ip: memoryview, at: Layout) -> int:
    """The header length in bytes of the TCP segment that `at` found, 0 when there is none."""
    n = at.end - at.upper
    if at.protocol != consts.IPPROTO_TCP or at.fragment or n < consts.TCP_HEADER:
        return 0
    header = (ip[at.upper + 12] >> 4) * 4
    return header if consts.TCP_HEADER <= header <= n else 0


def _locate_ipv4(ip: memoryview, at: Layout) -> int:
    length = len(ip)
    if length < consts.IPV4_HEADER:
        return consts.DROP_TRUNCATED
    header = (ip[0] & 15) * 4
    total = ip[2] << 8 | ip[3]
    if header < consts.IPV4_HEADER or total < header:
        return consts.DROP_BAD_IP_HEADER
    if total > length:
        return consts.DROP_TRUNCATED
    number = int.from_bytes(ip[:header], "big")
    if number % 0xFFFF or not number:
        return consts.DROP_BAD_IP_CHECKSUM
    at.version = 4
    at.protocol = ip[9]
    at.fragment = bool((ip[6] << 8 | ip[7]) & 0x3FFF)
    at.upper = header
    at.end = total
    return _ipv4_options(ip[20:header]) if header > consts.IPV4_HEADER else 0


def _ipv4_options(options: memoryview) -> int:
    at, end = 0, len(options)
    while at < end and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        if end - at < 2 or not 2 <= options[at + 1] <= end - at:
            return consts.DROP_BAD_IP_OPTION
        if options[at] in (consts.IPOPT_LSRR, consts.IPOPT_SSRR):
            return consts.DROP_SOURCE_ROUTE
        at += options[at + 1]
    return 0


def _locate_ipv6(ip: memoryview, at: Layout) -> int:
    upper = consts.IPV6_HEADER
    if len(ip) < upper:
        return consts.DROP_TRUNCATED
    end = upper + (ip[4] << 8 | ip[5])
    if end > len(ip):
        return consts.DROP_TRUNCATED
    protocol = ip[6]
    at.fragment = False
    while protocol in _EXTENSIONS and not at.fragment:
        if protocol == consts.IPPROTO_HOPOPTS and upper != consts.IPV6_HEADER:
            break  # RFC 8200 §4.1: anywhere else it is an unknown next header
        if end - upper < 8:
            return consts.DROP_TRUNCATED
        header = 8 if protocol == consts.IPPROTO_FRAGMENT else (ip[upper + 1] + 1) * 8
        if header > end - upper:
            return consts.DROP_BAD_IP_OPTION
        if protocol == consts.IPPROTO_ROUTING:
            if ip[upper + 3] != 0:
                return consts.DROP_BAD_IP_OPTION  # we are no router
        elif protocol == consts.IPPROTO_FRAGMENT:
            # neither offset nor M: atomic, RFC 6946
            at.fragment = bool((ip[upper + 2] << 8 | ip[upper + 3]) & 0xFFF9)
        elif _ipv6_options(ip[upper + 2 : upper + header]):
            return consts.DROP_BAD_IP_OPTION
        protocol = ip[upper]
        upper += header
    at.version = 6
    at.protocol = protocol
    at.upper = upper
    at.end = end
    return 0


def _ipv6_options(options: memoryview) -> bool:
    """Whether the packet has to be dropped: for a length, or an option we may not skip (§4.2)."""
    at, end = 0, len(options)
    while at < end:
        if options[at] == 0:
            at += 1
            continue
        if end - at < 2 or options[at + 1] + 2 > end - at or options[at] >> 6:
            return True
        at += options[at + 1] + 2
    return False
