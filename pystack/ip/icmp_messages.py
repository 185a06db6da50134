"""What ICMP messages say: types, codes, and the errno that Linux gives for an error.

RFC 792 for IPv4, RFC 4443 for IPv6. To whom an error matters is not decided here: `icmp_input` of
`stack` finds the TCP connection that it quotes, `udp.udp_input` the UDP endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from errno import (
    EACCES,
    ECONNREFUSED,
    EHOSTDOWN,
    EHOSTUNREACH,
    EMSGSIZE,
    ENETUNREACH,
    ENOPROTOOPT,
    EOPNOTSUPP,
    EPROTO,
)
from typing import Final

from pystack.compiling import mypyc_attr
from pystack.errors import ENONET

V4_ECHO_REPLY: Final = 0
V4_UNREACHABLE: Final = 3
V4_SOURCE_QUENCH: Final = 4
V4_REDIRECT: Final = 5
V4_ECHO_REQUEST: Final = 8
V4_TIME_EXCEEDED: Final = 11
V4_PARAMETER_PROBLEM: Final = 12

V6_UNREACHABLE: Final = 1
V6_PACKET_TOO_BIG: Final = 2
V6_TIME_EXCEEDED: Final = 3
V6_PARAMETER_PROBLEM: Final = 4
V6_ECHO_REQUEST: Final = 128
V6_ECHO_REPLY: Final = 129
V6_REDIRECT: Final = 137

V4_PROTOCOL_UNREACHABLE: Final = 2  # codes of type 3
V4_PORT_UNREACHABLE: Final = 3
V4_FRAGMENTATION_NEEDED: Final = 4
V4_LAST_UNREACHABLE: Final = 15
V6_PORT_UNREACHABLE: Final = 4  # code of type 1

ERRONEOUS_FIELD: Final = 0  # codes of ICMPv6's parameter problem
UNKNOWN_NEXT_HEADER: Final = 1
INCOMPLETE_HEADERS: Final = 3  # RFC 7112 §5
REASSEMBLY_TIME: Final = 1  # code of both time exceeded messages

# errno per code of destination unreachable, as Linux maps them
_V4_UNREACHABLE: Final = (
    ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE, EOPNOTSUPP, ENETUNREACH,
    EHOSTDOWN, ENONET, ENETUNREACH, EHOSTUNREACH, ENETUNREACH, EHOSTUNREACH, EHOSTUNREACH,
    EHOSTUNREACH, EHOSTUNREACH,
)  # fmt: skip
_V6_UNREACHABLE: Final = (
    ENETUNREACH, EACCES, EHOSTUNREACH, EHOSTUNREACH, ECONNREFUSED, EACCES, EACCES,
)  # fmt: skip


@mypyc_attr(native_class=False)  # mypyc does not know slots=True
@dataclass(slots=True)
class IcmpError:
    """An ICMP error that quotes a packet sent from one of our addresses.

    `mtu` is the next hop's in fragmentation needed and packet too big (0 from routers older
    than RFC 1191), else 0; `quoted_key` names the flow with our side first, its ports 0 unless
    the quote is of TCP or UDP; `quoted_seq` is TCP's sequence number as on the wire; `offender`
    is who sent the message. `quoted_length` is the length that the quoted packet had, and
    `quoted_upper` what was quoted of it from the transport header on.
    """

    version: int
    type: int
    code: int
    mtu: int
    quoted_key: bytes
    quoted_seq: int
    quoted_protocol: int
    offender: bytes
    quoted_length: int
    quoted_upper: bytes


def is_too_big(error: IcmpError) -> bool:
    """Whether it tells of a smaller path MTU."""
    if error.version == 4:
        return (error.type, error.code) == (V4_UNREACHABLE, V4_FRAGMENTATION_NEEDED)
    return error.type == V6_PACKET_TOO_BIG


def errno_of(error: IcmpError) -> int:
    """The errno that Linux gives for this message, 0 for one that says nothing."""
    if error.version == 4:
        if error.type == V4_UNREACHABLE:
            return _V4_UNREACHABLE[error.code]
        if error.type == V4_TIME_EXCEEDED:  # a lost fragment says nothing about the path
            return 0 if error.code == REASSEMBLY_TIME else EHOSTUNREACH
        return EPROTO if error.type == V4_PARAMETER_PROBLEM else 0
    if error.type == V6_UNREACHABLE:
        return _V6_UNREACHABLE[error.code] if error.code < len(_V6_UNREACHABLE) else EPROTO
    if error.type == V6_TIME_EXCEEDED:
        return EHOSTUNREACH
    return EPROTO  # parameter problem, and types yet unknown (RFC 4443 §2.4)
