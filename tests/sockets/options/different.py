"""Why some options are not answered as on Linux: each with its reason."""

from __future__ import annotations

from typing import Final

_BPF: Final = (
    "a stack runs no BPF programs: refused by name, where Linux looks at the program first"
)
_HEADERS: Final = (
    "packets of a stack have no options and extension headers: only none can be set, others are "
    "refused by name"
)
_PER_CONNECTION: Final = "a setting of the host or of a route, not of one connection"

REASONS: Final[dict[str, str]] = {
    "SO_ATTACH_FILTER": _BPF,
    "SO_ATTACH_BPF": _BPF,
    "SO_ATTACH_REUSEPORT_CBPF": _BPF,
    "SO_ATTACH_REUSEPORT_EBPF": _BPF,
    "SO_DETACH_REUSEPORT_BPF": _BPF,
    "SO_BPF_EXTENSIONS": _BPF,
    "SO_RCVLOWAT": "its bound is half of the largest `tcp_rmem`, which this machine has raised",
    "SO_DEVMEM_DONTNEED": "a stack has no memory of devices",
    "TCP_REPAIR": "connections of a stack are not repaired; refused as to a user without rights",
    "TCP_AO_REPAIR": "a stack has no TCP-AO",
    "TCP_CC_INFO": "of bbr Linux tells its state; a stack tells none",
    "TCP_QUICKACK": "kept by a listener, which it does not concern",
    "TCP_SAVE_SYN": "headers of SYNs are not saved",
    "TCP_SAVED_SYN": "headers of SYNs are not saved",
    "TCP_RTO_MAX_MS": f"`tcp_rto_max_ms` is {_PER_CONNECTION}",
    "TCP_RTO_MIN_US": f"`tcp_rto_min_us` is {_PER_CONNECTION}",
    "TCP_DELACK_MAX_US": f"the longest delay of an ACK is {_PER_CONNECTION}",
    "UDP_ENCAP": "a stack has no ESP",
    "IP_OPTIONS": _HEADERS,
    "IPV6_HOPOPTS": _HEADERS,
    "IPV6_RTHDRDSTOPTS": _HEADERS,
    "IPV6_DSTOPTS": _HEADERS,
    "IP_DROP_MEMBERSHIP": "no group was joined, whatever the request",
    "IPV6_V6ONLY": "bind to an address of IPv6 does not set it, as nothing follows from it",
}
