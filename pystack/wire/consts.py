"""Numbers of the wire: protocols, TCP flags and options, record kinds, drop reasons."""

from __future__ import annotations

from typing import Final

# -- IP ------------------------------------------------------------------------------------
IPPROTO_HOPOPTS: Final = 0
IPPROTO_ICMP: Final = 1
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
IPPROTO_ROUTING: Final = 43
IPPROTO_FRAGMENT: Final = 44
IPPROTO_ICMPV6: Final = 58
IPPROTO_DSTOPTS: Final = 60

IPV4_HEADER: Final = 20
IPV6_HEADER: Final = 40
TCP_HEADER: Final = 20
UDP_HEADER: Final = 8
IPV4_MIN_MTU: Final = 68  # RFC 791
IPV6_MIN_MTU: Final = 1280  # RFC 8200 §5

ECN_FIELD: Final = 3  # the bits of the TOS octet that are ECN's (RFC 3168 §5)
CE: Final = 3  # congestion experienced

# -- TCP flags (RFC 9293 §3.1; AE is RFC 9768) ---------------------------------------------
FIN: Final = 0x001
SYN: Final = 0x002
RST: Final = 0x004
PSH: Final = 0x008
ACK: Final = 0x010
URG: Final = 0x020
ECE: Final = 0x040
CWR: Final = 0x080
AE: Final = 0x100

# -- TCP option kinds ----------------------------------------------------------------------
OPT_EOL: Final = 0
OPT_NOP: Final = 1
OPT_MSS: Final = 2
OPT_WSCALE: Final = 3
OPT_SACK_PERMITTED: Final = 4
OPT_SACK: Final = 5
OPT_TIMESTAMPS: Final = 8
OPT_FASTOPEN: Final = 34  # RFC 7413
OPT_ACCECN0: Final = 172  # RFC 9768: ECT(0) first, then CE, ECT(1)
OPT_ACCECN1: Final = 174  # ECT(1) first
OPT_EXPERIMENT_1: Final = 253  # RFC 6994
OPT_EXPERIMENT_2: Final = 254

# bits of Segment.options: which options a segment carried
HAS_SACK_PERMITTED: Final = 1
HAS_TIMESTAMPS: Final = 2
HAS_EXPERIMENT: Final = 4
HAS_FASTOPEN: Final = 8

IPOPT_LSRR: Final = 131  # IPv4 options: loose and strict source route
IPOPT_SSRR: Final = 137

MAX_WSCALE: Final = 14  # RFC 7323 §2.3
DEFAULT_MSS_IPV4: Final = 536  # RFC 9293 §3.7.1
DEFAULT_MSS_IPV6: Final = 1220

# -- the third item of a packet: what is known of its transport checksum -----------------------
CHECKSUM_COMPLETE: Final = 0  # the field holds a full checksum; the receiver verifies it
CHECKSUM_VALID: Final = 1  # verified below us, by the kernel or a device (received packets only)
CHECKSUM_PARTIAL: Final = 2  # the field holds the pseudo-header sum; a device below completes it

# -- what a record describes ---------------------------------------------------------------
KIND_BAD: Final = 0  # dropped; Segment.reason says why
KIND_TCP: Final = 1  # a valid TCP segment
KIND_OTHER: Final = 2  # a valid IP packet of another protocol
KIND_FRAGMENT: Final = 3  # a valid fragment, to be put together first

# -- why a packet was dropped (indices into Counters.dropped) -------------------------------
DROP_TRUNCATED: Final = 1  # shorter than a header needs
DROP_BAD_VERSION: Final = 2  # neither IPv4 nor IPv6
DROP_BAD_IP_HEADER: Final = 3  # impossible header length or total length
DROP_BAD_IP_CHECKSUM: Final = 4
DROP_BAD_IP_OPTION: Final = 5  # IPv4 option or IPv6 extension header of impossible length
DROP_BAD_TCP_HEADER: Final = 6  # data offset under 5 or past the end
DROP_BAD_TCP_CHECKSUM: Final = 7
DROP_NOT_FOR_US: Final = 8  # the destination is not one of our addresses
DROP_BAD_SOURCE: Final = 9  # multicast, broadcast, loopback or unspecified source
DROP_BAD_FRAGMENT: Final = 10  # overlapping, oversized or misaligned
DROP_FRAGMENT_LIMIT: Final = 11  # reassembly memory or time exhausted
DROP_BAD_ICMP: Final = 12  # truncated, bad checksum, or an unknown type
DROP_UNKNOWN_PROTOCOL: Final = 13
DROP_SYN_QUEUE_FULL: Final = 14
DROP_ACCEPT_QUEUE_FULL: Final = 15
DROP_TX_FULL: Final = 16  # an answer of ours found the transmit batch full
DROP_PAWS: Final = 17
DROP_OUT_OF_WINDOW: Final = 18
DROP_NO_ACK: Final = 19  # synchronised, but no ACK bit
DROP_OLD_ACK: Final = 20  # acknowledges data from before the largest window (RFC 5961 §5)
DROP_BAD_ACK: Final = 21  # acknowledges what was never sent
DROP_RECEIVE_BUFFER: Final = 22  # no memory for data that came out of order
DROP_AFTER_CLOSE: Final = 23  # data for a connection that is closed for reading
DROP_RST_REFUSED: Final = 24  # RST that has not exactly the next number (RFC 5961 §3)
DROP_ICMP_QUOTE: Final = 25  # an ICMP error quoting no connection, or a number not in flight
DROP_SOURCE_ROUTE: Final = 26  # as Linux by default, and RFC 7126 §4.3, §4.4
DROP_BAD_UDP_HEADER: Final = 27  # a length under 8 or past the packet's end
DROP_BAD_UDP_CHECKSUM: Final = 28  # wrong, or none in IPv6 (RFC 8200 §8.1)
DROP_SOCKET_BUFFER: Final = 29  # a datagram found its socket's receive buffer full


DROP_NAMES: Final = (
    "", "truncated", "bad_version", "bad_ip_header", "bad_ip_checksum", "bad_ip_option",
    "bad_tcp_header", "bad_tcp_checksum", "not_for_us", "bad_source",
    "bad_fragment", "fragment_limit", "bad_icmp", "unknown_protocol", "syn_queue_full",
    "accept_queue_full", "tx_full", "paws", "out_of_window", "no_ack",
    "old_ack", "bad_ack", "receive_buffer", "after_close", "rst_refused", "icmp_quote",
    "source_route", "bad_udp_header", "bad_udp_checksum", "socket_buffer",
)  # fmt: skip
